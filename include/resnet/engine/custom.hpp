// Custom steps: the user's functions are called with one block of images at a time.
#pragma once

#include <array>

#include <resnet/engine/run.hpp>
#include <resnet/graph/custom.hpp>

namespace resnet::inline v0 {

namespace detail {

template <class T, class Scalar>
ImageBlock<T> image_block(const Run<Scalar>& run, int tensor, Index block) {
    const Tensor& t = run.plan.tensor(tensor);
    return {run.block(tensor, block), run.block_images(block), t.extent, t.channels};
}

template <class Scalar>
std::array<const Scalar*, most_custom_parameters> custom_parameters(const Run<Scalar>& run, const Layer& layer) {
    std::array<const Scalar*, most_custom_parameters> pointers{};
    for (int p = 0; p < layer.parameters; ++p)
        pointers[static_cast<std::size_t>(p)] = run.weights.parameter(layer.first_parameter + p);
    return pointers;
}

}  // namespace detail

template <class Scalar>
void run_custom(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const CustomOperation& operation = *at(run.plan.graph().nodes, step.node).custom;
    const auto parameters = detail::custom_parameters(run, at(run.plan.graph().layers, step.layer));
    run.for_each_chunk(run.blocks(), 16 * run.elements(step.output), [&](Index block, int slot) {
        operation.forward(
            CustomForward<Scalar>{.input = detail::image_block<const Scalar>(run, step.terms[0].tensor, block),
                                  .output = detail::image_block<Scalar>(run, step.output, block),
                                  .parameters = parameters.data(),
                                  .scratch = reinterpret_cast<Scalar*>(run.workspace.scratch(slot))});
    });
}

template <class Scalar>
void run_custom_grad(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const CustomOperation& operation = *at(run.plan.graph().nodes, step.node).custom;
    const Layer& layer = at(run.plan.graph().layers, step.layer);
    const auto parameters = detail::custom_parameters(run, layer);
    // Each block has parameter gradients of its own, summed in a fixed tree.
    Index stride = 0;
    std::array<Index, most_custom_parameters> offsets{};
    for (int p = 0; p < layer.parameters; ++p) {
        offsets[static_cast<std::size_t>(p)] = stride;
        stride += whole_lines(at(run.plan.graph().parameters, layer.first_parameter + p).spec.size());
    }
    Scalar* parts = run.workspace.partial_weights();
    run.for_each_chunk(run.blocks(), 16 * run.elements(step.output), [&](Index block, int slot) {
        Scalar* part = parts + block * stride;
        std::fill_n(part, stride, Scalar{0});
        std::array<Scalar*, most_custom_parameters> grads{};
        for (int p = 0; p < layer.parameters; ++p)
            grads[static_cast<std::size_t>(p)] = part + offsets[static_cast<std::size_t>(p)];
        CustomBackward<Scalar> job{.input = detail::image_block<const Scalar>(run, step.terms[0].tensor, block),
                                   .grad_output = detail::image_block<const Scalar>(run, step.grad_output, block),
                                   .grad_input = {},
                                   .parameters = parameters.data(),
                                   .grad_parameters = grads.data(),
                                   .scratch = reinterpret_cast<Scalar*>(run.workspace.scratch(slot))};
        if (step.writes[0] != Write::none) {
            job.grad_input = detail::image_block<Scalar>(run, step.grad_inputs[0], block);
            if (step.writes[0] == Write::overwrite)
                std::fill_n(job.grad_input.data,
                            run.plan.tensor(step.grad_inputs[0]).elements() * job.grad_input.images, Scalar{0});
        }
        operation.backward(job);
    });
    detail::sum_tree(parts, run.blocks(), stride, 0, stride);
    const bool add = run.adds(step.grad_parameters[0]);
    for (int p = 0; p < layer.parameters; ++p) {
        const Parameter& parameter = at(run.plan.graph().parameters, layer.first_parameter + p);
        Scalar* to = run.gradient(step.layer, parameter.spec.name);
        if (to == nullptr) continue;
        const Scalar* from = parts + offsets[static_cast<std::size_t>(p)];
        for (Index i = 0; i < parameter.spec.size(); ++i) to[i] = from[i] + (add ? to[i] : Scalar{0});
    }
}

}  // namespace resnet::inline v0
