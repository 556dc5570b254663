// The functions that close a step.
#pragma once

#include <cstdint>

namespace resnet::inline v0 {

/// What a pointwise step may end with; a convolution for inference with none or relu.
enum class Activation : std::uint8_t { none, relu, gelu };

}  // namespace resnet::inline v0
