// A matrix transposed, in squares of vectors that stay in registers. Weights are, for the gradient of the input:
// element by element, packing took 3.2 ms of a training step of the tutorial's network on one core (AMD EPYC, AVX-512),
// so it takes 2.3.

/// Of two rows `Distance` apart the lanes that stay in the first (Upper = 0) or in the second (1) of them when squares
/// of Distance x Distance change places across the diagonal.
template <int Distance, int Upper, class Packet, int... Lane>
inline Packet exchange(const Packet& a, const Packet& b, std::integer_sequence<int, Lane...>) {
    constexpr int lanes = sizeof...(Lane);
    return __builtin_shufflevector(a, b,
                                   (Upper == 0 ? ((Lane & Distance) == 0 ? Lane : lanes + Lane - Distance)
                                               : ((Lane & Distance) == 0 ? Lane + Distance : lanes + Lane))...);
}

template <int Distance, int Lanes, class Packet>
inline void transpose_square(Packet* rows) {
    if constexpr (Distance > 0) {
        constexpr auto lanes = std::make_integer_sequence<int, Lanes>{};
        RESNET_UNROLL
        for (int i = 0; i < Lanes; ++i) {
            if ((i & Distance) != 0) continue;
            const Packet a = rows[i], b = rows[i + Distance];
            rows[i] = exchange<Distance, 0>(a, b, lanes);
            rows[i + Distance] = exchange<Distance, 1>(a, b, lanes);
        }
        transpose_square<Distance / 2, Lanes>(rows);
    }
}

/// to[column][row] = from[row][column]; rows are `from_stride` and `to_stride` apart.
template <class Scalar>
void transpose(const Scalar* from, Index from_stride, Index rows, Index columns, Scalar* to, Index to_stride) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    const Index whole_rows = rows / lanes * lanes, whole_columns = columns / lanes * lanes;
    for (Index r = 0; r < whole_rows; r += lanes)
        for (Index c = 0; c < whole_columns; c += lanes) {
            Packet square[lanes];
            RESNET_UNROLL
            for (int i = 0; i < lanes; ++i) square[i] = load(from + (r + i) * from_stride + c);
            transpose_square<lanes / 2, lanes>(square);
            RESNET_UNROLL
            for (int i = 0; i < lanes; ++i) store(to + (c + i) * to_stride + r, square[i]);
        }
    for (Index r = 0; r < rows; ++r)
        for (Index c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
            to[c * to_stride + r] = from[r * from_stride + c];
}
