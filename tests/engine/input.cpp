#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/bits.hpp"
#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/values.hpp"

using namespace resnet;

namespace {

/// Gives back the normalised pixels: 3 channels of 2x3, in PyTorch's order.
struct Pixels {
    static constexpr Extent image{2, 3};
    Linear<18, 18> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<18>(x)); }
    RESNET_MEMBERS(fc)
};

template <class Scalar>
Model<Pixels, Scalar> identity() {
    Model<Pixels, Scalar> model{Seed{1}};
    std::vector<Scalar> weight(18 * 18, 0);
    for (std::size_t i = 0; i < 18; ++i) weight[i * 19] = 1;
    model.set_parameter("fc.weight", weight);
    model.set_parameter("fc.bias", std::vector<Scalar>(18, 0));
    return model;
}

constexpr Index count = 19;  // more than a block, and not a whole number of them

std::vector<std::uint8_t> bytes() {
    const Random random{Seed{1}, Purpose::user};
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * 18);  // [N][C][H][W]
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(random.below(256, i));
    return pixels;
}

template <class Scalar>
std::vector<Scalar> logits_of(const Classifier<Pixels, Scalar>& classify, const ImageView& view) {
    const auto logits = classify(view);
    return {logits.values().begin(), logits.values().end()};
}

}  // namespace

TEST_CASE("input: bytes are scaled to [0, 1] and normalised by the model's mean and deviation, a channel each") {
    auto model = identity<double>();
    for (const Normalization& normalization :
         {Normalization{}, Normalization{.mean = {0.5f, 0, -1}, .standard_deviation = {0.25f, 1, 2}}}) {
        model.set_normalization(normalization);
        const Classifier<Pixels, double> classify{model};
        const auto pixels = bytes();
        const auto logits = logits_of(classify, nchw(pixels.data(), count, {2, 3}));
        for (std::size_t i = 0; i < logits.size(); ++i) {
            const std::size_t channel = i / 6 % 3;
            const double expected = (pixels[i] / 255.0 - static_cast<double>(normalization.mean[channel])) /
                                    static_cast<double>(normalization.standard_deviation[channel]);
            CHECK(logits[i] == doctest::Approx(expected).epsilon(1e-14));
        }
    }
}

TEST_CASE("input: floats and doubles are taken as they are") {
    const auto model = identity<float>();
    const Classifier<Pixels> classify{model};
    const auto in_float = tests::uniform<float>(count * 18, 1);
    const std::vector<double> in_double(in_float.begin(), in_float.end());
    CHECK(tests::same_bits(logits_of(classify, nchw(in_float.data(), count, {2, 3})), in_float));
    CHECK(tests::same_bits(logits_of(classify, nchw(in_double.data(), count, {2, 3})), in_float));
}

TEST_CASE("input: any order of the axes, padded rows, and BGR give the same logits as planes of RGB") {
    const auto model = identity<float>();
    for (const Isa isa : tests::available_isas())
        for (const int block : {1, 4, 16}) {
            const Classifier<Pixels> classify{model, {.plan = {.block = block, .isa = isa}}};
            const auto planes = bytes();
            const auto expected = logits_of(classify, nchw(planes.data(), count, {2, 3}));

            std::vector<std::uint8_t> interleaved(planes.size()), turned(planes.size());
            constexpr std::size_t row = 16;  // a row of 3 pixels and 7 bytes that are nobody's
            std::vector<std::uint8_t> padded(static_cast<std::size_t>(count) * 2 * row, 0xEE);
            for (std::size_t n = 0; n < count; ++n)
                for (std::size_t c = 0; c < 3; ++c)
                    for (std::size_t y = 0; y < 2; ++y)
                        for (std::size_t x = 0; x < 3; ++x) {
                            const std::uint8_t pixel = planes[((n * 3 + c) * 2 + y) * 3 + x];
                            interleaved[((n * 2 + y) * 3 + x) * 3 + c] = pixel;
                            turned[((n * 2 + y) * 3 + x) * 3 + (2 - c)] = pixel;
                            padded[(n * 2 + y) * row + x * 3 + c] = pixel;
                        }
            CHECK(tests::same_bits(logits_of(classify, nhwc(interleaved.data(), count, {2, 3})), expected));
            ImageView view = nhwc(turned.data(), count, {2, 3});
            view.order = ChannelOrder::bgr;
            CHECK(tests::same_bits(logits_of(classify, view), expected));
            view = nhwc(padded.data(), count, {2, 3});
            view.row_stride = row;
            view.image_stride = 2 * row;
            CHECK(tests::same_bits(logits_of(classify, view), expected));
            // Upside down: strides may be negative.
            view = nhwc(interleaved.data() + 9, count, {2, 3});
            view.row_stride = -9;
            const auto flipped = logits_of(classify, view);
            for (std::size_t i = 0; i < flipped.size(); ++i)
                REQUIRE(flipped[i] == expected[i / 6 * 6 + (i % 6 + 3) % 6]);
        }
}
