// The gradient of a tap's weights: a product whose depth is the rows (positions x images) that use the tap.

/// A run's rows: pointers to its first row and the distances from row to row.
/// grad_weight[Rows][Vectors * lanes] (+)= sum over the runs' rows of input[row][0 ... Rows) * grad_output[row][...].
template <class Scalar, int Rows, int Vectors, bool Partial>
void weight_gradient_tile(const WeightGradientJob<Scalar>& job, const Scalar* input, const Scalar* grad_output, Index b,
                          Index first_run, Index last_run, int valid, Scalar* grad_weight, Index stride, bool load) {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes;

    Packet sum[Rows][Vectors];
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) {
        RESNET_UNROLL
        for (int v = 0; v < Vectors; ++v)
            sum[r][v] =
                load ? Packet(*reinterpret_cast<const Unaligned*>(grad_weight + r * stride + v * lanes)) : Packet{};
    }
    const bool merged = b == 1 || job.input_step == 1;
    const Index step = b == 1 ? Index{job.input_step} * job.in : job.in;
    for (Index i = first_run; i < last_run; ++i) {
        const GatherRun& run = job.runs[i];
        const Scalar* x = input + run.input * b * job.in;
        const Scalar* g = grad_output + run.output * b * job.out;
        const int matrices = merged ? 1 : run.count;
        const Index rows = merged ? run.count * b : b;
        for (int m = 0; m < matrices; ++m) {
            const Scalar* row = x + Index{m} * job.input_step * b * job.in;
            for (Index k = 0; k < rows; ++k, row += step, g += job.out) {
                Packet w[Vectors];
                if constexpr (Partial) {
                    alignas(64) Scalar buffer[lanes] = {};
                    for (int c = 0; c < valid; ++c) buffer[c] = g[c];
                    w[0] = *reinterpret_cast<const Packet*>(buffer);
                } else {
                    RESNET_UNROLL
                    for (int v = 0; v < Vectors; ++v) w[v] = *reinterpret_cast<const Unaligned*>(g + v * lanes);
                }
                RESNET_UNROLL
                for (int r = 0; r < Rows; ++r) {
                    const Scalar a = row[r];
                    RESNET_UNROLL
                    for (int v = 0; v < Vectors; ++v) sum[r][v] += w[v] * a;
                }
            }
        }
    }
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) {
        RESNET_UNROLL
        for (int v = 0; v < Vectors; ++v)
            *reinterpret_cast<Unaligned*>(grad_weight + r * stride + v * lanes) = sum[r][v];
    }
}

template <class Scalar>
using WeightGradientTile = void (*)(const WeightGradientJob<Scalar>&, const Scalar*, const Scalar*, Index, Index, Index,
                                    int, Scalar*, Index, bool);

template <class Scalar, int Vectors, bool Partial, int... Rows>
constexpr auto weight_gradient_tiles(std::integer_sequence<int, Rows...>) {
    return std::array<WeightGradientTile<Scalar>, sizeof...(Rows)>{
        &weight_gradient_tile<Scalar, Rows + 1, Vectors, Partial>...};
}

/// Input channels first_in ... last_in - 1 of one panel, over some runs of one block.
template <class Scalar>
void weight_gradient_panel(const WeightGradientJob<Scalar>& job, const Panels::Panel& panel, const Scalar* input,
                           const Scalar* grad_output, Index b, Index first_run, Index last_run, bool load) {
    constexpr int lanes = Vector<Scalar>::lanes;
    static constexpr auto partial_tiles =
        weight_gradient_tiles<Scalar, 1, true>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto one = weight_gradient_tiles<Scalar, 1, false>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto two = weight_gradient_tiles<Scalar, 2, false>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto wide =
        weight_gradient_tiles<Scalar, tile_vectors, false>(std::make_integer_sequence<int, tile_rows>{});
    const bool partial = panel.valid < panel.vectors * lanes;
    const auto& tiles = partial ? partial_tiles : panel.vectors == 1 ? one : panel.vectors == 2 ? two : wide;
    const Index channels = job.last_in - job.first_in;
    const Index pieces = divide_up(channels, tile_rows), height = channels / pieces, taller = channels % pieces;
    Index i = job.first_in;
    for (Index p = 0; p < pieces; ++p) {
        const int h = static_cast<int>(height + (p < taller ? 1 : 0));
        const auto tile = tiles[static_cast<std::size_t>(h - 1)];
        Scalar* target = job.grad_weight + i * job.out + panel.first;
        if (partial) {
            alignas(64) Scalar buffer[tile_rows * lanes] = {};
            for (int r = 0; load && r < h; ++r)
                for (int c = 0; c < panel.valid; ++c) buffer[r * lanes + c] = target[r * Index{job.out} + c];
            tile(job, input + i, grad_output + panel.first, b, first_run, last_run, panel.valid, buffer, lanes, load);
            for (int r = 0; r < h; ++r)
                for (int c = 0; c < panel.valid; ++c) target[r * Index{job.out} + c] = buffer[r * lanes + c];
        } else {
            tile(job, input + i, grad_output + panel.first, b, first_run, last_run, panel.valid, target, job.out, load);
        }
        i += h;
    }
}

template <class Scalar>
void weight_gradient(const WeightGradientJob<Scalar>& job) noexcept {
    // Groups of runs whose rows stay in the first-level cache while all tiles of a panel go over them.
    constexpr Index group_rows = 128;
    const Panels panels{job.out, Vector<Scalar>::lanes, tile_vectors};
    bool load = job.accumulate;
    for (Index block = job.first_block; block < job.last_block; ++block) {
        const Index first_image = block * job.block, b = std::min<Index>(job.block, job.images - first_image);
        const Scalar* input = job.input + first_image * job.input_positions * job.in;
        const Scalar* grad_output = job.grad_output + first_image * job.output_positions * job.out;
        for (Index first = 0; first < job.run_count;) {
            Index last = first, rows = 0;
            do rows += job.runs[last++].count * b;
            while (last < job.run_count && rows + job.runs[last].count * b <= group_rows);
            for (int p = 0; p < panels.count(); ++p)
                weight_gradient_panel(job, panels[p], input, grad_output, b, first, last, load);
            load = true;
            first = last;
        }
    }
}
