// Ctrl-C and `kill` end the run at the next step instead of at once, so that it can say what it reached.
#pragma once

#include <atomic>
#include <csignal>

/// The signal that asked the program to end; 0 as long as none did.
inline std::atomic<int> interrupt_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free);  // what a signal handler may write

extern "C" inline void note_interrupt(int signal) {
    interrupt_signal = signal;
    std::signal(signal, SIG_DFL);  // a second Ctrl-C ends the program at once
}

inline void watch_for_interrupts() {
    std::signal(SIGINT, note_interrupt);
    std::signal(SIGTERM, note_interrupt);
}
