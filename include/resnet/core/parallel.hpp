// The one way work is shared among threads: for_each_chunk. Chunks follow from shapes, never from the number of
// threads, so results do not either.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <new>

// RESNET_STD_THREADS=<number>: so many threads of the standard library's take the place of oneTBB, whose own
// synchronisation ThreadSanitizer does not see through. Every unit of the program has to define it.
#if defined(RESNET_STD_THREADS)
#include <system_error>
#include <thread>
#else
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>
#endif
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

/// The most threads that take part, however large the machine.
inline constexpr int max_workers = 128;

/// How many threads for_each_chunk may use here: those of the caller's tbb::task_arena.
inline int worker_count() {
#if defined(RESNET_STD_THREADS)
    return std::clamp(RESNET_STD_THREADS, 1, max_workers);
#else
    return std::clamp(tbb::this_task_arena::max_concurrency(), 1, max_workers);
#endif
}

/// The workers for so much work, counted in numbers that are touched: one where it is over before another has woken up.
constexpr int workers_for(Index work, int workers) {
    constexpr Index worth_sharing = Index{1} << 15;  // about 10 microseconds; waking a worker takes 2 to 5
    return work < worth_sharing ? 1 : workers;
}

/// The order in which a worker takes its chunks.
enum class ChunkOrder : std::uint8_t { ascending, descending };

namespace detail {

/// Denormal numbers count as zero while a worker computes (they are up to a hundred times slower); the caller's mode
/// comes back.
class FlushDenormals {
public:
#if defined(__SSE2__)
    FlushDenormals() : saved_{_mm_getcsr()} { _mm_setcsr(saved_ | 0x8040U); }  // flush to zero, denormals are zero
    ~FlushDenormals() { _mm_setcsr(saved_); }
    FlushDenormals(const FlushDenormals&) = delete;
    FlushDenormals& operator=(const FlushDenormals&) = delete;

private:
    unsigned saved_;
#endif
};

/// The chunks of one worker; others take from it when their own are done.
struct alignas(64) Share {
    std::atomic<Index> next{0};
    Index first = 0, last = 0;
};

/// A chunk's function without its type: the scheduling below is compiled once, not for each loop of the library.
struct ChunkFunction {
    const void* function;
    void (*call)(const void* function, Index chunk, int slot);

    void operator()(Index chunk, int slot) const { call(function, chunk, slot); }
};

inline void work_through(std::array<Share, max_workers>& shares, int workers, int slot, ChunkOrder order,
                         const ChunkFunction& f) {
    const FlushDenormals guard;
    for (int i = 0; i < workers; ++i) {
        Share& share = shares[static_cast<std::size_t>((slot + i) % workers)];
        for (Index chunk = share.next.fetch_add(1, std::memory_order_relaxed); chunk < share.last;
             chunk = share.next.fetch_add(1, std::memory_order_relaxed))
            f(order == ChunkOrder::ascending ? chunk : share.first + share.last - 1 - chunk, slot);
    }
}

inline void run_chunks(Index count, int workers, ChunkOrder order, const ChunkFunction& f) {
    workers = static_cast<int>(std::min<Index>(std::min(workers, max_workers), count));
    if (workers <= 1) {
        const FlushDenormals guard;
        for (Index chunk = 0; chunk < count; ++chunk) f(order == ChunkOrder::ascending ? chunk : count - 1 - chunk, 0);
        return;
    }
    std::array<Share, max_workers> shares;
    for (int slot = 0; slot < workers; ++slot) {
        auto& share = shares[static_cast<std::size_t>(slot)];
        share.first = count * slot / workers;
        share.next.store(share.first, std::memory_order_relaxed);
        share.last = count * (slot + 1) / workers;
    }
    // Where a helper can't be had, for want of memory or of threads, the rest is done without: a chunk that was not
    // begun is still there to be taken, and none is begun that is not ended.
#if defined(RESNET_STD_THREADS)
    std::array<std::jthread, max_workers> threads;
    try {
        for (int slot = 1; slot < workers; ++slot)
            threads[static_cast<std::size_t>(slot)] =
                std::jthread{[&, slot] { work_through(shares, workers, slot, order, f); }};
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {
    }
    work_through(shares, workers, 0, order, f);
#else
    try {
        // Isolated twice: a thread that waits here must not take up foreign work, which could come back to the same
        // scratch memory; and where a task group of the caller's is cancelled, all chunks are done all the same.
        tbb::this_task_arena::isolate([&] {
            tbb::task_group_context context{tbb::task_group_context::isolated};
            tbb::parallel_for(
                0, workers, [&](int slot) { work_through(shares, workers, slot, order, f); }, tbb::static_partitioner{},
                context);
        });
    } catch (const std::exception&) {  // std::bad_alloc, or std::runtime_error of a thread that can't be made
        work_through(shares, workers, 0, order, f);
    }
#endif
}

}  // namespace detail

/// Calls f(chunk, slot) for chunk = 0 ... count - 1, each once, on up to `workers` threads of the caller's arena, and
/// returns when all are done. It throws nothing: where memory or threads are short it goes on with fewer. Two calls at
/// the same time have different slots (0 ... workers - 1): scratch memory goes by slot. A slot begins with the same
/// chunks in every call, so what a core has in its caches is there again; descending, each slot begins at the end of
/// them. f must not throw and must not call for_each_chunk.
template <class F>
void for_each_chunk(Index count, int workers, const F& f, ChunkOrder order = ChunkOrder::ascending) {
    const auto call = [](const void* function, Index chunk, int slot) {
        (*static_cast<const F*>(function))(chunk, slot);
    };
    detail::run_chunks(count, workers, order, {&f, call});
}

}  // namespace resnet::inline v0
