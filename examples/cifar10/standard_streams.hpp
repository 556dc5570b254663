// Standard input, output and error, as the process that started this one left them.
#pragma once

#include <fcntl.h>   // open
#include <unistd.h>  // close

#include <cstdio>
#include <stdexcept>

/// To be called first: a stream that is closed becomes /dev/null. Else a file that is opened later would get its
/// number, and what is printed would go into it.
inline void fill_standard_streams() {
    int opened = 0;
    while (opened >= 0 && opened <= STDERR_FILENO) opened = ::open("/dev/null", O_RDWR);
    if (opened >= 0) ::close(opened);
}

/// std::runtime_error if something that was printed did not arrive, as on a full disk.
inline void check_output() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw std::runtime_error("standard output could not be written");
}
