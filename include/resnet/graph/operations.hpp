// The operations without parameters that a network's body is written with, beside its layers.
#pragma once

#include <resnet/graph/record.hpp>
#include <resnet/graph/rules.hpp>
#include <resnet/graph/value.hpp>

namespace resnet::inline v0 {

/// max(x, 0). PyTorch: F.relu.
template <int C>
constexpr Value<C> relu(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::relu, x))};
}
template <int F>
constexpr Features<F> relu(Features<F> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::relu, x))};
}

/// x P(X <= x) of a standard normal X (Hendrycks & Gimpel 2016, "Gaussian error linear units"), in float within
/// 3e-7 (1 + |x|).
/// PyTorch: F.gelu(x), without its approximation by tanh.
template <int C>
constexpr Value<C> gelu(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::gelu, x))};
}
template <int F>
constexpr Features<F> gelu(Features<F> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::gelu, x))};
}

/// The residual sum: equal channels (checked by the compiler) and extents (checked while tracing).
template <int A, int B>
requires summands_have_equal_channels<A, B>
constexpr Value<A> operator+(Value<A> a, Value<B> b) {
    return {a.graph(), detail::record(a.graph(), detail::sum(a, b))};
}
template <int A, int B>
requires summands_have_equal_channels<A, B>
constexpr Features<A> operator+(Features<A> a, Features<B> b) {
    return {a.graph(), detail::record(a.graph(), detail::sum(a, b))};
}

/// x times a constant that is not trained.
template <int C>
constexpr Value<C> operator*(float factor, Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::scaled(factor, x))};
}
template <int F>
constexpr Features<F> operator*(float factor, Features<F> x) {
    return {x.graph(), detail::record(x.graph(), detail::scaled(factor, x))};
}
template <int C>
constexpr Value<C> operator*(Value<C> x, float factor) {
    return factor * x;
}
template <int F>
constexpr Features<F> operator*(Features<F> x, float factor) {
    return factor * x;
}

/// The largest of each window; padding never wins. Output N x Ho x Wo x C with Ho = (H + 2 Padding - Size) / Stride
/// + 1, rounded down. Throws Error if the map is smaller than the window, or padding more than half of it.
/// PyTorch: F.max_pool2d(x, Size, Stride, Padding).
template <int Size, int Stride = Size, int Padding = 0, int C>
requires window_is_positive<Size, Stride, Padding>
constexpr Value<C> max_pool2d(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::pooled<Size, Stride, Padding>(Op::max_pool, x))};
}

/// The mean of each window; padding counts as zeros (PyTorch's count_include_pad). Output and errors as max_pool2d's.
/// PyTorch: F.avg_pool2d(x, Size, Stride, Padding).
template <int Size, int Stride = Size, int Padding = 0, int C>
requires window_is_positive<Size, Stride, Padding>
constexpr Value<C> avg_pool2d(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::pooled<Size, Stride, Padding>(Op::average_pool, x))};
}

/// The mean of the whole map. PyTorch: F.adaptive_avg_pool2d(x, 1), then flatten.
template <int C>
constexpr Features<C> adaptive_avg_pool2d(Value<C> x) {
    Node node = detail::unary(Op::average_pool, x);
    node.window = {node.extent.height, node.extent.width, 1, 0};
    node.extent = {1, 1};
    return {x.graph(), detail::record(x.graph(), node)};
}

/// The map as F = channels x height x width features, in PyTorch's order (channels outermost) as far as files and
/// parameter(name) are concerned. Nothing moves in memory. Throws Error if the map has another number of values.
template <int F, int C>
constexpr Features<F> flatten(Value<C> x) {
    const Node node = detail::unary(Op::flatten, x);
    if (node.extent.area() * C != F) rules::flatten_has_other_features(F, node.extent.area() * C);
    return {x.graph(), detail::record(x.graph(), node)};
}
/// Features are flat already: PyTorch's Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(F, O)).
template <int F, int Got>
requires input_features_match<Got, F>
constexpr Features<F> flatten(Features<Got> x) { return {x.graph(), x.node()}; }

}  // namespace resnet::inline v0
