// A file of tensors that a test changes and writes anew.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <vector>

#include <resnet/io/safetensors.hpp>

namespace tests {

struct Draft {
    explicit Draft(const std::filesystem::path& path)
        : file{path},
          tensors{file.tensors().begin(), file.tensors().end()},
          metadata{file.metadata()} {
        for (const char* const key : {"format", "format_version", "checksum"}) metadata.erase(key);
    }

    resnet::TensorRecord& operator[](std::string_view name) {
        return *std::ranges::find(tensors, name, &resnet::TensorRecord::name);
    }
    void remove(std::string_view name) {
        std::erase_if(tensors, [&](const resnet::TensorRecord& tensor) { return tensor.name == name; });
    }
    void write(const std::filesystem::path& path) const { resnet::write_tensor_file(path, tensors, metadata); }

    resnet::TensorFile file;
    std::vector<resnet::TensorRecord> tensors;
    resnet::Metadata metadata;
};

}  // namespace tests
