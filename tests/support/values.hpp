// Operands for tests, from the position alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <resnet/core/random.hpp>

namespace tests {

/// Uniform in low ... high.
template <class Scalar>
std::vector<Scalar> uniform(std::size_t count, std::uint64_t seed, double low = -1, double high = 1) {
    const resnet::Random random{resnet::Seed{seed}, resnet::Purpose::user, 1};
    std::vector<Scalar> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<Scalar>(low + (high - low) * random.uniform(i));
    return values;
}

/// Labels below `classes`.
inline std::vector<int> labels(std::size_t count, int classes, std::uint64_t seed = 7) {
    const resnet::Random random{resnet::Seed{seed}, resnet::Purpose::user, 2};
    std::vector<int> values(count);
    for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<int>(random.below(static_cast<std::uint64_t>(classes), i));
    return values;
}

}  // namespace tests
