// Any bytes are an image of the size that it says, or a FormatError. Those of a PNG are tried twice: as they are, and
// with the checksums of its chunks put right, since no mutation would find them.
#include <cstdlib>

#define RESNET_IMAGE_IMPLEMENTATION
#include <resnet/image.hpp>

#include "memory_file.hpp"

using namespace resnet;

namespace {

/// Decoding a large image takes seconds under the sanitizers, and meets nothing that a small one does not.
bool is_large(const std::uint8_t* bytes, std::size_t count) {
    constexpr Index largest = 1 << 16;
    detail::check_encoded_image(std::as_bytes(std::span{bytes, count}), "fuzz");
    int width = 0, height = 0, channels = 0;
    return stbi_info_from_memory(bytes, static_cast<int>(count), &width, &height, &channels) != 0 &&
           Index{width} * height > largest && Index{width} * height <= largest_image_area;
}

/// To a small square, or an Error if the image is so long that it would still be too long beside a side of 8.
void crop(const Image& image) {
    constexpr int side = 8;
    const auto [shorter, longer] = std::minmax({image.extent.height, image.extent.width});
    try {
        static_cast<void>(center_crop(resize_shorter_side(image, side), {side, side}));
    } catch (const Error&) {
        if (Index{longer} * side / shorter <= longest_image_side) std::abort();
    }
}

void read_an_image(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    try {
        if (is_large(bytes, count)) return;
        const Image image = read_image(file.holding(bytes, count));
        if (std::ssize(image.pixels) != image.extent.area() * 3) std::abort();
        crop(image);
    } catch (const FormatError&) {
    }
}

/// Of the chunks that are there whole.
void put_checksums_right(std::span<std::uint8_t> png) {
    for (std::size_t chunk = 8; png.size() >= chunk + 12;) {
        const std::size_t length = std::size_t{png[chunk]} << 24 | std::size_t{png[chunk + 1]} << 16 |
                                   std::size_t{png[chunk + 2]} << 8 | png[chunk + 3];
        if (png.size() - chunk - 12 < length) return;
        const std::uint32_t sum = detail::png_checksum(std::as_bytes(png.subspan(chunk + 4, length + 4)));
        chunk += 12 + length;
        for (std::size_t i = 0; i < 4; ++i) png[chunk - 4 + i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    read_an_image(bytes, count);
    std::vector<std::uint8_t> right{bytes, bytes + count};
    put_checksums_right(right);
    if (!std::ranges::equal(right, std::span{bytes, count})) read_an_image(right.data(), count);
    return 0;
}
