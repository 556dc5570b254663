#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <resnet/core/random.hpp>
#include <resnet/image.hpp>  // its decoder is compiled in image.cpp
#define RESNET_IMAGE_IMPLEMENTATION
#include <resnet/image_write.hpp>

#include "data/temporary_folder.hpp"

using namespace resnet;

namespace {

std::vector<std::uint8_t> random_pixels(Extent extent) {
    const Random random{Seed{1}, Purpose::user};
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(extent.area() * 3));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(random.bits(i) & 255);
    return pixels;
}

}  // namespace

TEST_CASE("encode_png: the decoder reads the same pixels, for any extent") {
    for (const Extent extent : {Extent{1, 1}, Extent{32, 32}, Extent{5, 3}, Extent{3, 200}}) {
        const auto pixels = random_pixels(extent);
        const Image read = decode_image(encode_png(nhwc(pixels.data(), 1, extent)), "picture");
        CHECK(read.extent == extent);
        CHECK(read.pixels == pixels);
    }
}

TEST_CASE("encode_png: planes, a slice and the order BGR are read as the view says") {
    const Extent extent{2, 3};
    const auto pixels = random_pixels({4, 3});  // two images
    const auto pixel = [&](Index n, Index c, Index y, Index x) {
        return pixels[static_cast<std::size_t>(n * 18 + c * 6 + y * 3 + x)];
    };
    ImageView planes = nchw(pixels.data(), 2, extent);
    planes.order = ChannelOrder::bgr;
    const Image read = decode_image(encode_png(planes.slice(1, 1)), "picture");
    std::vector<std::uint8_t> expected;
    for (Index y = 0; y < 2; ++y)
        for (Index x = 0; x < 3; ++x)
            for (Index c = 0; c < 3; ++c) expected.push_back(pixel(1, 2 - c, y, x));
    CHECK(read.pixels == expected);
}

TEST_CASE("encode_png: what is no single picture of bytes is an error that says what it is") {
    const std::vector<std::uint8_t> bytes(24);
    const std::vector<float> floats(12);
    CHECK(
        message_of<Error>([&] {
            encode_png(nhwc(bytes.data(), 2, {2, 2}));
        }) ==
        "encode_png: expected one image with 3 channels of 8 bits, found 2 images of 2 x 2 with 3 channels of 8 bits");
    CHECK(
        message_of<Error>([&] {
            encode_png(nhwc(floats.data(), 1, {2, 2}));
        }) ==
        "encode_png: expected one image with 3 channels of 8 bits, found 1 images of 2 x 2 with 3 channels of 32 bits");
    CHECK_THROWS_AS(encode_png(nhwc(bytes.data(), 1, {2, 2}, 1)), Error);
    for (const Extent extent : {Extent{0, 2}, Extent{-1, -1}, Extent{20000, 1}, Extent{16384, 16384}})
        CHECK(message_of<Error>([&] { encode_png(nhwc(bytes.data(), 1, extent)); }) ==
              detail::text("encode_png: expected sides of 1 to 16384 and at most 64 megapixels, found ", extent.height,
                           " x ", extent.width));
}
