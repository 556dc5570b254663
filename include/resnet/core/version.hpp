// The library's version, by which files say what wrote them. CMake reads it here.
#pragma once

#include <string_view>

namespace resnet::inline v0 {

inline constexpr std::string_view version = "0.1.0";

}  // namespace resnet::inline v0
