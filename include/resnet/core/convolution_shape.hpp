// The border between typed layers and kernels: everything that a convolution's loops depend on, per image, and which of
// its taps touch data.
#pragma once

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

/// A convolution's or pool's window. A linear layer's window is the whole map that it reads.
struct Window {
    int height = 1, width = 1, stride = 1, padding = 0;

    constexpr int taps() const { return height * width; }
    friend constexpr bool operator==(Window, Window) = default;
};

struct ConvolutionShape {
    int in = 0, out = 0;  // channels
    Window window{};
    Extent input{}, output{};

    constexpr Index weights() const { return Index{window.taps()} * in * out; }
    friend constexpr bool operator==(const ConvolutionShape&, const ConvolutionShape&) = default;
};

/// Positions y of `outputs` whose tap `tap` reads inside 0 ... inputs - 1, as the range first ... last - 1.
struct LiveRange {
    int first = 0, last = 0;
    constexpr int count() const { return last > first ? last - first : 0; }
};
constexpr LiveRange live_range(int tap, int stride, int padding, int inputs, int outputs) {
    const int shift = tap - padding;  // position y reads y * stride + shift
    const int first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
    const int last = inputs - shift <= 0 ? 0 : (inputs - shift + stride - 1) / stride;
    return {first, last < outputs ? last : outputs};
}

/// The sum of f(live range) over the taps of a column, times that over the taps of a row.
template <class F>
constexpr Index sum_over_taps(const ConvolutionShape& shape, const F& f) {
    const Window& w = shape.window;
    Index rows = 0, columns = 0;
    for (int tap = 0; tap < w.height; ++tap)
        rows += f(live_range(tap, w.stride, w.padding, shape.input.height, shape.output.height));
    for (int tap = 0; tap < w.width; ++tap)
        columns += f(live_range(tap, w.stride, w.padding, shape.input.width, shape.output.width));
    return rows * columns;
}

/// Pairs of a tap and an output position that touches data with it; a 3x3 kernel on a 3x3 map has 49 of 81.
constexpr Index live_pairs(const ConvolutionShape& shape) {
    return sum_over_taps(shape, [](LiveRange range) { return range.count(); });
}
/// Taps that touch data at any output position; a 3x3 kernel on a map of one position has 1 of 9.
constexpr Index live_taps(const ConvolutionShape& shape) {
    return sum_over_taps(shape, [](LiveRange range) { return range.count() > 0 ? 1 : 0; });
}

}  // namespace resnet::inline v0
