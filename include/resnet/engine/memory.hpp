// How much memory a plan needs for a batch, before any of it is allocated.
#pragma once

#include <cstddef>
#include <string>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/engine/packs.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/workspace.hpp>

namespace resnet::inline v0 {

template <class Scalar>
Index Plan::bytes(Index images, int workers) const {
    if (images < 1) throw Error("Plan::bytes", "at least one image", std::to_string(images));
    const WorkspaceSizes sizes = workspace_sizes<Scalar>(*this, images);
    Index sum = Buffer<Scalar>::bytes(packs_) + Buffer<Scalar>::bytes(Packs<Scalar>::scratch_elements(*this, workers)) +
                Buffer<std::byte>::bytes(sizes.scratch * workers);
    for (const Index scalars : {sizes.arena, sizes.partial_weights, sizes.winograd, sizes.zeros, sizes.coefficients})
        sum += Buffer<Scalar>::bytes(scalars);
    for (const Index doubles : {sizes.moments, sizes.norms, sizes.partial_sums}) sum += Buffer<double>::bytes(doubles);
    return sum;
}

}  // namespace resnet::inline v0
