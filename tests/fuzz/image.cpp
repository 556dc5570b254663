// Any bytes are an image of the size that it says, or a FormatError.
#include <cstdlib>

#define RESNET_IMAGE_IMPLEMENTATION
#include <resnet/image.hpp>

#include "memory_file.hpp"

using namespace resnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    try {
        const Image image = read_image(file.holding(bytes, count));
        if (std::ssize(image.pixels) != image.extent.area() * 3) std::abort();
        static_cast<void>(center_crop(resize_shorter_side(image, 8), {8, 8}));
    } catch (const FormatError&) {
    }
    return 0;
}
