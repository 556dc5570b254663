// A file that is read once, front to back, and says what is wrong with it: what the readers of data and weights share.
#pragma once

#include <fcntl.h>     // open
#include <sys/stat.h>  // fstat
#include <unistd.h>    // close

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <resnet/core/error.hpp>

namespace resnet::inline v0::detail {

/// Where in a file something is wrong, for the first argument of an Error: "train.bin, byte 3073".
inline std::string at_byte(const std::string& file, std::uint64_t offset) {
    return file + ", byte " + std::to_string(offset);
}

/// Throws FileError, with the operating system's reason, if the file can't be opened or read or is none, but a folder,
/// pipe or device; std::bad_alloc if memory is short.
class InputFile {
public:
    /// `content` says what the file ought to hold; it is the "expected" of the errors.
    InputFile(const std::filesystem::path& path, std::string_view content) : name_{path.string()}, content_{content} {
        const int file = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would wait for a writer
        if (file < 0) fail();
        file_.reset(::fdopen(file, "rb"));
        if (!file_) {
            const int error = errno;
            ::close(file);
            errno = error;
            fail();
        }
        struct stat status;
        if (::fstat(file, &status) != 0) fail();
        if (S_ISREG(status.st_mode)) return;
        if (!S_ISDIR(status.st_mode)) throw FileError(name_, content_, "no regular file");
        errno = EISDIR;
        fail();
    }

    /// Fills `bytes` as far as the file reaches; returns how many were read: fewer only at the end of the file.
    std::size_t read(std::span<std::uint8_t> bytes) {
        const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), file_.get());
        if (count < bytes.size() && std::ferror(file_.get())) fail();
        offset_ += count;
        return count;
    }

    /// Of the file that is open, whatever its path names meanwhile: in bytes.
    std::uint64_t size() const {
        struct stat status;
        if (::fstat(::fileno(file_.get()), &status) != 0) fail();
        return static_cast<std::uint64_t>(status.st_size);
    }

    const std::string& name() const noexcept { return name_; }
    std::uint64_t offset() const noexcept { return offset_; }

private:
    [[noreturn]] void fail() const {
        if (errno == ENOMEM) throw std::bad_alloc{};
        throw FileError(offset_ == 0 ? name_ : at_byte(name_, offset_), content_,
                        std::generic_category().message(errno));
    }

    struct Close {
        void operator()(std::FILE* file) const { std::fclose(file); }  // it was read only: nothing can get lost
    };

    std::string name_, content_;
    std::unique_ptr<std::FILE, Close> file_;
    std::uint64_t offset_ = 0;
};

}  // namespace resnet::inline v0::detail
