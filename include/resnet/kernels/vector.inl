// The vectors of one instruction set: the compiler's own, VECTOR_BYTES wide. Included inside that set's namespace and
// target region.

template <class Scalar>
struct Vector;
template <>
struct Vector<float> {
    static constexpr int lanes = RESNET_VECTOR_BYTES / 4;
    using Packet __attribute__((vector_size(RESNET_VECTOR_BYTES), may_alias)) = float;
    using Unaligned __attribute__((vector_size(RESNET_VECTOR_BYTES), aligned(4), may_alias)) = float;
    using Integers __attribute__((vector_size(RESNET_VECTOR_BYTES), may_alias)) = std::int32_t;
};
template <>
struct Vector<double> {
    static constexpr int lanes = RESNET_VECTOR_BYTES / 8;
    using Packet __attribute__((vector_size(RESNET_VECTOR_BYTES), may_alias)) = double;
    using Unaligned __attribute__((vector_size(RESNET_VECTOR_BYTES), aligned(8), may_alias)) = double;
};

/// A vector at any address.
template <class Scalar>
[[gnu::always_inline]] inline typename Vector<Scalar>::Packet load(const Scalar* from) {
    return *reinterpret_cast<const typename Vector<Scalar>::Unaligned*>(from);
}
template <class Scalar>
[[gnu::always_inline]] inline void store(Scalar* to, const typename Vector<Scalar>::Packet& packet) {
    *reinterpret_cast<typename Vector<Scalar>::Unaligned*>(to) = packet;
}

// Tiles: as many sums as the registers hold beside a row of weights.
inline constexpr int tile_rows = RESNET_TILE_ROWS, tile_vectors = RESNET_TILE_VECTORS;

/// Element by element, in place; written with intrinsics because a plain loop over std::sqrt keeps errno and is not
/// vectorised. (g++ 12 warns of the unmasked AVX-512 forms: its header passes an undefined vector.)
template <class Scalar>
inline void square_root(typename Vector<Scalar>::Packet& x) {
#if RESNET_VECTOR_BYTES == 64
    if constexpr (sizeof(Scalar) == 4)
        x = reinterpret_cast<typename Vector<Scalar>::Packet>(
            _mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), reinterpret_cast<__m512>(x)));
    else
        x = reinterpret_cast<typename Vector<Scalar>::Packet>(
            _mm512_maskz_sqrt_pd(static_cast<__mmask8>(-1), reinterpret_cast<__m512d>(x)));
#elif RESNET_VECTOR_BYTES == 32
    if constexpr (sizeof(Scalar) == 4)
        x = reinterpret_cast<typename Vector<Scalar>::Packet>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
    else x = reinterpret_cast<typename Vector<Scalar>::Packet>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x)));
#else
    for (int l = 0; l < Vector<Scalar>::lanes; ++l) x[l] = std::sqrt(x[l]);
#endif
}

/// function(packet) over a row, in place; a last partial packet has zeros behind it.
template <class Scalar>
inline void for_each_packet(Scalar* row, Index count, const auto& function) {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr Index lanes = Vector<Scalar>::lanes;
    Index i = 0;
    for (; i + lanes <= count; i += lanes) {
        Packet packet = load(row + i);
        function(packet);
        store(row + i, packet);
    }
    if (i == count) return;
    Packet packet{};
    const auto bytes = static_cast<std::size_t>(count - i) * sizeof(Scalar);
    std::memcpy(&packet, row + i, bytes);
    function(packet);
    std::memcpy(row + i, &packet, bytes);
}
