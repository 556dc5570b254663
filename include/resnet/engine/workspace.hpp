// The memory of one run: the arena of activations, statistics of batch norms, and scratch for each worker. Sized by the
// plan and the batch.
#pragma once

#include <algorithm>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/engine/chunks.hpp>
#include <resnet/engine/plan.hpp>

namespace resnet::inline v0 {

/// Elements of a workspace's arrays for a batch: what Workspace allocates, and what Plan::bytes counts.
struct WorkspaceSizes {
    Index arena = 0, partial_sums = 0, partial_weights = 0, winograd = 0, zeros = 0;
    Index moments = 0, norms = 0, coefficients = 0;  // whatever the batch
    Index scratch = 0;                               // bytes a worker
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

/// For a batch of at least one image.
template <class Scalar>
WorkspaceSizes workspace_sizes(const Plan& plan, Index images) {
    WorkspaceSizes sizes{.arena = plan.arena_elements(images),
                         .partial_sums = partial_sums_needed(plan, images),
                         .partial_weights = partial_weights_needed(plan, images),
                         .winograd = winograd_needed(plan, images),
                         .zeros = Index{plan.block()} * plan.most_channels(),
                         .coefficients = detail::coefficient_rows * round_up(plan.most_channels(), 16),
                         .scratch = scratch_needed<Scalar>(plan)};
    for (const Tensor& tensor : plan.program().tensors)
        if (tensor.moments >= 0) sizes.moments += Index{2} * tensor.channels;
    for (const Norm& norm : plan.program().norms)
        sizes.norms += Index{2} * at(plan.graph().layers, norm.layer).normalized;
    return sizes;
}

template <class Scalar>
class Workspace {
public:
    explicit Workspace(const Plan& plan) : plan_{&plan} {
        Index moments = 0, norms = 0;
        moment_offsets_.assign(static_cast<std::size_t>(plan.program().moments), 0);
        for (const Tensor& tensor : plan.program().tensors) {
            if (tensor.moments < 0) continue;
            at(moment_offsets_, tensor.moments) = moments;
            moments += Index{2} * tensor.channels;
        }
        for (const Norm& norm : plan.program().norms) {
            norm_offsets_.push_back(norms);
            norms += Index{2} * at(plan.graph().layers, norm.layer).normalized;
        }
    }

    /// Makes room for a batch and for the workers of the caller's arena; allocates where either needs more than any
    /// before. (A smaller batch may: its chunks are more where a larger one's are longer.)
    void reserve(Index images) {
        workers_ = std::max(workers_, worker_count());
        if (images != images_) {
            const WorkspaceSizes sizes = workspace_sizes<Scalar>(*plan_, images);
            arena_.reserve(sizes.arena);
            partial_sums_.reserve(sizes.partial_sums);
            partial_weights_.reserve(sizes.partial_weights);
            winograd_.reserve(sizes.winograd);
            zeros_.reserve(sizes.zeros);
            moments_.reserve(sizes.moments);
            norms_.reserve(sizes.norms);
            coefficients_.reserve(sizes.coefficients);
            scratch_stride_ = std::max(scratch_stride_, sizes.scratch);
        }
        scratch_.reserve(scratch_stride_ * workers_);
        images_ = images;
    }

    Index images() const noexcept { return images_; }
    int workers() const noexcept { return std::min(worker_count(), workers_); }

    Scalar* tensor(int index) noexcept { return arena_.data() + plan_->offset(index, images_); }
    /// Mean, then sum of squared deviations, of a tensor's channels over the whole batch.
    double* moments(int index) noexcept { return moments_.data() + at(moment_offsets_, index); }
    /// Of a batch norm, a channel each, for the pass at hand: mean, then 1 / sqrt(var + epsilon).
    double* norm_mean(int norm) noexcept { return norms_.data() + at(norm_offsets_, norm); }
    double* norm_inverse_deviation(int norm) noexcept {
        return norm_mean(norm) + at(plan_->graph().layers, at(plan_->program().norms, norm).layer).normalized;
    }
    /// Rows of one value a channel, for the step at hand; detail::CoefficientRow names them.
    Scalar* coefficients(int row) noexcept { return coefficients_.data() + row * round_up(plan_->most_channels(), 16); }
    /// Sums of chunks, combined in a fixed tree when all are there.
    double* partial_sums() noexcept { return partial_sums_.data(); }
    Scalar* partial_weights() noexcept { return partial_weights_.data(); }
    /// Transformed tiles of a Winograd convolution whose weights keep still.
    Scalar* winograd() noexcept { return winograd_.data(); }
    /// A position of padding: zeros for a block's images and any tensor's channels.
    const Scalar* zeros() const noexcept { return zeros_.data(); }
    /// Passes go forwards and backwards in turn: one over images that follows such a one begins with those left in the
    /// caches.
    Turn next_turn() noexcept { return turn_ = turn_ == Turn::forwards ? Turn::backwards : Turn::forwards; }
    std::byte* scratch(int slot) noexcept { return scratch_.data() + slot * scratch_stride_; }

    Buffer<Scalar>& arena() noexcept { return arena_; }
    Index bytes() const noexcept {
        return arena_.bytes() + moments_.bytes() + norms_.bytes() + coefficients_.bytes() + partial_sums_.bytes() +
               partial_weights_.bytes() + winograd_.bytes() + zeros_.bytes() + scratch_.bytes();
    }

private:
    const Plan* plan_;
    Index images_ = 0, scratch_stride_ = 0;
    int workers_ = 0;
    Turn turn_ = Turn::backwards;
    Buffer<Scalar> arena_, coefficients_, partial_weights_, winograd_, zeros_;
    Buffer<double> moments_, norms_, partial_sums_;
    Buffer<std::byte> scratch_;
    std::vector<Index> moment_offsets_, norm_offsets_;
};

}  // namespace resnet::inline v0
