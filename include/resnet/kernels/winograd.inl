// Winograd's convolution F(4x4, 3x3) (Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", section
// 4): 36 products for 16 outputs of a 3x3 kernel, which take 144 directly. Y = A^T [(G g G^T) * (B^T d B)] A, here for
// whole rows of channels at a time.
//
// Interpolation points 0, +-1/sqrt(2), +-sqrt(2) and infinity: against double the error is about a third of that with
// the integer points 0, +-1, +-2 (relative L2 0.6-1.9e-6 instead of 1.3-5.5e-6), since the points and their powers stay
// near 1.

template <class Scalar>
struct WinogradConstants {
    static constexpr Scalar a = static_cast<Scalar>(0.70710678118654752440),
                            b = static_cast<Scalar>(1.41421356237309504880);
    static constexpr Scalar half = static_cast<Scalar>(0.5), two = 2,
                            sum = static_cast<Scalar>(2.5);  // a^2, b^2, a^2 + b^2; a^2 b^2 = 1
    // Divisors of the interpolation, prod over k != i of (p_i - p_k): 1 at 0, -3/2 at +-a, 6 at +-b.
    static constexpr Scalar third = static_cast<Scalar>(-2.0 / 3), sixth = static_cast<Scalar>(1.0 / 6);
};

// One-dimensional transforms. `from` and `to` are `step` vectors apart from element to element.

/// B^T d: six inputs to six.
template <class Scalar>
struct WinogradInput {
    static constexpr int inputs = 6, outputs = 6;
    template <class Packet>
    static void apply(const Packet* d, Index from, Packet* v, Index to) {
        using K = WinogradConstants<Scalar>;
        const Packet d1 = d[from], d2 = d[2 * from], d3 = d[3 * from], d4 = d[4 * from];
        const Packet even_a = d4 - d2 * K::two, odd_a = (d3 - d1 * K::two) * K::a;
        const Packet even_b = d4 - d2 * K::half, odd_b = (d3 - d1 * K::half) * K::b;
        v[0] = d[0] - d2 * K::sum + d4;
        v[to] = even_a + odd_a;
        v[2 * to] = even_a - odd_a;
        v[3 * to] = even_b + odd_b;
        v[4 * to] = even_b - odd_b;
        v[5 * to] = d1 - d3 * K::sum + d[5 * from];
    }
};

/// A^T m: six products to four outputs.
template <class Scalar>
struct WinogradOutput {
    static constexpr int inputs = 6, outputs = 4;
    template <class Packet>
    static void apply(const Packet* m, Index from, Packet* y, Index to) {
        using K = WinogradConstants<Scalar>;
        const Packet m1 = m[from], m2 = m[2 * from], m3 = m[3 * from], m4 = m[4 * from];
        const Packet even_a = m1 + m2, odd_a = (m1 - m2) * K::a, even_b = m3 + m4, odd_b = (m3 - m4) * K::b;
        y[0] = m[0] + even_a + even_b;
        y[to] = odd_a + odd_b;
        y[2 * to] = even_a * K::half + even_b * K::two;
        y[3 * to] = odd_a * K::half + odd_b * K::two + m[5 * from];
    }
};

/// A y, the adjoint of WinogradOutput: gradients of four outputs to those of six products.
template <class Scalar>
struct WinogradGradOutput {
    static constexpr int inputs = 4, outputs = 6;
    template <class Packet>
    static void apply(const Packet* y, Index from, Packet* m, Index to) {
        using K = WinogradConstants<Scalar>;
        const Packet y0 = y[0], y1 = y[from], y2 = y[2 * from], y3 = y[3 * from];
        const Packet even_a = y0 + y2 * K::half, odd_a = (y1 + y3 * K::half) * K::a;
        const Packet even_b = y0 + y2 * K::two, odd_b = (y1 + y3 * K::two) * K::b;
        m[0] = y0;
        m[to] = even_a + odd_a;
        m[2 * to] = even_a - odd_a;
        m[3 * to] = even_b + odd_b;
        m[4 * to] = even_b - odd_b;
        m[5 * to] = y3;
    }
};

/// G g: three weights to six.
template <class Scalar>
struct WinogradWeight {
    static constexpr int inputs = 3, outputs = 6;
    template <class Packet>
    static void apply(const Packet* g, Index from, Packet* u, Index to) {
        using K = WinogradConstants<Scalar>;
        const Packet g0 = g[0], g1 = g[from], g2 = g[2 * from];
        const Packet even_a = g0 + g2 * K::half, odd_a = g1 * K::a, even_b = g0 + g2 * K::two, odd_b = g1 * K::b;
        u[0] = g0;
        u[to] = (even_a + odd_a) * K::third;
        u[2 * to] = (even_a - odd_a) * K::third;
        u[3 * to] = (even_b + odd_b) * K::sixth;
        u[4 * to] = (even_b - odd_b) * K::sixth;
        u[5 * to] = g2;
    }
};

/// G^T u, the adjoint of WinogradWeight.
template <class Scalar>
struct WinogradGradWeight {
    static constexpr int inputs = 6, outputs = 3;
    template <class Packet>
    static void apply(const Packet* u, Index from, Packet* g, Index to) {
        using K = WinogradConstants<Scalar>;
        const Packet u1 = u[from], u2 = u[2 * from], u3 = u[3 * from], u4 = u[4 * from];
        const Packet even_a = (u1 + u2) * K::third, odd_a = (u1 - u2) * K::third;
        const Packet even_b = (u3 + u4) * K::sixth, odd_b = (u3 - u4) * K::sixth;
        g[0] = u[0] + even_a + even_b;
        g[to] = odd_a * K::a + odd_b * K::b;
        g[2 * to] = even_a * K::half + even_b * K::two + u[5 * from];
    }
};

/// Both dimensions of one vector of channels: Inputs x Inputs packets to Outputs x Outputs.
template <class Transform, class Packet>
inline void winograd_transform(const Packet* in, Packet* out) {
    constexpr int n = Transform::inputs, m = Transform::outputs;
    Packet half[m * n];
    RESNET_UNROLL
    for (int x = 0; x < n; ++x) Transform::apply(in + x, n, half + x, n);  // columns: half[y][x]
    RESNET_UNROLL
    for (int y = 0; y < m; ++y) Transform::apply(half + y * n, 1, out + y * m, 1);
}

/// `rows` are the n x n positions of a tile, each `count` numbers (a multiple of the lanes); result p goes to out + p *
/// stride.
template <class Scalar, class Transform>
void winograd_scatter(const Scalar* const* rows, Index count, Scalar* out, Index stride) {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes, n = Transform::inputs * Transform::inputs,
                  m = Transform::outputs * Transform::outputs;
    for (Index c = 0; c < count; c += lanes) {
        Packet in[n], result[m];
        for (int i = 0; i < n; ++i) in[i] = *reinterpret_cast<const Unaligned*>(rows[i] + c);
        winograd_transform<Transform>(in, result);
        for (int i = 0; i < m; ++i) *reinterpret_cast<Unaligned*>(out + i * stride + c) = result[i];
    }
}
template <class Scalar>
void winograd_input(const Scalar* const* rows, Index count, Scalar* v, Index stride) noexcept {
    winograd_scatter<Scalar, WinogradInput<Scalar>>(rows, count, v, stride);
}
template <class Scalar>
void winograd_grad_output(const Scalar* const* rows, Index count, Scalar* m, Index stride) noexcept {
    winograd_scatter<Scalar, WinogradGradOutput<Scalar>>(rows, count, m, stride);
}
template <class Scalar>
void winograd_weight(const Scalar* const* taps, Index count, Scalar* u, Index stride) noexcept {
    winograd_scatter<Scalar, WinogradWeight<Scalar>>(taps, count, u, stride);
}

/// The 36 products of one tile to its 16 outputs with the convolution's epilogue, for `images` rows of `channels`.
template <class Scalar>
void winograd_output(const WinogradOutputJob<Scalar>& job) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes;
    for (int n = 0; n < job.images; ++n)
        for (Index c = 0; c < job.channels; c += lanes) {
            const Index at = n * job.channels + c;
            Packet m[36], y[16];
            for (int i = 0; i < 36; ++i) m[i] = *reinterpret_cast<const Unaligned*>(job.products + i * job.stride + at);
            winograd_transform<WinogradOutput<Scalar>>(m, y);
            const Packet bias =
                job.bias != nullptr ? Packet(*reinterpret_cast<const Unaligned*>(job.bias + c)) : Packet{};
            for (int i = 0; i < 16; ++i) {
                if (job.output[i] == nullptr) continue;  // beyond the map's edge
                Packet value = y[i] + bias;
                if (job.accumulate) value += *reinterpret_cast<const Unaligned*>(job.output[i] + at);
                if (job.residual[i] != nullptr) value += *reinterpret_cast<const Unaligned*>(job.residual[i] + at);
                if (job.relu) value = value < Packet{} ? Packet{} : value;
                *reinterpret_cast<Unaligned*>(job.output[i] + at) = value;
            }
        }
}

/// The gradients of 36 transformed weights, `stride` apart, to those of the 9 taps: (+)=.
template <class Scalar>
void winograd_grad_weight(const Scalar* u, Index stride, Index count, Scalar* const* taps, bool add) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes;
    for (Index c = 0; c < count; c += lanes) {
        Packet in[36], result[9];
        for (int i = 0; i < 36; ++i) in[i] = *reinterpret_cast<const Unaligned*>(u + i * stride + c);
        winograd_transform<WinogradGradWeight<Scalar>>(in, result);
        for (int i = 0; i < 9; ++i) {
            auto* to = reinterpret_cast<Unaligned*>(taps[i] + c);
            *to = add ? Packet(*to) + result[i] : result[i];
        }
    }
}

/// output[rows][Out] = input[rows][In] * weight, for some panels of packed weights [panel][In][panel's channels].
template <class Scalar>
void matrix_product(const MatrixProductJob<Scalar>& job) noexcept {
    const Panels panels{job.out, Vector<Scalar>::lanes, tile_vectors};
    for (int p = job.first_panel; p < job.last_panel; ++p) {
        const Panels::Panel panel = panels[p];
        const Tap whole{0, 0};
        const TileTarget<Scalar> target{
            .output = job.output + panel.first, .start = nullptr, .stride = job.out, .bias = nullptr, .relu = false};
        convolution_rows(job.rows, panel, job.input, job.in, &whole, 1, job.in,
                         job.weight + Index{panel.first} * job.in, target);
    }
}
