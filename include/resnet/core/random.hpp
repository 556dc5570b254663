// Counter-based random numbers: a value depends only on (seed, purpose, epoch, position), so any of them can be drawn
// at any time by any thread, and a run that is resumed draws what it would have drawn. Philox4x32-10, Salmon et al.
// 2011, "Parallel random numbers: as easy as 1, 2, 3". No std:: distribution: theirs differ between libraries.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <utility>
#include <vector>

namespace resnet::inline v0 {

struct Seed {
    std::uint64_t value = 0;
};

/// What the numbers are for: two purposes never share numbers.
enum class Purpose : std::uint32_t { initialize = 1, shuffle = 2, augment = 3, mix = 4, user = 0x1000 };

/// Four independent 32-bit words for a 128-bit counter under a 64-bit key.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0], b = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
                   static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
        key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    }
    return counter;
}

/// The numbers of one (seed, purpose, epoch): `uniform(position)` and its kin are pure functions of the position.
class Random {
public:
    constexpr Random(Seed seed, Purpose purpose, std::uint32_t epoch = 0)
        : key_{static_cast<std::uint32_t>(seed.value), static_cast<std::uint32_t>(seed.value >> 32)},
          purpose_{static_cast<std::uint32_t>(purpose)},
          epoch_{epoch} {}

    constexpr std::array<std::uint32_t, 4> words(std::uint64_t position) const {
        return philox(
            {static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32), epoch_, purpose_}, key_);
    }
    constexpr std::uint64_t bits(std::uint64_t position) const {
        const auto w = words(position);
        return std::uint64_t{w[0]} << 32 | w[1];
    }
    /// Uniform in [0, 1), 53 bits.
    constexpr double uniform(std::uint64_t position) const {
        return static_cast<double>(bits(position) >> 11) * 0x1p-53;
    }
    /// Uniform in 0 ... count - 1. The bias of the fixed-point product is below count / 2^64.
    constexpr std::uint64_t below(std::uint64_t count, std::uint64_t position) const {
        __extension__ using Wide = unsigned __int128;
        return static_cast<std::uint64_t>(Wide{bits(position)} * count >> 64);
    }
    /// Standard normal (Box and Muller 1958).
    double normal(std::uint64_t position) const {
        const auto w = words(position);
        const double u = (static_cast<double>(std::uint64_t{w[0]} << 21 | w[1] >> 11) + 1) * 0x1p-53;  // (0, 1]
        const double v = static_cast<double>(std::uint64_t{w[2]} << 21 | w[3] >> 11) * 0x1p-53;
        return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
    }

private:
    std::array<std::uint32_t, 2> key_;
    std::uint32_t purpose_, epoch_;
};

/// A permutation of 0 ... count - 1 (Fisher and Yates), keyed on (seed, purpose, epoch).
inline void shuffle(std::vector<std::uint32_t>& order, const Random& random) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i, i)]);
}

}  // namespace resnet::inline v0
