// One run at a time writes to a folder.
#pragma once

#include <fcntl.h>     // open
#include <sys/file.h>  // flock
#include <sys/stat.h>  // fstat, stat
#include <unistd.h>    // close

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

/// Holds a folder for this process, as long as it lives; a killed process holds nothing. The lock is on the folder
/// itself, so nothing is left in it. Some network file systems can't lock folders: there it holds nothing.
class FolderLock {
public:
    /// std::runtime_error if another process holds it, std::system_error if it can't be opened.
    explicit FolderLock(const std::filesystem::path& folder)
        : path_{folder},
          folder_{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)} {
        if (folder_ < 0) throw std::system_error(errno, std::generic_category(), folder.string());
        if (::flock(folder_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            ::close(folder_);
            throw std::runtime_error(folder.string() +
                                     " is in use by another run; wait for it, or name another "
                                     "folder with --out");
        }
    }
    FolderLock(const FolderLock&) = delete;
    FolderLock& operator=(const FolderLock&) = delete;
    ~FolderLock() { ::close(folder_); }

    /// std::runtime_error if the folder was removed or another one has its name: files would come among another
    /// run's.
    void check() const {
        struct stat held, named;
        const bool same = ::fstat(folder_, &held) == 0 && ::stat(path_.c_str(), &named) == 0 &&
                          held.st_dev == named.st_dev && held.st_ino == named.st_ino;
        if (!same) throw std::runtime_error(path_.string() + " is no longer the folder that this run began with");
    }

private:
    std::filesystem::path path_;
    int folder_;
};
