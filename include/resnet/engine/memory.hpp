// How much memory a plan needs for a batch, before any of it is allocated.
#pragma once

#include <resnet/engine/packs.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/workspace.hpp>

namespace resnet::inline v0 {

template <class Scalar>
Index Plan::bytes(Index images, int workers) const {
    const WorkspaceSizes sizes = workspace_sizes<Scalar>(*this, images);
    const Index scalars = sizes.arena + sizes.partial_weights + sizes.winograd + sizes.zeros + sizes.coefficients +
                          packs_ + Packs<Scalar>::scratch_elements(*this, workers);
    const Index doubles = sizes.moments + sizes.norms + sizes.partial_sums;
    return scalars * static_cast<Index>(sizeof(Scalar)) + doubles * static_cast<Index>(sizeof(double)) +
           sizes.scratch * workers;
}

}  // namespace resnet::inline v0
