// How large an image may be that is read, made or written.
#pragma once

#include <string>

#include <resnet/core/extent.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0 {

/// Largest side and number of pixels.
inline constexpr int longest_image_side = 16384;
inline constexpr Index largest_image_area = 64'000'000;

namespace detail {

constexpr bool is_image_extent(Extent extent) {
    return extent.height >= 1 && extent.width >= 1 && extent.height <= longest_image_side &&
           extent.width <= longest_image_side && extent.area() <= largest_image_area;
}

inline std::string describe(Extent extent) { return text(extent.height, " x ", extent.width); }

inline std::string image_limits() {
    return text("sides of 1 to ", longest_image_side, " and at most ", largest_image_area / 1'000'000, " megapixels");
}

}  // namespace detail

}  // namespace resnet::inline v0
