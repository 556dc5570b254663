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
inline constexpr Index least_work_per_chunk = Index{1} << 15;

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
    const Index wanted =
        std::clamp<Index>(convolution_work(step.shape, images) / least_work_per_chunk, 1, wanted_chunks);
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
    const Index wanted_bands = std::min(wanted, convolution_macs_work(step.shape, images) / least_work_per_chunk);
    chunks.bands = std::clamp<Index>(divide_up(wanted_bands, chunks.blocks * chunks.panel_groups), 1,
                                     static_cast<Index>(step.table.runs.size()));
    return chunks;
}

/// Chunks of a pass over rows of C channels.
struct RowChunks {
    Index rows = 0, rows_per_chunk = 1;
    Index count() const { return divide_up(rows, rows_per_chunk); }
    Index first(Index chunk) const { return chunk * rows_per_chunk; }
    Index size(Index chunk) const { return std::min(rows_per_chunk, rows - first(chunk)); }
};

inline RowChunks row_chunks(Index rows, int channels) {
    constexpr Index elements = Index{1} << 14;  // 64 KiB of floats an array
    return {rows, std::max(divide_up(elements, channels), divide_up(rows, 2 * wanted_chunks))};
}

/// The gradient of a convolution's weights: parts of the batch, and of all taps at once bands of its runs (each with a
/// copy of the weights, summed in a fixed tree) x taps x groups of input channels (apart, no sum).
struct WeightGradientChunks {
    Index parts = 1, blocks_per_part = 1, bands = 1, taps = 1, in_groups = 1;
    Index copies() const { return parts * bands; }
    Index count() const { return copies() * taps * in_groups; }
};

inline WeightGradientChunks weight_gradient_chunks(const Plan& plan, const PlannedStep& step, Index images) {
    const Index blocks = divide_up(images, plan.block()), runs = static_cast<Index>(step.table.runs.size());
    WeightGradientChunks chunks;
    const bool direct = step.kernel == ConvolutionKernel::direct, all_taps = direct && runs > 0;
    chunks.taps = direct && !all_taps ? static_cast<Index>(step.tap_runs.size()) : 1;
    constexpr Index most_copies = 16;
    // im2col shares its work by copies alone: as many as 64 MiB of floats hold.
    const bool copies = !direct || !has_large_weights(step.shape);
    const Index room = direct ? most_copies : std::max<Index>(1, (Index{1} << 24) / step.shape.weights());
    const Index wanted = chunks.taps > 1 ? divide_up(wanted_chunks, chunks.taps) : most_copies;
    const Index parts = copies ? std::min({blocks, wanted, most_copies, room}) : 1;
    chunks.blocks_per_part = divide_up(blocks, parts);
    chunks.parts = divide_up(blocks, chunks.blocks_per_part);
    if (all_taps) chunks.bands = std::min(most_copies / chunks.parts, runs);
    if (direct && !all_taps)
        chunks.in_groups =
            std::clamp<Index>(divide_up(wanted_chunks, chunks.parts * chunks.taps), 1, divide_up(step.shape.in, 16));
    return chunks;
}

/// Rows of im2col that are multiplied at a time, and the blocks of Eigen's product (fixed: its own follow the CPU's
/// caches). Its kernels take rows in groups of four, or of eight: all groups of `im2col_group` rows are summed alike.
inline constexpr Index im2col_rows = 192, im2col_group = 8, product_depth = 256, product_columns = 512;

}  // namespace resnet::inline v0
