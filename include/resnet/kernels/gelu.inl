// GELU, x P(X <= x) of a normal X, and its slope P(X <= x) + x p(x) (Hendrycks & Gimpel 2016).
// One exponential serves the distribution P and the density p.

/// 2^x, x <= 0; of less than 2^-126 it gives that.
inline void power_of_two(Vector<float>::Packet& x) {
    using Packet = Vector<float>::Packet;
    using Integers = Vector<float>::Integers;
    constexpr float lowest = -126;  // of exponents
    x = x < lowest ? Packet{} + lowest : x;
    const Integers whole = __builtin_convertvector(x - 0.5f, Integers);  // the nearest: towards zero is upwards here
    const Packet f = x - __builtin_convertvector(whole, Packet);
    // The Taylor series of 2^f; the first term that is left out is at most 5e-9.
    Packet sum = Packet{} + 1.5252734e-5f;
    for (const float term :
         {1.5403530e-4f, 1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f})
        sum = sum * f + term;
    const Integers bits = (whole + 127) << 23;
    x = sum * reinterpret_cast<const Packet&>(bits);
}

/// P(X <= x) and p(x), element by element. Float's erfc is Abramowitz & Stegun's 7.1.26, within 1.5e-7.
inline void normal(const Vector<float>::Packet& x, Vector<float>::Packet& distribution,
                   Vector<float>::Packet& density) {
    using Packet = Vector<float>::Packet;
    Packet bell = x * x * -0.72134752f;  // / (2 ln 2)
    power_of_two(bell);
    const Packet t = 1 / (1 + 0.23164190f * (x < 0 ? -x : x));  // 0.3275911 / sqrt(2)
    Packet tail = Packet{} + 0.5f * 1.061405429f;
    for (const float term : {-0.5f * 1.453152027f, 0.5f * 1.421413741f, -0.5f * 0.284496736f, 0.5f * 0.254829592f})
        tail = tail * t + term;
    tail *= t * bell;
    distribution = x > 0 ? 1 - tail : tail;
    density = 0.39894228f * bell;  // / sqrt(2 pi)
}
/// Double, which tests of gradients are made in, takes the library's functions.
inline void normal(const Vector<double>::Packet& x, Vector<double>::Packet& distribution,
                   Vector<double>::Packet& density) {
    for (int l = 0; l < Vector<double>::lanes; ++l) {
        distribution[l] = 0.5 * std::erfc(x[l] * -0.70710678118654752);
        density[l] = 0.39894228040143268 * std::exp(-0.5 * x[l] * x[l]);
    }
}

template <class Scalar>
inline void gelu(typename Vector<Scalar>::Packet& x) {
    typename Vector<Scalar>::Packet distribution{}, density{};
    normal(x, distribution, density);
    x *= distribution;
}
template <class Scalar>
inline void gelu_slope(typename Vector<Scalar>::Packet& x) {
    typename Vector<Scalar>::Packet distribution{}, density{};
    normal(x, distribution, density);
    x = distribution + x * density;
}

/// function(packet) over a row, in place; a last partial packet has zeros behind it.
template <class Scalar>
inline void for_each_packet(Scalar* row, Index count, const auto& function) {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr Index lanes = Vector<Scalar>::lanes;
    Index i = 0;
    for (; i + lanes <= count; i += lanes) {
        Packet packet = *reinterpret_cast<const Unaligned*>(row + i);
        function(packet);
        *reinterpret_cast<Unaligned*>(row + i) = packet;
    }
    if (i == count) return;
    Packet packet{};
    const auto bytes = static_cast<std::size_t>(count - i) * sizeof(Scalar);
    std::memcpy(&packet, row + i, bytes);
    function(packet);
    std::memcpy(row + i, &packet, bytes);
}
