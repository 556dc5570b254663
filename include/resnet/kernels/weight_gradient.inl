// The gradient of a tap's weights: a product whose depth is the rows (positions x images) that use the tap. Rows are taken
// in groups that stay in the second-level cache while all tiles of In x Out read them.

/// Neighbouring rows of a group: `rows` of them from `input` and `grad_output` on.
template <class Scalar>
struct RowSegment {
    const Scalar *input, *grad_output;
    Index rows;
};

inline constexpr Index weight_gradient_group = 128;  // rows
inline constexpr int weight_gradient_segments = 64;

template <class Scalar>
struct RowGroup {
    RowSegment<Scalar> segments[weight_gradient_segments];
    int count = 0;
    Index rows = 0;
    Index step = 0;  // from row to row of the input

    bool full() const { return rows >= weight_gradient_group || count == weight_gradient_segments; }
};

/// Where a tile begins in a row of the input and of the gradient, and where its sums go.
template <class Scalar>
struct WeightGradientTarget {
    Index first_in, first_out;
    Index grad_output_step;  // from row to row of the gradient
    Scalar* grad_weight;
    Index stride;  // from row to row of grad_weight
    bool load;     // add to what is there
};

/// grad_weight[Rows][Vectors * lanes] (+)= sum over the group's rows of input[row][first_in ...]^T grad_output[row][first_out ...].
template <class Scalar, int Rows, int Vectors>
void weight_gradient_tile(const RowGroup<Scalar>& group, const WeightGradientTarget<Scalar>& target) {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes;

    Packet sum[Rows][Vectors] = {};
    if (target.load) {
        RESNET_UNROLL
        for (int r = 0; r < Rows; ++r) {
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v)
                sum[r][v] = *reinterpret_cast<const Unaligned*>(target.grad_weight + r * target.stride + v * lanes);
        }
    }
    const Index step = group.step, grad_output_step = target.grad_output_step;
    for (int s = 0; s < group.count; ++s) {
        const Scalar* x = group.segments[s].input + target.first_in;
        const Scalar* grad_output = group.segments[s].grad_output + target.first_out;
        for (Index k = group.segments[s].rows; k > 0; --k, x += step, grad_output += grad_output_step) {
            Packet g[Vectors];
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) g[v] = *reinterpret_cast<const Unaligned*>(grad_output + v * lanes);
            RESNET_UNROLL
            for (int r = 0; r < Rows; ++r) {
                const Scalar a = x[r];
                RESNET_UNROLL
                for (int v = 0; v < Vectors; ++v) sum[r][v] += g[v] * a;
            }
        }
    }
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) {
        RESNET_UNROLL
        for (int v = 0; v < Vectors; ++v)
            *reinterpret_cast<Unaligned*>(target.grad_weight + r * target.stride + v * lanes) = sum[r][v];
    }
}

template <class Scalar>
using WeightGradientTile = void (*)(const RowGroup<Scalar>&, const WeightGradientTarget<Scalar>&);

template <class Scalar, int Vectors, int... Rows>
constexpr auto weight_gradient_tiles(std::integer_sequence<int, Rows...>) {
    return std::array<WeightGradientTile<Scalar>, sizeof...(Rows)>{&weight_gradient_tile<Scalar, Rows + 1, Vectors>...};
}

/// The channels of a partial vector, row after row and padded with zeros in `buffer`: a tile reads whole vectors, which
/// would end behind the tensor's last row.
template <class Scalar>
RowGroup<Scalar> pad_gradients(const RowGroup<Scalar>& group, const Panels::Panel& panel, Index out, Scalar* buffer) {
    constexpr int lanes = Vector<Scalar>::lanes;
    RowGroup<Scalar> padded = group;
    for (int s = 0; s < group.count; ++s) {
        padded.segments[s].grad_output = buffer;
        const Scalar* from = group.segments[s].grad_output + panel.first;
        for (Index k = 0; k < group.segments[s].rows; ++k, from += out, buffer += lanes)
            for (int c = 0; c < lanes; ++c) buffer[c] = c < panel.valid ? from[c] : Scalar{0};
    }
    return padded;
}

/// One group: all panels of output channels x the chunk's input channels.
template <class Scalar>
void weight_gradient_of_group(const WeightGradientJob<Scalar>& job, const RowGroup<Scalar>& group, bool load) {
    constexpr int lanes = Vector<Scalar>::lanes;
    static constexpr auto one = weight_gradient_tiles<Scalar, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto two = weight_gradient_tiles<Scalar, 2>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto wide =
        weight_gradient_tiles<Scalar, tile_vectors>(std::make_integer_sequence<int, tile_rows>{});
    const Panels panels{job.out, lanes, tile_vectors};
    const Index channels = job.last_in - job.first_in, pieces = divide_up(channels, tile_rows);
    for (int p = 0; p < panels.count(); ++p) {
        const Panels::Panel panel = panels[p];
        const auto& tiles = panel.vectors == 1 ? one : panel.vectors == 2 ? two : wide;
        const bool partial = panel.valid < panel.vectors * lanes;  // then it is one vector wide
        alignas(64) Scalar buffer[weight_gradient_group * lanes];
        const RowGroup<Scalar> padded = partial ? pad_gradients(group, panel, job.out, buffer) : RowGroup<Scalar>{};
        for (Index piece = 0; piece < pieces; ++piece) {
            const Index first = job.first_in + channels * piece / pieces;
            const Index height = job.first_in + channels * (piece + 1) / pieces - first;
            const auto tile = tiles[static_cast<std::size_t>(height - 1)];
            Scalar* const grad_weight = job.grad_weight + first * job.out + panel.first;
            if (!partial) {
                tile(group, {first, panel.first, job.out, grad_weight, job.out, load});
                continue;
            }
            alignas(64) Scalar sums[tile_rows * lanes] = {};
            for (Index r = 0; load && r < height; ++r)
                for (int c = 0; c < panel.valid; ++c) sums[r * lanes + c] = grad_weight[r * job.out + c];
            tile(padded, {first, 0, lanes, sums, lanes, load});
            for (Index r = 0; r < height; ++r)
                for (int c = 0; c < panel.valid; ++c) grad_weight[r * job.out + c] = sums[r * lanes + c];
        }
    }
}

template <class Scalar>
void weight_gradient(const WeightGradientJob<Scalar>& job) noexcept {
    bool load = job.accumulate;
    RowGroup<Scalar> group;
    for (Index block = job.first_block; block < job.last_block; ++block) {
        const Index first_image = block * job.block, b = std::min<Index>(job.block, job.images - first_image);
        const Scalar* input = job.input + first_image * job.input_positions * job.in;
        const Scalar* grad_output = job.grad_output + first_image * job.output_positions * job.out;
        // Where neighbours lie at a constant distance a run is one matrix, else a matrix for each position.
        const bool merged = b == 1 || job.input_step == 1;
        const Index step = b == 1 ? Index{job.input_step} * job.in : job.in;
        if (group.count > 0 && group.step != step) {  // the last block has another b
            weight_gradient_of_group(job, group, load);
            load = true;
            group = {};
        }
        group.step = step;
        for (Index r = 0; r < job.run_count; ++r) {
            const GatherRun& run = job.runs[r];
            const Index matrices = merged ? 1 : run.count, rows_of_one = merged ? run.count * b : b;
            for (Index m = 0; m < matrices; ++m) {
                const Scalar* x = input + (run.input + m * job.input_step) * b * job.in;
                const Scalar* g = grad_output + (run.output + m) * b * job.out;
                for (Index rows = rows_of_one; rows > 0;) {
                    const Index some = std::min(rows, weight_gradient_group - group.rows);
                    group.segments[group.count++] = {x, g, some};
                    group.rows += some;
                    rows -= some;
                    x += some * step;
                    g += some * job.out;
                    if (!group.full()) continue;
                    weight_gradient_of_group(job, group, load);
                    load = true;
                    group.count = 0;
                    group.rows = 0;
                }
            }
        }
    }
    if (group.count > 0) weight_gradient_of_group(job, group, load);
}
