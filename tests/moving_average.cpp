#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include <resnet/moving_average.hpp>

#include "support/engine.hpp"
#include "support/networks.hpp"

using namespace resnet;
using tests::SmallResNet;

TEST_CASE(
    "moving average: weights and statistics follow the formula; counters, normalisation and what is frozen the model") {
    Model<SmallResNet> model{Seed{1}};
    MovingAverage<SmallResNet> average{model, 0.75f};
    CHECK(average.model() == model);
    const auto before = model.parameter("fc.bias");
    for (const float value : {4.0f, 8.0f}) {
        model.set_parameter("fc.bias", std::vector<float>(5, value));
        model.set_parameter("bn1.running_var", std::vector<float>(32, value));
        model.set_parameter("bn1.num_batches_tracked", std::vector<float>{value});
        model.set_normalization({.mean = {0, 0, value}});
        model.freeze("fc.weight");
        average.update(model);
    }
    CHECK(average.model().weights().frozen() == model.weights().frozen());
    for (std::size_t i = 0; i < before.size(); ++i)
        CHECK(average.model().parameter("fc.bias")[i] == doctest::Approx(0.75 * (0.75 * before[i] + 1) + 2));
    CHECK(average.model().parameter("bn1.running_var")[31] == doctest::Approx(0.75 * (0.75 + 1) + 2));
    CHECK(average.model().parameter("bn1.num_batches_tracked")[0] == 8);
    CHECK(average.model().normalization().mean[2] == 8);
    CHECK(average.model().parameter("conv1.weight") == model.parameter("conv1.weight"));
}

TEST_CASE("moving average: a decay outside [0, 1) is refused, and a decay of 0 follows the model") {
    Model<SmallResNet> model{Seed{1}};
    const Model<SmallResNet> other{Seed{2}};
    CHECK_THROWS_AS((MovingAverage<SmallResNet>{model, 1}), Error);
    CHECK_THROWS_AS((MovingAverage<SmallResNet>{model, std::numeric_limits<float>::quiet_NaN()}), Error);
    MovingAverage<SmallResNet> average{model, 0};
    average.update(other);
    CHECK(average.model() == other);
}

TEST_CASE("moving average: a decay of one step's own, up to 1, which keeps the average: lookahead") {
    Model<SmallResNet> model{Seed{1}};
    MovingAverage<SmallResNet> average{model, 0};
    model.set_parameter("fc.bias", std::vector<float>(5, 8));
    average.update(model, 0.5f);
    const auto half = average.model().parameter("fc.bias");
    CHECK(half[0] == doctest::Approx((8 + Model<SmallResNet>{Seed{1}}.parameter("fc.bias")[0]) / 2));
    average.update(model, 1);
    CHECK(average.model().parameter("fc.bias") == half);
    model = average.model();
    CHECK(model.parameter("fc.bias") == half);
    for (const float decay : {-0.1f, 1.1f, std::numeric_limits<float>::quiet_NaN()})
        CHECK_THROWS_AS(average.update(model, decay), Error);
}
