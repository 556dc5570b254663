// Stands in for malloc and its kin, in the one source file of a program: counts their calls, or refuses some.
#pragma once

#include <xmmintrin.h>  // clang declares posix_memalign in it, without noexcept: only before the definition may it do so

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

namespace {

// Calls of any thread while counting; operator new comes here, too.
std::atomic<bool> counting{false};
std::atomic<long> calls{0};

// Allocations first_refused ... last_refused of those from `begin_refusing` on, of any thread.
std::atomic<long> asked{0}, first_refused{-1}, last_refused{-1};

[[maybe_unused]] void begin_refusing(long first, long last) {
    asked = 0;
    last_refused = last;
    first_refused = first;
}
/// Whether any was refused.
[[maybe_unused]] bool end_refusing() {
    const bool refused = asked >= first_refused;
    first_refused = -1;
    return refused;
}

void count() noexcept {
    if (counting.load(std::memory_order_relaxed)) calls.fetch_add(1, std::memory_order_relaxed);
}
/// Of an allocation: whether there is memory for it.
bool granted() noexcept {
    count();
    const long first = first_refused.load();
    if (first < 0) return true;
    const long number = ++asked;
    return number < first || number > last_refused.load();
}

}  // namespace

// What stands behind them in glibc. (dlsym allocates, so malloc cannot look itself up.)
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) noexcept {
    if (granted()) return __libc_malloc(bytes);
    errno = ENOMEM;
    return nullptr;
}
void* calloc(std::size_t items, std::size_t bytes) noexcept {
    if (granted()) return __libc_calloc(items, bytes);
    errno = ENOMEM;
    return nullptr;
}
void* realloc(void* data, std::size_t bytes) noexcept {
    if (granted()) return __libc_realloc(data, bytes);
    errno = ENOMEM;
    return nullptr;
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
    if (granted()) return __libc_memalign(alignment, bytes);
    errno = ENOMEM;
    return nullptr;
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept { return aligned_alloc(alignment, bytes); }
int posix_memalign(void** data, std::size_t alignment, std::size_t bytes) noexcept {
    if (!granted()) return ENOMEM;
    *data = __libc_memalign(alignment, bytes);
    return *data != nullptr ? 0 : ENOMEM;
}
void free(void* data) noexcept {
    if (data != nullptr) count();  // a step gives nothing back, either
    __libc_free(data);
}
}
