// Ctrl-C, `kill`, a terminal that closes and a pipe whose reader is gone end the run at the next step instead of at
// once, so that it can keep and say what it reached.
#pragma once

#include <time.h>  // clock_gettime, which a signal handler may call

#include <atomic>
#include <csignal>
#include <cstdint>
#include <initializer_list>

/// The signal that asked first that the program end, and when a Ctrl-C or `kill` first did, in nanoseconds; 0 as long as
/// none did.
inline std::atomic<int> interrupt_signal = 0;
inline std::atomic<std::int64_t> interrupt_time = 0;
static_assert(std::atomic<std::int64_t>::is_always_lock_free);  // what a signal handler may write

extern "C" inline void note_interrupt(int signal) {
    int none = 0;
    interrupt_signal.compare_exchange_strong(none, signal);
    if (signal != SIGINT && signal != SIGTERM) return;
    timespec clock{};
    ::clock_gettime(CLOCK_MONOTONIC, &clock);
    const std::int64_t now = std::int64_t{clock.tv_sec} * 1'000'000'000 + clock.tv_nsec;
    std::int64_t first = 0;
    if (interrupt_time.compare_exchange_strong(first, now)) return;
    // A second one ends the program at once, but not where it comes with the first: `timeout` sends its signal twice,
    // and so does a program that passes on a Ctrl-C which the terminal has sent to both.
    constexpr std::int64_t too_soon_for_a_person = 1'000'000'000;
    if (now - first < too_soon_for_a_person) return;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

inline void watch_for_interrupts() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
        if (std::signal(signal, note_interrupt) == SIG_IGN) std::signal(signal, SIG_IGN);  // as nohup and `&` have it
}
