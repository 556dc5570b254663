// The most that one core can do: independent fused multiply-adds in registers, for each instruction set.
#pragma once

#include <chrono>
#include <cstdint>

#include <resnet/kernels/isa.hpp>

namespace peak {

// Twelve sums hide the latency of two multipliers (4 or 5 cycles each) with 16 registers to spare for the constants.
#define PEAK_LOOP(NAME, TARGET, BYTES)                                                                \
    TARGET inline float NAME(std::int64_t rounds) {                                                   \
        typedef float Packet __attribute__((vector_size(BYTES)));                                     \
        Packet sums[12], factor, shift;                                                               \
        for (auto& sum : sums) sum = Packet{} + 1.0f;                                                 \
        factor = Packet{} + 0.999f;                                                                   \
        shift = Packet{} + 1e-3f;                                                                     \
        for (std::int64_t r = 0; r < rounds; ++r) {                                                   \
            _Pragma("GCC unroll 16") for (int i = 0; i < 12; ++i) sums[i] = sums[i] * factor + shift; \
            asm volatile("" : "+x"(factor));                                                          \
        }                                                                                             \
        float total = 0;                                                                              \
        for (auto& sum : sums) total += sum[0];                                                       \
        return total;                                                                                 \
    }
PEAK_LOOP(baseline_loop, , 16)
#if defined(__x86_64__)
PEAK_LOOP(avx2_loop, __attribute__((target("avx2,fma"))), 32)
PEAK_LOOP(avx512_loop, __attribute__((target("avx512f"))), 64)
#endif
#undef PEAK_LOOP

/// So many rounds of twelve vectors' multiplications and additions; returns their operations.
inline double multiply(resnet::Isa isa, std::int64_t rounds) {
    auto* loop = &baseline_loop;
    int lanes = 4;
#if defined(__x86_64__)
    if (isa == resnet::Isa::avx2) loop = &avx2_loop, lanes = 8;
    if (isa == resnet::Isa::avx512) loop = &avx512_loop, lanes = 16;
#endif
    [[maybe_unused]] const volatile float sink = loop(rounds);
    return 2.0 * 12 * lanes * static_cast<double>(rounds);
}

/// GFLOP/s of one thread, the best of five stretches of 20 ms.
inline double gflops(resnet::Isa isa) {
    double best = 0;
    for (int stretch = 0; stretch < 5; ++stretch) {
        const auto start = std::chrono::steady_clock::now();
        double seconds = 0, operations = 0;
        do {
            operations += multiply(isa, 10000);
            seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        } while (seconds < 0.02);
        const double rate = operations / seconds / 1e9;
        best = rate > best ? rate : best;
    }
    return best;
}

}  // namespace peak
