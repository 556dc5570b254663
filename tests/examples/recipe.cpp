#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <resnet/data/loader.hpp>

#include "../../examples/cifar10/recipe.hpp"

using namespace resnet;

namespace {

/// The bytes of two epochs of a loader with these transforms.
std::vector<std::uint8_t> augmented(const std::vector<Transform>& transforms) {
    constexpr Index count = 20, image = Index{32} * 32 * 3;
    std::vector<std::uint8_t> pixels;
    for (Index i = 0; i < count * image; ++i) pixels.push_back(static_cast<std::uint8_t>(i % 251));
    const Dataset data{{32, 32}, pixels, std::vector<int>(count, 0), {"a class"}};
    const Loader loader{data, {.batch = 8, .seed = Seed{3}, .transforms = transforms}};
    std::vector<std::uint8_t> bytes;
    for (const std::uint32_t epoch : {0U, 1U})
        for (const Batch& batch : loader.epoch(epoch)) {
            const auto* const first = static_cast<const std::uint8_t*>(batch.images.data);
            bytes.insert(bytes.end(), first, first + batch.size() * image);
        }
    return bytes;
}

std::vector<std::uint8_t> augmented_by(const char* model, const char* recipe) {
    return augmented(transforms(find_recipe(model, recipe)));
}

}  // namespace

TEST_CASE("recipe: tutorial leaves the images alone; the others crop, flip and cut out as the table says") {
    constexpr Colour mean{124, 116, 104};
    CHECK(augmented_by("tutorial", "tutorial") == augmented({}));
    const auto crop = random_crop({.padding = 4, .colour = mean}),
               reflected = random_crop({.padding = 2, .reflect = true});
    CHECK(augmented_by("tutorial", "fast") == augmented({crop, random_flip()}));
    CHECK(augmented_by("cifar-resnet18", "best") ==
          augmented({crop, alternating_flip(), cutout({.size = 8, .colour = mean})}));
    CHECK(augmented_by("resnet9", "fast") == augmented({reflected, alternating_flip()}));
}

TEST_CASE(
    "recipe: the trained network is tested on mirrored images as well by best, and on shifted ones as well by "
    "ResNet9's") {
    for (const Recipe& recipe : recipes) {
        const std::string name = recipe.name;
        const bool resnet9 = std::string{recipe.model} == "resnet9" && name != "tutorial";
        CHECK(recipe.views == (resnet9 ? Views::shifted : name == "best" ? Views::mirrored : Views::plain));
        const std::string text = described(recipe).back().second;
        CHECK((text.find("moved by a pixel") != std::string::npos) == resnet9);
    }
}

TEST_CASE("recipe: the learning rate is the schedule's, with the numbers that its description names") {
    const auto rates = [](const char* model, const char* name) {
        std::vector<float> list;
        for (const Index step : {0, 100, 250, 300, 999})
            list.push_back(learning_rate(find_recipe(model, name), 2.0f, 1000, step));
        return list;
    };
    CHECK(rates("tutorial", "tutorial") == std::vector<float>(5, 2.0f));
    const auto triangle = rates("resnet9", "fast"), one_cycle = rates("tutorial", "fast");
    CHECK(triangle[0] == doctest::Approx(0.4));
    CHECK(triangle[1] == doctest::Approx(0.4 + 1.6 * 100 / 250));
    CHECK(triangle[2] == doctest::Approx(2.0));
    CHECK(triangle[4] == doctest::Approx(0.14 + 1.86 / 750));
    CHECK(one_cycle[0] == doctest::Approx(2.0 / 25));
    CHECK(one_cycle[3] == doctest::Approx(2.0).epsilon(1e-4));
    CHECK(one_cycle[4] * 250'000 == doctest::Approx(2.0));
    CHECK(described(find_recipe("resnet9", "fast"))[1].second.starts_with("triangle, from 0.2 "));
    CHECK(described(find_recipe("tutorial", "fast"))[1].second.starts_with("one cycle, from 1/25 "));
}

TEST_CASE("recipe: lookahead keeps nothing of its average at first, and most of it at last") {
    CHECK(lookahead_decay(100, 0) == 0);
    CHECK(lookahead_decay(100, 50) == doctest::Approx(0.7737809375 / 8));  // 0.95^5 * 0.5^3
    CHECK(lookahead_decay(100, 99) == doctest::Approx(0.7737809375 * 0.970299));
}

TEST_CASE("recipe: one that a network does not have is refused with those that it has") {
    std::string message;
    try {
        find_recipe("tutorial", "best");
    } catch (const std::runtime_error& error) {
        message = error.what();
    }
    CHECK(message == "there is no recipe best for tutorial; there are tutorial, fast");
}
