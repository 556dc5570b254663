// Pictures as PNG files, for reports. One source file of the program defines RESNET_IMAGE_IMPLEMENTATION before it
// includes this header: there the encoder, stb_image_write, is compiled (as static functions).
#pragma once

#include <cstddef>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_limits.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0 {

/// A PNG file's bytes of one image with 3 channels of 8 bits, such as `data.images().slice(i, 1)`. Error for any other,
/// and where it is larger than read_image takes.
/// Defined where RESNET_IMAGE_IMPLEMENTATION is.
std::vector<std::byte> encode_png(const ImageView& image);

}  // namespace resnet::inline v0

// ---------------------------------------------------------------------------------------------------------------------

#ifdef RESNET_IMAGE_IMPLEMENTATION

#ifdef INCLUDE_STB_IMAGE_WRITE_H
#error "resnet: define RESNET_IMAGE_IMPLEMENTATION in a source file that does not include stb_image_write.h itself"
#endif
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO

// stb_image_write goes on with a null pointer where memory is refused: the caller gets std::bad_alloc in its place, and
// what it had allocated before is lost.
#define STBIW_MALLOC(bytes) resnet::detail::grow_encoded(nullptr, bytes)
#define STBIW_REALLOC(memory, bytes) resnet::detail::grow_encoded(memory, bytes)
#define STBIW_FREE(memory) std::free(memory)

#include <cstdint>
#include <cstdlib>  // std::realloc
#include <new>

namespace resnet::inline v0::detail {

inline void* grow_encoded(void* memory, std::size_t bytes) {
    void* const grown = std::realloc(memory, bytes);
    if (grown == nullptr) throw std::bad_alloc{};
    return grown;
}

}  // namespace resnet::inline v0::detail

#include <stb/stb_image_write.h>

namespace resnet::inline v0 {

std::vector<std::byte> encode_png(const ImageView& image) {
    if (image.images != 1 || image.channels != 3 || image.type != PixelType::uint8) {
        throw Error("encode_png", "one image with 3 channels of 8 bits",
                    detail::text(image.images, " images of ", image.extent.height, " x ", image.extent.width, " with ",
                                 image.channels, " channels of ", 8 * image.element_bytes(), " bits"));
    }
    if (!detail::is_image_extent(image.extent))  // before stb_image_write counts its bytes in an int
        throw Error("encode_png", detail::image_limits(), detail::describe(image.extent));
    std::vector<std::uint8_t> pixels;  // [H][W][3], RGB
    pixels.reserve(static_cast<std::size_t>(image.extent.area() * 3));
    for (Index y = 0; y < image.extent.height; ++y) {
        for (Index x = 0; x < image.extent.width; ++x) {
            for (Index c = 0; c < 3; ++c) {
                const Index channel = image.order == ChannelOrder::rgb ? c : 2 - c;
                pixels.push_back(static_cast<const std::uint8_t*>(
                    image.data)[y * image.row_stride + x * image.pixel_stride + channel * image.channel_stride]);
            }
        }
    }
    std::vector<std::byte> png;
    const auto append = [](void* to, void* bytes, int count) {
        const auto* const first = static_cast<const std::byte*>(bytes);
        static_cast<std::vector<std::byte>*>(to)->assign(first, first + count);  // it is called once
    };
    const int width = image.extent.width;
    if (stbi_write_png_to_func(append, &png, width, image.extent.height, 3, pixels.data(), width * 3) == 0)
        throw std::bad_alloc{};
    return png;
}

}  // namespace resnet::inline v0

#endif
