// Direct convolution over a gather table: the sums of a tile of rows x channels stay in registers over all its taps.
// No im2col, no packed activations, no stored padding, no multiplication by a zero of the border.

/// A tap of the run at hand, in elements.
struct Tap {
    Index input, weight;
};

template <class Scalar>
struct TileTarget {
    Scalar* output;
    // What the sums begin with, or null: the residual, or what an earlier depth block left in output.
    const Scalar* start;
    Index stride;        // elements from row to row, of both
    const Scalar* bias;  // or null
    bool relu;
};

inline constexpr Index cache_line = 64;  // bytes

/// Packed weights as a tile reads them: of a tap and an input channel, a panel's channels; the next panel's are
/// `panel_stride` further. Two ways to fetch weights before they are wanted, in elements; 0: not in this way.
/// Where several tiles use the same weights, all but the first read them from near, and between them they have the time
/// to fetch those that come next. (An image of ImageNetResNet18 and of CifarResNet18, two cores of an Emerald Rapids,
/// whose last-level cache gives a core 22 GB/s: 1.10 and 1.05 times as fast; 128 images of CifarResNet18 1.06.)
template <class Scalar>
struct TileWeights {
    const Scalar* data;
    Index panel_stride;
    Index ahead = 0;  // with each weight, the one so much further, into the nearest cache
    Index next = 0;   // with each channel of a tap, one more cache line from there on, into the second-level cache
};

/// Few rows wait for weights from the last-level cache, where the hardware's prefetch stops at each page's end, and are
/// a single tile, which has nothing to do until the next ones arrive. (Two images of the tutorial's network in flight:
/// 59.5 microseconds an image without, 54.3 with.)
inline constexpr Index prefetch_distance = 512;
constexpr Index weights_ahead(Index rows) { return rows <= 4 ? prefetch_distance : 0; }

/// output[Rows][TilePanels * PanelVectors * lanes]
///     = epilogue(sum over taps, k < depth of input[row][k] * weight[tap][k]).
template <class Scalar, int Rows, int PanelVectors, int TilePanels = 1>
void convolution_tile(const Scalar* input, Index input_stride, const Tap* taps, int count, Index depth,
                      const TileWeights<Scalar>& weight, const TileTarget<Scalar>& target) {
    constexpr int Vectors = PanelVectors * TilePanels;
    using Packet = typename Vector<Scalar>::Packet;
    constexpr int lanes = Vector<Scalar>::lanes;
    // Addresses, not pointers: what is fetched may lie behind the last weight. (Whether to fetch is asked in the loop:
    // beside a tile's multiplications the jump costs next to nothing, and a second loop would double the code.)
    const std::uintptr_t ahead = static_cast<std::uintptr_t>(weight.ahead) * sizeof(Scalar);
    std::uintptr_t next_line =
        reinterpret_cast<std::uintptr_t>(weight.data) + static_cast<std::uintptr_t>(weight.next) * sizeof(Scalar);

    Packet sum[Rows][Vectors];
    RESNET_UNROLL
    for (int v = 0; v < Vectors; ++v) {
        const Packet bias =
            target.bias != nullptr ? *reinterpret_cast<const Packet*>(target.bias + v * lanes) : Packet{};
        RESNET_UNROLL
        for (int r = 0; r < Rows; ++r) sum[r][v] = bias;
    }
    if (target.start != nullptr) {
        RESNET_UNROLL
        for (int r = 0; r < Rows; ++r) {
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) sum[r][v] += load(target.start + r * target.stride + v * lanes);
        }
    }
    for (int t = 0; t < count; ++t) {
        const Scalar* a = input + taps[t].input;
        const Scalar* w = weight.data + taps[t].weight;
        for (Index k = 0; k < depth; ++k, w += PanelVectors * lanes) {
            if (TilePanels == 1 && weight.next != 0) {  // panels go together where a single tile has all rows
                __builtin_prefetch(reinterpret_cast<const void*>(next_line), 0, 2);
                next_line += cache_line;
            }
            Packet b[Vectors];
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) {
                const Scalar* from = w + v / PanelVectors * weight.panel_stride + v % PanelVectors * lanes;
                if (ahead != 0)
                    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(from) + ahead));
                b[v] = *reinterpret_cast<const Packet*>(from);
            }
            RESNET_UNROLL
            for (int r = 0; r < Rows; ++r) {
                const Scalar x = a[r * input_stride + k];
                RESNET_UNROLL
                for (int v = 0; v < Vectors; ++v) sum[r][v] += b[v] * x;
            }
        }
    }
    if (target.relu) {  // a NaN stays a NaN, as in PyTorch
        RESNET_UNROLL
        for (int r = 0; r < Rows; ++r) {
            RESNET_UNROLL
            for (int v = 0; v < Vectors; ++v) sum[r][v] = sum[r][v] < Packet{} ? Packet{} : sum[r][v];
        }
    }
    RESNET_UNROLL
    for (int r = 0; r < Rows; ++r) {
        RESNET_UNROLL
        for (int v = 0; v < Vectors; ++v) store(target.output + r * target.stride + v * lanes, sum[r][v]);
    }
}

template <class Scalar>
using ConvolutionTile = void (*)(const Scalar*, Index, const Tap*, int, Index, const TileWeights<Scalar>&,
                                 const TileTarget<Scalar>&);

template <class Scalar, int Vectors, int TilePanels, int... Rows>
constexpr auto convolution_tiles(std::integer_sequence<int, Rows...>) {
    return std::array<ConvolutionTile<Scalar>, sizeof...(Rows)>{
        &convolution_tile<Scalar, Rows + 1, Vectors, TilePanels>...};
}

static_assert(tile_vectors * Vector<float>::lanes <= widest_panel);

/// How many wide panels, at most `together`, go as a group from panel p of a job on.
inline int panel_group(const Panels& panels, int p, int last_panel, int together) {
    while (together > 1 && (p + together > last_panel || panels[p + together - 1].valid < tile_vectors * panels.lanes))
        together /= 2;
    return together;
}

/// The partial vector at the end of the channels goes through a buffer, so that nothing behind the row is touched.
template <class Scalar>
void convolution_partial_tile(ConvolutionTile<Scalar> tile, int rows, int valid, const Scalar* input,
                              Index input_stride, const Tap* taps, int count, Index depth,
                              const TileWeights<Scalar>& weight, TileTarget<Scalar> target) {
    constexpr int lanes = Vector<Scalar>::lanes;
    alignas(64) Scalar output[tile_rows * lanes] = {}, start[tile_rows * lanes] = {};
    Scalar* const real = target.output;
    const Index stride = target.stride;
    if (target.start != nullptr) {
        for (int r = 0; r < rows; ++r)
            for (int c = 0; c < valid; ++c) start[r * lanes + c] = target.start[r * stride + c];
        target.start = start;
    }
    target.output = output;
    target.stride = lanes;
    tile(input, input_stride, taps, count, depth, weight, target);
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < valid; ++c) real[r * stride + c] = output[r * lanes + c];
}

/// rows x channels of one panel, or of `together` wide ones that share a tile, in tiles of nearly equal height: 16 rows
/// are 6 + 5 + 5, since a tile of 4 rows still fills the multipliers and one of 1 or 2 does not.
template <class Scalar>
void convolution_shared_tiles(Index rows, const Panels::Panel& panel, int together, const Scalar* input,
                              Index input_stride, const Tap* taps, int count, Index depth, TileWeights<Scalar> weight,
                              TileTarget<Scalar> target) {
    static constexpr auto one = convolution_tiles<Scalar, 1, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto two = convolution_tiles<Scalar, 2, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto wide =
        convolution_tiles<Scalar, tile_vectors, 1>(std::make_integer_sequence<int, tile_rows>{});
    static constexpr auto pairs =
        convolution_tiles<Scalar, tile_vectors, 2>(std::make_integer_sequence<int, few_rows>{});
    static constexpr auto fours = convolution_tiles<Scalar, tile_vectors, 4>(std::make_integer_sequence<int, 1>{});
    const ConvolutionTile<Scalar>* const tiles = together == 4        ? fours.data()
                                                 : together == 2      ? pairs.data()
                                                 : panel.vectors == 1 ? one.data()
                                                 : panel.vectors == 2 ? two.data()
                                                                      : wide.data();
    const Index pieces = divide_up(rows, tile_rows), height = rows / pieces, taller = rows % pieces;
    const bool partial = panel.valid < panel.vectors * Vector<Scalar>::lanes;
    // The next panel takes so many lines a channel (a narrow one less than one). Each of the first tiles fetches one.
    const Index lines =
                    divide_up(panel.vectors * static_cast<Index>(sizeof(typename Vector<Scalar>::Packet)), cache_line),
                share = count * depth * cache_line / static_cast<Index>(sizeof(Scalar)), next = weight.next;
    for (Index p = 0; p < pieces; ++p) {
        weight.next = next != 0 && p < lines ? next + p * share : 0;
        const int h = static_cast<int>(height + (p < taller ? 1 : 0));
        const auto tile = tiles[h - 1];
        if (partial)
            convolution_partial_tile(tile, h, panel.valid, input, input_stride, taps, count, depth, weight, target);
        else tile(input, input_stride, taps, count, depth, weight, target);
        input += h * input_stride;
        target.output += h * target.stride;
        if (target.start != nullptr) target.start += h * target.stride;
    }
}

/// rows x channels of one panel, or of a group of wide ones: as many share a tile as so few rows need.
template <class Scalar>
void convolution_rows(Index rows, const Panels::Panel& panel, int group, const Scalar* input, Index input_stride,
                      const Tap* taps, int count, Index depth, TileWeights<Scalar> weight, TileTarget<Scalar> target) {
    const int together = std::min(group, panels_together(rows));
    const Index channels = Index{together} * panel.vectors * Vector<Scalar>::lanes;
    for (int p = 0; p < group; p += together) {
        convolution_shared_tiles(rows, panel, together, input, input_stride, taps, count, depth, weight, target);
        weight.data += together * weight.panel_stride;
        target.output += channels;
        if (target.start != nullptr) target.start += channels;
        if (target.bias != nullptr) target.bias += channels;
    }
}

template <class Scalar>
void convolution(const ConvolutionJob<Scalar>& job) noexcept {
    constexpr int lanes = Vector<Scalar>::lanes;
    const GatherTable& table = *job.table;
    const Panels panels{job.out, lanes, tile_vectors};
    const int live = static_cast<int>(table.live.size());
    const Index in = job.in, b = job.images, depth_total = live * in;

    // The weights of a panel are used a depth block at a time (at most 576 rows, nine taps of 64 channels: 144 KiB of a
    // 64-channel panel), over all rows of the chunk: they stay in the second-level cache, and the sums wait in the
    // output.
    constexpr Index depth_block = 576;
    const Index pieces = divide_up(in, depth_block), piece = divide_up(in, pieces);
    const int taps_per_block = static_cast<int>(std::max<Index>(1, depth_block / in));

    // Where neighbours lie at a constant distance a run is one matrix, else a matrix for each position.
    const bool merged = b == 1 || (table.input_step == 1 && table.output_step == 1);
    const Index input_stride = b == 1 ? table.input_step * in : in;
    const Index output_stride = b == 1 ? table.output_step * Index{job.out} : job.out;

    const Index most_rows = merged ? table.longest_run * b : b;
    // Where the longest run is one tile, shorter ones may be of few rows.
    const int most_together = most_rows <= few_rows    ? panels_together(most_rows)
                              : most_rows <= tile_rows ? narrow_panels_together(panels, 1)
                                                       : 1;
    int group = 1;
    for (int p = job.first_panel; p < job.last_panel; p += group) {
        const Panels::Panel panel = panels[p];
        group = panel_group(panels, p, job.last_panel, most_together);
        const TileWeights<Scalar> weight{job.weight + panel.first * depth_total, panel.vectors * lanes * depth_total,
                                         weights_ahead(most_rows)};
        const Index width = Index{panel.vectors} * lanes;
        for (int first_tap = 0; first_tap < live; first_tap += taps_per_block)
            for (Index k = 0; k < in; k += piece)
                for (Index r = job.first_run; r < job.last_run; ++r) {
                    const GatherRun& run = table.runs[static_cast<std::size_t>(r)];
                    Tap taps[64];
                    int count = 0, before = 0;
                    for (int t = 0; t < run.taps; ++t) {
                        const GatherTap& tap = table.taps[static_cast<std::size_t>(run.first_tap + t)];
                        if (tap.weight < first_tap) ++before;
                        else if (tap.weight < first_tap + taps_per_block)
                            taps[count++] = {tap.input * b * in + k, (tap.weight * in + k) * width};
                    }
                    // A run without taps (all padding) is written once, with the first block.
                    if (count == 0 && (run.taps > 0 || first_tap > 0 || k > 0)) continue;
                    const bool first = before == 0 && k == 0,
                               last = before + count == run.taps && (k + piece >= in || count == 0);
                    const Index offset = run.output * b * job.out + panel.first;
                    // The residual comes first: it may lie where the output goes, and a later depth block would find
                    // sums there.
                    const bool begun = job.accumulate || !first;
                    TileTarget<Scalar> target{
                        .output = job.output + offset,
                        .start = begun                     ? job.output + offset
                                 : job.residual != nullptr ? job.residual + offset
                                                           : nullptr,
                        .stride = output_stride,
                        .bias = job.bias != nullptr && !begun ? job.bias + panel.first : nullptr,
                        .relu = job.relu && last,
                    };
                    const Scalar* input = job.input + run.input * b * in;
                    const Index depth = std::min(piece, in - k);
                    if (merged) {
                        convolution_rows(run.count * b, panel, group, input, input_stride, taps, count, depth, weight,
                                         target);
                        continue;
                    }
                    for (int i = 0; i < run.count; ++i) {
                        convolution_rows(b, panel, group, input, input_stride, taps, count, depth, weight, target);
                        input += table.input_step * b * in;
                        target.output += table.output_step * b * job.out;
                        if (target.start != nullptr) target.start += table.output_step * b * job.out;
                    }
                }
    }
}
