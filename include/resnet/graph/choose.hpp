// Which kernel computes a convolution: one ordered list. The first entry that does not decline is taken;
// the last takes everything.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <resnet/graph/graph.hpp>
#include <resnet/graph/winograd_form.hpp>

namespace resnet::inline v0 {

enum class ConvolutionKernel : std::uint8_t { winograd, direct, im2col };

/// What the caller asks of the choice; tests and benchmarks force a kernel.
struct ChoiceOptions {
    bool allow_winograd = true;  // off: sums are taken as the definition has them, at a higher cost
    bool allow_direct = true;
    Index images = 128;  // that are expected in a batch
};

/// So many weights are read (4 MiB of floats) that they come from the last cache or from memory each time.
constexpr bool has_distant_weights(const ConvolutionShape& shape) {
    return live_taps(shape) * shape.in * shape.out >= Index{1} << 20;
}

struct ConvolutionCandidate {
    ConvolutionKernel kernel;
    std::string_view name;
    /// Why the kernel does not take this shape; empty: it does.
    std::string_view (*decline)(const ConvolutionShape&, const ChoiceOptions&);
};

namespace detail {
constexpr std::string_view decline_winograd(const ConvolutionShape& shape, const ChoiceOptions& options) {
    if (!options.allow_winograd) return "turned off by an option";
    if (shape.window != Window{3, 3, 1, 1}) return "not a 3x3 kernel with stride 1 and padding 1";
    if (shape.in % 16 != 0 || shape.out % 16 != 0 || shape.in < 32 || shape.out < 32)
        return "channels are not a multiple of 16, from 32 on";
    if (shape.in > 512 || shape.out > 512) return "more than 512 channels";
    const WinogradForm& form = winograd_forms[winograd_form(shape.output)];
    const Index tiles = form.tiles(shape.output).area();
    // In multiplications: a tile costs its products whatever of it lies outside the map, and transforms about half as
    // much again; for few images it counts that a weight is read, which takes as long as some four multiplications, or
    // eight where it comes from far away. (An image alone, one core of a Zen 5 with AVX-512, by Winograd and by live
    // taps: 7x7 of 512 channels 0.99 and 0.94 ms, with two cores 0.80 and 0.49; 8x8 of 256 0.23 and 0.35; 5x5 of 64
    // 0.013 and 0.008. Two images, 7x7 of 512: 1.39 and 1.87. With AVX2, whose multiplications take twice as long,
    // Winograd would be the better one at 7x7: ImageNetResNet18 has 94 images/s there for 105.)
    const Index reading = has_distant_weights(shape) ? 8 : 4;
    const Index direct = options.images * live_pairs(shape) + reading * live_taps(shape);
    const Index winograd = options.images * tiles * form.all_products() * 3 / 2 + reading * form.all_products();
    if (winograd >= direct) return "live taps of this map and batch cost less than whole tiles";
    return {};
}
constexpr std::string_view decline_direct(const ConvolutionShape& shape, const ChoiceOptions& options) {
    if (!options.allow_direct) return "turned off by an option";
    if (shape.window.taps() > 64) return "more than 64 taps: the lists of live taps would outgrow what they save";
    // A map whose every window lies in the padding: a 1x1 kernel with padding 1 and stride 3 on one position.
    if (live_pairs(shape) == 0) return "no tap touches data";
    return {};
}
constexpr std::string_view decline_nothing(const ConvolutionShape&, const ChoiceOptions&) { return {}; }
}  // namespace detail

/// In order of preference, for each direction alike: the gradients are sums over the same pairs.
inline constexpr std::array convolution_candidates{
    ConvolutionCandidate{ConvolutionKernel::winograd, "Winograd", &detail::decline_winograd},
    ConvolutionCandidate{ConvolutionKernel::direct, "direct, live taps", &detail::decline_direct},
    ConvolutionCandidate{ConvolutionKernel::im2col, "im2col + Eigen's product", &detail::decline_nothing},
};

constexpr ConvolutionKernel choose(const ConvolutionShape& shape, const ChoiceOptions& options = {}) {
    for (const ConvolutionCandidate& candidate : convolution_candidates)
        if (candidate.decline(shape, options).empty()) return candidate.kernel;
    return ConvolutionKernel::im2col;
}

}  // namespace resnet::inline v0
