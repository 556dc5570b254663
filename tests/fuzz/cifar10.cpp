// Any bytes are a batch of CIFAR-10 or a FormatError.
#include <cstdlib>

#include <resnet/data/cifar10.hpp>

#include "memory_file.hpp"

using namespace resnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    try {
        detail::read_cifar_file(detail::cifar10_batch, file.holding(bytes, count), pixels, labels);
        if (labels.size() != 10'000 || count != 10'000 * 3'073) std::abort();
    } catch (const FormatError&) {
    }
    return 0;
}
