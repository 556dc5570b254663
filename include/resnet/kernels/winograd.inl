// Winograd's convolutions: the transforms of winograd_form.hpp, for whole rows of channels at a time, and the products
// between them.

// One-dimensional transforms. `from` and `to` are `step` vectors apart from element to element. Loops are unrolled and
// the matrices known, so that a multiplication by 0 or 1 costs nothing.

/// What a row of a matrix adds to a sum: x * factor.
template <class Scalar, class Packet>
inline void winograd_add(Packet& sum, bool& any, const Packet& x, double factor) {
    const auto f = static_cast<Scalar>(factor);
    if (f == 0) return;
    const Packet term = f == 1 ? x : f == -1 ? -x : x * f;
    sum = any ? sum + term : term;
    any = true;
}

/// Numbers to products, y = M x: B^T of inputs, A of the gradients of outputs, G of weights.
template <class Scalar, const auto& Matrix, int FirstPair, int Pairs>
struct WinogradSpread {
    static constexpr int outputs = static_cast<int>(Matrix.size()), inputs = static_cast<int>(Matrix[0].size());
    static constexpr double element(int row, int column) {
        return Matrix[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
    }
    template <class Packet>
    static void apply(const Packet* x, Index from, Packet* y, Index to) {
        RESNET_UNROLL
        for (int i = 0; i < outputs; ++i) {
            const bool paired = i >= FirstPair && i < FirstPair + 2 * Pairs;
            if (paired && (i - FirstPair) % 2 != 0) continue;  // came with the row before
            Packet same{}, opposite{};
            bool any_same = false, any_opposite = false;
            RESNET_UNROLL
            for (int j = 0; j < inputs; ++j) {
                if (!paired || element(i, j) == element(i + 1, j))
                    winograd_add<Scalar>(same, any_same, x[j * from], element(i, j));
                else winograd_add<Scalar>(opposite, any_opposite, x[j * from], element(i, j));
            }
            y[i * to] = paired ? same + opposite : same;
            if (paired) y[(i + 1) * to] = same - opposite;
        }
    }
};

/// Products to numbers, y = M^T x: A^T of products, and the adjoints of the others.
template <class Scalar, const auto& Matrix, int FirstPair, int Pairs>
struct WinogradGather {
    static constexpr int inputs = static_cast<int>(Matrix.size()), outputs = static_cast<int>(Matrix[0].size());
    static constexpr double element(int row, int column) {
        return Matrix[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
    }
    template <class Packet>
    static void apply(const Packet* x, Index from, Packet* y, Index to) {
        Packet sums[Pairs + 1], differences[Pairs + 1];
        RESNET_UNROLL
        for (int p = 0; p < Pairs; ++p) {
            const Packet plus = x[(FirstPair + 2 * p) * from], minus = x[(FirstPair + 2 * p + 1) * from];
            sums[p] = plus + minus;
            differences[p] = plus - minus;
        }
        RESNET_UNROLL
        for (int j = 0; j < outputs; ++j) {
            Packet sum{};
            bool any = false;
            RESNET_UNROLL
            for (int i = 0; i < inputs; ++i) {
                const int pair = i - FirstPair;
                if (pair < 0 || pair >= 2 * Pairs) winograd_add<Scalar>(sum, any, x[i * from], element(i, j));
                else if (pair % 2 == 0)
                    winograd_add<Scalar>(sum, any,
                                         element(i, j) == element(i + 1, j) ? sums[pair / 2] : differences[pair / 2],
                                         element(i, j));
            }
            y[j * to] = sum;
        }
    }
};

/// The five transforms of a form.
template <class Scalar, std::size_t Form>
struct WinogradTransforms {
    static constexpr auto matrices = detail::winograd_matrices<Form>();
    static constexpr auto b = matrices.input, a = matrices.output, g = matrices.weight;
    static constexpr int first = matrices.first_pair, pairs = matrices.pairs;
    using Input = WinogradSpread<Scalar, b, first, pairs>;
    using GradOutput = WinogradSpread<Scalar, a, first, pairs>;
    using Weight = WinogradSpread<Scalar, g, first, pairs>;
    using Output = WinogradGather<Scalar, a, first, pairs>;
    using GradWeight = WinogradGather<Scalar, g, first, pairs>;
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
void winograd_spread(const Scalar* const* rows, Index count, Scalar* out, Index stride) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes, n = Transform::inputs * Transform::inputs,
                  m = Transform::outputs * Transform::outputs;
    for (Index c = 0; c < count; c += lanes) {
        Packet in[n], result[m];
        for (int i = 0; i < n; ++i) in[i] = load(rows[i] + c);
        winograd_transform<Transform>(in, result);
        for (int i = 0; i < m; ++i) store(out + i * stride + c, result[i]);
    }
}

/// The products of one tile to its outputs with the convolution's epilogue, for `images` rows of `channels`.
template <class Scalar, class Transform>
void winograd_output(const WinogradOutputJob<Scalar>& job) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes, products = Transform::inputs * Transform::inputs,
                  outputs = Transform::outputs * Transform::outputs;
    for (int n = 0; n < job.images; ++n)
        for (Index c = 0; c < job.channels; c += lanes) {
            const Index at = n * job.channels + c;
            Packet m[products], y[outputs];
            for (int i = 0; i < products; ++i) m[i] = load(job.products + i * job.stride + at);
            winograd_transform<Transform>(m, y);
            const Packet bias = job.bias != nullptr ? load(job.bias + c) : Packet{};
            for (int i = 0; i < outputs; ++i) {
                if (job.output[i] == nullptr) continue;  // beyond the map's edge
                Packet value = y[i] + bias;
                if (job.accumulate) value += load(job.output[i] + at);
                if (job.residual[i] != nullptr) value += load(job.residual[i] + at);
                if (job.relu) value = value < Packet{} ? Packet{} : value;
                store(job.output[i] + at, value);
            }
        }
}

/// The gradients of transformed weights, `stride` apart, to those of the 9 taps: (+)=.
template <class Scalar, class Transform>
void winograd_grad_weight(const Scalar* u, Index stride, Index count, Scalar* const* taps, bool add) noexcept {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes, products = Transform::inputs * Transform::inputs;
    for (Index c = 0; c < count; c += lanes) {
        Packet in[products], result[9];
        for (int i = 0; i < products; ++i) in[i] = load(u + i * stride + c);
        winograd_transform<Transform>(in, result);
        for (int i = 0; i < 9; ++i) {
            if (add) result[i] += load(taps[i] + c);
            store(taps[i] + c, result[i]);
        }
    }
}

template <class Scalar, std::size_t... Forms>
constexpr std::array<WinogradKernels<Scalar>, sizeof...(Forms)> winograd_kernels(std::index_sequence<Forms...>) {
    return {WinogradKernels<Scalar>{
        .input = &winograd_spread<Scalar, typename WinogradTransforms<Scalar, Forms>::Input>,
        .output = &winograd_output<Scalar, typename WinogradTransforms<Scalar, Forms>::Output>,
        .grad_output = &winograd_spread<Scalar, typename WinogradTransforms<Scalar, Forms>::GradOutput>,
        .weight = &winograd_spread<Scalar, typename WinogradTransforms<Scalar, Forms>::Weight>,
        .grad_weight = &winograd_grad_weight<Scalar, typename WinogradTransforms<Scalar, Forms>::GradWeight>}...};
}

/// output[rows][Out] = input[rows][In] * weight, for some panels of packed weights [panel][In][panel's channels].
template <class Scalar>
void matrix_product(const MatrixProductJob<Scalar>& job) noexcept {
    const Panels panels{job.out, Vector<Scalar>::lanes, tile_vectors};
    int together = 1;
    for (int p = job.first_panel; p < job.last_panel; p += together) {
        const Panels::Panel panel = panels[p];
        together = panel_group(panels, p, job.last_panel, panels_together(job.rows));
        const Tap whole{0, 0};
        const TileTarget<Scalar> target{
            .output = job.output + panel.first, .start = nullptr, .stride = job.out, .bias = nullptr, .relu = false};
        const Index panel_size = Index{panel.vectors} * panels.lanes * job.in, ahead = weights_ahead(job.rows);
        const TileWeights<Scalar> weight{job.weight + Index{panel.first} * job.in, panel_size, ahead,
                                         ahead == 0 ? panel_size : 0};
        convolution_rows(job.rows, panel, together, job.input, job.in, &whole, 1, job.in, weight, target);
    }
}
