// Any bytes are an IDX file of three labels or of two images, plain or compressed, or a FormatError.
#include <cstdlib>

#include <resnet/data/fashion_mnist.hpp>

#include "memory_file.hpp"

using namespace resnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    const std::string& path = file.holding(bytes, count);
    try {
        if (detail::read_fashion_mnist_labels(path, 3).size() != 3) std::abort();
    } catch (const FormatError&) {
    }
    try {
        if (detail::read_fashion_mnist_images(path, 2).size() != 2 * 32 * 32 * 3) std::abort();
    } catch (const FormatError&) {
    }
    return 0;
}
