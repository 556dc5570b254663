// How much memory a run needs for a batch: what Workspace allocates, and what Plan::bytes counts.
#pragma once

#include <algorithm>

#include <resnet/engine/chunks.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/winograd_chunks.hpp>

namespace resnet::inline v0 {

/// Elements of a workspace's arrays for a batch.
struct WorkspaceSizes {
    Index arena = 0, partial_sums = 0, partial_weights = 0, winograd = 0, zeros = 0;
    Index moments = 0, norms = 0, coefficients = 0;  // whatever the batch
    Index scratch = 0;                               // bytes per worker
};

namespace detail {
/// Rows of Workspace::coefficients, for pointwise steps; two of each, but one of shift.
enum CoefficientRow : int {
    scale_row = 0,
    shift_row = 2,
    mean_row = 3,
    slope_row = 5,
    offset_row = 7,
    coefficient_rows = 9
};
}  // namespace detail

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
                elements += whole_lines(at(plan.graph().parameters, p).spec.size());
            needed = std::max(needed, divide_up(images, plan.block()) * elements);
        }
    }
    return needed;
}

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
                std::max(elements, im2col_rows * whole_lines(depth) + product_depth * (im2col_rows + product_columns) +
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

/// For a batch of at least one image.
template <class Scalar>
WorkspaceSizes workspace_sizes(const Plan& plan, Index images) {
    WorkspaceSizes sizes{.arena = plan.arena_elements(images),
                         .partial_sums = partial_sums_needed(plan, images),
                         .partial_weights = partial_weights_needed(plan, images),
                         .winograd = winograd_needed(plan, images),
                         .zeros = Index{plan.block()} * plan.most_channels(),
                         .coefficients = detail::coefficient_rows * whole_lines(plan.most_channels()),
                         .scratch = scratch_needed<Scalar>(plan)};
    for (const Tensor& tensor : plan.program().tensors)
        if (tensor.moments >= 0) sizes.moments += Index{2} * tensor.channels;
    for (const Norm& norm : plan.program().norms)
        sizes.norms += Index{2} * at(plan.graph().layers, norm.layer).normalized;
    return sizes;
}

}  // namespace resnet::inline v0
