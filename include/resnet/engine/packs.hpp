// Weights in the order in which the kernels read them: panels of output channels, [panel][live tap][In][panel's channels]. Packs belong to
// steps, since one layer may serve several; the master copy stays [tap][In][Out].
#pragma once

#include <cmath>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/kernels/kernels.hpp>

namespace resnet::inline v0 {

namespace detail {

/// One panel of a forward pack from [tap][In][Out].
template <class Scalar>
void pack_panel(const ConvolutionShape& shape, const std::vector<int>& live, const Panels& panels, int p, const Scalar* weight, Scalar* pack) {
    const Panels::Panel panel = panels[p];
    const Index width = Index{panel.vectors} * panels.lanes;
    Scalar* to = pack + panel.first * static_cast<Index>(live.size()) * shape.in;
    for (const int tap : live)
        for (int i = 0; i < shape.in; ++i, to += width) {
            const Scalar* from = weight + (Index{tap} * shape.in + i) * shape.out + panel.first;
            std::copy_n(from, panel.valid, to);
            std::fill(to + panel.valid, to + width, Scalar{0});
        }
}

/// One panel of the transposed pack, for the gradient of the input: its output channels are the layer's input channels.
template <class Scalar>
void pack_transposed_panel(const ConvolutionShape& shape, const std::vector<int>& live, const Panels& panels, int p, const Scalar* weight,
                           Scalar* pack) {
    const Panels::Panel panel = panels[p];
    const Index width = Index{panel.vectors} * panels.lanes;
    Scalar* to = pack + panel.first * static_cast<Index>(live.size()) * shape.out;
    for (const int tap : live) {
        const Scalar* from = weight + (Index{tap} * shape.in + panel.first) * shape.out;
        constexpr int strip = 16;  // output channels at a time: one cache line of each row
        for (int first = 0; first < shape.out; first += strip) {
            const int last = std::min(first + strip, shape.out);
            for (int i = 0; i < panel.valid; ++i)
                for (int o = first; o < last; ++o) to[o * width + i] = from[Index{i} * shape.out + o];
        }
        to += shape.out * width;
    }
}

}  // namespace detail

template <class Scalar>
class Packs {
public:
    explicit Packs(const Plan& plan) : buffer_(plan.pack_elements()) {}

    const Scalar* at(Index offset) const noexcept { return buffer_.data() + offset; }
    Index bytes() const noexcept { return buffer_.bytes(); }

    /// Training: packs of all forward and grad_input steps from the master weights. Allocates nothing after its first call.
    void pack(const Plan& plan, const Weights<Scalar>& weights, const Kernels<Scalar>& kernels) {
        if (tasks_.empty()) list_tasks(plan, kernels);
        for_each_chunk(static_cast<Index>(tasks_.size()), worker_count(), [&](Index chunk, int) {
            const Task& task = tasks_[static_cast<std::size_t>(chunk)];
            const PlannedStep& step = plan[task.step];
            const Scalar* weight = master(plan, weights, task.step);
            const bool forward = resnet::at(plan.program().steps, task.step).kind == StepKind::convolution;
            const Panels panels = kernels.panels(forward ? step.shape.out : step.shape.in);
            Scalar* to = buffer_.data() + step.pack;
            if (forward) detail::pack_panel(step.shape, step.table.live, panels, task.panel, weight, to);
            else detail::pack_transposed_panel(step.shape, step.table.live, panels, task.panel, weight, to);
        });
    }

    /// Inference: batch norm (running statistics) and constant factors go into weights and bias first:
    /// s = factor * gamma / sqrt(var + epsilon); weight' = s weight; bias' = s (bias - mean) + factor * beta.
    void fold(const Plan& plan, const Weights<Scalar>& weights, const Kernels<Scalar>& kernels) {
        for (int i = 0; i < plan.size(); ++i) {
            const Step& step = resnet::at(plan.program().steps, i);
            if (step.kind == StepKind::convolution) fold_step(plan, step, plan[i], master(plan, weights, i), weights, kernels);
        }
    }

private:
    struct Task {
        int step, panel;
    };

    static const Scalar* master(const Plan& plan, const Weights<Scalar>& weights, int step) {
        const int layer = resnet::at(plan.program().steps, step).layer;
        return weights.parameter(plan.graph().parameter(layer, "weight"));
    }

    void list_tasks(const Plan& plan, const Kernels<Scalar>& kernels) {
        for (int i = 0; i < plan.size(); ++i) {
            if (plan[i].pack < 0) continue;
            const bool forward = resnet::at(plan.program().steps, i).kind == StepKind::convolution;
            const int panels = kernels.panels(forward ? plan[i].shape.out : plan[i].shape.in).count();
            for (int p = 0; p < panels; ++p) tasks_.push_back({i, p});
        }
    }

    void fold_step(const Plan& plan, const Step& step, const PlannedStep& planned, const Scalar* weight, const Weights<Scalar>& weights,
                   const Kernels<Scalar>& kernels) {
        const Graph& graph = plan.graph();
        const int out = planned.shape.out;
        std::vector<double> scale(static_cast<std::size_t>(out), step.factor), shift(static_cast<std::size_t>(out), 0.0);
        Scalar* bias = buffer_.data() + planned.bias;
        const int layer_bias = graph.parameter(step.layer, "bias");
        for (int o = 0; o < out; ++o) {
            const auto c = static_cast<std::size_t>(o);
            if (layer_bias >= 0) shift[c] = static_cast<double>(weights.parameter(layer_bias)[o]);
            if (step.folded_norm >= 0) {
                const Layer& norm = resnet::at(graph.layers, resnet::at(plan.program().norms, step.folded_norm).layer);
                const int gamma = graph.parameter(resnet::at(plan.program().norms, step.folded_norm).layer, "weight");
                const int beta = graph.parameter(resnet::at(plan.program().norms, step.folded_norm).layer, "bias");
                const Scalar *mean = weights.statistics().data() + norm.statistics, *var = mean + round_up(norm.normalized, 16);
                scale[c] *= (gamma >= 0 ? static_cast<double>(weights.parameter(gamma)[o]) : 1.0) /
                            std::sqrt(static_cast<double>(var[o]) + static_cast<double>(norm.epsilon));
                shift[c] = scale[c] * (shift[c] - static_cast<double>(mean[o]));
                if (beta >= 0) shift[c] += static_cast<double>(step.factor) * static_cast<double>(weights.parameter(beta)[o]);
            } else {
                shift[c] *= static_cast<double>(step.factor);
            }
            bias[o] = static_cast<Scalar>(shift[c]);
        }
        std::vector<Scalar> folded(static_cast<std::size_t>(planned.shape.weights()));
        for (std::size_t i = 0; i < folded.size(); ++i)
            folded[i] = static_cast<Scalar>(static_cast<double>(weight[i]) * scale[i % static_cast<std::size_t>(out)]);
        Scalar* to = buffer_.data() + planned.pack;
        if (planned.kernel == ConvolutionKernel::im2col) {
            std::copy(folded.begin(), folded.end(), to);
            return;
        }
        const Panels panels = kernels.panels(out);
        for (int p = 0; p < panels.count(); ++p) detail::pack_panel(planned.shape, planned.table.live, panels, p, folded.data(), to);
    }

    Buffer<Scalar> buffer_;
    std::vector<Task> tasks_;
};

}  // namespace resnet::inline v0
