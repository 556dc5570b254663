// The gradient of weights: of a tap's, a product whose depth is the rows (positions x images) that use the tap. Rows
// are taken in groups that stay in the second-level cache while all tiles of In x Out read them. Where input channels
// are few, the rows of a tile are those of several taps: a gradient that has been read then serves them all.

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
    // What all rows of a group have in common:
    Index step = 0;                        // from row to row of the input
    Index images = 0;                      // b of their block
    std::int32_t first_tap = 0, taps = 0;  // of all taps at once: those that are live here

    bool full() const { return rows >= weight_gradient_group || count == weight_gradient_segments; }
    bool takes(Index next_step, Index next_images, std::int32_t next_tap) const {
        return count == 0 || (step == next_step && images == next_images && first_tap == next_tap);
    }
};

/// Where a tile begins in a row of the input and of the gradient, and where its sums go.
template <class Scalar>
struct WeightGradientTarget {
    Index first_in, first_out;
    Index grad_output_step;  // from row to row of the gradient
    Scalar* grad_weight;
    Index stride;                    // from row to row of grad_weight
    bool load;                       // add to what is there
    const Index* offsets = nullptr;  // of a scattered tile: where its rows read, from first_in on
};

/// grad_weight[Rows][Vectors * lanes] (+)= sum over the group's rows of input[row][Rows]^T grad_output[row][first_out
/// ...]. The tile's rows are neighbours in the input unless they are scattered.
template <class Scalar, int Rows, int Vectors, bool Scattered = false>
void weight_gradient_tile(const RowGroup<Scalar>& group, const WeightGradientTarget<Scalar>& target) {
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;

    Packet sum[Rows][Vectors] = {};
    if (target.load) {
        RESNET_UNROLL
        for (int r = 0; r < Rows; ++r) {
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) sum[r][v] = load(target.grad_weight + r * target.stride + v * lanes);
        }
    }
    Index offset[Rows];
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) offset[r] = Scattered ? target.offsets[r] : r;
    const Index step = group.step, grad_output_step = target.grad_output_step;
    for (int s = 0; s < group.count; ++s) {
        const Scalar* x = group.segments[s].input + target.first_in;
        const Scalar* grad_output = group.segments[s].grad_output + target.first_out;
        for (Index k = group.segments[s].rows; k > 0; --k, x += step, grad_output += grad_output_step) {
            Packet g[Vectors];
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) g[v] = load(grad_output + v * lanes);
            RESNET_UNROLL
            for (int r = 0; r < Rows; ++r) {
                const Scalar a = x[offset[r]];
                RESNET_UNROLL
                for (int v = 0; v < Vectors; ++v) sum[r][v] += g[v] * a;
            }
        }
    }
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) {
        RESNET_UNROLL
        for (int v = 0; v < Vectors; ++v) store(target.grad_weight + r * target.stride + v * lanes, sum[r][v]);
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

/// Calls f(panel, rows, first_out, grad_output_step) for each panel of output channels; the last two are a tile's
/// target's.
template <class Scalar, class F>
void for_each_gradient_panel(const RowGroup<Scalar>& group, Index out, const F& f) {
    constexpr int lanes = Vector<Scalar>::lanes;
    const Panels panels{static_cast<int>(out), lanes, tile_vectors};
    for (int p = 0; p < panels.count(); ++p) {
        const Panels::Panel panel = panels[p];
        if (panel.valid == panel.vectors * lanes) {
            f(panel, group, Index{panel.first}, out);
        } else {
            alignas(64) Scalar buffer[weight_gradient_group * lanes];
            f(panel, pad_gradients(group, panel, out, buffer), Index{0}, Index{lanes});
        }
    }
}

/// One group of a tap's: all panels of output channels x the chunk's input channels.
template <class Scalar>
void weight_gradient_of_group(const WeightGradientJob<Scalar>& job, const RowGroup<Scalar>& group, bool load) {
    constexpr int lanes = Vector<Scalar>::lanes;
    static constexpr auto one = weight_gradient_tiles<Scalar, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto two = weight_gradient_tiles<Scalar, 2>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto wide =
        weight_gradient_tiles<Scalar, tile_vectors>(std::make_integer_sequence<int, tile_rows>{});
    const Index channels = job.last_in - job.first_in, pieces = divide_up(channels, tile_rows);
    for_each_gradient_panel(
        group, job.out,
        [&](const Panels::Panel& panel, const RowGroup<Scalar>& rows, Index first_out, Index grad_output_step) {
            const auto& tiles = panel.vectors == 1 ? one : panel.vectors == 2 ? two : wide;
            for (Index piece = 0; piece < pieces; ++piece) {
                const Index first = job.first_in + channels * piece / pieces;
                const Index height = job.first_in + channels * (piece + 1) / pieces - first;
                const auto tile = tiles[static_cast<std::size_t>(height - 1)];
                Scalar* const grad_weight = job.grad_weight + first * job.out + panel.first;
                if (panel.valid == panel.vectors * lanes) {
                    tile(rows, {first, first_out, grad_output_step, grad_weight, job.out, load});
                    continue;
                }
                alignas(64) Scalar sums[tile_rows * lanes] = {};  // a partial panel is one vector wide
                for (Index r = 0; load && r < height; ++r)
                    std::copy_n(grad_weight + r * job.out, panel.valid, sums + r * lanes);
                tile(rows, {first, first_out, grad_output_step, sums, lanes, load});
                for (Index r = 0; r < height; ++r)
                    std::copy_n(sums + r * lanes, panel.valid, grad_weight + r * job.out);
            }
        });
}

/// One group of all taps': all panels of output channels x the input channels of the group's live taps. Adds to what is
/// there.
template <class Scalar>
void weight_gradient_of_all_taps(const WeightGradientJob<Scalar>& job, const RowGroup<Scalar>& group) {
    constexpr int lanes = Vector<Scalar>::lanes;
    constexpr WeightGradientTile<Scalar> one = &weight_gradient_tile<Scalar, tile_rows, 1, true>,
                                         two = &weight_gradient_tile<Scalar, tile_rows, 2, true>,
                                         wide = &weight_gradient_tile<Scalar, tile_rows, tile_vectors, true>;
    const GatherTap* const taps = job.table->taps.data() + group.first_tap;
    const int all = group.taps * job.in;
    for_each_gradient_panel(
        group, job.out,
        [&](const Panels::Panel& panel, const RowGroup<Scalar>& rows, Index first_out, Index grad_output_step) {
            const auto tile = panel.vectors == 1 ? one : panel.vectors == 2 ? two : wide;
            const Index width = panel.vectors * lanes;
            for (int first = 0; first < all; first += tile_rows) {
                alignas(64) Scalar sums[tile_rows * tile_vectors * lanes] = {};
                Index offsets[tile_rows];
                Scalar* to[tile_rows];
                const int height = std::min(tile_rows, all - first);
                for (int r = 0; r < tile_rows; ++r) {  // those beyond the last one repeat it, for nothing
                    const int row = first + std::min(r, height - 1), channel = row % job.in;
                    const GatherTap& tap = taps[row / job.in];
                    const Index weight = job.table->live[static_cast<std::size_t>(tap.weight)];
                    offsets[r] = (tap.input - taps[0].input) * group.images * job.in + channel;
                    to[r] = job.grad_weight + (weight * job.in + channel) * job.out + panel.first;
                }
                for (int r = 0; r < height; ++r) std::copy_n(to[r], panel.valid, sums + r * width);
                tile(rows, {0, first_out, grad_output_step, sums, width, true, offsets});
                for (int r = 0; r < height; ++r) std::copy_n(sums + r * width, panel.valid, to[r]);
            }
        });
}

template <class Scalar>
void weight_gradient(const WeightGradientJob<Scalar>& job) noexcept {
    bool load = job.accumulate;
    const Index a_tap = Index{job.in} * job.out;
    if (job.table != nullptr && !load)  // not every group has every tap
        for (const int tap : job.table->live) std::fill_n(job.grad_weight + tap * a_tap, a_tap, Scalar{0});
    RowGroup<Scalar> group;
    const auto flush = [&] {
        job.table == nullptr ? weight_gradient_of_group(job, group, load) : weight_gradient_of_all_taps(job, group);
        load = true;
        group.count = 0;
        group.rows = 0;
    };
    for (Index block = job.first_block; block < job.last_block; ++block) {
        const Index first_image = block * job.block, b = std::min<Index>(job.block, job.images - first_image);
        const Scalar* input = job.input + first_image * job.input_positions * job.in;
        const Scalar* grad_output = job.grad_output + first_image * job.output_positions * job.out;
        // Where neighbours lie at a constant distance a run is one matrix, else a matrix for each position.
        const bool merged = b == 1 || job.input_step == 1;
        const Index step = b == 1 ? Index{job.input_step} * job.in : job.in;
        for (Index r = 0; r < job.run_count; ++r) {
            const GatherRun& run = job.runs[r];
            if (job.table != nullptr && run.taps == 0) continue;
            if (!group.takes(step, b, run.first_tap)) flush();
            group.step = step;
            group.images = b;
            group.first_tap = run.first_tap;
            group.taps = run.taps;
            const Index from =
                run.input + (job.table == nullptr ? 0 : job.table->taps[static_cast<std::size_t>(run.first_tap)].input);
            const Index matrices = merged ? 1 : run.count, rows_of_one = merged ? run.count * b : b;
            for (Index m = 0; m < matrices; ++m) {
                const Scalar* x = input + (from + m * job.input_step) * b * job.in;
                const Scalar* g = grad_output + (run.output + m) * b * job.out;
                for (Index rows = rows_of_one; rows > 0;) {
                    const Index some = std::min(rows, weight_gradient_group - group.rows);
                    group.segments[group.count++] = {x, g, some};
                    group.rows += some;
                    rows -= some;
                    x += some * step;
                    g += some * job.out;
                    if (group.full()) flush();
                }
            }
        }
    }
    if (group.count > 0) flush();
}
