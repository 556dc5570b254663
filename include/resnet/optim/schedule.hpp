// The learning rate of each step of a run: values that are called with the step's number.
//
//     const resnet::OneCycle schedule{.peak = 0.4f, .steps = epochs * loader.batches()};
//     trainer.set_learning_rate(schedule(step));
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

/// The same rate for every step.
struct ConstantRate {
    float rate = 1e-3f;

    float operator()(Index step) const;
};

/// `rate` times `factor` for each milestone that is reached. PyTorch: MultiStepLR, with steps for epochs.
struct MultiStep {
    float rate = 0.1f;
    std::vector<Index> milestones{};  // steps, ascending
    float factor = 0.1f;

    float operator()(Index step) const;
};

/// Straight up to `peak` in `warmup` steps, then half a cosine down to `last` (Loshchilov & Hutter 2017, equation 5,
/// without restarts). PyTorch: LinearLR, then CosineAnnealingLR.
struct Cosine {
    float peak = 0.1f;
    Index steps = 1;   // of the whole run
    Index warmup = 0;  // of them
    float last = 0;

    float operator()(Index step) const;
};

/// Straight from `first` up to `peak` at `warmup` steps, and straight down to `last` at the end: the fast CIFAR-10
/// recipes' triangle.
struct Triangle {
    float peak = 0.4f;
    Index steps = 1;
    Index warmup = 0;
    float first = 0, last = 0;

    float operator()(Index step) const;
};

/// Half a cosine from peak / start up to peak in the first part of the run, half a cosine down to peak / start / end in
/// the rest (Smith & Topin 2018). PyTorch: OneCycleLR and its defaults, without a cycle of the momentum.
struct OneCycle {
    float peak = 0.4f;
    Index steps = 2;
    float rising = 0.3f;  // part of the steps
    float start = 25, end = 1e4f;

    float operator()(Index step) const;
};

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// From `a` at 0 to `b` at 1 and on.
inline double straight(double a, double b, double part) { return a + (b - a) * std::clamp(part, 0.0, 1.0); }
inline double half_cosine(double a, double b, double part) {
    return b + (a - b) * (1 + std::cos(std::numbers::pi * std::clamp(part, 0.0, 1.0))) / 2;
}
/// How much of the steps first ... last is behind; all of none.
inline double part_of(Index step, double first, double last) {
    return last > first ? (static_cast<double>(step) - first) / (last - first) : 1.0;
}

}  // namespace detail

inline float ConstantRate::operator()(Index) const { return rate; }

inline float MultiStep::operator()(Index step) const {
    const auto reached = std::ranges::count_if(milestones, [step](Index milestone) { return milestone <= step; });
    return static_cast<float>(double{rate} * std::pow(double{factor}, static_cast<double>(reached)));
}

inline float Cosine::operator()(Index step) const {
    const auto begin = static_cast<double>(warmup), end = static_cast<double>(steps);
    if (step < warmup) return static_cast<float>(double{peak} * static_cast<double>(step + 1) / begin);
    return static_cast<float>(detail::half_cosine(double{peak}, double{last}, detail::part_of(step, begin, end)));
}

inline float Triangle::operator()(Index step) const {
    const auto top = static_cast<double>(warmup), end = static_cast<double>(steps);
    return static_cast<float>(step < warmup
                                  ? detail::straight(double{first}, double{peak}, detail::part_of(step, 0, top))
                                  : detail::straight(double{peak}, double{last}, detail::part_of(step, top, end)));
}

inline float OneCycle::operator()(Index step) const {
    const double top = double{rising} * static_cast<double>(steps) - 1, finish = static_cast<double>(steps) - 1;
    const double low = double{peak} / double{start}, lowest = low / double{end};
    return static_cast<float>(static_cast<double>(step) <= top
                                  ? detail::half_cosine(low, double{peak}, detail::part_of(step, 0, top))
                                  : detail::half_cosine(double{peak}, lowest, detail::part_of(step, top, finish)));
}

}  // namespace resnet::inline v0
