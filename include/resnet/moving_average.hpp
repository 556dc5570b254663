// An exponential moving average of a model: smoother than its last step, and often a few tenths more accurate.
#pragma once

#include <algorithm>
#include <string>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

/// average = decay average + (1 - decay) model, of weights and batch-norm statistics, after each step that it is told
/// of. PyTorch: torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(decay) and use_buffers=True; but its
/// first update takes the model as it is, where ours mixes it with the model that the average was made of: make the
/// average after the first steps, not of random weights.
///
///     resnet::MovingAverage average{model, 0.999f};
///     for (...) { trainer.step(batch.images, batch.labels); average.update(model); }
///     const resnet::Classifier classify{average.model()};
///
/// Lookahead (Zhang et al. 2019, "Lookahead optimizer: k steps forward, 1 step back") is the same average, given back
/// to the model every few steps; here the statistics, too:
///
///     if (++steps % 5 == 0) { average.update(model, decay); model = average.model(); }
template <class Net, class Scalar = float>
class MovingAverage {
public:
    /// Begins with the model as it is. Throws Error if decay is not in [0, 1).
    MovingAverage(const Model<Net, Scalar>& model, float decay) : model_{model}, decay_{decay} {
        if (!(decay >= 0 && decay < 1)) throw Error("MovingAverage", "a decay in [0, 1)", std::to_string(decay));
    }

    /// Takes in the model's present weights; its counters, which parameters are frozen, and its normalisation replace
    /// the average's.
    void update(const Model<Net, Scalar>& model) { update(model, decay_); }
    /// The same with a decay of this step's own, 0 ... 1. Error for another.
    void update(const Model<Net, Scalar>& model, float decay) {
        if (!(decay >= 0 && decay <= 1)) throw Error("MovingAverage", "a decay in [0, 1]", std::to_string(decay));
        Weights<Scalar>& average = model_.weights();
        const Weights<Scalar>& weights = model.weights();
        mix(weights.parameters(), average.parameters(), decay);
        mix(weights.statistics(), average.statistics(), decay);
        average.counters() = weights.counters();
        average.frozen() = weights.frozen();
        average.changed();
        model_.set_normalization(model.normalization());
    }

    const Model<Net, Scalar>& model() const noexcept { return model_; }
    Model<Net, Scalar>& model() noexcept { return model_; }
    float decay() const noexcept { return decay_; }

private:
    static void mix(const Buffer<Scalar>& from, Buffer<Scalar>& to, float decay) {
        constexpr Index strip = Index{1} << 15;  // elements
        // From the nearer end, so that a decay of 0 or 1 gives exactly one of them.
        const auto kept = static_cast<Scalar>(decay), rest = static_cast<Scalar>(1 - double{decay});
        for_each_chunk(divide_up(to.size(), strip), workers_for(to.size(), worker_count()), [&](Index chunk, int) {
            for (Index i = chunk * strip; i < std::min((chunk + 1) * strip, to.size()); ++i)
                to.data()[i] = rest < kept ? to.data()[i] + rest * (from.data()[i] - to.data()[i])
                                           : from.data()[i] - kept * (from.data()[i] - to.data()[i]);
        });
    }

    Model<Net, Scalar> model_;
    float decay_;
};

}  // namespace resnet::inline v0
