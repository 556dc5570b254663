// A folder of its own for a test's files; it is removed with what is in it.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "resnet-test-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("can't make the folder " + name);
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;  // what is left in the temporary folder hurts nobody
        std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::span<const std::uint8_t> bytes) {
    std::ofstream file{path, std::ios::binary};
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

/// A file of zeros that takes no room on the disk.
inline void write_zeros(const std::filesystem::path& path, std::uintmax_t bytes) {
    write_file(path, {});
    std::filesystem::resize_file(path, bytes);
}

/// Changes one byte of a file.
inline void patch(const std::filesystem::path& path, std::streamoff offset, std::uint8_t value) {
    std::fstream file{path, std::ios::binary | std::ios::in | std::ios::out};
    file.seekp(offset);
    file.put(static_cast<char>(value));
}

/// The message of the E that `call` throws; empty where it throws nothing. Other exceptions pass.
template <class E>
std::string message_of(auto&& call) {
    try {
        call();
    } catch (const E& error) {
        return error.what();
    }
    return {};
}
