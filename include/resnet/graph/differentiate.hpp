// Appends the loss and the backward Steps to the forward ones: one sweep from the logits to the image.
//
// It works on fused steps, so each kind has backward kinds of its own with a closed form (a convolution two, any other
// at most one); differentiating single nodes first would only make the fuser find the same groups again.
#pragma once

#include <utility>

#include <resnet/graph/program.hpp>

namespace resnet::inline v0 {

namespace detail {

class Differentiator {
public:
    constexpr Differentiator(const Graph& graph, Program program, const std::vector<char>& frozen)
        : graph_{graph},
          program_{std::move(program)},
          frozen_{frozen},
          needs_(program_.tensors.size(), 0),
          gradients_(program_.tensors.size(), -1),
          seen_(graph.layers.size(), 0),
          seen_bias_(graph.layers.size(), 0) {}

    constexpr Program run() {
        find_needed();
        const int forward = static_cast<int>(program_.steps.size());
        Step loss{.kind = StepKind::loss, .node = graph_.output, .output = program_.logits};
        loss.terms[0].tensor = program_.logits;
        if (at(needs_, program_.logits) != 0) loss.grad_output = gradient(program_.logits);
        program_.steps.push_back(loss);
        program_.first_backward = static_cast<int>(program_.steps.size());
        for (int i = forward - 1; i >= 0; --i) backward(Step{at(program_.steps, i)});
        return program_;
    }

private:
    constexpr bool trains(int layer) const {
        if (layer < 0) return false;
        const Layer& l = at(graph_.layers, layer);
        for (int p = l.first_parameter; p < l.first_parameter + l.parameters; ++p)
            if (!frozen(p)) return true;
        return false;
    }
    constexpr bool frozen(int parameter) const { return !frozen_.empty() && at(frozen_, parameter) != 0; }
    constexpr bool trains_norms(const Step& step) const {
        for (int t = 0; t < step.term_count; ++t) {
            const int norm = step.terms[static_cast<std::size_t>(t)].norm;
            if (norm >= 0 && trains(at(program_.norms, norm).layer)) return true;
        }
        return false;
    }

    /// A tensor's gradient is needed where something that trains lies before it.
    constexpr void find_needed() {
        for (const Step& step : program_.steps) {
            bool needed = trains(step.layer) || trains_norms(step);
            for (int t = 0; t < step.term_count; ++t) {
                const int tensor = step.terms[static_cast<std::size_t>(t)].tensor;
                needed = needed || at(needs_, tensor) != 0;
            }
            if (needed) at(needs_, step.output) = 1;
        }
    }

    constexpr int gradient(int tensor) {
        if (at(gradients_, tensor) < 0) {
            const Tensor& t = at(program_.tensors, tensor);
            at(gradients_, tensor) = static_cast<int>(program_.tensors.size());
            program_.tensors.push_back({.channels = t.channels, .extent = t.extent});
        }
        return at(gradients_, tensor);
    }

    /// Where the gradient of term `t` goes, and whether it is the first to arrive there.
    constexpr void send(Step& step, std::size_t t) {
        const int tensor = step.terms[t].tensor;
        if (at(needs_, tensor) == 0) return;
        step.writes[t] = at(gradients_, tensor) < 0 ? Write::overwrite : Write::add;
        step.grad_inputs[t] = gradient(tensor);
    }

    static constexpr Write parameter_write(std::vector<char>& seen, int layer) {
        const bool first = at(seen, layer) == 0;
        at(seen, layer) = 1;
        return first ? Write::overwrite : Write::add;
    }

    constexpr void backward(Step step) {
        if (step.kind == StepKind::input || step.kind == StepKind::moments) return;
        if (at(gradients_, step.output) < 0) return;
        step.grad_output = at(gradients_, step.output);
        step.collects_moments = false;
        switch (step.kind) {
            case StepKind::convolution:
                return convolution(step);
            case StepKind::pointwise:
                step.kind = StepKind::pointwise_grad;
                for (std::size_t t = 0; t < static_cast<std::size_t>(step.term_count); ++t) {
                    send(step, t);
                    if (const int norm = step.terms[t].norm; norm >= 0 && trains(at(program_.norms, norm).layer))
                        step.grad_parameters[t] = parameter_write(seen_, at(program_.norms, norm).layer);
                }
                program_.steps.push_back(step);
                return;
            case StepKind::max_pool:
                step.kind = StepKind::max_pool_grad;
                break;
            case StepKind::average_pool:
                step.kind = StepKind::average_pool_grad;
                break;
            case StepKind::custom:
                step.kind = StepKind::custom_grad;
                if (trains(step.layer)) step.grad_parameters[0] = parameter_write(seen_, step.layer);
                break;
            default:
                break;
        }
        send(step, 0);
        program_.steps.push_back(step);
    }

    constexpr void convolution(Step step) {
        if (trains(step.layer)) {
            Step weight = step;
            weight.kind = StepKind::convolution_grad_weight;
            weight.grad_parameters[0] = parameter_write(seen_, step.layer);
            weight.bias_cancels = only_normalized(step.output);
            if (!weight.bias_cancels) weight.grad_parameters[1] = parameter_write(seen_bias_, step.layer);
            program_.steps.push_back(weight);
        }
        step.kind = StepKind::convolution_grad_input;
        send(step, 0);
        if (step.writes[0] != Write::none) program_.steps.push_back(step);
    }

    /// Batch norm subtracts the mean: whatever is added to a whole channel before it has no effect on the loss.
    constexpr bool only_normalized(int tensor) const {
        for (const Step& step : program_.steps) {
            if (step.backward() || step.kind == StepKind::moments) continue;
            for (int t = 0; t < step.term_count; ++t) {
                const Term& term = step.terms[static_cast<std::size_t>(t)];
                if (term.tensor == tensor && term.norm < 0) return false;
            }
        }
        return true;
    }

    const Graph& graph_;
    Program program_;
    const std::vector<char>& frozen_;
    std::vector<char> needs_;      // by forward tensor
    std::vector<int> gradients_;   // by forward tensor: its gradient's tensor
    std::vector<char> seen_;       // by layer: its parameters have a gradient already
    std::vector<char> seen_bias_;  // by layer of convolutions: so has its bias, which some uses leave out
};

}  // namespace detail

/// The training program: `forward` (of fuse, Mode::training), the loss, and the backward steps. `frozen` marks
/// parameters that are not trained, by index (empty: none); what only they need is left out.
constexpr Program differentiate(const Graph& graph, Program forward, const std::vector<char>& frozen = {}) {
    return detail::Differentiator{graph, std::move(forward), frozen}.run();
}

}  // namespace resnet::inline v0
