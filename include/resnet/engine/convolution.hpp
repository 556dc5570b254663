// Convolution steps: forward (with the statistics or the epilogue that the fuser asked for), gradient of the input,
// gradient of the weights.
#pragma once

#include <resnet/engine/im2col.hpp>
#include <resnet/engine/moments.hpp>
#include <resnet/engine/run.hpp>
#include <resnet/engine/winograd.hpp>

namespace resnet::inline v0 {

namespace detail {

/// Where a chunk of a direct convolution lies.
struct ConvolutionChunk {
    Index block, band, first_run, last_run;
    int first_panel, last_panel;
};
inline ConvolutionChunk convolution_chunk(const ConvolutionChunks& chunks, const PlannedStep& planned, int panels,
                                          Index chunk) {
    // Panel groups outermost: a worker's share of the chunks reads one part of the weights.
    const Index group = chunk / (chunks.blocks * chunks.bands), rest = chunk % (chunks.blocks * chunks.bands);
    const Index band = rest % chunks.bands, runs = static_cast<Index>(planned.table.runs.size());
    return {.block = rest / chunks.bands,
            .band = band,
            .first_run = runs * band / chunks.bands,
            .last_run = runs * (band + 1) / chunks.bands,
            .first_panel = static_cast<int>(panels * group / chunks.panel_groups),
            .last_panel = static_cast<int>(panels * (group + 1) / chunks.panel_groups)};
}

/// Statistics of what a chunk has just written, while it is in the cache.
template <class Scalar>
void collect_chunk(const Run<Scalar>& run, const Step& step, const PlannedStep& planned,
                   const ConvolutionChunks& chunks, const ConvolutionChunk& chunk, const Panels& panels,
                   const Scalar* output) {
    const GatherRun &first = planned.table.runs[static_cast<std::size_t>(chunk.first_run)],
                    &last = planned.table.runs[static_cast<std::size_t>(chunk.last_run - 1)];
    const Index b = run.block_images(chunk.block), rows = (last.output + last.count - first.output) * b;
    const int from = panels[chunk.first_panel].first;
    const Panels::Panel end = panels[chunk.last_panel - 1];
    collect_moments(run, step.output, chunk.block * chunks.bands + chunk.band,
                    output + first.output * b * planned.shape.out, rows, from, end.first + end.valid - from);
}

template <class Scalar>
void run_direct(const Run<Scalar>& run, const Step& step, const PlannedStep& planned, ConvolutionJob<Scalar> job,
                int from, int to) {
    const Panels panels = run.kernels.panels(job.out);
    const ConvolutionChunks chunks = convolution_chunks(run.plan, planned, run.images(), panels);
    job.table = &planned.table;
    job.taps = planned.tap_runs.data();
    job.weight = run.packs.at(planned.pack);
    job.distant_weights = has_distant_weights(planned.shape);
    run.for_each_chunk(chunks.count(), run.convolution_work(planned.shape), [&](Index index, int) {
        const ConvolutionChunk chunk = convolution_chunk(chunks, planned, panels.count(), index);
        ConvolutionJob<Scalar> part = job;
        part.first_run = chunk.first_run;
        part.last_run = chunk.last_run;
        part.first_panel = chunk.first_panel;
        part.last_panel = chunk.last_panel;
        part.images = run.block_images(chunk.block);
        part.input = run.block(from, chunk.block);
        part.output = run.block(to, chunk.block);
        if (step.residual >= 0) part.residual = run.block(step.residual, chunk.block);
        goes_by_tap(planned, part.images) ? run.kernels.convolution_by_tap(part) : run.kernels.convolution(part);
        if (step.collects_moments) collect_chunk(run, step, planned, chunks, chunk, panels, part.output);
    });
    if (step.collects_moments) merge_moments(run, step.output, chunks.blocks * chunks.bands);
}

/// Sums over all rows of each channel: the gradient of a bias.
template <class Scalar>
void run_grad_bias(const Run<Scalar>& run, const Step& step, Scalar* grad_bias) {
    const int channels = run.plan.tensor(step.grad_output).channels;
    const RowChunks chunks = row_chunks(run.rows(step.grad_output), channels);
    const Scalar* grad = run.workspace.tensor(step.grad_output);
    double* sums = run.workspace.partial_sums();
    run.for_each_chunk(chunks.count(), run.elements(step.grad_output), [&](Index chunk, int) {
        double* to = sums + chunk * channels;
        std::fill_n(to, channels, 0.0);
        for (Index r = chunks.first(chunk); r < chunks.first(chunk) + chunks.size(chunk); ++r)
            for (int c = 0; c < channels; ++c) to[c] += static_cast<double>(grad[r * channels + c]);
    });
    sum_tree(sums, chunks.count(), channels, 0, channels);
    const bool add = run.adds(step.grad_parameters[1]);
    for (int c = 0; c < channels; ++c) grad_bias[c] = static_cast<Scalar>(sums[c]) + (add ? grad_bias[c] : Scalar{0});
}

/// The gradient of weights from its copies, on the taps that touch data: that of the others stays zero, or what another
/// use of the layer gives it.
template <class Scalar>
void sum_copies(const Run<Scalar>& run, const PlannedStep& planned, Scalar* sums, Index copies, bool add,
                Scalar* grad_weight) {
    const Index elements = planned.shape.weights(), a_tap = Index{planned.shape.in} * planned.shape.out;
    constexpr Index strip = Index{1} << 13;
    const Index strips = divide_up(a_tap, strip);
    const auto live = static_cast<Index>(planned.live_taps.size());
    run.for_each_chunk(live * strips, elements * copies, [&](Index chunk, int) {
        const Index tap = planned.live_taps[static_cast<std::size_t>(chunk / strips)];
        const Index first = tap * a_tap + chunk % strips * strip, last = std::min((tap + 1) * a_tap, first + strip);
        sum_tree(sums, copies, elements, first, last);
        for (Index i = first; i < last; ++i) grad_weight[i] = sums[i] + (add ? grad_weight[i] : Scalar{0});
    });
}

}  // namespace detail

template <class Scalar>
void run_convolution(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const PlannedStep& planned = run.plan[index];
    const bool folded = planned.bias >= 0;
    const Scalar* bias = folded ? run.packs.at(planned.bias) : run.parameter(step.layer, "bias");
    const int input = step.terms[0].tensor;
    const bool relu = step.activation == Activation::relu;  // the fuser leaves gelu to a step of its own
    if (planned.kernel == ConvolutionKernel::winograd) {
        const detail::WinogradEpilogue<Scalar> epilogue{
            .bias = bias, .residual = step.residual, .relu = relu, .collects_moments = step.collects_moments};
        return detail::WinogradConvolution<Scalar>{run, step.kind, planned, input, step.output, epilogue}.run();
    }
    if (planned.kernel == ConvolutionKernel::direct) {
        ConvolutionJob<Scalar> job{.in = planned.shape.in, .out = planned.shape.out, .bias = bias, .relu = relu};
        return detail::run_direct(run, step, planned, job, input, step.output);
    }
    const Scalar* weight = folded ? run.packs.at(planned.pack) : run.parameter(step.layer, "weight");
    run.for_each_chunk(run.blocks(), run.convolution_work(planned.shape), [&](Index block, int slot) {
        const int images = run.block_images(block);
        Scalar* output = run.block(step.output, block);
        convolution_im2col_forward(run, planned.shape, images, run.block(input, block), weight, bias,
                                   step.residual >= 0 ? run.block(step.residual, block) : nullptr, relu, output, slot);
        if (step.collects_moments)
            collect_moments(run, step.output, block, output, planned.shape.output.area() * images);
    });
    if (step.collects_moments) merge_moments(run, step.output, run.blocks());
}

template <class Scalar>
void run_convolution_grad_input(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const PlannedStep& planned = run.plan[index];
    const bool add = step.writes[0] == Write::add;
    if (planned.kernel == ConvolutionKernel::winograd)
        return detail::WinogradConvolution<Scalar>{
            run, step.kind, planned, step.grad_output, step.grad_inputs[0], {.accumulate = add}}
            .run();
    if (planned.kernel == ConvolutionKernel::direct) {
        ConvolutionJob<Scalar> job{.in = planned.shape.out, .out = planned.shape.in, .accumulate = add};
        return detail::run_direct(run, step, planned, job, step.grad_output, step.grad_inputs[0]);
    }
    const Scalar* weight = run.parameter(step.layer, "weight");
    run.for_each_chunk(run.blocks(), run.convolution_work(planned.shape), [&](Index block, int slot) {
        convolution_im2col_grad_input(run, planned.shape, run.block_images(block), run.block(step.grad_output, block),
                                      weight, add, run.block(step.grad_inputs[0], block), slot);
    });
}

template <class Scalar>
void run_convolution_grad_weight(const Run<Scalar>& run, int index) {
    const Step& step = run.step(index);
    const PlannedStep& planned = run.plan[index];
    if (Scalar* grad_bias = run.gradient(step.layer, "bias"); grad_bias != nullptr && !step.bias_cancels)
        detail::run_grad_bias(run, step, grad_bias);
    Scalar* grad_weight = run.gradient(step.layer, "weight");
    if (grad_weight == nullptr) return;

    const ConvolutionShape& shape = planned.shape;
    const Index elements = shape.weights();
    const int input = step.terms[0].tensor;
    const bool add = run.adds(step.grad_parameters[0]);
    if (planned.kernel == ConvolutionKernel::winograd)
        return detail::WinogradWeightGradient<Scalar>{run, step, planned}.run(grad_weight, add);
    const WeightGradientChunks chunks = weight_gradient_chunks(run.plan, planned, run.images());
    const Index a_tap = Index{shape.in} * shape.out;
    if (!add)
        for (const int tap : planned.cleared_taps) std::fill_n(grad_weight + tap * a_tap, a_tap, Scalar{0});
    const Index copies = chunks.copies();
    Scalar* const sums = copies > 1 ? run.workspace.partial_weights() : grad_weight;
    const bool into_gradient = copies == 1;
    run.for_each_chunk(chunks.count(), run.convolution_work(shape), [&](Index chunk, int slot) {
        const Index copy = chunk / (chunks.taps * chunks.in_groups), rest = chunk % (chunks.taps * chunks.in_groups);
        const Index part = copy / chunks.bands, band = copy % chunks.bands;
        const Index first_block = part * chunks.blocks_per_part,
                    last_block = std::min(run.blocks(), first_block + chunks.blocks_per_part);
        Scalar* const to = sums + copy * elements;
        if (planned.kernel == ConvolutionKernel::im2col) {
            if (!into_gradient || !add) std::fill_n(to, elements, Scalar{0});
            for (Index block = first_block; block < last_block; ++block)
                convolution_im2col_grad_weight(run, shape, run.block_images(block), run.block(input, block),
                                               run.block(step.grad_output, block), to, slot);
            return;
        }
        WeightGradientJob<Scalar> job{.input_step = shape.window.stride, .in = shape.in, .out = shape.out};
        if (const GatherTable& table = planned.table; !table.runs.empty()) {
            const Index runs = static_cast<Index>(table.runs.size()), first = runs * band / chunks.bands;
            job.table = &table;
            job.runs = table.runs.data() + first;
            job.run_count = runs * (band + 1) / chunks.bands - first;
            job.grad_weight = to;
        } else {
            const TapRuns& tap = planned.tap_runs[static_cast<std::size_t>(rest / chunks.in_groups)];
            const Index group = rest % chunks.in_groups;
            job.runs = tap.runs.data();
            job.run_count = static_cast<Index>(tap.runs.size());
            job.first_in = static_cast<int>(shape.in * group / chunks.in_groups);
            job.last_in = static_cast<int>(shape.in * (group + 1) / chunks.in_groups);
            job.grad_weight = to + tap.tap * a_tap;
        }
        job.block = run.plan.block();
        job.images = run.images();
        job.first_block = first_block;
        job.last_block = last_block;
        job.input_positions = shape.input.area();
        job.output_positions = shape.output.area();
        job.input = run.workspace.tensor(input);
        job.grad_output = run.workspace.tensor(step.grad_output);
        job.accumulate = into_gradient && add;
        run.kernels.weight_gradient(job);
    });
    if (!into_gradient) detail::sum_copies(run, planned, sums, copies, add, grad_weight);
}

}  // namespace resnet::inline v0
