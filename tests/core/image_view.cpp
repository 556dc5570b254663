#include <doctest/doctest.h>

#include <cstddef>

#include <resnet/core/image_view.hpp>

using namespace resnet;

namespace {
/// The bytes from the start of the pixels to element (n, c, y, x).
Index offset(const ImageView& view, Index n, Index c, Index y, Index x) {
    return n * view.image_stride + c * view.channel_stride + y * view.row_stride + x * view.pixel_stride;
}
}  // namespace

TEST_CASE("image_view: nchw and nhwc reach every element in its place, for bytes, floats and doubles") {
    const double data[2 * 3 * 4 * 5] = {};
    const auto check = [&]<class Pixel>(const Pixel*, PixelType type) {
        const auto* pixels = reinterpret_cast<const Pixel*>(data);
        const ImageView planes = nchw(pixels, 2, {4, 5}), interleaved = nhwc(pixels, 2, {4, 5});
        const Index e = sizeof(Pixel);
        CHECK(planes.type == type);
        CHECK(planes.element_bytes() == e);
        for (Index n = 0; n < 2; ++n)
            for (Index c = 0; c < 3; ++c)
                for (Index y = 0; y < 4; ++y)
                    for (Index x = 0; x < 5; ++x) {
                        CHECK(offset(planes, n, c, y, x) == (((n * 3 + c) * 4 + y) * 5 + x) * e);
                        CHECK(offset(interleaved, n, c, y, x) == (((n * 4 + y) * 5 + x) * 3 + c) * e);
                    }
    };
    check(static_cast<const std::uint8_t*>(nullptr), PixelType::uint8);
    check(static_cast<const float*>(nullptr), PixelType::float32);
    check(static_cast<const double*>(nullptr), PixelType::float64);
}

TEST_CASE("image_view: a slice begins at its first image and has so many") {
    const float data[6 * 3 * 4] = {};
    const ImageView view = nchw(data, 6, {2, 2});
    const ImageView part = view.slice(2, 3);
    CHECK(part.images == 3);
    CHECK(part.data == data + 2 * 12);
    CHECK(part.extent == view.extent);
    CHECK(part.row_stride == view.row_stride);
    CHECK(part.slice(1, 1).data == data + 3 * 12);
}

TEST_CASE("image_view: the mirror image reads each row from its end, and its mirror image is the view again") {
    const float data[2 * 3 * 2 * 5] = {};
    for (const ImageView& view : {nchw(data, 2, {2, 5}), nhwc(data, 2, {2, 5})}) {
        const ImageView mirror = view.mirrored();
        const Index shift = static_cast<const std::byte*>(mirror.data) - static_cast<const std::byte*>(view.data);
        for (Index n = 0; n < 2; ++n)
            for (Index c = 0; c < 3; ++c)
                for (Index y = 0; y < 2; ++y)
                    for (Index x = 0; x < 5; ++x)
                        CHECK(shift + offset(mirror, n, c, y, x) == offset(view, n, c, y, 4 - x));
        CHECK(mirror.mirrored().data == view.data);
        CHECK(mirror.mirrored().pixel_stride == view.pixel_stride);
    }
}
