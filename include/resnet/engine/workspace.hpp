// The memory of one run: the arena of activations, statistics of batch norms, and scratch for each worker. Sized by the
// plan and the batch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/workspace_sizes.hpp>

namespace resnet::inline v0 {

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
    Scalar* coefficients(int row) noexcept { return coefficients_.data() + row * whole_lines(plan_->most_channels()); }
    /// Sums of chunks, combined in a fixed tree when all are there.
    double* partial_sums() noexcept { return partial_sums_.data(); }
    Scalar* partial_weights() noexcept { return partial_weights_.data(); }
    /// Transformed tiles of a Winograd convolution whose weights keep still.
    Scalar* winograd() noexcept { return winograd_.data(); }
    /// A position of padding: zeros for a block's images and any tensor's channels.
    const Scalar* zeros() const noexcept { return zeros_.data(); }
    /// Passes alternate: one over images begins with those that the pass before it left in the caches.
    ChunkOrder next_order() noexcept {
        return order_ = order_ == ChunkOrder::ascending ? ChunkOrder::descending : ChunkOrder::ascending;
    }
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
    ChunkOrder order_ = ChunkOrder::descending;
    Buffer<Scalar> arena_, coefficients_, partial_weights_, winograd_, zeros_;
    Buffer<double> moments_, norms_, partial_sums_;
    Buffer<std::byte> scratch_;
    std::vector<Index> moment_offsets_, norm_offsets_;
};

}  // namespace resnet::inline v0
