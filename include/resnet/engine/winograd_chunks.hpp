// How a Winograd convolution's work is cut, and which of its two ways it goes (winograd.hpp says how). As in chunks.hpp
// every number follows from shapes and the batch alone.
#pragma once

#include <algorithm>

#include <resnet/engine/chunks.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/graph/winograd_form.hpp>

namespace resnet::inline v0 {

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

}  // namespace resnet::inline v0
