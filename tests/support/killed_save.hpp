// A save in a process of its own that stops before and after each system call, as a debugger has it stop: to note the
// calls, and to kill it at any of them.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

namespace tests {

struct TracedSave {
    bool possible = true;            // processes can be traced here
    bool finished = false;           // it came to its end
    std::vector<std::string> calls;  // that change files: "write file", "rename", ...
};

namespace detail {

/// What a stop says of the call that begins there; empty for a call that changes no file, and for its end.
inline std::string call_at_stop(pid_t child) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0 || info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return {};
    const auto what = [&] {
        std::string link = "/proc/";
        link.append(std::to_string(child)).append("/fd/").append(std::to_string(info.entry.args[0]));
        std::error_code none;
        return std::filesystem::is_directory(std::filesystem::read_symlink(link, none), none) ? " folder" : " file";
    };
    switch (info.entry.nr) {
        case SYS_write:
            return std::string{"write"} + what();
        case SYS_fsync:
            return std::string{"fsync"} + what();
        case SYS_rename:
            return "rename";
        case SYS_unlink:
            return "unlink";
        case SYS_ftruncate:
            return "truncate";
        default:
            return {};
    }
}

}  // namespace detail

/// Runs `save` and kills it at the `stop`-th stop; 0: never.
inline TracedSave trace_save(auto&& save, int stop) {
    TracedSave traced;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(3);
        ::raise(SIGSTOP);
        save();
        ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    traced.possible = !(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    if (WIFSTOPPED(status))
        ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD);  // for the calls' numbers
    for (int i = 0; (stop == 0 || i < stop) && WIFSTOPPED(status); ++i) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
        REQUIRE(::waitpid(child, &status, 0) == child);
        const std::string call = WIFSTOPPED(status) ? detail::call_at_stop(child) : "";
        if (!call.empty()) traced.calls.push_back(call);
    }
    traced.finished = WIFEXITED(status);
    if (traced.finished && traced.possible) REQUIRE(WEXITSTATUS(status) == 0);  // else a sanitizer found something
    if (WIFSTOPPED(status)) {
        ::kill(child, SIGKILL);
        REQUIRE(::waitpid(child, &status, 0) == child);
    }
    return traced;
}

/// Kills `save` at each of its stops in turn; calls `before` before each try and `after` when the process has died.
/// Where no process can be traced it says so and checks nothing.
inline bool kill_at_each_system_call(auto&& before, auto&& save, auto&& after) {
    bool finished = false;
    int kills = 0;
    for (int stop = 1; !finished; ++stop) {
        CAPTURE(stop);
        before();
        const TracedSave traced = trace_save(save, stop);
        if (!traced.possible) {
            MESSAGE("processes can't be traced here: nothing was checked");
            return false;
        }
        finished = traced.finished;
        kills += finished ? 0 : 1;
        after();
    }
    MESSAGE("killed " << kills << " times");
    return true;
}

}  // namespace tests
