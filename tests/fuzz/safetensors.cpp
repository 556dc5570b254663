// Any bytes are a safetensors file or a FormatError; what is read is written and read again with the same content. A
// model that is loaded from them is theirs, or as it was.
#include <algorithm>
#include <cstdlib>
#include <optional>

#include <resnet/io/weights.hpp>

#include "../support/networks.hpp"
#include "memory_file.hpp"

using namespace resnet;

namespace {

std::optional<TensorFile> read_tensors(const std::filesystem::path& path) {
    try {
        return TensorFile{path};
    } catch (const FormatError&) {
        return {};
    }
}

void load_a_model(const std::filesystem::path& path) {
    static const Model<tests::Tiny<5>> before{Seed{1}};
    Model<tests::Tiny<5>> model = before;
    try {
        load(model, path, {.skip = {"fc.*"}});
    } catch (const FormatError&) {
        if (!(model == before)) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
    static MemoryFile file;
    static const std::string copy =
        (std::filesystem::temp_directory_path() / "resnet-fuzz-").string() + std::to_string(::getpid());
    const auto path = file.holding(bytes, count);
    const auto tensors = read_tensors(path);
    if (!tensors) return 0;
    for (const TensorRecord& tensor : tensors->tensors()) {
        static_cast<void>(tensors->read<double>(tensor.name));
        try {
            static_cast<void>(tensors->read<std::int8_t>(tensor.name));
        } catch (const FormatError&) {  // values that are no bytes
        }
    }
    load_a_model(path);

    Metadata metadata = tensors->metadata();
    for (const char* const ours : {"format", "format_version", "checksum"}) metadata.erase(ours);
    write_tensor_file(copy, tensors->tensors(), metadata);  // an exception from here on is a finding
    const TensorFile again{copy};
    std::filesystem::remove(copy);
    if (again.tensors().size() != tensors->tensors().size()) std::abort();
    for (const TensorRecord& tensor : tensors->tensors()) {
        const TensorRecord* const same = again.find(tensor.name);
        if (same == nullptr || same->type != tensor.type || same->shape != tensor.shape) std::abort();
        if (!std::ranges::equal(same->bytes, tensor.bytes)) std::abort();
    }
    return 0;
}
