#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <resnet/data/augment.hpp>

#include "temporary_folder.hpp"

using namespace resnet;

namespace {

constexpr Extent extent{6, 5};

/// Pixels that are all unlike: red says the row, green the column, blue is 200.
std::vector<std::uint8_t> numbered() {
    std::vector<std::uint8_t> pixels;
    for (int y = 0; y < extent.height; ++y)
        for (int x = 0; x < extent.width; ++x)
            pixels.insert(pixels.end(), {static_cast<std::uint8_t>(10 + y), static_cast<std::uint8_t>(20 + x), 200});
    return pixels;
}

Sample sample(Index position, std::uint32_t epoch = 0) {
    return {.epoch = epoch,
            .position = position,
            .index = position,
            .random = Random{Seed{7}, Purpose::augment, epoch},
            .every_epoch = Random{Seed{7}, Purpose::augment, 0xFFFFFFFF}};
}

std::vector<std::uint8_t> changed(const Transform& transform, const Sample& sample) {
    std::vector<std::uint8_t> pixels = numbered();
    transform(MutableImage{pixels.data(), extent}, sample);
    return pixels;
}

std::vector<std::uint8_t> flipped() {
    std::vector<std::uint8_t> pixels = numbered();
    for (int y = 0; y < extent.height; ++y)
        for (int x = 0; x < extent.width; ++x)
            pixels[static_cast<std::size_t>((y * extent.width + x) * 3 + 1)] =
                static_cast<std::uint8_t>(20 + extent.width - 1 - x);
    return pixels;
}

}  // namespace

TEST_CASE("random_crop: each of the shifts comes, and what lies outside has the colour") {
    const Transform crop = random_crop({.padding = 2, .colour = {1, 2, 3}});
    std::set<std::pair<int, int>> shifts;
    for (Index position = 0; position < 300; ++position) {
        const auto pixels = changed(crop, sample(position));
        // The middle pixel is inside for every shift, and tells which it was.
        const int down = pixels[(2 * 5 + 2) * 3] - 10 - 2, right = pixels[(2 * 5 + 2) * 3 + 1] - 20 - 2;
        shifts.insert({down, right});
        for (int y = 0; y < extent.height; ++y)
            for (int x = 0; x < extent.width; ++x) {
                const bool inside = y + down >= 0 && y + down < 6 && x + right >= 0 && x + right < 5;
                const auto* pixel = pixels.data() + (y * 5 + x) * 3;
                REQUIRE(int{pixel[0]} == (inside ? 10 + y + down : 1));
                REQUIRE(int{pixel[1]} == (inside ? 20 + x + right : 2));
                REQUIRE(int{pixel[2]} == (inside ? 200 : 3));
            }
    }
    CHECK(shifts.size() == 25);
}

TEST_CASE("random_crop: reflected padding mirrors the image without doubling its edge") {
    const Transform crop = random_crop({.padding = 2, .reflect = true});
    const auto mirrored = [](int i, int size) { return i < 0 ? -i : i >= size ? 2 * size - 2 - i : i; };
    for (Index position = 0; position < 100; ++position) {
        const auto pixels = changed(crop, sample(position));
        const int down = pixels[(2 * 5 + 2) * 3] - 12, right = pixels[(2 * 5 + 2) * 3 + 1] - 22;
        for (int y = 0; y < extent.height; ++y)
            for (int x = 0; x < extent.width; ++x) {
                REQUIRE(int{pixels[static_cast<std::size_t>((y * 5 + x) * 3)]} == 10 + mirrored(y + down, 6));
                REQUIRE(int{pixels[static_cast<std::size_t>((y * 5 + x) * 3 + 1)]} == 20 + mirrored(x + right, 5));
            }
    }
    CHECK(message_of<Error>([] { changed(random_crop({.padding = 5, .reflect = true}), sample(0)); }) ==
          "random_crop: expected padding below the sides of the image, 6 x 5, which it reflects, found 5");
}

TEST_CASE("flips: random_flip turns half of the images, alternating_flip each image in every second epoch") {
    int turned = 0, first = 0;
    for (Index position = 0; position < 400; ++position) {
        const auto once = changed(random_flip(), sample(position));
        REQUIRE((once == numbered() || once == flipped()));
        turned += once == flipped() ? 1 : 0;
        const auto even = changed(alternating_flip(), sample(position, 0)),
                   odd = changed(alternating_flip(), sample(position, 1));
        REQUIRE(even != odd);
        REQUIRE(changed(alternating_flip(), sample(position, 2)) == even);
        first += even == flipped() ? 1 : 0;
    }
    CHECK(std::abs(turned - 200) < 50);
    CHECK(std::abs(first - 200) < 50);
}

TEST_CASE("cutout: one square of the colour around any pixel, cut off at the border, and nothing else") {
    std::set<std::array<int, 4>> squares;
    for (Index position = 0; position < 400; ++position) {
        const auto pixels = changed(cutout({.size = 3, .colour = {9, 9, 9}}), sample(position));
        const auto original = numbered();
        int top = 6, bottom = -1, left = 5, right = -1, count = 0;
        for (int y = 0; y < 6; ++y)
            for (int x = 0; x < 5; ++x) {
                const auto pixel = pixels.begin() + (y * 5 + x) * 3;
                if (std::equal(pixel, pixel + 3, original.begin() + (y * 5 + x) * 3)) continue;
                REQUIRE(std::count(pixel, pixel + 3, 9) == 3);
                top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x),
                right = std::max(right, x), ++count;
            }
        REQUIRE(count == (bottom - top + 1) * (right - left + 1));
        REQUIRE((bottom - top + 1 <= 3 && right - left + 1 <= 3));
        REQUIRE(count >= 4);
        squares.insert({top, bottom, left, right});
    }
    CHECK(squares.size() == 30);  // pixels
    CHECK(changed(cutout({.size = 0}), sample(0)) == numbered());
}

TEST_CASE("random_resized_crop: the whole image is itself, and a part has only colours of the image") {
    CHECK(changed(random_resized_crop({.min_scale = 1, .min_ratio = 5.0 / 6, .max_ratio = 5.0 / 6}), sample(0)) ==
          numbered());
    std::set<std::string> views;
    for (Index position = 0; position < 50; ++position) {
        const auto pixels = changed(random_resized_crop({.min_scale = 0.2}), sample(position));
        views.emplace(pixels.begin(), pixels.end());
        for (std::size_t i = 0; i < pixels.size(); i += 3) {
            REQUIRE((pixels[i] >= 10 && pixels[i] < 16 && pixels[i + 1] >= 20 && pixels[i + 1] < 25));
            REQUIRE(pixels[i + 2] == 200);
        }
    }
    CHECK(views.size() > 30);
}

TEST_CASE(
    "random_resized_crop: a part has the share of the area and the shape that are asked for, in all their range") {
    const ResizedCropOptions options{.min_scale = 0.2, .max_scale = 0.5, .min_ratio = 0.8, .max_ratio = 1.5};
    double least_share = 1, most_share = 0, least_ratio = 2, most_ratio = 0;
    for (Index position = 0; position < 1000; ++position) {
        const detail::Cut cut = detail::random_cut({1000, 1000}, options, sample(position));
        REQUIRE((cut.top >= 0 && cut.top + cut.extent.height <= 1000));
        REQUIRE((cut.left >= 0 && cut.left + cut.extent.width <= 1000));
        const double share = static_cast<double>(cut.extent.area()) / 1e6,
                     ratio = static_cast<double>(cut.extent.width) / cut.extent.height;
        least_share = std::min(least_share, share), most_share = std::max(most_share, share);
        least_ratio = std::min(least_ratio, ratio), most_ratio = std::max(most_ratio, ratio);
    }
    constexpr double rounding = 0.005;  // of sides of hundreds of pixels
    CHECK((least_share > options.min_scale - rounding && least_share < 0.21));
    CHECK((most_share < options.max_scale + rounding && most_share > 0.49));
    CHECK((least_ratio > options.min_ratio - rounding && least_ratio < 0.82));
    CHECK((most_ratio < options.max_ratio + rounding && most_ratio > 1.47));
}

TEST_CASE("random_resized_crop: where ten tries find no part of the wanted shape, the middle of the image is cut") {
    const auto middle = [](Extent image) { return detail::random_cut(image, {.min_scale = 1}, sample(0)); };
    const detail::Cut wide = middle({4, 40}), tall = middle({40, 4});  // torchvision: of a ratio of 4 / 3 and of 3 / 4
    CHECK(wide.extent == Extent{4, 5});
    CHECK((wide.top == 0 && wide.left == 17));
    CHECK(tall.extent == Extent{5, 4});
    CHECK((tall.top == 17 && tall.left == 0));
    const detail::Cut narrow = detail::random_cut({40, 1}, {.min_ratio = 3, .max_ratio = 4}, sample(0));
    CHECK(narrow.extent == Extent{1, 1});
}

TEST_CASE("colour_jitter: each strength mixes a pixel with black, the image's mean grey, or its own grey") {
    const auto one = [](const JitterOptions& options, std::uint32_t draw) {
        std::vector<std::uint8_t> pixels{100, 50, 10, 20, 40, 80};
        const Sample drawn = sample(3);
        colour_jitter(options)(MutableImage{pixels.data(), {1, 2}}, drawn);
        return std::pair{pixels, 2 * drawn.uniform(draw)};  // a factor of 0 ... 2, at full strength
    };
    const auto mixed = [](double with, double value, double factor) {
        return static_cast<std::uint8_t>(std::clamp(std::floor(with + (value - with) * factor + 0.5), 0.0, 255.0));
    };
    const std::vector<double> before{100, 50, 10, 20, 40, 80};
    const auto grey = [&](std::size_t i) {
        const std::size_t pixel = i / 3 * 3;
        return 0.299 * before[pixel] + 0.587 * before[pixel + 1] + 0.114 * before[pixel + 2];
    };
    const auto check = [&](const JitterOptions& options, std::uint32_t draw, const auto& with) {
        const auto [pixels, factor] = one(options, draw);
        CHECK(std::abs(factor - 1) > 0.05);
        for (std::size_t i = 0; i < pixels.size(); ++i) CHECK(pixels[i] == mixed(with(i), before[i], factor));
    };
    check({1, 0, 0}, 0, [](std::size_t) { return 0.0; });
    check({0, 1, 0}, 1, [&](std::size_t) { return (grey(0) + grey(3)) / 2; });
    check({0, 0, 1}, 2, grey);
}

TEST_CASE("colour_jitter: of no strength it changes nothing, and grey stays grey") {
    CHECK(changed(colour_jitter({0, 0, 0}), sample(0)) == numbered());
    CHECK(changed(colour_jitter(), sample(0)) != numbered());
    std::vector<std::uint8_t> grey(static_cast<std::size_t>(extent.area()) * 3, 80);
    colour_jitter({.brightness = 0})(MutableImage{grey.data(), extent}, sample(3));
    CHECK(grey == std::vector<std::uint8_t>(grey.size(), 80));
}

TEST_CASE("augment: an option outside its range is an Error that names it") {
    CHECK(message_of<Error>([] { random_crop({.padding = -1}); }) ==
          "random_crop: expected padding of 0 ... 1048576, found -1");
    CHECK_THROWS_AS(random_crop({.padding = 1 << 30}), Error);
    CHECK_THROWS_AS(cutout({.size = -1}), Error);
    CHECK_THROWS_AS(random_resized_crop({.min_scale = 0}), Error);
    CHECK_THROWS_AS(random_resized_crop({.min_ratio = 2, .max_ratio = 1}), Error);
    CHECK_THROWS_AS(random_resized_crop({.max_ratio = std::numeric_limits<double>::infinity()}), Error);
    CHECK_THROWS_AS(colour_jitter({.contrast = 2}), Error);
}
