#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::SmallResNet;

TEST_CASE("large maps: an image alone on a map of many tiles computes and trains as by the direct kernels") {
    const Extent extent{132, 132};  // 33x33 of Winograd's tiles: more than a block alone transforms as a whole
    const auto pixels = tests::uniform<float>(static_cast<std::size_t>(6 * 3 * extent.area()), 1);
    const auto labels = tests::labels(1, SmallResNet::classes, 1);
    const ImageView images = nhwc(pixels.data(), 6, extent);
    const Model<SmallResNet> model{Seed{1}};
    const Classifier<SmallResNet> classify{model, {.batch = 6, .image = extent}};
    const Classifier<SmallResNet> direct{model,
                                         {.batch = 6, .image = extent, .plan = {.choice = {.allow_winograd = false}}}};
    const Plan& plan = classify.plan();
    int winograd = 0;
    for (int i = 0; i < plan.size(); ++i) winograd += plan[i].kernel == ConvolutionKernel::winograd ? 1 : 0;
    REQUIRE(winograd > 0);
    const auto all = classify(images), alone = classify(images.slice(5, 1)), expected = direct(images);
    for (std::size_t c = 0; c < 5; ++c) {
        CHECK(alone[0][c] == all[5][c]);
        CHECK(alone[0][c] == doctest::Approx(expected[5][c]).epsilon(1e-4));
    }

    auto trained = model, trained_directly = model;
    Trainer trainer{trained, SGD{}};
    Trainer by_direct{trained_directly, SGD{}, {.plan = {.choice = {.allow_winograd = false}}}};
    trainer.step(images.slice(0, 1), labels);
    by_direct.step(images.slice(0, 1), labels);
    for (const char* name : {"conv1.weight", "block1.conv1.weight", "block1.conv2.weight"}) {
        const auto found = trainer.gradient(name), wanted = by_direct.gradient(name);
        float largest = 0, difference = 0;
        for (std::size_t i = 0; i < found.size(); ++i) {
            largest = std::max(largest, std::abs(wanted[i]));
            difference = std::max(difference, std::abs(found[i] - wanted[i]));
        }
        CAPTURE(name);
        CHECK(difference < 1e-4f * largest);
    }
}
