#include "fixture.hpp"

#include <cmath>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

TEST_CASE("parity: a digest shows a fault of one entry among many, a swap of two and a NaN") {
    const std::vector<double> values =
        parity::uniform<double>(parity::numbers(1, parity::Stream::state), 100'000, -1, 1);
    const parity::Digest want = parity::digest(std::span(values));
    const auto error = [&](const std::vector<double>& got) {
        return parity::difference(parity::digest(std::span(got)), want, 100'000);
    };
    CHECK(error(values) == 0);

    auto changed = values;
    changed[12'345] += 1e-3;
    CHECK(error(changed) > 1e-6);

    auto swapped = values;
    std::swap(swapped[0], swapped[70'001]);
    CHECK(error(swapped) > 1e-6);

    auto nan = values;
    nan[99'999] = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isinf(error(nan)));
}

TEST_CASE("parity: a fixture's weights are the formula's, whatever their place in the file") {
    const parity::Fixture fixture{"conv_k1"};
    REQUIRE(fixture.state.size() == 6);
    CHECK(fixture.state[2].name == "layer.weight");
    const auto values = fixture.initial<double>(2);
    REQUIRE(values.size() == 60);
    CHECK(values[1] == (2 * resnet::Random{resnet::Seed{2015}, resnet::Purpose::user, 2}.uniform(1) - 1));  // fan-in 6
}
