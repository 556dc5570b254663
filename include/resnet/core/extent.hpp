// The letters of the library, defined once. In shape comments and innermost loops:
//   N images, H x W positions, C channels, In and Out channels of a layer,
//   K kernel size, tap one (ky, kx) of a kernel, b images per block.
#pragma once

#include <cstddef>

namespace resnet::inline v0 {

/// Offsets and counts of elements; signed, so that differences are safe.
using Index = std::ptrdiff_t;

/// Height and width of an image or of an activation's map, in positions.
struct Extent {
    int height = 0, width = 0;

    constexpr Index area() const { return Index{height} * width; }
    friend constexpr bool operator==(Extent, Extent) = default;
};

constexpr Index divide_up(Index count, Index size) { return (count + size - 1) / size; }
constexpr Index round_up(Index count, Index multiple) { return divide_up(count, multiple) * multiple; }

/// Floats in a 64-byte line. Whatever has a place of its own in a flat buffer starts at a multiple of it.
inline constexpr Index line_elements = 16;
constexpr Index whole_lines(Index count) { return round_up(count, line_elements); }

}  // namespace resnet::inline v0
