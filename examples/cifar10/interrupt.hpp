// Ctrl-C, `kill`, a terminal that closes and a pipe whose reader is gone end the run at the next step instead of at
// once, so that it can keep and say what it reached.
#pragma once

#include <atomic>
#include <csignal>
#include <initializer_list>

/// The signal that asked first that the program end; 0 as long as none did.
inline std::atomic<int> interrupt_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // what a signal handler may write

extern "C" inline void note_interrupt(int signal) {
    int none = 0;
    interrupt_signal.compare_exchange_strong(none, signal);
    // A second Ctrl-C ends the program at once. A terminal that closes may say so twice, a closed pipe with each line.
    if (signal == SIGINT || signal == SIGTERM) std::signal(signal, SIG_DFL);
}

inline void watch_for_interrupts() {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
        if (std::signal(signal, note_interrupt) == SIG_IGN) std::signal(signal, SIG_IGN);  // as nohup and `&` have it
}
