// Runs the engine's three steps of a single convolution on operands that a test chooses, with everything around them
// poisoned: a kernel that reads what nobody wrote finds NaN, one that writes where it should not is seen.
#pragma once

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <resnet/engine/executor.hpp>
#include <resnet/graph/differentiate.hpp>
#include <resnet/graph/fuse.hpp>

#include "engine.hpp"

namespace tests {

using namespace resnet;

struct ConvolutionOptions {
    bool bias = true;
    bool inference = false;  // packs folded weights; forward only
    bool relu = false;       // inference
    bool residual = false;   // inference: a tensor that the output may take the place of
    bool add = false;        // gradients are added to what is there
};

/// A 1x1 convolution of one channel, then the convolution that is tested: so it has an input gradient.
inline Graph graph_around(const ConvolutionShape& shape, bool bias) {
    Graph graph;
    const auto add_layer = [&](const char* name, int out, int in, int kernel, bool has_bias) {
        const int index = static_cast<int>(graph.layers.size());
        graph.modules.push_back({-1, name, 0});
        graph.layers.push_back({.module = index,
                                .first_parameter = static_cast<int>(graph.parameters.size()),
                                .parameters = has_bias ? 2 : 1});
        const auto add = [&](const ParameterSpec& spec) {
            graph.parameters.push_back({index, spec, graph.parameter_elements});
            graph.parameter_elements += round_up(spec.size(), 16);
        };
        add({"weight", Role::weight, 4, out, in, kernel, kernel});
        if (has_bias) add({"bias", Role::bias, 1, out});
    };
    add_layer("before", shape.in, 1, 1, false);
    add_layer("tested", shape.out, shape.in, shape.window.height, bias);
    graph.nodes.push_back({.op = Op::input, .channels = 1, .extent = shape.input});
    graph.nodes.push_back(
        {.op = Op::conv2d, .inputs = {0, -1}, .channels = shape.in, .extent = shape.input, .layer = 0});
    graph.nodes.push_back({.op = Op::conv2d,
                           .inputs = {1, -1},
                           .channels = shape.out,
                           .extent = shape.output,
                           .layer = 1,
                           .window = shape.window});
    graph.output = 2;
    return graph;
}

template <class Scalar>
class OneConvolution {
public:
    OneConvolution(const ConvolutionShape& shape, int images, const PlanOptions& plan,
                   const ConvolutionOptions& options)
        : options_{options},
          kernels_{kernels<Scalar>(plan.isa)},
          plan_{graph_around(shape, options.bias), program(shape), plan, kernels_.panels(0)},
          weights_{plan_.graph()},
          packs_{plan_, kernels_},
          workspace_{plan_},
          images_{images} {
        workspace_.reserve(images);
        const Scalar nan = std::numeric_limits<Scalar>::quiet_NaN();
        std::fill_n(workspace_.partial_weights(), partial_weights_needed(plan_, images), nan);
        std::fill_n(workspace_.partial_sums(), partial_sums_needed(plan_, images),
                    std::numeric_limits<double>::quiet_NaN());
    }

    const Plan& plan() const { return plan_; }
    ConvolutionKernel kernel(StepKind kind) const { return plan_[step(kind)].kernel; }

    void set_weights(const std::vector<int>& weight, const std::vector<int>& bias) {
        const int first = at(plan_.graph().layers, 1).first_parameter;
        for (std::size_t i = 0; i < weight.size(); ++i) weights_.parameter(first)[i] = static_cast<Scalar>(weight[i]);
        for (std::size_t i = 0; options_.bias && i < bias.size(); ++i)
            weights_.parameter(first + 1)[i] = static_cast<Scalar>(bias[i]);
        if (options_.inference) packs_.fold(weights_);
    }

    /// [N][Ho][Wo][Out]; `moments` takes mean and sum of squared deviations of each channel, in training.
    std::vector<Scalar> forward(const std::vector<int>& input, const std::vector<int>& residual,
                                std::vector<double>* moments) {
        const int index = step(StepKind::convolution);
        const Step& convolution = at(plan_.program().steps, index);
        poison();
        fill(convolution.terms[0].tensor, input);
        if (options_.residual) fill(convolution.residual, residual);
        run_alone(index, convolution.output);
        if (moments != nullptr) {
            const double* from = workspace_.moments(plan_.tensor(convolution.output).moments);
            moments->assign(from, from + 2 * plan_.tensor(convolution.output).channels);
        }
        return read(convolution.output);
    }

    /// [N][H][W][In]; with options.add, the sum with `before`.
    std::vector<Scalar> grad_input(const std::vector<int>& grad_output, const std::vector<int>& before) {
        const int index = step(StepKind::convolution_grad_input);
        const Step& backward = at(plan_.program().steps, index);
        poison();
        fill(backward.grad_output, grad_output);
        if (options_.add) fill(backward.grad_inputs[0], before);
        run_alone(index, backward.grad_inputs[0]);
        return read(backward.grad_inputs[0]);
    }

    /// [ky][kx][In][Out], then [Out] of the bias; added to `before` (one number for all) with options.add.
    std::vector<Scalar> grad_weight(const std::vector<int>& input, const std::vector<int>& grad_output, int before) {
        const int index = step(StepKind::convolution_grad_weight);
        const Step& backward = at(plan_.program().steps, index);
        poison();
        fill(backward.terms[0].tensor, input);
        fill(backward.grad_output, grad_output);
        // Taps that touch no data are never written: their gradient is zero from the start, not NaN.
        const Parameter& weight = at(plan_.graph().parameters, at(plan_.graph().layers, 1).first_parameter);
        const Index size = plan_.graph().parameter_elements;
        constexpr Index guard = 64;
        Buffer<Scalar> gradients(size + 2 * guard);
        std::fill_n(gradients.data(), gradients.size(), std::numeric_limits<Scalar>::quiet_NaN());
        Scalar* from = gradients.data() + guard;
        const ConvolutionShape shape = plan_[index].shape;
        const Index a_tap = Index{shape.in} * shape.out;
        for (int tap = 0; tap < shape.window.taps(); ++tap)
            if (options_.add || !is_live(shape, tap))
                std::fill_n(from + weight.offset + tap * a_tap, a_tap, static_cast<Scalar>(options_.add ? before : 0));
        const Parameter& last = plan_.graph().parameters.back();
        if (options_.bias && options_.add)
            std::fill_n(from + last.offset, last.spec.size(), static_cast<Scalar>(before));

        run_step(Run<Scalar>{plan_, kernels_, weights_, packs_, workspace_, from, options_.add}, index);

        std::vector<Scalar> values(from + weight.offset, from + weight.offset + weight.spec.size());
        if (options_.bias) values.insert(values.end(), from + last.offset, from + last.offset + last.spec.size());
        for (Index i = 0; i < gradients.size(); ++i) {
            const Index at_element = i - guard;
            const bool ours =
                (at_element >= weight.offset && at_element < weight.offset + weight.spec.size()) ||
                (options_.bias && at_element >= last.offset && at_element < last.offset + last.spec.size());
            if (!ours && !std::isnan(gradients.data()[i])) ++stray_writes_;
        }
        return values;
    }

    /// Elements that changed outside of the results.
    Index stray_writes() const { return stray_writes_; }

    static bool is_live(const ConvolutionShape& s, int tap) {
        const Window& w = s.window;
        return live_range(tap / w.width, w.stride, w.padding, s.input.height, s.output.height).count() > 0 &&
               live_range(tap % w.width, w.stride, w.padding, s.input.width, s.output.width).count() > 0;
    }

private:
    Program program(const ConvolutionShape& shape) const {
        const Graph graph = graph_around(shape, options_.bias);
        Program made = fuse(graph, options_.inference ? Mode::inference : Mode::training);
        if (!options_.inference) made = differentiate(graph, std::move(made));
        for (Step& s : made.steps) {
            if (s.layer != 1) continue;
            if (s.kind == StepKind::convolution && options_.inference) {
                if (options_.relu) s.activation = Activation::relu;
                if (options_.residual) {
                    made.tensors.push_back({.channels = shape.out, .extent = shape.output});
                    s.residual = static_cast<int>(made.tensors.size()) - 1;
                }
            } else if (s.kind == StepKind::convolution) {
                s.collects_moments = true;
                at(made.tensors, s.output).moments = made.moments++;
            } else if (s.kind == StepKind::convolution_grad_input && options_.add) {
                s.writes[0] = Write::add;
            }
        }
        return made;
    }

    int step(StepKind kind) const {
        for (int i = 0; i < plan_.size(); ++i)
            if (at(plan_.program().steps, i).kind == kind && at(plan_.program().steps, i).layer == 1) return i;
        throw Error("OneConvolution", "a step of this kind", name_of(kind));
    }

    /// Where element (n, y, x, c) of a tensor lies: [N / b][H][W][b][C].
    Index position(int tensor, Index n, Index yx, Index c) const {
        const Tensor& t = plan_.tensor(tensor);
        const Index b = plan_.block(), block = n / b, images = std::min<Index>(b, images_ - block * b);
        return block * b * t.elements() + (yx * images + n % b) * t.channels + c;
    }
    void for_each(int tensor, auto&& visit) {
        const Tensor& t = plan_.tensor(tensor);
        std::size_t i = 0;
        for (Index n = 0; n < images_; ++n)
            for (Index yx = 0; yx < t.extent.area(); ++yx)
                for (Index c = 0; c < t.channels; ++c, ++i)
                    visit(workspace_.tensor(tensor)[position(tensor, n, yx, c)], i);
    }
    void fill(int tensor, const std::vector<int>& values) {
        for_each(tensor, [&](Scalar& x, std::size_t i) { x = static_cast<Scalar>(values[i]); });
    }
    std::vector<Scalar> read(int tensor) {
        std::vector<Scalar> values(static_cast<std::size_t>(plan_.tensor(tensor).elements() * images_));
        for_each(tensor, [&](Scalar& x, std::size_t i) { values[i] = x; });
        return values;
    }
    void poison() {
        std::fill_n(workspace_.arena().data(), workspace_.arena().size(), std::numeric_limits<Scalar>::quiet_NaN());
    }

    /// Runs one step and counts what it changed in the arena outside of its result.
    void run_alone(int index, int result) {
        if (!options_.inference) packs_.pack(index, weights_);
        const Buffer<Scalar> before = workspace_.arena();
        run_step(Run<Scalar>{plan_, kernels_, weights_, packs_, workspace_, nullptr, false}, index);
        const Index first = plan_.offset(result, images_), last = first + plan_.tensor(result).elements() * images_;
        for (Index i = 0; i < before.size(); ++i)
            if ((i < first || i >= last) &&
                std::memcmp(before.data() + i, workspace_.arena().data() + i, sizeof(Scalar)) != 0)
                ++stray_writes_;
    }

    ConvolutionOptions options_;
    const Kernels<Scalar>& kernels_;
    Plan plan_;
    Weights<Scalar> weights_;
    Packs<Scalar> packs_;
    Workspace<Scalar> workspace_;
    int images_;
    Index stray_writes_ = 0;
};

}  // namespace tests
