#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include <resnet/blocks.hpp>

#include "../../examples/cifar10/views.hpp"
#include "../support/engine.hpp"
#include "../support/networks.hpp"

using namespace resnet;

TEST_CASE("views: a moved image goes on behind its border as its mirror image, whatever the order of its bytes") {
    //                                 red          green        blue
    const std::vector<std::uint8_t> planes{1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16, 21, 22, 23, 24, 25, 26};
    const auto red_of = [](const std::vector<std::uint8_t>& pixels) {
        std::vector<int> red;
        for (std::size_t i = 0; i < pixels.size(); i += 3) {
            CHECK(pixels[i + 1] == pixels[i] + 10);
            CHECK(pixels[i + 2] == pixels[i] + 20);
            red.push_back(pixels[i]);
        }
        return red;
    };
    const ImageView image = nchw(planes.data(), 1, {2, 3});
    CHECK(red_of(moved(image, 0)) == std::vector{1, 2, 3, 4, 5, 6});
    CHECK(red_of(moved(image, 1)) == std::vector{5, 4, 5, 2, 1, 2});
    CHECK(red_of(moved(image, -1)) == std::vector{5, 6, 5, 2, 3, 2});
}

TEST_CASE("views: shifted logits are half the images' own and a quarter each of those moved a pixel either way") {
    const Model<tests::SmallResNet> model{Seed{1}};
    const Classifier<tests::SmallResNet> classify{model};
    std::vector<std::uint8_t> pixels(3 * 16 * 16 * 3);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * i * 37 / 11);
    const ImageView images = nhwc(pixels.data(), 3, {16, 16});
    const auto logits_at = [&](int by) {
        const auto some = moved(images, by);
        return logits_of(classify, nhwc(some.data(), 3, {16, 16}), Views::plain);
    };
    const auto own = logits_at(0), down = logits_at(1), up = logits_at(-1);
    CHECK(logits_of(classify, images, Views::mirrored) == own);  // the Classifier does that
    const auto shifted = logits_of(classify, images, Views::shifted);
    REQUIRE(shifted.size() == own.size());
    for (std::size_t i = 0; i < own.size(); ++i)
        CHECK(shifted[i] == doctest::Approx(0.5f * own[i] + 0.25f * down[i] + 0.25f * up[i]));
}
