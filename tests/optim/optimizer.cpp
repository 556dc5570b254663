#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include <resnet/optim/optimizer.hpp>

#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/values.hpp"

using namespace resnet;

namespace {

constexpr std::size_t count = 48;  // a parameter's range: a multiple of 16

/// One parameter of PyTorch's optimizers, spelled out: torch/optim/{adam,adamw,sgd}.py, version 2, the single-tensor
/// forms.
struct Plain {
    double parameter = 0, first = 0, second = 0;
    int steps = 0;

    void step(const Adam& s, double gradient) {
        gradient += static_cast<double>(s.weight_decay) * parameter;
        adam(s.learning_rate, s.beta1, s.beta2, s.epsilon, gradient);
    }
    void step(const AdamW& s, double gradient) {
        parameter *= 1 - static_cast<double>(s.learning_rate) * static_cast<double>(s.weight_decay);
        adam(s.learning_rate, s.beta1, s.beta2, s.epsilon, gradient);
    }
    void step(const SGD& s, double gradient) {
        gradient += static_cast<double>(s.weight_decay) * parameter;
        const double momentum = s.momentum;
        if (momentum != 0) {
            first = steps == 0 ? gradient : momentum * first + gradient;
            gradient = s.nesterov ? gradient + momentum * first : first;
        }
        ++steps;
        parameter -= static_cast<double>(s.learning_rate) * gradient;
    }

private:
    void adam(double rate, double beta1, double beta2, double epsilon, double gradient) {
        ++steps;
        first = beta1 * first + (1 - beta1) * gradient;
        second = beta2 * second + (1 - beta2) * gradient * gradient;
        const double correction1 = 1 - std::pow(beta1, steps), correction2 = 1 - std::pow(beta2, steps);
        parameter -= rate / correction1 * first / (std::sqrt(second) / std::sqrt(correction2) + epsilon);
    }
};

/// Five steps with changing gradients against Plain.
template <class Scalar, class Settings>
void check(const Settings& settings) {
    for (const Isa isa : tests::available_isas()) {
        INFO(std::string{name_of(isa)});
        Optimizer<Scalar> optimizer{settings, 1, count};
        auto parameters = tests::uniform<Scalar>(count, 1);
        std::vector<Plain> plain(count);
        for (std::size_t i = 0; i < count; ++i) plain[i].parameter = static_cast<double>(parameters[i]);
        for (std::uint64_t step = 1; step <= 5; ++step) {
            const auto gradients = tests::uniform<Scalar>(count, 10 + step);
            const double scale = step == 3 ? 0.25 : 1;  // a clipped step
            optimizer.apply(kernels<Scalar>(isa), {{.offset = 0, .count = 16}, {.offset = 16, .count = 32}},
                            parameters.data(), gradients.data(), scale);
            for (std::size_t i = 0; i < count; ++i) {
                plain[i].step(settings, static_cast<double>(gradients[i]) * scale);
                // Settings are floats here and there; what is left is the rounding of a few operations.
                const double bar = 200 * static_cast<double>(std::numeric_limits<Scalar>::epsilon());
                CHECK(std::abs(static_cast<double>(parameters[i]) - plain[i].parameter) <= bar);
            }
        }
        CHECK(optimizer.steps() == 5);
    }
}
template <class Settings>
void check_both(const Settings& settings) {
    check<float>(settings);
    check<double>(settings);
}

}  // namespace

TEST_CASE("Adam: follows torch.optim.Adam, with weight decay added to the gradient") {
    check_both(Adam{});
    check_both(Adam{.learning_rate = 0.03f, .beta1 = 0.8f, .beta2 = 0.95f, .epsilon = 1e-3f, .weight_decay = 0.1f});
}

TEST_CASE("AdamW: follows torch.optim.AdamW, with weight decay apart from the gradient") {
    check_both(AdamW{});
    check_both(AdamW{.learning_rate = 0.03f, .epsilon = 1e-3f, .weight_decay = 0.2f});
}

TEST_CASE("SGD: follows torch.optim.SGD, plain, with momentum, and with Nesterov's") {
    check_both(SGD{.learning_rate = 0.1f});
    check_both(SGD{.learning_rate = 0.1f, .weight_decay = 0.01f});
    check_both(SGD{.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f});
    check_both(SGD{.learning_rate = 0.1f, .momentum = 0.9f, .weight_decay = 0.01f, .nesterov = true});
}

TEST_CASE("SGD: Nesterov without momentum is refused, as by PyTorch") {
    CHECK_THROWS_WITH_AS((Optimizer<float>{SGD{.nesterov = true}, 1, 16}),
                         doctest::Contains("momentum above 0 with nesterov"), Error);
}

TEST_CASE("optimizer: the learning rate can be set from step to step") {
    Optimizer<float> optimizer{SGD{.learning_rate = 1.0f}, 1, 16};
    std::vector<float> parameters(16, 0.0f), gradients(16, 1.0f);
    optimizer.apply(kernels<float>(current_isa()), {{.count = 16}}, parameters.data(), gradients.data(), 1);
    optimizer.set_learning_rate(0.5f);
    CHECK(optimizer.learning_rate() == 0.5f);
    optimizer.apply(kernels<float>(current_isa()), {{.count = 16}}, parameters.data(), gradients.data(), 1);
    CHECK(parameters[7] == -1.5f);
}

TEST_CASE("optimizer: a range whose gradient is always zero is left out, unless weight decay moves it") {
    std::vector<float> parameters(16, 2.0f), gradients(16, std::numeric_limits<float>::quiet_NaN());
    Optimizer<float> adam{Adam{}, 1, 16};
    adam.apply(kernels<float>(current_isa()), {{.count = 16, .live = false}}, parameters.data(), gradients.data(), 1);
    CHECK(parameters[0] == 2.0f);
    gradients.assign(16, 0.0f);
    Optimizer<float> decaying{SGD{.learning_rate = 0.5f, .weight_decay = 0.5f}, 1, 16};
    decaying.apply(kernels<float>(current_isa()), {{.count = 16, .live = false}}, parameters.data(), gradients.data(),
                   1);
    CHECK(parameters[0] == 1.5f);
}

TEST_CASE("Adam: a parameter that comes later is corrected for its own steps, as in PyTorch") {
    const Adam settings{.learning_rate = 0.01f};
    Optimizer<double> optimizer{settings, 2, 32};
    std::vector<double> parameters(32, 1.0);
    std::vector<Plain> plain(2);
    for (Plain& p : plain) p.parameter = 1;
    for (int step = 1; step <= 30; ++step) {
        const std::vector<double> gradients(32, 1.0 / step);
        std::vector<ParameterRange> ranges{{.parameter = 0, .offset = 0, .count = 16}};
        if (step > 20) ranges.push_back({.parameter = 1, .offset = 16, .count = 16});  // thawed
        optimizer.apply(kernels<double>(current_isa()), ranges, parameters.data(), gradients.data(), 1);
        plain[0].step(settings, gradients[0]);
        if (step > 20) plain[1].step(settings, gradients[16]);
        CHECK(parameters[0] == doctest::Approx(plain[0].parameter).epsilon(1e-9));
        CHECK(parameters[16] == doctest::Approx(plain[1].parameter).epsilon(1e-9));
    }
    CHECK(optimizer.steps() == 30);
    CHECK(optimizer.parameter_steps() == std::vector<std::int64_t>{30, 10});
}

TEST_CASE("sum_of_squares: for any number of vectors") {
    for (const Isa isa : tests::available_isas())
        for (const Index n : {Index{16}, Index{48}, Index{1024}, Index{5008}}) {
            const auto x = tests::uniform<float>(static_cast<std::size_t>(n), 5);
            double sum = 0;
            for (const float v : x) sum += static_cast<double>(v) * static_cast<double>(v);
            CHECK(kernels<float>(isa).sum_of_squares(x.data(), n) == doctest::Approx(sum).epsilon(1e-6));
        }
}
