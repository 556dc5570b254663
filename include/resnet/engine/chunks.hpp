// How a step's work is cut. Every number follows from shapes and the batch alone, so sums are taken in the same order
// on any number of threads.
#pragma once

#include <algorithm>
#include <cstddef>

#include <resnet/engine/plan.hpp>
#include <resnet/kernels/jobs.hpp>

namespace resnet::inline v0 {

/// Enough chunks that a few workers end at nearly the same time, and each large enough to be worth handing out.
inline constexpr Index wanted_chunks = 32;
inline constexpr Index least_work_a_chunk = Index{1} << 15;

/// What a convolution executes over a batch, in steps of a vector's sixteen multiplications.
constexpr Index convolution_macs_work(const ConvolutionShape& shape, Index images) {
    return live_macs(shape) * images / 16;
}
/// And the weights that it reads at least once: for an image alone they are what takes the time.
constexpr Index convolution_work(const ConvolutionShape& shape, Index images) {
    return convolution_macs_work(shape, images) + shape.weights();
}

/// Whether every run of a block of so many images has few rows, so that taps go outermost.
inline bool goes_by_tap(const PlannedStep& planned, Index images) {
    return !planned.tap_runs.empty() && planned.table.longest_run * images <= most_rows_by_tap(planned.shape);
}

/// A convolution's chunks: blocks of images x bands of runs x groups of panels.
struct ConvolutionChunks {
    Index blocks = 1, bands = 1, panel_groups = 1;
    Index count() const { return blocks * bands * panel_groups; }
};

inline ConvolutionChunks convolution_chunks(const Plan& plan, const PlannedStep& step, Index images,
                                            const Panels& panels) {
    ConvolutionChunks chunks{.blocks = divide_up(images, plan.block())};
    const Index wanted = std::clamp<Index>(convolution_work(step.shape, images) / least_work_a_chunk, 1, wanted_chunks);
    if (chunks.blocks >= wanted) return chunks;
    // Panels first: each worker then reads its own part of the weights. Then bands of rows, each of which reads all of
    // them. Narrow panels that share a tile mostly stay together, as far as four workers still have some each. (An
    // image alone on one position, 512 channels to 512, AVX2 on a Zen 3: 24 microseconds panel by panel, 16 to 20 so.)
    const Index block = std::min<Index>(images, plan.block());
    const bool by_tap = goes_by_tap(step, block);
    const Index together = std::clamp<Index>(
        panels.count() / 4, 1, narrow_panels_together(panels, by_tap ? 1 : step.table.longest_run * block));
    chunks.panel_groups = std::min(divide_up(panels.count(), together), divide_up(wanted, chunks.blocks));
    // By tap the rows of the map share a weight: that is what they are gathered for.
    if (by_tap) return chunks;
    const Index wanted_bands = std::min(wanted, convolution_macs_work(step.shape, images) / least_work_a_chunk);
    chunks.bands = std::clamp<Index>(divide_up(wanted_bands, chunks.blocks * chunks.panel_groups), 1,
                                     static_cast<Index>(step.table.runs.size()));
    return chunks;
}

/// Chunks of a pass over rows of C channels.
struct RowChunks {
    Index rows = 0, rows_a_chunk = 1;
    Index count() const { return divide_up(rows, rows_a_chunk); }
    Index first(Index chunk) const { return chunk * rows_a_chunk; }
    Index size(Index chunk) const { return std::min(rows_a_chunk, rows - first(chunk)); }
};

inline RowChunks row_chunks(Index rows, int channels) {
    constexpr Index elements = Index{1} << 14;  // 64 KiB of floats an array
    return {rows, std::max(divide_up(elements, channels), divide_up(rows, 2 * wanted_chunks))};
}

/// The gradient of a convolution's weights: parts of the batch, and of all taps at once bands of its runs (each with a
/// copy of the weights, summed in a fixed tree) x taps x groups of input channels (apart, no sum).
struct WeightGradientChunks {
    Index parts = 1, blocks_a_part = 1, bands = 1, taps = 1, in_groups = 1;
    Index copies() const { return parts * bands; }
    Index count() const { return copies() * taps * in_groups; }
};

inline WeightGradientChunks weight_gradient_chunks(const Plan& plan, const PlannedStep& step, Index images) {
    const Index blocks = divide_up(images, plan.block()), runs = static_cast<Index>(step.table.runs.size());
    WeightGradientChunks chunks;
    const bool direct = step.kernel == ConvolutionKernel::direct, all_taps = direct && runs > 0;
    chunks.taps = direct && !all_taps ? static_cast<Index>(step.tap_runs.size()) : 1;
    constexpr Index most_copies = 16;
    const bool copies = !direct || !has_large_weights(step.shape);
    const Index wanted = chunks.taps > 1 ? divide_up(wanted_chunks, chunks.taps) : most_copies;
    const Index parts = copies ? std::min({blocks, wanted, most_copies}) : 1;
    chunks.blocks_a_part = divide_up(blocks, parts);
    chunks.parts = divide_up(blocks, chunks.blocks_a_part);
    if (all_taps) chunks.bands = std::min(most_copies / chunks.parts, runs);
    if (direct && !all_taps)
        chunks.in_groups =
            std::clamp<Index>(divide_up(wanted_chunks, chunks.parts * chunks.taps), 1, divide_up(step.shape.in, 16));
    return chunks;
}

// Winograd's convolutions (winograd.hpp says how they go).

/// Of one image; a map of more has bands enough to share.
inline constexpr Index most_tiles_of_one_block = 1024;

/// Sizes of a Winograd convolution, and which of its two ways it goes.
struct WinogradSizes {
    const WinogradForm& form;
    StepKind kind;
    int in, out;
    /// From 3 MiB of transformed weights (floats) on, reading them again for each group of rows costs more than keeping
    /// them still; so do sums over the few rows that a block of one-tile maps has. A block alone keeps them still to
    /// share its products among workers, on maps of few tiles.
    bool keeps_weights_still;

    WinogradSizes(StepKind step_kind, const PlannedStep& step, bool one_block)
        : form{winograd_forms[step.form]},
          kind{step_kind},
          in{step.shape.in},
          out{step.shape.out},
          keeps_weights_still{weights() > 3 * (Index{1} << 18) ||
                              (one_block && form.tiles(step.shape.output).area() <= most_tiles_of_one_block) ||
                              (form.one_tile && kind == StepKind::convolution_grad_weight)} {}

    Index weights() const { return Index{form.all_products()} * in * out; }
    /// Rows (tile, image) that go together, or those of one tile where a block has more images than that. A product's
    /// are few: the transforms stay in the second-level cache beside the weights of 64 channels (layer1 of
    /// CifarResNet18, 128 images: 9.4 ms a convolution with 48 rows, 8.6 with 24). Those of a weight gradient, its
    /// depth, fill a second-level cache of 1 MiB.
    Index group_rows() const {
        if (kind != StepKind::convolution_grad_weight) return 24;
        return std::max<Index>(8, (Index{1} << 17) / (form.all_products() * (in + out) / 2) / 8 * 8);
    }
    /// Elements of so many transformed rows on both sides, each product's a little longer than its rows.
    Index transformed(Index rows) const { return form.all_products() * (rows * (in + out) + 32); }
};

/// Blocks that are transformed together while the weights keep still: about 256 rows, which hide the reading of a
/// product's weights.
inline Index winograd_group_blocks(const Plan& plan, Index tiles) { return divide_up(256, tiles * plan.block()); }
/// A block of more rows than some 1024 is transformed in parts of its map, rows of tiles: as a whole it would fill
/// memory (256 channels on 256x256, four images: 1.2 GB).
inline Index winograd_map_parts(const Plan& plan, Extent tiles, Index images) {
    return std::clamp<Index>(divide_up(tiles.area() * std::min<Index>(images, plan.block()), 1024), 1, tiles.height);
}
/// Bands of rows of tiles: a few for each worker, and as many in each part.
inline Index winograd_bands(const Plan& plan, Extent tiles, Index images) {
    const Index parts = winograd_map_parts(plan, tiles, images), blocks = divide_up(images, plan.block());
    return parts * std::clamp<Index>(divide_up(divide_up(wanted_chunks, blocks), parts), 1, tiles.height / parts);
}
/// Parts of the batch with sums of their own for the gradient of small weights.
inline Index winograd_parts(const Plan& plan, Index images) {
    return std::min<Index>(divide_up(images, plan.block()), 8);
}

/// Elements of transformed tiles that workers share.
inline Index winograd_needed(const Plan& plan, Index images) {
    Index needed = 0;
    for (int i = 0; i < plan.size(); ++i) {
        if (plan[i].kernel != ConvolutionKernel::winograd) continue;
        const WinogradSizes sizes{at(plan.program().steps, i).kind, plan[i], images <= plan.block()};
        if (!sizes.keeps_weights_still) continue;
        const Extent tiles = sizes.form.tiles(plan[i].shape.output);
        const Index part = divide_up(tiles.height, winograd_map_parts(plan, tiles, images)) * tiles.width;
        const Index rows = std::min(images, winograd_group_blocks(plan, tiles.area()) * plan.block()) * part;
        needed = std::max(needed, sizes.transformed(rows));
    }
    return needed;
}

/// Doubles for the partial sums of any step: of statistics, the loss and gradients, which inference does not have.
inline Index partial_sums_needed(const Plan& plan, Index images) {
    if (plan.program().mode == Mode::inference) return 0;
    Index needed = 0;
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (step.output < 0) continue;
        const Tensor& tensor = plan.tensor(step.output);
        const Index rows = tensor.extent.area() * images;
        Index chunks = row_chunks(rows, tensor.channels).count();
        // Blocks, or a few blocks in at most `wanted_chunks` bands altogether; Winograd's have more on large maps.
        const Index blocks = divide_up(images, plan.block());
        if (step.kind == StepKind::convolution) chunks = std::max(chunks, blocks + wanted_chunks);
        if (step.kind == StepKind::convolution && plan[i].kernel == ConvolutionKernel::winograd) {
            const Extent tiles = winograd_forms[plan[i].form].tiles(plan[i].shape.output);
            chunks = std::max(chunks, blocks * winograd_bands(plan, tiles, images));
        }
        needed = std::max(needed, chunks * 3 * tensor.channels);
    }
    return needed;
}

/// Elements for the partial copies of any convolution's weights, or of a custom operation's parameters.
inline Index partial_weights_needed(const Plan& plan, Index images) {
    Index needed = 0;
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (step.kind == StepKind::convolution_grad_weight) {
            if (plan[i].kernel == ConvolutionKernel::winograd) {
                const WinogradSizes sizes{step.kind, plan[i], images <= plan.block()};
                const Index copies = sizes.keeps_weights_still ? 1 : winograd_parts(plan, images);
                needed = std::max(needed, copies * sizes.weights());
                continue;
            }
            const Index copies = weight_gradient_chunks(plan, plan[i], images).copies();
            if (copies > 1) needed = std::max(needed, copies * plan[i].shape.weights());
        } else if (step.kind == StepKind::custom_grad) {
            const Layer& layer = at(plan.graph().layers, step.layer);
            Index elements = 0;
            for (int p = layer.first_parameter; p < layer.first_parameter + layer.parameters; ++p)
                elements += round_up(at(plan.graph().parameters, p).spec.size(), 16);
            needed = std::max(needed, divide_up(images, plan.block()) * elements);
        }
    }
    return needed;
}

/// Rows of im2col that are multiplied at a time, and the blocks of Eigen's product (fixed: its own follow the CPU's
/// caches). Its kernels take rows in groups of four, or of eight: all groups of `im2col_group` rows are summed alike.
inline constexpr Index im2col_rows = 192, im2col_group = 8, product_depth = 256, product_columns = 512;

/// Bytes of scratch a worker needs for any step.
template <class Scalar>
Index scratch_needed(const Plan& plan) {
    Index elements = plan.most_channels() + 64;  // pointwise_grad's row
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (detail::is_convolution(step.kind) && plan[i].kernel == ConvolutionKernel::im2col) {
            const Index depth = plan[i].shape.window.taps() * Index{plan[i].shape.in};
            // One tile of columns, the two blocks that Eigen's product packs its operands into, and a group of results.
            elements =
                std::max(elements, im2col_rows * round_up(depth, 16) + product_depth * (im2col_rows + product_columns) +
                                       im2col_group * plan[i].shape.out + 64);
        } else if (detail::is_convolution(step.kind) && plan[i].kernel == ConvolutionKernel::winograd) {
            const WinogradSizes sizes{step.kind, plan[i], false};
            const Index rows = std::max<Index>(sizes.group_rows(), plan.block());
            if (!sizes.keeps_weights_still) elements = std::max(elements, sizes.transformed(rows));
        } else if (step.kind == StepKind::max_pool_grad) {
            elements = std::max(elements, Index{plan.block()} * plan.tensor(step.output).channels);
        } else if (step.kind == StepKind::custom || step.kind == StepKind::custom_grad) {
            const Node& node = at(plan.graph().nodes, step.node);
            elements = std::max(elements,
                                node.custom->scratch_of(at(plan.graph().nodes, node.inputs[0]).extent, plan.block()));
        }
    }
    return round_up(elements * static_cast<Index>(sizeof(Scalar)), 4096) + 64;  // neighbours' scratch on other pages
}

}  // namespace resnet::inline v0
