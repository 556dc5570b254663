// A file that is replaced as a whole: whoever opens it, whatever went wrong, finds the old content or the new one.
// Written beside the old file, fsync, rename, fsync of the folder. Linux and other POSIX systems.
#pragma once

#include <fcntl.h>     // open
#include <sys/stat.h>  // stat, fchmod
#include <unistd.h>    // write, fsync, close, fchown

#include <cerrno>
#include <cstddef>
#include <cstdio>  // rename
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <resnet/core/error.hpp>

namespace resnet::inline v0 {

/// The system calls of a save. Tests put their own in place: to refuse, shorten or count calls, or to die at one.
struct SystemCalls {
    int open(const char* path, int flags, mode_t mode) const { return ::open(path, flags, mode); }
    ssize_t write(int file, const void* bytes, std::size_t count) const { return ::write(file, bytes, count); }
    int fsync(int file) const { return ::fsync(file); }
    int fchown(int file, uid_t owner, gid_t group) const { return ::fchown(file, owner, group); }
    int close(int file) const { return ::close(file); }
    int rename(const char* from, const char* to) const { return ::rename(from, to); }
    int unlink(const char* path) const { return ::unlink(path); }
};

/// Collects what is written in a temporary file beside `path` (`path`.tmp-<process>-<number>); `commit` puts it in the
/// place of `path`. Without a commit `path` is never touched. A failure and the destructor remove the temporary file;
/// only a killed process leaves it.
/// The new file has the old one's permissions and group; if the group can't be given, the group gets no permissions.
/// Missing permission to write does not matter: what is written to is the folder. A symbolic link is followed, also to
/// where no file is yet; other hard links keep the old content.
///
///     AtomicFile file{"model.safetensors"};
///     file.write(header);
///     file.write(data);
///     file.commit();  // now durable
///
/// FileError, with the path and the system's reason, where a call fails: a full disk, no permission, a bad sector.
template <class System = SystemCalls>
class BasicAtomicFile {
public:
    explicit BasicAtomicFile(const std::filesystem::path& path, System system = {});
    ~BasicAtomicFile() { discard(); }
    BasicAtomicFile(const BasicAtomicFile&) = delete;
    BasicAtomicFile& operator=(const BasicAtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);

    /// Returns once the new content would survive a loss of power. Nothing may be written after it.
    /// The old content stays if it throws; but for a last `to sync the folder`, which comes after the exchange.
    void commit();

private:
    static constexpr int none = -1;

    void follow_links();
    void open_temporary();
    void close_temporary();
    void discard() noexcept;
    [[noreturn]] void fail(std::string_view expected, int error = errno);

    System system_;
    std::filesystem::path path_;
    std::string temporary_;
    int file_ = none, folder_ = none;
    bool replaces_ = false;
    mode_t mode_ = 0666;  // of a new file, less the process's umask
    gid_t group_ = 0;     // of the old file
};

using AtomicFile = BasicAtomicFile<>;

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// A call that a signal's handler interrupts is made again.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) result = call();
    return result;
}

}  // namespace detail

template <class System>
BasicAtomicFile<System>::BasicAtomicFile(const std::filesystem::path& path, System system)
    : system_{std::move(system)},
      path_{path} {
    try {
        follow_links();
        struct stat old;
        if (::stat(path_.c_str(), &old) == 0) {
            if (!S_ISREG(old.st_mode)) fail("to replace a regular file", S_ISDIR(old.st_mode) ? EISDIR : EINVAL);
            replaces_ = true;
            mode_ = old.st_mode & 0777;
            group_ = old.st_gid;
        }
        // Opened before anything is written: a folder that can't be synced must be known before the exchange.
        const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path{"."};
        folder_ =
            detail::uninterrupted([&] { return system_.open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
        if (folder_ == none) fail("to open the folder of the file");
        open_temporary();
    } catch (...) {  // there is no destructor yet
        discard();
        throw;
    }
}

/// Renaming over a link would replace the link and leave the file that it names as it was.
template <class System>
void BasicAtomicFile<System>::follow_links() {
    constexpr int most_links = 40;  // the kernel's own limit
    for (int links = 0;; ++links) {
        std::error_code error;
        const auto target = std::filesystem::read_symlink(path_, error);
        if (error.value() == EINVAL || error.value() == ENOENT) return;  // no link; nothing there yet
        if (error) fail("to look at it", error.value());
        if (links == most_links) fail("to follow its symbolic link", ELOOP);
        path_ = path_.parent_path() / target;
    }
}

template <class System>
void BasicAtomicFile<System>::open_temporary() {
    const mode_t own_mode = replaces_ ? mode_ & ~mode_t{070} : mode_;
    const std::string prefix = path_.string() + ".tmp-" + std::to_string(::getpid()) + "-";
    for (int number = 0; file_ == none; ++number) {  // other threads and killed processes may hold the first ones
        std::string name = prefix + std::to_string(number);
        file_ = detail::uninterrupted(
            [&] { return system_.open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, own_mode); });
        if (file_ != none) temporary_ = std::move(name);
        else if (errno != EEXIST) fail("to create a file beside it");
    }
    // What the umask took from the old file's permissions. Who can't give the file to its old group leaves fewer, never
    // more: not another group's.
    if (replaces_) {
        const bool same_group = system_.fchown(file_, static_cast<uid_t>(-1), group_) == 0;
        static_cast<void>(::fchmod(file_, same_group ? mode_ : own_mode));
    }
}

template <class System>
void BasicAtomicFile<System>::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {  // one call writes 2 GiB at most, and less on a disk that is nearly full
        const ssize_t count = detail::uninterrupted([&] { return system_.write(file_, bytes.data(), bytes.size()); });
        if (count < 0) fail("to write it");
        if (count == 0) fail("to write it", ENOSPC);
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
}

template <class System>
void BasicAtomicFile<System>::commit() {
    // An fsync that failed is not tried again: the kernel may have dropped the pages, and a second call would succeed.
    if (detail::uninterrupted([&] { return system_.fsync(file_); }) != 0) fail("to sync it to the disk");
    close_temporary();
    if (system_.rename(temporary_.c_str(), path_.c_str()) != 0) {
        const int error = errno;
        fail("that " + std::filesystem::path{temporary_}.filename().string() + " can take its place", error);
    }
    temporary_.clear();
    const int synced = detail::uninterrupted([&] { return system_.fsync(folder_); });
    // EINVAL: a file system that syncs no folders (some network mounts); there is nothing more that we could ask of it.
    if (synced != 0 && errno != EINVAL) fail("to sync the folder");
}

template <class System>
void BasicAtomicFile<System>::close_temporary() {
    const int file = std::exchange(file_, none);  // closed even where close reports an error
    if (system_.close(file) != 0 && errno != EINTR) fail("to close it");
}

template <class System>
void BasicAtomicFile<System>::discard() noexcept {
    if (file_ != none) system_.close(std::exchange(file_, none));
    if (!temporary_.empty()) system_.unlink(std::exchange(temporary_, {}).c_str());
    if (folder_ != none) system_.close(std::exchange(folder_, none));
}

template <class System>
void BasicAtomicFile<System>::fail(std::string_view expected, int error) {
    discard();
    throw FileError(path_.string(), expected, std::generic_category().message(error));
}

}  // namespace resnet::inline v0
