// Any bytes are a safetensors file or a FormatError; what is read is written and read again with the same content.
#include <algorithm>
#include <cstdlib>

#include <resnet/io/safetensors.hpp>

#include "memory_file.hpp"

using namespace resnet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    static const std::string copy =
        (std::filesystem::temp_directory_path() / "resnet-fuzz-").string() + std::to_string(::getpid());
    try {
        const TensorFile tensors{file.holding(bytes, count)};
        for (const TensorRecord& tensor : tensors.tensors()) {
            static_cast<void>(tensors.read<double>(tensor.name));
            try {
                static_cast<void>(tensors.read<std::int8_t>(tensor.name));
            } catch (const FormatError&) {  // values that are no bytes
            }
        }

        Metadata metadata = tensors.metadata();
        for (const char* const ours : {"format", "format_version", "checksum"}) metadata.erase(ours);
        write_tensor_file(copy, tensors.tensors(), metadata);
        const TensorFile again{copy};
        std::filesystem::remove(copy);
        if (again.tensors().size() != tensors.tensors().size()) std::abort();
        for (const TensorRecord& tensor : tensors.tensors()) {
            const TensorRecord* const same = again.find(tensor.name);
            if (same == nullptr || same->type != tensor.type || same->shape != tensor.shape) std::abort();
            if (!std::ranges::equal(same->bytes, tensor.bytes)) std::abort();
        }
    } catch (const FormatError&) {
    }
    return 0;
}
