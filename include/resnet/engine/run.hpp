// What every step of a run is given.
#pragma once

#include <resnet/engine/packs.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/engine/workspace.hpp>
#include <resnet/kernels/kernels.hpp>

namespace resnet::inline v0 {

template <class Scalar>
struct Run {
    const Plan& plan;
    const Kernels<Scalar>& kernels;
    const Weights<Scalar>& weights;
    const Packs<Scalar>& packs;
    Workspace<Scalar>& workspace;
    Scalar* gradients = nullptr;  // of the parameters, a flat buffer like theirs (training)
    bool accumulate = false;      // add to the parameters' gradients of an earlier batch

    const Step& step(int index) const { return at(plan.program().steps, index); }
    Index images() const { return workspace.images(); }
    Index blocks() const { return divide_up(images(), plan.block()); }
    /// Images of a block: the last may have fewer.
    int block_images(Index block) const {
        return static_cast<int>(std::min<Index>(plan.block(), images() - block * plan.block()));
    }
    Index rows(int tensor) const { return plan.tensor(tensor).extent.area() * images(); }
    /// Where a block of a tensor begins.
    Scalar* block(int tensor, Index block) const {
        return workspace.tensor(tensor) + block * plan.block() * plan.tensor(tensor).elements();
    }
    const Scalar* parameter(int layer, std::string_view name) const {
        const int p = plan.graph().parameter(layer, name);
        return p < 0 ? nullptr : weights.parameter(p);
    }
    /// Null where the layer has no such parameter or it is frozen.
    Scalar* gradient(int layer, std::string_view name) const {
        const int p = plan.graph().parameter(layer, name);
        return p < 0 || at(weights.frozen(), p) != 0 ? nullptr : gradients + at(plan.graph().parameters, p).offset;
    }
    bool adds(Write write) const { return write == Write::add || accumulate; }

    /// Elements of a tensor over the whole batch.
    Index elements(int tensor) const { return plan.tensor(tensor).elements() * images(); }
    /// Of the whole batch.
    Index convolution_work(const ConvolutionShape& shape) const { return resnet::convolution_work(shape, images()); }

    /// for_each_chunk on as many of the workspace's workers as the work is worth.
    void for_each_chunk(Index count, Index work, const auto& f) const {
        resnet::for_each_chunk(count, workers_for(work, workspace.workers()), f, workspace.next_order());
    }
};

namespace detail {

/// merge(to, from) over `count` parts in a fixed tree, which leaves all of them in part 0.
void merge_tree(Index count, const auto& merge) {
    for (Index distance = 1; distance < count; distance *= 2)
        for (Index part = 0; part + distance < count; part += 2 * distance) merge(part, part + distance);
}

/// parts[0] += parts[1] + ... as merge_tree goes, elements first ... last - 1; parts lie `stride` apart.
template <class T>
void sum_tree(T* parts, Index count, Index stride, Index first, Index last) {
    merge_tree(count, [&](Index part, Index other) {
        T* to = parts + part * stride;
        const T* from = parts + other * stride;
        for (Index i = first; i < last; ++i) to[i] += from[i];
    });
}

}  // namespace detail

}  // namespace resnet::inline v0
