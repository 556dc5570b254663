// An optimizer's state and its step over the parameter ranges.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/kernels/kernels.hpp>
#include <resnet/optim/optimizers.hpp>
#include <resnet/optim/parameter_range.hpp>

namespace resnet::inline v0 {

template <class Scalar>
class Optimizer {
public:
    /// For so many parameters, with so many elements in their flat buffer. Throws Error if a setting is out of its
    /// range.
    Optimizer(const OptimizerSettings& settings, std::size_t parameters, Index parameter_elements)
        : settings_{settings},
          parameter_steps_(parameters, 0),
          first_(parameter_elements),
          second_(std::holds_alternative<SGD>(settings) ? 0 : parameter_elements) {
        std::visit([](const auto& s) { check_settings(s); }, settings_);
    }

    float learning_rate() const {
        return std::visit([](const auto& s) { return s.learning_rate; }, settings_);
    }
    /// Throws Error if it is negative or not finite.
    void set_learning_rate(float value) {
        check_learning_rate(value);
        std::visit([&](auto& s) { s.learning_rate = value; }, settings_);
    }
    const OptimizerSettings& settings() const noexcept { return settings_; }

    /// Steps that were taken, and how many of them moved each parameter: a frozen one's count stands still, as in
    /// PyTorch, since Adam corrects its moments by it.
    std::int64_t steps() const noexcept { return steps_; }
    const std::vector<std::int64_t>& parameter_steps() const noexcept { return parameter_steps_; }
    /// One count a parameter.
    void set_steps(std::int64_t steps, std::vector<std::int64_t> parameter_steps) noexcept {
        steps_ = steps;
        parameter_steps_ = std::move(parameter_steps);
    }
    /// Adam: mean of the gradient; SGD: velocity. Like the parameters' flat buffer.
    Buffer<Scalar>& first() noexcept { return first_; }
    const Buffer<Scalar>& first() const noexcept { return first_; }
    /// Adam: mean of the squared gradient; SGD: empty.
    Buffer<Scalar>& second() noexcept { return second_; }
    const Buffer<Scalar>& second() const noexcept { return second_; }
    Index bytes() const noexcept { return first_.bytes() + second_.bytes(); }

    /// One step over ranges in the order of their parameters. Gradients are multiplied by `gradient_scale` first
    /// (clipping). A range whose gradient is always zero is left out where that changes nothing: without weight decay
    /// its moments are zero, and so is its update.
    void apply(const Kernels<Scalar>& kernels, const std::vector<ParameterRange>& ranges, Scalar* parameters,
               const Scalar* gradients, double gradient_scale) {
        ++steps_;
        for (std::size_t i = 0; i < ranges.size(); ++i)
            if (i == 0 || ranges[i].parameter != ranges[i - 1].parameter)
                ++parameter_steps_[static_cast<std::size_t>(ranges[i].parameter)];
        UpdateJob<Scalar> job;
        job.gradient_scale = static_cast<Scalar>(gradient_scale);
        const bool is_sgd = std::holds_alternative<SGD>(settings_);
        std::visit(
            [&](const auto& s) {
                job.learning_rate = static_cast<Scalar>(s.learning_rate);
                job.weight_decay = static_cast<Scalar>(s.weight_decay);
                if constexpr (requires { s.momentum; }) {
                    job.momentum = static_cast<Scalar>(s.momentum);
                    job.nesterov = s.nesterov;
                } else {
                    job.beta1 = static_cast<Scalar>(s.beta1);
                    job.beta2 = static_cast<Scalar>(s.beta2);
                    job.epsilon = static_cast<Scalar>(s.epsilon);
                    job.decoupled = std::is_same_v<std::decay_t<decltype(s)>, AdamW>;
                }
            },
            settings_);
        const int workers = workers_for(4 * first_.size(), worker_count());
        for_each_chunk(static_cast<Index>(ranges.size()), workers, [&](Index chunk, int) {
            const ParameterRange& range = ranges[static_cast<std::size_t>(chunk)];
            UpdateJob<Scalar> part = job;
            part.learning_rate *= static_cast<Scalar>(range.learning_rate);
            part.weight_decay *= static_cast<Scalar>(range.weight_decay);
            if (!range.live && part.weight_decay == 0) return;
            part.count = range.count;
            part.parameter = parameters + range.offset;
            part.gradient = gradients + range.offset;
            part.first = first_.data() + range.offset;
            if (is_sgd) return kernels.sgd_update(part);
            part.second = second_.data() + range.offset;
            correct_bias(part, parameter_steps_[static_cast<std::size_t>(range.parameter)]);
            kernels.adam_update(part);
        });
    }

private:
    /// For moments that began at zero `steps` steps ago (Kingma & Ba 2015, section 3).
    static void correct_bias(UpdateJob<Scalar>& job, std::int64_t steps) {
        const auto t = static_cast<double>(steps);
        job.correction1 = static_cast<Scalar>(1 - std::pow(static_cast<double>(job.beta1), t));
        job.correction2_root = static_cast<Scalar>(std::sqrt(1 - std::pow(static_cast<double>(job.beta2), t)));
    }

    OptimizerSettings settings_;
    std::int64_t steps_ = 0;
    std::vector<std::int64_t> parameter_steps_;
    Buffer<Scalar> first_, second_;
};

}  // namespace resnet::inline v0
