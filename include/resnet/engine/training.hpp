// Training without the network's type: forward, backward and apply of one batch. Nothing of the model changes before
// apply.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <resnet/engine/executor.hpp>
#include <resnet/engine/memory.hpp>
#include <resnet/engine/parameter_ranges.hpp>
#include <resnet/optim/optimizer.hpp>

namespace resnet::inline v0 {

struct TrainerOptions {
    float label_smoothing = 0;  // share of the target that is spread evenly over all classes, 0 ... 1
    float clip_norm = 0;        // gradients are scaled down to this norm (L2, over all parameters); 0: never
    /// Factors of the optimizer's rate and decay by role: `.weight_decay_factors = {.bias = 0, .norm_weight = 0,
    /// .norm_bias = 0}` spares biases and batch norm.
    RoleFactors learning_rate_factors{}, weight_decay_factors{};
    PlanOptions plan{};
};

template <class Scalar>
class TrainingEngine {
public:
    using Tracer = Graph (*)(Extent);

    TrainingEngine(Weights<Scalar>& weights, Tracer tracer, const OptimizerSettings& settings,
                   const TrainerOptions& options)
        : weights_{weights},
          tracer_{tracer},
          options_{options},
          kernels_{resnet::kernels<Scalar>(options.plan.isa)},
          optimizer_{settings, weights.graph().parameters.size(), weights.graph().parameter_elements},
          gradients_(weights.graph().parameter_elements),
          staged_statistics_(weights.graph().statistics_elements),
          staged_batches_(weights.counters().size(), 0),
          live_(static_cast<std::size_t>(weights.graph().parameter_elements / line_elements), 0) {
        if (!(options.label_smoothing >= 0 && options.label_smoothing <= 1))
            throw Error("label_smoothing", "0 ... 1", std::to_string(options.label_smoothing));
        check_factors("learning_rate_factors", options.learning_rate_factors);
        check_factors("weight_decay_factors", options.weight_decay_factors);
        if (!(options.clip_norm >= 0)) throw Error("clip_norm", "at least 0", std::to_string(options.clip_norm));
    }
    TrainingEngine(const TrainingEngine&) = delete;
    TrainingEngine& operator=(const TrainingEngine&) = delete;

    /// Throws Error, naming the layer, where a batch of this size cannot train: batch norm needs two values a channel.
    void check_batch(Index images, Extent extent) {
        if (images < 1) throw Error("images", "at least one image", std::to_string(images));
        prepare(extent);
        for (const Norm& norm : plan_->program().norms)
            if (plan_->tensor(norm.tensor).extent.area() * images < 2)
                throw Error(plan_->graph().layer_name(norm.layer),
                            "more than one value a channel to train batch norm on",
                            "one (a batch of 1 image on a 1x1 map)", "drop the last batch or change the batch size");
    }

    /// Mean loss of a batch; running statistics are computed but kept apart. Throws Error if images or targets do not
    /// fit; NotFiniteError if the loss is not a number. Then the model is as it was. Calls observe(step) after each
    /// step, and observe(-1) when a step's weights are packed.
    double forward(const ImageView& images, const Targets& targets, const Normalization& normalization,
                   const auto& observe) {
        ready_ = false;
        check_images(images, images.extent);  // before a plan is made for them
        check_batch(images.images, images.extent);
        check_targets(targets, images.images, plan_->tensor(plan_->program().logits).channels);
        workspace_->reserve(images.images);
        generation_ = weights_.generation();
        const Run<Scalar> run = this->run(false);
        const int loss_step = plan_->program().first_backward - 1;
        run_forward(
            run, images, normalization, loss_step, [&](int step) { pack(step, observe); }, observe);
        const double loss = run_loss(run, loss_step, targets, options_.label_smoothing);
        if (!std::isfinite(loss))
            throw NotFiniteError(
                "loss", "a finite number", std::to_string(loss),
                "this step changed nothing; lower the learning rate, or look for pixels that are not finite?");
        observe(loss_step);  // which may break the forward off: before anything is staged
        stage_statistics();
        ready_ = true;
        return loss;
    }

    /// The gradients of the last forward; `accumulate` adds them to those since the last apply. A forward allows one
    /// backward, which overwrites its activations. Throws Error if there is no forward, if the weights or which of them
    /// are frozen have changed since it, or if the gradients to be added to are of other weights.
    void backward(bool accumulate, const auto& observe) {
        if (!ready_) throw Error("backward", "a forward before each backward", "none");
        if (generation_ != weights_.generation()) throw Error("backward", "the weights of its forward", "changed ones");
        if (planned_frozen_ != weights_.frozen())
            throw Error("backward", "the frozen parameters of its forward", "others");
        if (accumulate && has_gradients_ && gradients_generation_ != generation_)
            throw Error("backward", "gradients of the same weights to add to", "those of others");
        accumulate = accumulate && has_gradients_;  // what was applied or refused is not added to
        ready_ = has_gradients_ = false;
        gradients_generation_ = generation_;
        if (!accumulate && stale_gradients_) clear_gradients();
        stale_gradients_ = stale_gradients_ && accumulate;
        const Run<Scalar> run = this->run(accumulate);
        try {
            for (int i = plan_->program().first_backward; i < plan_->size(); ++i) {
                pack(i, observe);
                run_step(run, i);
                observe(i);
            }
        } catch (...) {  // a part of the gradients is of no use, nor are the statistics that were to go with them
            clear_gradients();
            staged_ = 0;
            throw;
        }
        has_gradients_ = true;
        if (!planned_live_.empty()) {  // the first backward of its plan
            live_.swap(planned_live_);
            planned_live_.clear();
            ranges_.swap(planned_ranges_);
        }
    }

    /// One optimizer step on `scale` times the gradients; returns their norm before clipping. Commits the staged
    /// statistics. Throws NotFiniteError if the norm is not finite; then the model is as it was. Error if the scale is
    /// not finite as a Scalar, without a backward before, and where the weights have changed since.
    double apply(double scale) {
        if (!std::isfinite(static_cast<Scalar>(scale)))
            throw Error("apply", "a finite scale of the gradients", std::to_string(scale));
        if (!std::exchange(has_gradients_, false)) throw Error("apply", "a backward before each apply", "none");
        if (gradients_generation_ != weights_.generation()) {
            drop_forward();
            throw Error("apply", "the weights of its forward", "changed ones");
        }
        leave_out_newly_frozen();
        const double norm = std::abs(scale) * gradient_norm();
        if (!std::isfinite(norm)) {
            drop_forward();
            throw NotFiniteError(
                "gradient norm", "a finite number", std::to_string(norm),
                "this step changed nothing; lower the learning rate, or look for pixels that are not finite?");
        }
        // PyTorch's clip_grad_norm_: clip / (norm + 1e-6), never above 1.
        const double clip = static_cast<double>(options_.clip_norm);
        if (clip > 0) scale *= std::min(1.0, clip / (norm + 1e-6));
        optimizer_.apply(kernels_, ranges_, weights_.parameters().data(), gradients_.data(), scale);
        weights_.changed();
        commit_statistics();
        return norm;
    }

    /// Of the last forward: [N][classes].
    std::span<const Scalar> logits() {
        if (!plan_.has_value()) return {};
        const int tensor = plan_->program().logits;
        return {workspace_->tensor(tensor),
                static_cast<std::size_t>(workspace_->images() * plan_->tensor(tensor).channels)};
    }

    Optimizer<Scalar>& optimizer() noexcept { return optimizer_; }
    const Optimizer<Scalar>& optimizer() const noexcept { return optimizer_; }
    const TrainerOptions& options() const noexcept { return options_; }
    std::span<const Scalar> gradients() const noexcept { return gradients_.span(); }
    /// What the caller writes where no step does is cleared before the next backward.
    std::span<Scalar> gradients() noexcept {
        stale_gradients_ = true;
        return gradients_.span();
    }
    const Plan& plan(Extent extent) {
        prepare(extent);
        return *plan_;
    }

    /// What the backwards so far gave a gradient, by element / line_elements: see parameter_ranges. With the optimizer
    /// it is all that a step takes from the steps before it, where no forward waits for its apply.
    const std::vector<char>& live() const noexcept { return live_; }
    /// Forwards since the last apply.
    int staged() const noexcept { return staged_; }
    /// Goes on with another trainer's state; what was begun here is dropped. Both are of this network's size.
    void restore(Optimizer<Scalar> optimizer, std::vector<char> live) noexcept {
        optimizer_ = std::move(optimizer);
        live_ = std::move(live);
        clear_gradients();  // gradient() would show the other's
        forget();           // ranges follow from what was live before
    }

    /// What the library has allocated for training beside the model, in bytes.
    Index bytes() const {
        Index sum = gradients_.bytes() + staged_statistics_.bytes() + optimizer_.bytes();
        if (plan_.has_value()) sum += workspace_->bytes() + packs_->bytes();
        return sum;
    }

private:
    Run<Scalar> run(bool accumulate) {
        return {*plan_, kernels_, weights_, *packs_, *workspace_, gradients_.data(), accumulate};
    }

    /// A step's weights, just before it reads them: all steps share the room, which is in the caches then.
    void pack(int step, const auto& observe) {
        if ((*plan_)[step].pack < 0) return;
        packs_->pack(step, weights_);
        observe(-1);
    }

    /// Plans for the extent and the frozen parameters, unless that has been done.
    void prepare(Extent extent) {
        if (plan_.has_value() && plan_->tensor(plan_->program().input).extent == extent &&
            planned_frozen_ == weights_.frozen())
            return;
        Graph graph = tracer_(extent);
        weights_.check_layout(graph);
        Program program = differentiate(graph, fuse(graph, Mode::training), weights_.frozen());
        // What is refused, is refused here: gradients that wait for their apply go on waiting.
        Plan plan{std::move(graph), std::move(program), options_.plan, kernels_.panels(0)};
        try {
            workspace_.reset();
            packs_.reset();
            plan_.emplace(std::move(plan));
            packs_.emplace(*plan_, kernels_);
            workspace_.emplace(*plan_);
            planned_frozen_ = weights_.frozen();
            planned_live_ = live_;
            planned_ranges_ = parameter_ranges(*plan_, planned_frozen_, planned_live_);
            for (ParameterRange& range : planned_ranges_) {
                range.learning_rate = options_.learning_rate_factors.of(range.role);
                range.weight_decay = options_.weight_decay_factors.of(range.role);
            }
            norm_parts_.resize(std::max(ranges_.size(), planned_ranges_.size()));
        } catch (...) {  // a plan without all that belongs to it is none
            forget();
            throw;
        }
        stale_gradients_ = true;  // of what no step of this plan writes; zero, unless backward adds to them
        ready_ = false;
    }

    /// Parameters that were frozen since the backward keep their values in this apply already; the next forward plans
    /// anew.
    void leave_out_newly_frozen() {
        const auto is_frozen = [&](const ParameterRange& range) { return at(weights_.frozen(), range.parameter) != 0; };
        if (std::erase_if(ranges_, is_frozen) > 0) planned_frozen_.clear();
    }

    void clear_gradients() noexcept { std::fill_n(gradients_.data(), gradients_.size(), Scalar{0}); }

    /// Without its statistics a forward is of no use to a backward.
    void drop_forward() noexcept {
        staged_ = 0;
        ready_ = false;
    }

    /// Drops the plan and what was begun with it.
    void forget() noexcept {
        plan_.reset();
        ranges_.clear();
        planned_ranges_.clear();
        planned_live_.clear();
        drop_forward();
        has_gradients_ = false;
    }

    /// running = (1 - momentum) running + momentum batch, with the unbiased variance, layer after layer in the order of
    /// their use.
    void stage_statistics() {
        const Program& program = plan_->program();
        for (const Norm& norm : program.norms) check_moments(norm);
        if (staged_generation_ != generation_) staged_ = 0;  // the model has others now
        staged_generation_ = generation_;
        if (staged_++ == 0) {
            std::copy_n(weights_.statistics().data(), staged_statistics_.size(), staged_statistics_.data());
            std::ranges::fill(staged_batches_, 0);
        }
        for (const Norm& norm : program.norms) {
            const Layer& layer = at(plan_->graph().layers, norm.layer);
            ++at(staged_batches_, layer.counter);
            const double* moments = workspace_->moments(plan_->tensor(norm.tensor).moments);
            Scalar *mean = staged_statistics_.data() + layer.statistics, *var = mean + whole_lines(layer.normalized);
            const double momentum = static_cast<double>(layer.momentum);
            const double rows = static_cast<double>(plan_->tensor(norm.tensor).extent.area() * workspace_->images());
            for (int c = 0; c < layer.normalized; ++c) {
                mean[c] = static_cast<Scalar>((1 - momentum) * static_cast<double>(mean[c]) + momentum * moments[c]);
                var[c] = static_cast<Scalar>((1 - momentum) * static_cast<double>(var[c]) +
                                             momentum * moments[layer.normalized + c] / (rows - 1));
            }
        }
    }
    /// Throws NotFiniteError if a batch statistic is not finite: a running average would never get rid of it.
    void check_moments(const Norm& norm) {
        const int channels = at(plan_->graph().layers, norm.layer).normalized;
        const double *mean = workspace_->moments(plan_->tensor(norm.tensor).moments), *squares = mean + channels;
        const double rows = static_cast<double>(plan_->tensor(norm.tensor).extent.area() * workspace_->images());
        for (int c = 0; c < channels; ++c)
            for (const double value : {mean[c], squares[c] / (rows - 1)})
                if (!std::isfinite(static_cast<Scalar>(value)))
                    throw NotFiniteError(plan_->graph().layer_name(norm.layer), "mean and variance that are finite",
                                         "one that is not", "this step changed nothing; are the images normalised?");
    }
    void commit_statistics() {
        if (staged_ == 0) return;
        std::copy_n(staged_statistics_.data(), staged_statistics_.size(), weights_.statistics().data());
        for (std::size_t counter = 0; counter < staged_batches_.size(); ++counter)
            weights_.counters()[counter] += staged_batches_[counter];
        staged_ = 0;
    }

    double gradient_norm() {
        const int workers = workers_for(gradients_.size(), worker_count());
        for_each_chunk(static_cast<Index>(ranges_.size()), workers, [&](Index chunk, int) {
            const ParameterRange& range = ranges_[static_cast<std::size_t>(chunk)];
            norm_parts_[static_cast<std::size_t>(chunk)] =
                range.live ? kernels_.sum_of_squares(gradients_.data() + range.offset, range.count) : 0.0;
        });
        detail::sum_tree(norm_parts_.data(), static_cast<Index>(ranges_.size()), 1, 0, 1);
        return ranges_.empty() ? 0.0 : std::sqrt(norm_parts_[0]);
    }

    Weights<Scalar>& weights_;
    Tracer tracer_;
    TrainerOptions options_;
    const Kernels<Scalar>& kernels_;
    Optimizer<Scalar> optimizer_;
    Buffer<Scalar> gradients_, staged_statistics_;
    std::vector<std::int64_t> staged_batches_;  // by counter: what num_batches_tracked rises by
    std::vector<char> live_;
    std::vector<ParameterRange> ranges_;  // what the next apply moves
    std::vector<char> planned_live_;      // what live_ and ranges_ become by the plan's first backward; empty after it
    std::vector<ParameterRange> planned_ranges_;
    int staged_ = 0;
    std::optional<Plan> plan_;
    std::optional<Packs<Scalar>> packs_;
    std::optional<Workspace<Scalar>> workspace_;
    std::vector<char> planned_frozen_;
    std::vector<double> norm_parts_;
    std::uint64_t generation_ = 0;            // of the weights that the last forward read
    std::uint64_t gradients_generation_ = 0;  // of those that the last gradients are of
    std::uint64_t staged_generation_ = 0;     // of those whose running statistics the staged ones go on from
    bool stale_gradients_ = false;            // gradients of an earlier plan, or a caller's
    bool ready_ = false;                      // activations of a forward are there
    bool has_gradients_ = false;              // of a backward since the last apply
};

}  // namespace resnet::inline v0
