// Pixels that somebody else owns: what OpenCV, stb_image, Eigen or a std::vector hold, without a copy.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

enum class PixelType : std::uint8_t { uint8, float32, float64 };
enum class ChannelOrder : std::uint8_t { rgb, bgr };

/// N images of H x W pixels with C channels, anywhere in memory. Strides are in bytes, so any order of the axes is one
/// view. uint8 pixels (0 ... 255) are scaled and normalised by the model; floats are taken as already normalised.
struct ImageView {
    const void* data = nullptr;
    Index images = 0;
    Extent extent{};
    int channels = 3;
    PixelType type = PixelType::uint8;
    Index image_stride = 0, row_stride = 0, pixel_stride = 0, channel_stride = 0;  // bytes
    ChannelOrder order = ChannelOrder::rgb;

    constexpr Index element_bytes() const { return type == PixelType::uint8 ? 1 : type == PixelType::float32 ? 4 : 8; }
    /// The images first ... first + count - 1 of this view, which must have them: it is not checked.
    constexpr ImageView slice(Index first, Index count) const {
        ImageView part = *this;
        part.data = static_cast<const std::byte*>(data) + first * image_stride;
        part.images = count;
        return part;
    }
    /// The same pixels with left and right exchanged: a row is walked from its end.
    constexpr ImageView mirrored() const {
        ImageView mirror = *this;
        mirror.data = static_cast<const std::byte*>(data) + (extent.width - 1) * pixel_stride;
        mirror.pixel_stride = -pixel_stride;
        return mirror;
    }
};

/// What a pixel may be made of: bytes, or numbers that are normalised already.
template <class T>
concept pixel_component = std::same_as<T, std::uint8_t> || std::same_as<T, float> || std::same_as<T, double>;

namespace detail {
template <pixel_component Pixel>
constexpr PixelType pixel_type() {
    if constexpr (std::same_as<Pixel, std::uint8_t>) return PixelType::uint8;
    else if constexpr (std::same_as<Pixel, float>) return PixelType::float32;
    else return PixelType::float64;
}
}  // namespace detail

/// [N][H][W][C], channels innermost: stb_image, TensorFlow, OpenCV (which has blue first: set `order`; and `row_stride`
/// where rows are padded).
template <pixel_component Pixel>
constexpr ImageView nhwc(const Pixel* data, Index images, Extent extent, int channels = 3) {
    const Index e = sizeof(Pixel);
    return {data,
            images,
            extent,
            channels,
            detail::pixel_type<Pixel>(),
            extent.area() * channels * e,
            Index{extent.width} * channels * e,
            channels * e,
            e};
}

/// [N][C][H][W], planes: PyTorch, CIFAR-10's files.
template <pixel_component Pixel>
constexpr ImageView nchw(const Pixel* data, Index images, Extent extent, int channels = 3) {
    const Index e = sizeof(Pixel);
    return {data,
            images,
            extent,
            channels,
            detail::pixel_type<Pixel>(),
            extent.area() * channels * e,
            Index{extent.width} * e,
            e,
            extent.area() * e};
}

}  // namespace resnet::inline v0
