// What a parameter is to its layer.
#pragma once

#include <cstdint>

namespace resnet::inline v0 {

/// What an optimizer may treat apart: weight decay and learning-rate factors go by role.
enum class Role : std::uint8_t { weight, bias, norm_weight, norm_bias, custom };

}  // namespace resnet::inline v0
