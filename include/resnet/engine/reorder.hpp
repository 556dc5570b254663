// A parameter's numbers between PyTorch's order and the engine's.
#pragma once

#include <algorithm>
#include <type_traits>

#include <resnet/core/extent.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/graph/graph.hpp>

namespace resnet::inline v0::detail {

inline constexpr Index reorder_strip = 64;  // output channels

/// Copies output channels first ... first + count - 1 of a parameter between our order, [height][width][in][out], and
/// PyTorch's, [out][in][height][width] (a linear layer's features are [in][height][width]); `theirs` points at the
/// first of them. The side that is const is read. Calls for different strips of `reorder_strip` channels may overlap in
/// time. By tiles, since element after element is a cache miss each: 64 channels of ours are four lines in a page, 16
/// rows of theirs one line. (16 x 64 and 32 x 64 took two to three times as long for CifarResNet18, AMD EPYC, g++ 12.)
template <class Ours, class Theirs>
requires(std::is_const_v<Ours> != std::is_const_v<Theirs>) void reorder(const ParameterSpec& spec, Ours* ours,
                                                                        Theirs* theirs, Index first, Index count) {
    constexpr Index columns = reorder_strip, rows = 16;
    std::remove_const_t<Ours> tile[rows][columns];
    const Index taps = Index{spec.height} * spec.width, in = spec.in, length = in * taps;
    for (Index o = 0; o < count; o += columns) {
        const Index width = std::min(columns, count - o);
        for (Index row = 0; row < length; row += rows) {
            const Index height = std::min(rows, length - row);
            Theirs* const corner = theirs + o * length + row;
            if constexpr (std::is_const_v<Theirs>) {
                for (Index c = 0; c < width; ++c)
                    for (Index r = 0; r < height; ++r) tile[r][c] = corner[c * length + r];
            }
            Index i = row / taps, tap = row % taps;
            for (Index r = 0; r < height; ++r) {
                Ours* const line = ours + (tap * in + i) * spec.out + first + o;
                if constexpr (std::is_const_v<Ours>) std::copy_n(line, width, tile[r]);
                else std::copy_n(tile[r], width, line);
                if (++tap == taps) {
                    tap = 0;
                    ++i;
                }
            }
            if constexpr (std::is_const_v<Ours>) {
                for (Index c = 0; c < width; ++c)
                    for (Index r = 0; r < height; ++r) corner[c * length + r] = tile[r][c];
            }
        }
    }
}

/// All of it, on all threads.
template <class Ours, class Theirs>
void reorder(const ParameterSpec& spec, Ours* ours, Theirs* theirs) {
    const Index length = spec.size() / spec.out, strips = divide_up(spec.out, reorder_strip);
    for_each_chunk(strips, workers_for(spec.size(), worker_count()), [&](Index strip, int) {
        const Index first = strip * reorder_strip;
        reorder(spec, ours, theirs + first * length, first, std::min<Index>(reorder_strip, spec.out - first));
    });
}

}  // namespace resnet::inline v0::detail
