// Which kernel computes a convolution: one ordered list a direction. The first entry that does not decline is taken; the last takes everything.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <resnet/graph/graph.hpp>

namespace resnet::inline v0 {

enum class Direction : std::uint8_t { forward, grad_input, grad_weight };

enum class ConvolutionKernel : std::uint8_t { direct, im2col };

/// What the caller asks of the choice; tests and benchmarks force a kernel.
struct ChoiceOptions {
    bool allow_direct = true;
};

struct ConvolutionCandidate {
    ConvolutionKernel kernel;
    std::string_view name;
    /// Why the kernel does not take this shape; empty: it does.
    std::string_view (*decline)(const ConvolutionShape&, const ChoiceOptions&);
};

namespace detail {
constexpr std::string_view decline_direct(const ConvolutionShape& shape, const ChoiceOptions& options) {
    if (!options.allow_direct) return "turned off by an option";
    if (shape.window.taps() > 64) return "more than 64 taps: the lists of live taps would outgrow what they save";
    return {};
}
constexpr std::string_view decline_nothing(const ConvolutionShape&, const ChoiceOptions&) { return {}; }

inline constexpr std::array convolution_candidates{
    ConvolutionCandidate{ConvolutionKernel::direct, "direct, live taps", &decline_direct},
    ConvolutionCandidate{ConvolutionKernel::im2col, "im2col + Eigen's product", &decline_nothing},
};
}  // namespace detail

/// The candidates of a direction, in order of preference.
constexpr const auto& convolution_candidates(Direction) { return detail::convolution_candidates; }

constexpr ConvolutionKernel choose(Direction direction, const ConvolutionShape& shape, const ChoiceOptions& options = {}) {
    for (const ConvolutionCandidate& candidate : convolution_candidates(direction))
        if (candidate.decline(shape, options).empty()) return candidate.kernel;
    return ConvolutionKernel::im2col;
}

}  // namespace resnet::inline v0
