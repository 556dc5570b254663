// Any bytes are an image of the size that it says, or a FormatError.
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    try {
        if (is_large(bytes, count)) return 0;
        const Image image = read_image(file.holding(bytes, count));
        if (std::ssize(image.pixels) != image.extent.area() * 3) std::abort();
        static_cast<void>(center_crop(resize_shorter_side(image, 8), {8, 8}));
    } catch (const FormatError&) {
    }
    return 0;
}
