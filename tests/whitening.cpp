#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <resnet/core/random.hpp>
#include <resnet/whitening.hpp>

using namespace resnet;

namespace {

constexpr Extent extent{9, 11};
constexpr Index count = 20;

/// Neighbours and colours resemble each other, as in photos.
std::vector<std::uint8_t> photos() {
    const Random random{Seed{1}, Purpose::user};
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count * extent.area() * 3));
    double value = 128;
    for (std::size_t i = 0; i < pixels.size(); ++i) {
        value = 0.8 * value + 0.2 * 255 * random.uniform(i);
        pixels[i] = static_cast<std::uint8_t>(value);
    }
    return pixels;
}

}  // namespace

TEST_CASE(
    "whitening: squares of what the filters give have mean 1, products mean 0, and the other half is its negative") {
    const auto pixels = photos();
    const Normalization normalization;
    for (const int kernel : {1, 2, 3}) {
        const int size = 3 * kernel * kernel;
        const auto filters = whitening_filters(nhwc(pixels.data(), count, extent), normalization,
                                               {.kernel = kernel, .epsilon = 0});  // [channels][3][kernel][kernel]
        REQUIRE(filters.size() == static_cast<std::size_t>(2 * size * size));
        for (int i = 0; i < size * size; ++i)
            CHECK(filters[static_cast<std::size_t>(i)] == -filters[static_cast<std::size_t>(size * size + i)]);

        std::vector<double> products(static_cast<std::size_t>(size * size));
        Index patches = 0;
        for (Index n = 0; n < count; ++n)
            for (int y = 0; y + kernel <= extent.height; ++y)
                for (int x = 0; x + kernel <= extent.width; ++x, ++patches) {
                    std::vector<double> out(static_cast<std::size_t>(size));
                    for (int o = 0; o < size; ++o)
                        for (int c = 0; c < 3; ++c)
                            for (int ky = 0; ky < kernel; ++ky)
                                for (int kx = 0; kx < kernel; ++kx) {
                                    const auto place = static_cast<std::size_t>(
                                        ((n * extent.height + y + ky) * extent.width + x + kx) * 3 + c);
                                    const auto channel = static_cast<std::size_t>(c);
                                    const double pixel =
                                        (pixels[place] / 255.0 - static_cast<double>(normalization.mean[channel])) /
                                        static_cast<double>(normalization.standard_deviation[channel]);
                                    out[static_cast<std::size_t>(o)] +=
                                        pixel * static_cast<double>(filters[static_cast<std::size_t>(
                                                    ((o * 3 + c) * kernel + ky) * kernel + kx)]);
                                }
                    for (std::size_t a = 0; a < out.size(); ++a)
                        for (std::size_t b = 0; b < out.size(); ++b) products[a * out.size() + b] += out[a] * out[b];
                }
        const auto side = static_cast<std::size_t>(size);
        for (std::size_t a = 0; a < side; ++a)
            for (std::size_t b = 0; b < side; ++b)
                CHECK(std::abs(products[a * side + b] / static_cast<double>(patches) - (a == b ? 1 : 0)) < 1e-4);
    }
}

TEST_CASE("whitening: grey images, normalised as colours, are not blown up in the directions of colour") {
    auto pixels = photos();
    for (std::size_t i = 0; i < pixels.size(); i += 3) pixels[i + 1] = pixels[i + 2] = pixels[i];
    const Normalization normalization;
    const auto filters = whitening_filters(nhwc(pixels.data(), count, extent), normalization, {.kernel = 1});
    for (std::size_t i = 0; i < pixels.size(); i += 3)
        for (std::size_t o = 0; o < 3; ++o) {
            double out = 0;
            for (std::size_t c = 0; c < 3; ++c)
                out += (pixels[i + c] / 255.0 - static_cast<double>(normalization.mean[c])) /
                       static_cast<double>(normalization.standard_deviation[c]) *
                       static_cast<double>(filters[o * 3 + c]);
            CHECK(std::abs(out) < 5);  // 9 and more where the mean of a direction without variance is blown up
        }
}

TEST_CASE("whitening: images of one colour give finite filters, and what has no patch is an error") {
    const std::vector<std::uint8_t> grey(3 * 4 * 4, 128);
    for (const float weight : whitening_filters(nhwc(grey.data(), 1, {4, 4}))) CHECK(std::isfinite(weight));
    CHECK_THROWS_WITH_AS(whitening_filters(nhwc(grey.data(), 0, {4, 4})),
                         "whitening_filters: expected an image of at least 2x2 pixels, found 0 images of 4x4", Error);
    CHECK_THROWS_AS(whitening_filters(nhwc(grey.data(), 1, {1, 16})), Error);
    CHECK_THROWS_AS(whitening_filters(nhwc(grey.data(), 1, {4, 4}), {}, {.kernel = 0}), Error);
    CHECK_THROWS_WITH_AS(whitening_filters(nhwc(grey.data(), 1, {4, 4}), {}, {.epsilon = -1}),
                         "whitening_filters: expected a finite epsilon of at least 0, found -1.000000", Error);
    CHECK_THROWS_AS(whitening_filters(nhwc(grey.data(), 1, {4, 4}), {}, {.kernel = 30'000}), Error);
    CHECK_THROWS_AS(whitening_filters(nhwc(grey.data(), 1, {4, 4}), {}, {.epsilon = 0}), NotFiniteError);
    std::vector<std::uint8_t> colour;
    for (Index i = 0; i < 100 * 32 * 32; ++i) colour.insert(colour.end(), {120, 130, 141});
    for (const int kernel : {1, 2, 3})  // sums of equal numbers round alike
        CHECK_THROWS_AS(whitening_filters(nhwc(colour.data(), 100, {32, 32}), {}, {.kernel = kernel, .epsilon = 0}),
                        NotFiniteError);
    const std::vector<float> no_number(3 * 4 * 4, std::numeric_limits<float>::quiet_NaN());
    CHECK_THROWS_AS(whitening_filters(nhwc(no_number.data(), 1, {4, 4})), NotFiniteError);
}
