#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include <doctest/doctest.h>

#include <resnet/data/resize.hpp>

namespace {

using Bytes = std::vector<std::uint8_t>;
using resnet::Extent;

/// 5 x 7 pixels, [H][W][3].
Bytes pattern() {
    Bytes bytes;
    for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 7; ++x) {
            for (int c = 0; c < 3; ++c)
                bytes.push_back(static_cast<std::uint8_t>(37 * x + 91 * y + 53 * c + 11 * x * y));
        }
    }
    return bytes;
}

Bytes resized(const resnet::ImageView& images, Extent extent) {
    Bytes output(static_cast<std::size_t>(images.images * extent.area() * images.channels));
    resnet::resize(images, extent, output);
    return output;
}

}  // namespace

TEST_CASE("resize: the same extent gives the same bytes, and a constant image stays constant") {
    const Bytes image = pattern();
    CHECK(resized(resnet::nhwc(image.data(), 1, {5, 7}), {5, 7}) == image);
    for (const std::uint8_t value : Bytes{0, 1, 127, 254, 255}) {
        const Bytes constant(3 * 40 * 31, value);
        for (const Extent extent : {Extent{1, 1}, Extent{7, 9}, Extent{40, 31}, Extent{64, 100}}) {
            const Bytes output = resized(resnet::nhwc(constant.data(), 1, {40, 31}), extent);
            CHECK(std::ranges::all_of(output, [&](std::uint8_t byte) { return byte == value; }));
        }
    }
}

// Pillow 9.4: Image.fromarray(pattern).resize((width, height), Image.BILINEAR)
TEST_CASE("resize: shrinks and enlarges to the bytes of Pillow") {
    const Bytes image = pattern();
    const auto view = resnet::nhwc(image.data(), 1, {5, 7});
    CHECK(resized(view, {3, 4}) == Bytes{61,  114, 161, 126, 148, 144, 124, 146, 170, 158, 134, 125,
                                         149, 141, 114, 134, 127, 121, 132, 125, 104, 118, 110, 126,
                                         102, 155, 140, 111, 133, 99,  113, 135, 112, 91,  144, 133});
    CHECK(resized(view, {2, 9}) == Bytes{79,  132, 127, 111, 126, 159, 122, 143, 145, 128, 155, 118, 165, 102,
                                         155, 112, 139, 147, 124, 145, 126, 141, 129, 123, 135, 106, 148, 87,
                                         140, 135, 134, 148, 127, 126, 146, 102, 103, 130, 93,  157, 94,  147,
                                         121, 148, 93,  105, 125, 116, 103, 117, 136, 111, 164, 112});
    CHECK(resized(view, {8, 6}) ==
          Bytes{7,   60,  113, 49,  102, 155, 90,  143, 196, 132, 185, 238, 173, 226, 103, 215, 60,  65,  48,  101, 154,
                95,  148, 166, 142, 146, 136, 126, 130, 183, 124, 177, 131, 171, 107, 133, 106, 156, 196, 156, 198, 176,
                199, 147, 65,  119, 67,  111, 69,  111, 159, 111, 161, 214, 164, 184, 94,  171, 103, 131, 113, 131, 139,
                130, 148, 102, 158, 90,  88,  78,  98,  151, 142, 162, 72,  157, 89,  117, 107, 125, 133, 132, 150, 104,
                167, 99,  97,  94,  114, 102, 40,  90,  130, 113, 155, 133, 181, 129, 47,  123, 71,  115, 96,  138, 186,
                161, 211, 69,  82,  135, 161, 123, 176, 95,  110, 114, 104, 133, 137, 109, 70,  123, 131, 111, 164, 126,
                123, 176, 181, 134, 187, 64,  49,  102, 155, 141, 194, 103, 56,  109, 82,  67,  120, 173});
}

TEST_CASE("resize: shrinking keeps the mean, as no pixel is passed over") {
    Bytes image(3 * 64 * 64);
    for (std::size_t i = 0; i < image.size(); ++i) image[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    const Bytes output = resized(resnet::nhwc(image.data(), 1, {64, 64}), {16, 16});
    const auto mean = [](const Bytes& bytes) {
        return std::accumulate(bytes.begin(), bytes.end(), 0.0) / static_cast<double>(bytes.size());
    };
    CHECK(mean(output) == doctest::Approx(mean(image)).epsilon(0.01));
}

TEST_CASE("resize: any strides and any number of images, channels in their order") {
    const Bytes image = pattern();
    Bytes planes;  // [2][3][5][7], twice the same image
    for (int n = 0; n < 2; ++n) {
        for (std::size_t c = 0; c < 3; ++c) {
            for (std::size_t p = 0; p < 35; ++p) planes.push_back(image[p * 3 + c]);
        }
    }
    Bytes expected = resized(resnet::nhwc(image.data(), 1, {5, 7}), {3, 4});
    const Bytes output = resized(resnet::nchw(planes.data(), 2, {5, 7}), {3, 4});
    CHECK(std::ranges::equal(std::span{output}.first(36), expected));
    CHECK(std::ranges::equal(std::span{output}.last(36), expected));
}

TEST_CASE("resize: float pixels, an empty extent and an output of another size are refused") {
    const std::array<float, 3> pixel{};
    const Bytes bytes(3);
    Bytes output(3);
    CHECK_THROWS_AS(resnet::resize(resnet::nhwc(pixel.data(), 1, {1, 1}), {1, 1}, output), resnet::Error);
    CHECK_THROWS_AS(resnet::resize(resnet::nhwc(bytes.data(), 1, {1, 1}), {0, 1}, {}), resnet::Error);
    CHECK_THROWS_AS(resnet::resize(resnet::nhwc(bytes.data(), 1, {1, 1}), {1, 2}, output), resnet::Error);
}
