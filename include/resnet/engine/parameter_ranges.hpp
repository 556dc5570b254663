// Which stretches of the flat parameter buffer a training step updates, and which of them ever get a gradient.
#pragma once

#include <algorithm>
#include <vector>

#include <resnet/engine/plan.hpp>
#include <resnet/optim/parameter_range.hpp>

namespace resnet::inline v0 {

/// The ranges of all parameters that are not frozen and used, by this plan or an earlier one that gave them a gradient.
/// A convolution's taps that touch no data, and a bias that only batch norms see, are not live. `live_before` (by
/// element / line_elements) remembers what was live in earlier plans: an optimizer's moments are no longer zero there.
inline std::vector<ParameterRange> parameter_ranges(const Plan& plan, const std::vector<char>& frozen,
                                                    std::vector<char>& live_before) {
    const Graph& graph = plan.graph();
    live_before.resize(static_cast<std::size_t>(graph.parameter_elements / line_elements), 0);
    const auto mark = [&](Index offset, Index count) {
        for (Index line = offset / line_elements; line < divide_up(offset + count, line_elements); ++line)
            live_before[static_cast<std::size_t>(line)] = 1;
    };
    const auto mark_parameter = [&](int layer, std::string_view name) {
        if (const int p = graph.parameter(layer, name); p >= 0)
            mark(at(graph.parameters, p).offset, at(graph.parameters, p).spec.size());
    };
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (step.kind == StepKind::convolution_grad_weight) {
            if (!step.bias_cancels) mark_parameter(step.layer, "bias");
            const ConvolutionShape& shape = plan[i].shape;
            const Index offset = at(graph.parameters, graph.parameter(step.layer, "weight")).offset,
                        a_tap = Index{shape.in} * shape.out;
            if (plan[i].kernel == ConvolutionKernel::direct && a_tap % line_elements == 0)
                for (const int tap : plan[i].live_taps) mark(offset + tap * a_tap, a_tap);
            else mark_parameter(step.layer, "weight");
        } else if (step.kind == StepKind::pointwise_grad) {
            for (int t = 0; t < step.term_count; ++t)
                if (step.grad_parameters[static_cast<std::size_t>(t)] != Write::none) {
                    const int layer = at(plan.program().norms, step.terms[static_cast<std::size_t>(t)].norm).layer;
                    mark_parameter(layer, "weight");
                    mark_parameter(layer, "bias");
                }
        } else if (step.kind == StepKind::custom_grad && step.grad_parameters[0] != Write::none) {
            const Layer& layer = at(graph.layers, step.layer);
            for (int p = layer.first_parameter; p < layer.first_parameter + layer.parameters; ++p)
                mark(at(graph.parameters, p).offset, at(graph.parameters, p).spec.size());
        }
    }
    // A layer that the output does not depend on gets no gradient and no update, as in PyTorch: not even weight decay,
    // unless an earlier plan gave it a gradient.
    std::vector<char> used(graph.layers.size(), 0);
    const std::vector<int> uses = graph.uses();
    for (std::size_t n = 0; n < graph.nodes.size(); ++n)
        if (const int layer = graph.nodes[n].layer; layer >= 0 && uses[n] > 0) at(used, layer) = 1;
    std::vector<ParameterRange> ranges;
    constexpr Index longest = Index{1} << 15;  // a chunk of an update: 128 KiB of floats an array
    for (int p = 0; p < static_cast<int>(graph.parameters.size()); ++p) {
        const Parameter& parameter = at(graph.parameters, p);
        const Index end = parameter.offset + whole_lines(parameter.spec.size());
        bool takes_part = at(used, parameter.layer) != 0;
        for (Index offset = parameter.offset; offset < end && !takes_part; offset += line_elements)
            takes_part = live_before[static_cast<std::size_t>(offset / line_elements)] != 0;
        if (at(frozen, p) != 0 || !takes_part) continue;
        for (Index offset = parameter.offset; offset < end;) {
            const char live = live_before[static_cast<std::size_t>(offset / line_elements)];
            Index count = line_elements;
            while (offset + count < end && count < longest &&
                   live_before[static_cast<std::size_t>((offset + count) / line_elements)] == live)
                count += line_elements;
            ranges.push_back({p, offset, count, parameter.spec.role, live != 0});
            offset += count;
        }
    }
    return ranges;
}

}  // namespace resnet::inline v0
