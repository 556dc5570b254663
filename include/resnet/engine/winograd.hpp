// Winograd's convolutions: which tiles, in what order, where the transforms lie. The forms and their transforms are
// graph/winograd_form.hpp and kernels/winograd.inl.
//
// A row of a product is one tile of one image. Small weights go through tile groups that fit a worker's second-level
// cache: transform, multiply, transform back, all by one worker. Larger weights stay still instead: a group of blocks,
// or a part of a large map, is transformed, then each product (or part of its output channels) is multiplied for all of
// the group's rows, then transformed back.
#pragma once

#include <algorithm>

#include <resnet/engine/moments.hpp>
#include <resnet/engine/run.hpp>
#include <resnet/engine/winograd_chunks.hpp>

namespace resnet::inline v0 {

namespace detail {

/// Rows of transformed tiles: row r, product p lies at data + p * stride + r * channels.
template <class Scalar>
struct WinogradRows {
    Scalar* data = nullptr;
    Index stride = 0;
    int channels = 0;
};

/// One block's map in tiles.
template <class Scalar>
class WinogradMap {
public:
    WinogradMap(const WinogradForm& form, Scalar* data, Extent extent, int images, int channels, const Scalar* zeros)
        : form_{&form},
          data_{data},
          zeros_{zeros},
          extent_{extent},
          tiles_{form.tiles(extent)},
          images_{images},
          channels_{channels} {}

    Index row_length() const { return Index{images_} * channels_; }

    /// Where a tile's outputs lie; `outside` stands for positions beyond the map.
    template <class Pointer>
    void outputs(Index tile, Pointer outside, Pointer* rows) const {
        positions(tile, form_->outputs, 0, outside, rows);
    }
    /// Where a tile's inputs lie.
    void inputs(Index tile, Scalar** rows) const {
        positions(tile, form_->inputs(), form_->one_tile ? 0 : -1, zeros_, rows);
    }
    const Scalar* zeros() const { return zeros_; }

private:
    template <class Pointer>
    void positions(Index tile, int size, int shift, Pointer outside, Pointer* rows) const {
        const int y0 = static_cast<int>(tile / tiles_.width) * form_->outputs + shift,
                  x0 = static_cast<int>(tile % tiles_.width) * form_->outputs + shift;
        for (int y = y0; y < y0 + size; ++y)
            for (int x = x0; x < x0 + size; ++x) {
                const bool inside = y >= 0 && y < extent_.height && x >= 0 && x < extent_.width;
                *rows++ = inside ? data_ + (Index{y} * extent_.width + x) * row_length() : outside;
            }
    }

    const WinogradForm* form_;
    Scalar* data_;
    const Scalar* zeros_;
    Extent extent_, tiles_;
    int images_, channels_;
};

/// Rows of tiles before block `block`, tile `tile`, counted from the start of the batch.
template <class Scalar>
Index winograd_row(const Run<Scalar>& run, Index tiles, Index block, Index tile) {
    return block * run.plan.block() * tiles + tile * run.block_images(block);
}

template <class Scalar>
void winograd_transform_input(const WinogradKernels<Scalar>& kernels, const WinogradMap<const Scalar>& map,
                              Index first_tile, Index last_tile, int images, Index row, const WinogradRows<Scalar>& v) {
    const Scalar* rows[most_winograd_products];
    for (Index tile = first_tile; tile < last_tile; ++tile, row += images) {
        map.inputs(tile, rows);
        kernels.input(rows, map.row_length(), v.data + row * v.channels, v.stride);
    }
}
template <class Scalar>
void winograd_transform_grad_output(const WinogradKernels<Scalar>& kernels, const WinogradMap<const Scalar>& map,
                                    Index first_tile, Index last_tile, int images, Index row,
                                    const WinogradRows<Scalar>& m) {
    const Scalar* rows[most_winograd_outputs];
    for (Index tile = first_tile; tile < last_tile; ++tile, row += images) {
        map.outputs(tile, map.zeros(), rows);
        kernels.grad_output(rows, map.row_length(), m.data + row * m.channels, m.stride);
    }
}

/// What a convolution does with its sums.
template <class Scalar>
struct WinogradEpilogue {
    const Scalar* bias = nullptr;
    int residual = -1;  // tensor
    bool accumulate = false, relu = false, collects_moments = false;
};

/// A convolution of tensor `from` to tensor `to`: forward, or the gradient of the input with the rotated weights.
template <class Scalar>
class WinogradConvolution {
public:
    WinogradConvolution(const Run<Scalar>& run, StepKind kind, const PlannedStep& planned, int from, int to,
                        const WinogradEpilogue<Scalar>& epilogue)
        : run_{run},
          from_{from},
          to_{to},
          in_{run.plan.tensor(from).channels},
          out_{run.plan.tensor(to).channels},
          sizes_{kind, planned, run.blocks() == 1},
          kernels_{run.kernels.winograd[planned.form]},
          tiles_{sizes_.form.tiles(run.plan.tensor(to).extent)},
          extent_{run.plan.tensor(to).extent},
          epilogue_{epilogue},
          weight_{run.packs.at(planned.pack)},
          bands_{winograd_bands(run.plan, tiles_, run.images())},
          work_{run.convolution_work(planned.shape)} {}

    void run() const {
        sizes_.keeps_weights_still ? run_stationary() : run_fused();
        if (epilogue_.collects_moments) merge_moments(run_, to_, run_.blocks() * bands_);
    }

private:
    struct Band {
        Index block, first_tile, last_tile, index;
        int images;
    };
    Band band(Index chunk) const {
        const Index block = chunk / bands_, b = chunk % bands_;
        const Index first = tiles_.height * b / bands_, last = tiles_.height * (b + 1) / bands_;
        return {block, first * tiles_.width, last * tiles_.width, chunk, run_.block_images(block)};
    }
    WinogradMap<const Scalar> input(const Band& band) const {
        return {sizes_.form, run_.block(from_, band.block), extent_, band.images, in_, run_.workspace.zeros()};
    }

    void multiply(int product, Index rows, const WinogradRows<Scalar>& v, const WinogradRows<Scalar>& m,
                  int first_panel, int last_panel) const {
        run_.kernels.matrix_product({.rows = rows,
                                     .in = in_,
                                     .out = out_,
                                     .first_panel = first_panel,
                                     .last_panel = last_panel,
                                     .input = v.data + product * v.stride,
                                     .weight = weight_ + Index{product} * in_ * out_,
                                     .output = m.data + product * m.stride});
    }

    void transform_output(const Band& band, Index first_tile, Index last_tile, Index row,
                          const WinogradRows<Scalar>& m) const {
        const WinogradMap<Scalar> output{sizes_.form, run_.block(to_, band.block), extent_, band.images, out_, nullptr};
        WinogradOutputJob<Scalar> job{
            .stride = m.stride, .images = band.images, .channels = out_, .bias = epilogue_.bias};
        job.accumulate = epilogue_.accumulate;
        job.relu = epilogue_.relu;
        for (Index tile = first_tile; tile < last_tile; ++tile, row += band.images) {
            job.products = m.data + row * out_;
            output.outputs(tile, static_cast<Scalar*>(nullptr), job.output);
            if (epilogue_.residual >= 0) {
                const WinogradMap<const Scalar> residual{
                    sizes_.form, run_.block(epilogue_.residual, band.block), extent_, band.images, out_, nullptr};
                residual.outputs(tile, static_cast<const Scalar*>(nullptr), job.residual);
            }
            kernels_.output(job);
        }
    }

    void collect(const Band& band) const {
        if (!epilogue_.collects_moments) return;
        const Index first = band.first_tile / tiles_.width * sizes_.form.outputs,
                    last = std::min<Index>(band.last_tile / tiles_.width * sizes_.form.outputs, extent_.height);
        const Index rows = (last - first) * extent_.width * band.images;
        collect_moments(run_, to_, band.index, run_.block(to_, band.block) + first * extent_.width * band.images * out_,
                        rows);
    }

    void run_fused() const {
        const int panels = run_.kernels.panels(out_).count();
        run_.for_each_chunk(run_.blocks() * bands_, work_, [&](Index chunk, int slot) {
            const Band b = band(chunk);
            const Index group = std::max<Index>(1, sizes_.group_rows() / b.images), rows = group * b.images;
            const WinogradRows<Scalar> v{reinterpret_cast<Scalar*>(run_.workspace.scratch(slot)),
                                         winograd_stride(rows, in_), in_};
            const WinogradRows<Scalar> m{v.data + sizes_.form.all_products() * v.stride, winograd_stride(rows, out_),
                                         out_};
            for (Index first = b.first_tile; first < b.last_tile; first += group) {
                const Index last = std::min(first + group, b.last_tile);
                winograd_transform_input(kernels_, input(b), first, last, b.images, 0, v);
                for (int p = 0; p < sizes_.form.all_products(); ++p)
                    multiply(p, (last - first) * b.images, v, m, 0, panels);
                transform_output(b, first, last, 0, m);
            }
            collect(b);
        });
    }

    void run_stationary() const {
        const Index parts = winograd_map_parts(run_.plan, tiles_, run_.images()), bands_per_part = bands_ / parts,
                    group = winograd_group_blocks(run_.plan, tiles_.area());
        // Several blocks, or a part of one.
        for (Index first = 0; first < run_.blocks(); first += group)
            for (Index part = 0; part < parts; ++part)
                run_group(first * bands_ + part * bands_per_part,
                          (std::min(first + group, run_.blocks()) - 1) * bands_ + (part + 1) * bands_per_part);
    }

    void run_group(Index first, Index last) const {
        const int panels = run_.kernels.panels(out_).count(), panel_groups = std::min(panels, 4);
        const auto row = [&](const Band& b, Index tile) { return winograd_row(run_, tiles_.area(), b.block, tile); };
        const Band front = band(first), back = band(last - 1);
        const Index origin = row(front, front.first_tile), rows = row(back, back.last_tile) - origin;
        const WinogradRows<Scalar> v{run_.workspace.winograd(), winograd_stride(rows, in_), in_};
        const WinogradRows<Scalar> m{v.data + sizes_.form.all_products() * v.stride, winograd_stride(rows, out_), out_};
        run_.for_each_chunk(last - first, work_, [&](Index chunk, int) {
            const Band b = band(first + chunk);
            winograd_transform_input(kernels_, input(b), b.first_tile, b.last_tile, b.images,
                                     row(b, b.first_tile) - origin, v);
        });
        // Over weights, not images, and always ascending: each product fetches the weights that follow in the pack.
        const int workers = workers_for(work_, run_.workspace.workers());
        for_each_chunk(sizes_.form.all_products() * panel_groups, workers, [&](Index chunk, int) {
            const int p = static_cast<int>(chunk) / panel_groups, g = static_cast<int>(chunk) % panel_groups;
            multiply(p, rows, v, m, panels * g / panel_groups, panels * (g + 1) / panel_groups);
        });
        run_.for_each_chunk(last - first, work_, [&](Index chunk, int) {
            const Band b = band(first + chunk);
            transform_output(b, b.first_tile, b.last_tile, row(b, b.first_tile) - origin, m);
            collect(b);
        });
    }

    const Run<Scalar>& run_;
    int from_, to_, in_, out_;
    WinogradSizes sizes_;
    const WinogradKernels<Scalar>& kernels_;
    Extent tiles_, extent_;
    WinogradEpilogue<Scalar> epilogue_;
    const Scalar* weight_;
    Index bands_;  // of tile rows, a block
    Index work_;
};

/// The gradient of the weights, the exact adjoint of the forward transforms: dU = V^T dM, dW = G^T dU G.
template <class Scalar>
class WinogradWeightGradient {
public:
    WinogradWeightGradient(const Run<Scalar>& run, const Step& step, const PlannedStep& planned)
        : run_{run},
          input_{step.terms[0].tensor},
          grad_output_{step.grad_output},
          in_{run.plan.tensor(input_).channels},
          out_{run.plan.tensor(grad_output_).channels},
          extent_{run.plan.tensor(input_).extent},
          sizes_{step.kind, planned, run.blocks() == 1},
          kernels_{run.kernels.winograd[planned.form]},
          tiles_{sizes_.form.tiles(extent_)},
          work_{run.convolution_work(planned.shape)} {}

    void run(Scalar* grad_weight, bool add) const {
        const Index elements = sizes_.weights();
        Scalar* u = run_.workspace.partial_weights();
        if (sizes_.keeps_weights_still) run_stationary(u);
        else run_parts(u, elements);
        const Index parts = sizes_.keeps_weights_still ? 1 : winograd_parts(run_.plan, run_.images());
        run_.for_each_chunk(in_, work_, [&](Index i, int) {
            for (int p = 0; p < sizes_.form.all_products(); ++p)
                sum_tree(u, parts, elements, (Index{p} * in_ + i) * out_, (Index{p} * in_ + i + 1) * out_);
            Scalar* taps[9];
            for (int t = 0; t < 9; ++t) taps[t] = grad_weight + (Index{t} * in_ + i) * out_;
            kernels_.grad_weight(u + i * out_, Index{in_} * out_, out_, taps, add);
        });
    }

private:
    WinogradMap<const Scalar> map(int tensor, Index block) const {
        return {sizes_.form,
                run_.block(tensor, block),
                extent_,
                run_.block_images(block),
                run_.plan.tensor(tensor).channels,
                run_.workspace.zeros()};
    }
    void multiply(int product, Index rows, const WinogradRows<Scalar>& v, const WinogradRows<Scalar>& m, int first_in,
                  int last_in, Scalar* u, bool add) const {
        const GatherRun all{.output = 0, .input = 0, .count = static_cast<std::int32_t>(rows)};
        WeightGradientJob<Scalar> job{.runs = &all, .run_count = 1};
        job.first_in = first_in;
        job.last_in = last_in;
        job.in = in_;
        job.out = out_;
        job.block = 1;
        job.images = 1;
        job.last_block = 1;
        job.input = v.data + product * v.stride;
        job.grad_output = m.data + product * m.stride;
        job.grad_weight = u + Index{product} * in_ * out_;
        job.accumulate = add;
        run_.kernels.weight_gradient(job);
    }

    /// Parts of the batch, each with transformed weights of its own.
    void run_parts(Scalar* u, Index elements) const {
        const Index parts = winograd_parts(run_.plan, run_.images());
        run_.for_each_chunk(parts, work_, [&](Index part, int slot) {
            bool add = false;
            for (Index block = run_.blocks() * part / parts; block < run_.blocks() * (part + 1) / parts; ++block) {
                const int images = run_.block_images(block);
                const Index group = std::max<Index>(1, sizes_.group_rows() / images), rows = group * images;
                const WinogradRows<Scalar> v{reinterpret_cast<Scalar*>(run_.workspace.scratch(slot)),
                                             winograd_stride(rows, in_), in_};
                const WinogradRows<Scalar> m{v.data + sizes_.form.all_products() * v.stride,
                                             winograd_stride(rows, out_), out_};
                for (Index first = 0; first < tiles_.area(); first += group) {
                    const Index last = std::min(first + group, tiles_.area());
                    winograd_transform_input(kernels_, map(input_, block), first, last, images, 0, v);
                    winograd_transform_grad_output(kernels_, map(grad_output_, block), first, last, images, 0, m);
                    for (int p = 0; p < sizes_.form.all_products(); ++p)
                        multiply(p, (last - first) * images, v, m, 0, in_, u + part * elements, add);
                    add = true;
                }
            }
        });
    }

    void run_stationary(Scalar* u) const {
        const Index parts = winograd_map_parts(run_.plan, tiles_, run_.images()),
                    group = winograd_group_blocks(run_.plan, tiles_.area());
        // Several blocks, or a part of one.
        for (Index first = 0; first < run_.blocks(); first += group)
            for (Index part = 0; part < parts; ++part)
                add_group(first, std::min(first + group, run_.blocks()), tiles_.height * part / parts * tiles_.width,
                          tiles_.height * (part + 1) / parts * tiles_.width, u, first > 0 || part > 0);
    }

    void add_group(Index first, Index last, Index first_tile, Index last_tile, Scalar* u, bool add) const {
        const auto row = [&](Index block, Index tile) { return winograd_row(run_, tiles_.area(), block, tile); };
        const Index origin = row(first, first_tile), rows = row(last - 1, last_tile) - origin;
        const WinogradRows<Scalar> v{run_.workspace.winograd(), winograd_stride(rows, in_), in_};
        const WinogradRows<Scalar> m{v.data + sizes_.form.all_products() * v.stride, winograd_stride(rows, out_), out_};
        const Index tiles = last_tile - first_tile, strips = std::min(divide_up(wanted_chunks, last - first), tiles);
        run_.for_each_chunk((last - first) * strips, work_, [&](Index chunk, int) {
            const Index block = first + chunk / strips, strip = chunk % strips;
            const Index from = first_tile + tiles * strip / strips, to = first_tile + tiles * (strip + 1) / strips,
                        at = row(block, from) - origin;
            const int images = run_.block_images(block);
            winograd_transform_input(kernels_, map(input_, block), from, to, images, at, v);
            winograd_transform_grad_output(kernels_, map(grad_output_, block), from, to, images, at, m);
        });
        constexpr int in_groups = 2;
        run_.for_each_chunk(sizes_.form.all_products() * in_groups, work_, [&](Index chunk, int) {
            const int p = static_cast<int>(chunk) / in_groups, g = static_cast<int>(chunk) % in_groups;
            multiply(p, rows, v, m, in_ * g / in_groups, in_ * (g + 1) / in_groups, u, add);
        });
    }

    const Run<Scalar>& run_;
    int input_, grad_output_, in_, out_;
    Extent extent_;
    WinogradSizes sizes_;
    const WinogradKernels<Scalar>& kernels_;
    Extent tiles_;
    Index work_;
};

}  // namespace detail

}  // namespace resnet::inline v0
