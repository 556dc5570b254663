// A Trainer moves a model's weights: step() is forward, backward and one optimizer step, or call the three apart.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/row_view.hpp>
#include <resnet/engine/training.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

template <class Scalar>
struct StepResult {
    double loss = 0;           // mean over the batch, before the update
    double gradient_norm = 0;  // L2, before clipping
    RowView<Scalar> logits;    // [N][classes]: logits[n] is a row; valid until the next call of the trainer
};

/// Trains `model`, which must outlive the trainer and stay where it is. One thread at a time; each call takes the cores
/// of its caller's arena. Batches may have any size; the last of an epoch may be smaller. Images may have any extent
/// that the network takes, too; the plan is made anew where it changes.
///
///     resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-3f}};
///     const auto step = trainer.step(batch.images, batch.labels);
///
/// Errors leave the model as it was: images or targets that do not fit, batch norm on a single value a channel (Error),
/// a loss or gradient norm that is not finite (NotFiniteError).
template <class Net, class Scalar = float>
class Trainer {
public:
    /// Throws Error if a setting or an option is outside its range.
    Trainer(Model<Net, Scalar>& model, const OptimizerSettings& optimizer, const TrainerOptions& options = {})
        : model_{&model},
          engine_{std::make_unique<TrainingEngine<Scalar>>(model.weights(), &trace<Net>, optimizer, options)} {}

    StepResult<Scalar> step(const ImageView& images, const Targets& targets) {
        StepResult<Scalar> result;
        result.loss = forward(images, targets);
        backward();
        result.gradient_norm = apply();
        result.logits = logits();
        return result;
    }

    /// The loss of a batch, in training mode (batch statistics).
    double forward(const ImageView& images, const Targets& targets) {
        return engine_->forward(images, targets, model_->normalization(), observe_nothing);
    }
    /// The gradients of the last forward; with `accumulate`, added to those since the last apply.
    void backward(bool accumulate = false) { engine_->backward(accumulate, observe_nothing); }
    /// Clips, updates the weights, commits the running statistics; returns the gradient norm. The gradients are taken
    /// `scale` times: 1.0 / 4 for the mean of four batches that were accumulated. Throws Error if the scale is
    /// not finite as a Scalar, without a backward before, or if the weights have changed since its forward.
    double apply(double scale = 1) { return engine_->apply(scale); }

    /// Of the last forward, [N][classes]; none before the first.
    RowView<Scalar> logits() { return {engine_->logits(), Model<Net, Scalar>::classes}; }
    /// A copy of a parameter's gradient, as the backwards so far have accumulated it, before clipping, in PyTorch's
    /// order of elements; zeros for a frozen one. Error for another name.
    std::vector<Scalar> gradient(std::string_view name) const {
        const StateEntry& entry = model_->weights().entry(name);
        if (entry.kind != StateEntry::Kind::parameter) throw Error("gradient", "the name of a parameter", name);
        if (at(model_->weights().frozen(), entry.index) != 0)
            return std::vector<Scalar>(static_cast<std::size_t>(entry.elements()));
        return model_->weights().read(entry, std::as_const(*engine_).gradients().data());
    }

    /// The flat buffer of all gradients, which may be changed between backward and apply: summed over the processes of
    /// a training in parallel, say, or clipped in a way of one's own. Wherever the network is the same, so is its
    /// layout. Padding, and what has no gradient, must stay zero.
    std::span<Scalar> gradients() noexcept { return engine_->gradients(); }

    float learning_rate() const { return engine_->optimizer().learning_rate(); }
    /// From the next step on. Throws Error if it is negative or not finite.
    void set_learning_rate(float value) { engine_->optimizer().set_learning_rate(value); }

    /// Throws Error, naming the layer, if a batch of so many images can't be trained on: ask before the first epoch.
    /// Asking for another extent than the last forward's drops that forward.
    void check_batch(Index images, Extent extent = Net::image) { engine_->check_batch(images, extent); }

    /// One step with a look at its parts: observe(step of the plan) after each, -1 when weights are packed,
    /// plan().size() after the update.
    void profile(const ImageView& images, const Targets& targets, const auto& observe) {
        engine_->forward(images, targets, model_->normalization(), observe);
        engine_->backward(false, observe);
        engine_->apply(1);
        observe(engine_->plan(images.extent).size());
    }

    /// Valid until images of another extent come, other parameters are frozen, or a checkpoint is loaded. Asking for
    /// another extent than the last forward's drops that forward.
    const Plan& plan(Extent extent = Net::image) { return engine_->plan(extent); }
    Optimizer<Scalar>& optimizer() noexcept { return engine_->optimizer(); }
    const Model<Net, Scalar>& model() const noexcept { return *model_; }
    Model<Net, Scalar>& model() noexcept { return *model_; }
    /// The training without the network's type.
    const TrainingEngine<Scalar>& engine() const noexcept { return *engine_; }
    TrainingEngine<Scalar>& engine() noexcept { return *engine_; }
    /// What training holds beside the model: gradients, the optimizer's arrays, and what the plan needs for the batches
    /// so far (Plan::bytes).
    Index bytes() const { return engine_->bytes(); }

private:
    Model<Net, Scalar>* model_;
    std::unique_ptr<TrainingEngine<Scalar>> engine_;
};

}  // namespace resnet::inline v0
