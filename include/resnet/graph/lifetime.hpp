// Which steps touch a tensor, and from that the memory that activations need: a linear sweep, constexpr.
#pragma once

#include <algorithm>
#include <vector>

#include <resnet/graph/program.hpp>

namespace resnet::inline v0 {

/// Calls visit(tensor) for everything that a step reads or writes.
constexpr void for_each_tensor(const Step& step, auto&& visit) {
    const auto touch = [&](int tensor) {
        if (tensor >= 0) visit(tensor);
    };
    const auto touch_terms = [&] {
        for (int t = 0; t < step.term_count; ++t) touch(step.terms[static_cast<std::size_t>(t)].tensor);
    };
    switch (step.kind) {
        case StepKind::convolution_grad_weight:
        case StepKind::custom_grad:
            touch_terms();
            break;
        case StepKind::convolution_grad_input:
        case StepKind::average_pool_grad:
            break;
        case StepKind::pointwise_grad:
            if (step.activation == Activation::relu) touch(step.output);
            for (int t = 0; t < step.term_count; ++t) {
                const Term& term = step.terms[static_cast<std::size_t>(t)];
                if (term.norm >= 0 || step.activation == Activation::gelu) touch(term.tensor);
            }
            break;
        case StepKind::input:
            touch(step.output);
            break;
        default:
            touch_terms();
            touch(step.residual);
            touch(step.output);
    }
    touch(step.grad_output);
    if (step.kind != StepKind::convolution_grad_weight)
        for (const int gradient : step.grad_inputs) touch(gradient);
}

/// The first and last step that touch a tensor; first > last: none does.
struct Lifetime {
    int first = 1 << 30, last = -1;
    int takes_over = -1;  // the tensor whose memory this one goes on using: it dies in the step that writes this one

    constexpr bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};

constexpr std::vector<Lifetime> lifetimes(const Program& program) {
    std::vector<Lifetime> lives(program.tensors.size());
    for (int i = 0; i < static_cast<int>(program.steps.size()); ++i)
        for_each_tensor(at(program.steps, i), [&](int tensor) {
            Lifetime& life = at(lives, tensor);
            life.first = std::min(life.first, i);
            life.last = i;
        });
    at(lives, program.logits).last = static_cast<int>(program.steps.size());  // the caller reads them

    // Element-wise results may replace an operand that nobody reads any more.
    for (int i = 0; i < static_cast<int>(program.steps.size()); ++i) {
        const Step& step = at(program.steps, i);
        const auto replace = [&](int result, int operand) {
            if (result < 0 || operand < 0 || at(lives, result).first != i || at(lives, operand).last != i) return false;
            if (at(program.tensors, result).elements() != at(program.tensors, operand).elements()) return false;
            at(lives, result).takes_over = operand;
            return true;
        };
        if (step.kind == StepKind::pointwise) {
            if (!replace(step.output, step.terms[0].tensor) && step.term_count > 1)
                replace(step.output, step.terms[1].tensor);
        } else if (step.kind == StepKind::convolution) {
            // In x + conv(x) the summand is also the input, of which every output reads a neighbourhood.
            if (step.residual != step.terms[0].tensor) replace(step.output, step.residual);
        } else if (step.kind == StepKind::pointwise_grad) {
            if (!replace(step.grad_inputs[0], step.grad_output)) replace(step.grad_inputs[1], step.grad_output);
        }
    }
    return lives;
}

/// The largest number of elements per image that are alive at once.
constexpr Index peak_elements(const Program& program) {
    const std::vector<Lifetime> lives = lifetimes(program);
    std::vector<Index> change(program.steps.size() + 2, 0);
    for (std::size_t t = 0; t < lives.size(); ++t) {
        if (lives[t].last < 0) continue;
        const Index size = program.tensors[t].elements();
        // What takes over another's memory in step i is counted from step i + 1 on.
        at(change, lives[t].first + (lives[t].takes_over >= 0 ? 1 : 0)) += size;
        at(change, lives[t].last + 1) -= size;
    }
    Index live = 0, peak = 0;
    for (const Index c : change) {
        live += c;
        peak = std::max(peak, live);
    }
    return peak;
}

}  // namespace resnet::inline v0
