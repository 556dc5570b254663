// One way through a network: each step's kind names the function that runs it.
#pragma once

#include <resnet/engine/convolution.hpp>
#include <resnet/engine/custom.hpp>
#include <resnet/engine/input.hpp>
#include <resnet/engine/loss.hpp>
#include <resnet/engine/moments.hpp>
#include <resnet/engine/pointwise.hpp>
#include <resnet/engine/pooling.hpp>

namespace resnet::inline v0 {

/// Runs one step other than input and loss, which need what the caller holds.
template <class Scalar>
void run_step(const Run<Scalar>& run, int index) {
    switch (run.step(index).kind) {
        case StepKind::input:
        case StepKind::loss:
            return;
        case StepKind::convolution:
            return run_convolution(run, index);
        case StepKind::moments:
            return run_moments(run, index);
        case StepKind::pointwise:
            return run_pointwise(run, index);
        case StepKind::max_pool:
        case StepKind::average_pool:
            return run_pool(run, index);
        case StepKind::custom:
            return run_custom(run, index);
        case StepKind::convolution_grad_weight:
            return run_convolution_grad_weight(run, index);
        case StepKind::convolution_grad_input:
            return run_convolution_grad_input(run, index);
        case StepKind::pointwise_grad:
            return run_pointwise_grad(run, index);
        case StepKind::max_pool_grad:
        case StepKind::average_pool_grad:
            return run_pool_grad(run, index);
        case StepKind::custom_grad:
            return run_custom_grad(run, index);
    }
}

/// From pixels on, the first `steps` of the plan. Calls prepare(step) before each step and observe(step) after it.
template <class Scalar>
void run_forward(const Run<Scalar>& run, const ImageView& images, const Normalization& normalization, int steps,
                 const auto& prepare, const auto& observe) {
    for (int i = 0; i < steps; ++i) {
        prepare(i);
        if (run.step(i).kind == StepKind::input) run_input(run, i, images, normalization);
        else run_step(run, i);
        observe(i);
    }
}

inline constexpr auto observe_nothing = [](int) {};
inline constexpr auto prepare_nothing = [](int) {};  // weights that never change were packed before

}  // namespace resnet::inline v0
