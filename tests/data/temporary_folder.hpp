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
