// A stretch of the flat parameter buffer: an optimizer's step goes over a list of them.
#pragma once

#include <resnet/core/extent.hpp>
#include <resnet/core/role.hpp>

namespace resnet::inline v0 {

/// Elements offset ... offset + count - 1 of the flat buffer, a multiple of 16 or up to the end of a parameter's
/// padding.
struct ParameterRange {
    int parameter = 0;
    Index offset = 0, count = 0;
    Role role = Role::weight;
    bool live = true;                           // some step writes its gradient; else the gradient is zero, always
    float learning_rate = 1, weight_decay = 1;  // factors of the optimizer's
};

}  // namespace resnet::inline v0
