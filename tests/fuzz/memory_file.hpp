// A file in memory, so that a fuzz target feeds the readers through the path that users give them.
#pragma once

#include <sys/mman.h>  // memfd_create
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

class MemoryFile {
public:
    /// A path at which the bytes can be read until the next call.
    const std::string& holding(const std::uint8_t* bytes, std::size_t count) {
        if (::ftruncate(file_, 0) != 0 || ::pwrite(file_, bytes, count, 0) != static_cast<ssize_t>(count)) std::abort();
        return path_;
    }

private:
    int file_ = ::memfd_create("fuzz", MFD_CLOEXEC);
    std::string path_ = "/proc/self/fd/" + std::to_string(file_);
};
