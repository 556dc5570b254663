// The instruction sets that kernels are compiled for, and the one that this CPU runs.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <resnet/core/error.hpp>

namespace resnet::inline v0 {

/// In rising order; each contains the ones before it.
enum class Isa : std::uint8_t { baseline, avx2, avx512 };

constexpr std::string_view name_of(Isa isa) {
    constexpr std::string_view names[] = {"baseline", "avx2", "avx512"};
    return names[static_cast<int>(isa)];
}

/// The best set of this CPU: AVX2 needs FMA, AVX-512 needs F, BW, DQ and VL.
inline Isa cpu_isa() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return Isa::avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
    return Isa::baseline;
}

/// cpu_isa(), lowered by the environment variable RESNET_ISA (baseline, avx2 or avx512) if it is set. Error for another
/// word.
inline Isa current_isa() {
    const Isa best = cpu_isa();
    const char* wish = std::getenv("RESNET_ISA");  // NOLINT(concurrency-mt-unsafe): nothing here writes the environment
    if (wish == nullptr || *wish == '\0') return best;
    for (const Isa isa : {Isa::baseline, Isa::avx2, Isa::avx512})
        if (name_of(isa) == wish) return isa < best ? isa : best;
    throw Error("RESNET_ISA", "baseline, avx2 or avx512", wish);
}

/// Throws Error if the CPU lacks the instructions that are asked for: they would end the program.
inline void check_isa(Isa wish, Isa cpu = cpu_isa()) {
    if (wish > cpu)
        throw Error("isa", "instructions that the CPU has, up to " + std::string{name_of(cpu)}, name_of(wish));
}

}  // namespace resnet::inline v0
