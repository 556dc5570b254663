// GELU in double, by the C++ library's functions (Hendrycks & Gimpel 2016).
#pragma once

#include <cmath>
#include <numbers>

namespace tests {

inline double normal_distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
inline double gelu(double x) { return x * normal_distribution(x); }
inline double gelu_slope(double x) {
    return normal_distribution(x) + x * std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}

}  // namespace tests
