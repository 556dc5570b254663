#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::SmallResNet;

namespace {

struct WideMap {
    static constexpr Extent image{68, 68};  // 17x17 of Winograd's tiles
    static constexpr int classes = 5;
    Conv2d<3, 160, k3> conv1;
    Conv2d<160, 160, k3> conv2;
    Linear<160, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(conv2(relu(conv1(x)))))); }
    RESNET_MEMBERS(conv1, conv2, fc)
};

/// A step's loss and gradients are those of the direct kernels.
template <class Net>
void check_gradients(const Model<Net>& model, const ImageView& images, const std::vector<int>& labels, PlanOptions plan,
                     const std::vector<std::string>& names) {
    auto trained = model, trained_directly = model;
    Trainer trainer{trained, SGD{}, {.plan = plan}};
    plan.choice.allow_winograd = false;
    Trainer by_direct{trained_directly, SGD{}, {.plan = plan}};
    const double loss = trainer.step(images, labels).loss;
    CHECK(loss == doctest::Approx(by_direct.step(images, labels).loss).epsilon(1e-5));
    for (const std::string& name : names) {
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

}  // namespace

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

    check_gradients(model, images.slice(0, 1), labels, {},
                    {"conv1.weight", "block1.conv1.weight", "block1.conv2.weight"});
}

TEST_CASE("large maps: where weights keep still, blocks in parts of their maps train as by the direct kernels") {
    constexpr int count = 6, block = 4;  // the last block is not full
    const auto pixels = tests::uniform<float>(static_cast<std::size_t>(count * 3 * WideMap::image.area()), 1);
    const auto labels = tests::labels(count, WideMap::classes, 1);
    const Model<WideMap> model{Seed{1}};
    auto planned = model;
    Trainer trainer{planned, SGD{}, {.plan = {.block = block}}};
    const Plan& plan = trainer.plan();
    int in_parts = 0;
    for (int i = 0; i < plan.size(); ++i) {
        if (plan[i].kernel != ConvolutionKernel::winograd) continue;
        const WinogradSizes sizes{plan.program().steps[static_cast<std::size_t>(i)].kind, plan[i], false};
        const Extent tiles = sizes.form.tiles(plan[i].shape.output);
        in_parts += sizes.keeps_weights_still && winograd_map_parts(plan, tiles, count) > 1 ? 1 : 0;
    }
    REQUIRE(in_parts == 3);  // forward, and both gradients
    check_gradients(model, nhwc(pixels.data(), count, WideMap::image), labels, {.block = block},
                    {"conv1.weight", "conv2.weight", "conv2.bias", "fc.weight"});
}
