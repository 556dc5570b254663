// GELU, x P(X <= x) of a standard normal X, and its slope P(X <= x) + x p(x) (Hendrycks & Gimpel 2016).
// One exponential serves the distribution P and the density p.

/// 2^x, x <= 0; 0 for less than 2^-126.5, and for a NaN.
inline void power_of_two(Vector<float>::Packet& x) {
    using Packet = Vector<float>::Packet;
    using Integers = Vector<float>::Integers;
    constexpr float lowest = -127;  // its bits are those of 0
    x = x > lowest ? x : Packet{} + lowest;
    const Integers whole = __builtin_convertvector(x - 0.5f, Integers);  // the nearest: towards zero is upwards here
    const Packet f = x - __builtin_convertvector(whole, Packet);
    // The Taylor series of 2^f; the first term that is left out is at most 5.2e-9.
    Packet sum = Packet{} + 1.5252734e-5f;
    for (const float term :
         {1.5403530e-4f, 1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f})
        sum = sum * f + term;
    const Integers bits = (whole + 127) << 23;
    x = sum * reinterpret_cast<const Packet&>(bits);
}

/// P(X <= x) = erfc(-x / sqrt(2)) / 2, and p(x), element by element. Float's erfc is Abramowitz & Stegun's 7.1.26,
/// within 1.5e-7.
inline void distribution_and_density(const Vector<float>::Packet& x, Vector<float>::Packet& distribution,
                                     Vector<float>::Packet& density) {
    using Packet = Vector<float>::Packet;
    constexpr float root_half = std::numbers::sqrt2_v<float> / 2;
    Packet bell = x * x * (-0.5f * std::numbers::log2e_v<float>);
    power_of_two(bell);
    const Packet t = 1 / (1 + 0.3275911f * root_half * (x < 0 ? -x : x));
    Packet tail = Packet{} + 0.5f * 1.061405429f;
    for (const float term : {-0.5f * 1.453152027f, 0.5f * 1.421413741f, -0.5f * 0.284496736f, 0.5f * 0.254829592f})
        tail = tail * t + term;
    tail *= t * bell;
    distribution = x > 0 ? 1 - tail : tail;
    density = bell * (std::numbers::inv_sqrtpi_v<float> * root_half);
}
/// Double, which tests of gradients are made in, takes the library's functions.
inline void distribution_and_density(const Vector<double>::Packet& x, Vector<double>::Packet& distribution,
                                     Vector<double>::Packet& density) {
    constexpr double root_half = std::numbers::sqrt2 / 2;
    for (int l = 0; l < Vector<double>::lanes; ++l) {
        distribution[l] = 0.5 * std::erfc(x[l] * -root_half);
        density[l] = std::exp(-0.5 * x[l] * x[l]) * (std::numbers::inv_sqrtpi * root_half);
    }
}

template <class Scalar>
inline void gelu(typename Vector<Scalar>::Packet& x) {
    typename Vector<Scalar>::Packet distribution{}, density{};
    distribution_and_density(x, distribution, density);
    x *= distribution;
}
template <class Scalar>
inline void gelu_slope(typename Vector<Scalar>::Packet& x) {
    typename Vector<Scalar>::Packet distribution{}, density{};
    distribution_and_density(x, distribution, density);
    x = distribution + x * density;
}
