// The gradient of a tap's weights: a product whose depth is the rows (positions x images) that use the tap.
//
// Rows are taken in groups that stay in the first-level cache. A group's gradients of one panel are copied side by side first: rows of
// 256 or 512 channels lie a power of two apart, so a panel's part of them would meet in a few sets of that cache, once for each of the
// In / 6 tiles that read it.

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
    Index step = 0;  // from row to row of the input; of the gradient it is Out

    bool full() const { return rows >= weight_gradient_group || count == weight_gradient_segments; }
};

/// grad_weight[Rows][Vectors * lanes] (+)= sum over the group's rows of input[row][first ... first + Rows)^T * grad_output[row][...].
template <class Scalar, int Rows, int Vectors>
void weight_gradient_tile(const RowGroup<Scalar>& group, Index first, const Scalar* grad_output, Scalar* grad_weight,
                          Index stride, bool load) {
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
    const Index step = group.step;
    for (int s = 0; s < group.count; ++s) {
        const Scalar* x = group.segments[s].input + first;
        for (Index k = group.segments[s].rows; k > 0; --k, x += step, grad_output += Vectors * lanes) {
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
            *reinterpret_cast<Unaligned*>(grad_weight + r * stride + v * lanes) = sum[r][v];
    }
}

template <class Scalar>
using WeightGradientTile = void (*)(const RowGroup<Scalar>&, Index, const Scalar*, Scalar*, Index, bool);

template <class Scalar, int Vectors, int... Rows>
constexpr auto weight_gradient_tiles(std::integer_sequence<int, Rows...>) {
    return std::array<WeightGradientTile<Scalar>, sizeof...(Rows)>{&weight_gradient_tile<Scalar, Rows + 1, Vectors>...};
}

/// The panel's channels of a group's gradients, row after row and padded with zeros to whole vectors.
template <class Scalar>
const Scalar* gather_gradients(const RowGroup<Scalar>& group, const Panels::Panel& panel, Index out, Scalar* buffer) {
    using Packet = typename Vector<Scalar>::Packet;
    using Unaligned = typename Vector<Scalar>::Unaligned;
    constexpr int lanes = Vector<Scalar>::lanes;
    const Index width = Index{panel.vectors} * lanes;
    if (group.count == 1 && width == out) return group.segments[0].grad_output;  // they lie like that already
    Scalar* to = buffer;
    for (int s = 0; s < group.count; ++s) {
        const Scalar* from = group.segments[s].grad_output + panel.first;
        for (Index k = 0; k < group.segments[s].rows; ++k, from += out, to += width) {
            if (panel.valid == width) {
                for (int v = 0; v < panel.vectors; ++v)
                    *reinterpret_cast<Packet*>(to + v * lanes) = *reinterpret_cast<const Unaligned*>(from + v * lanes);
            } else {
                for (Index c = 0; c < width; ++c) to[c] = c < panel.valid ? from[c] : Scalar{0};
            }
        }
    }
    return buffer;
}

/// One group: all panels of output channels x the chunk's input channels.
template <class Scalar>
void weight_gradient_of_group(const WeightGradientJob<Scalar>& job, const RowGroup<Scalar>& group, bool load) {
    constexpr int lanes = Vector<Scalar>::lanes;
    static constexpr auto one = weight_gradient_tiles<Scalar, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto two = weight_gradient_tiles<Scalar, 2>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto wide =
        weight_gradient_tiles<Scalar, tile_vectors>(std::make_integer_sequence<int, tile_rows>{});
    alignas(64) Scalar buffer[weight_gradient_group * tile_vectors * lanes];
    const Panels panels{job.out, lanes, tile_vectors};
    const Index channels = job.last_in - job.first_in, pieces = divide_up(channels, tile_rows);
    for (int p = 0; p < panels.count(); ++p) {
        const Panels::Panel panel = panels[p];
        const Scalar* gradients = gather_gradients(group, panel, job.out, buffer);
        const auto& tiles = panel.vectors == 1 ? one : panel.vectors == 2 ? two : wide;
        const bool partial = panel.valid < panel.vectors * lanes;
        for (Index piece = 0; piece < pieces; ++piece) {
            const Index first = job.first_in + channels * piece / pieces;
            const Index height = job.first_in + channels * (piece + 1) / pieces - first;
            const auto tile = tiles[static_cast<std::size_t>(height - 1)];
            Scalar* target = job.grad_weight + first * job.out + panel.first;
            if (!partial) {
                tile(group, first, gradients, target, job.out, load);
                continue;
            }
            alignas(64) Scalar sums[tile_rows * lanes] = {};
            for (Index r = 0; load && r < height; ++r)
                for (int c = 0; c < panel.valid; ++c) sums[r * lanes + c] = target[r * job.out + c];
            tile(group, first, gradients, sums, lanes, load);
            for (Index r = 0; r < height; ++r)
                for (int c = 0; c < panel.valid; ++c) target[r * job.out + c] = sums[r * lanes + c];
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
