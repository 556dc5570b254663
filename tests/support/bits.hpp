// Equality to the bit.
#pragma once

#include <cstring>
#include <span>

namespace tests {

template <class A, class B>
bool same_bits(const A& a, const B& b) {
    const std::span x{a};
    const std::span y{b};
    return x.size_bytes() == y.size_bytes() && (x.empty() || std::memcmp(x.data(), y.data(), x.size_bytes()) == 0);
}

}  // namespace tests
