#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <resnet/core/parallel.hpp>

using namespace resnet;

namespace {
/// Runs f in an arena of so many threads, on any machine.
void with_threads(int threads, auto&& f) {
    const tbb::global_control control{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena arena{threads};
    arena.execute(f);
}
}  // namespace

TEST_CASE("for_each_chunk: calls every chunk once, for any count and any number of threads") {
    for (const int threads : {1, 2, 3, 8})
        with_threads(threads, [&] {
            for (const Index count : {0, 1, 2, 3, 7, 8, 9, 100, 1000})
                for (const int workers : {1, 2, 3, 8, 200}) {
                    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
                    for_each_chunk(
                        count, workers, [&](Index chunk, int) { ++calls[static_cast<std::size_t>(chunk)]; },
                        count % 2 == 0 ? ChunkOrder::ascending : ChunkOrder::descending);
                    for (const auto& n : calls) REQUIRE(n == 1);
                }
        });
}

TEST_CASE("for_each_chunk: one worker takes the chunks in ascending or descending order") {
    for (const ChunkOrder chunk_order : {ChunkOrder::ascending, ChunkOrder::descending}) {
        std::vector<Index> order;
        for_each_chunk(
            5, 1, [&](Index chunk, int) { order.push_back(chunk); }, chunk_order);
        CHECK(order == (chunk_order == ChunkOrder::ascending ? std::vector<Index>{0, 1, 2, 3, 4}
                                                             : std::vector<Index>{4, 3, 2, 1, 0}));
    }
}

TEST_CASE("for_each_chunk: calls at the same time have different slots below the number of workers") {
    with_threads(4, [] {
        std::vector<std::atomic<int>> busy(4);
        std::atomic<int> shared{0}, beyond{0};
        for (int round = 0; round < 20; ++round)
            for_each_chunk(64, 4, [&](Index, int slot) {
                if (slot < 0 || slot >= 4) {
                    ++beyond;
                    return;
                }
                if (busy[static_cast<std::size_t>(slot)]++ != 0) ++shared;
                std::this_thread::sleep_for(std::chrono::microseconds{50});
                --busy[static_cast<std::size_t>(slot)];
            });
        CHECK(shared == 0);
        CHECK(beyond == 0);
    });
}

TEST_CASE(
    "for_each_chunk: each slot begins with its own part of the chunks, so that it finds its data in its caches again") {
    with_threads(4, [] {
        std::mutex mutex;
        std::condition_variable all_here;
        std::map<int, Index> first;
        const auto note = [&](Index chunk, int slot) {
            std::unique_lock lock{mutex};
            first.try_emplace(slot, chunk);
            all_here.notify_all();
            all_here.wait_for(lock, std::chrono::seconds{10}, [&] { return first.size() == 4; });
        };
        for_each_chunk(100, 4, note);
        CHECK(first == std::map<int, Index>{{0, 0}, {1, 25}, {2, 50}, {3, 75}});
        first.clear();
        for_each_chunk(100, 4, note, ChunkOrder::descending);
        CHECK(first == std::map<int, Index>{{0, 24}, {1, 49}, {2, 74}, {3, 99}});
    });
}

TEST_CASE("for_each_chunk: a chunk that waits does not take up foreign work of its thread's arena") {
    // Many outer tasks call it at once: if a waiting thread took another outer task, the slot's scratch would be
    // shared.
    with_threads(4, [] {
        std::atomic<int> wrong{0};
        tbb::parallel_for(0, 16, [&](int) {
            static thread_local int depth = 0;
            if (depth++ != 0) ++wrong;
            for_each_chunk(8, 4, [&](Index, int) { std::this_thread::sleep_for(std::chrono::microseconds{200}); });
            --depth;
        });
        CHECK(wrong == 0);
    });
}

TEST_CASE("for_each_chunk: calls every chunk where the task group that it is called from has been cancelled") {
    with_threads(2, [] {
        tbb::task_group group;
        std::atomic<int> calls{0};
        group.run_and_wait([&] {
            group.cancel();
            for_each_chunk(100, 2, [&](Index, int) { ++calls; });
        });
        CHECK(calls == 100);
    });
}

TEST_CASE("worker_count: is that of the caller's arena") {
    for (const int threads : {1, 2, 5}) with_threads(threads, [&] { CHECK(worker_count() == threads); });
}

#if defined(__SSE2__)
TEST_CASE("for_each_chunk: denormal numbers count as zero in chunks, and the mode of every thread comes back") {
    with_threads(4, [] {
        const unsigned caller = _mm_getcsr();
        for (const int workers : {1, 4}) {
            std::atomic<int> not_flushed{0};
            for_each_chunk(64, workers, [&](Index, int) {
                volatile float tiny = 1e-38f;
                volatile float smaller = tiny * 0.01f;
                if (smaller != 0) ++not_flushed;
            });
            CHECK(not_flushed == 0);
            CHECK(_mm_getcsr() == caller);
        }
        // The pool's threads are as they were, too: they serve other libraries.
        std::atomic<int> changed{0};
        tbb::parallel_for(0, 64, [&](int) {
            if ((_mm_getcsr() & 0x8040U) != (caller & 0x8040U)) ++changed;
            std::this_thread::sleep_for(std::chrono::microseconds{50});
        });
        CHECK(changed == 0);
        volatile float tiny = 1e-38f;
        CHECK(tiny * 0.01f > 0);
    });
}
#endif
