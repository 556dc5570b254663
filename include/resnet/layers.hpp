// The layers a network is written with. A layer is an empty type: its options are compile-time constants, its weights
// lie in a Model. Names and conventions are PyTorch's, except that a convolution's padding defaults to half its kernel
// (PyTorch's default is 0).
#pragma once

#include <array>

#include <resnet/graph/custom.hpp>
#include <resnet/graph/initialization.hpp>
#include <resnet/graph/members.hpp>
#include <resnet/graph/operations.hpp>
#include <resnet/graph/record.hpp>
#include <resnet/graph/trace.hpp>
#include <resnet/graph/value.hpp>
#include <resnet/sequential.hpp>

namespace resnet::inline v0 {

/// A square kernel's side: k3 reads as "3x3" where a bare 3 could be anything.
struct Kernel {
    int size;
};
inline constexpr Kernel k1{1}, k2{2}, k3{3}, k5{5}, k7{7};

struct ConvOptions {
    int stride = 1;
    int padding = -1;  // -1: half the kernel
    bool bias = true;
};

struct NormOptions {
    float momentum = 0.1f;  // running = (1 - momentum) running + momentum batch
    float epsilon = 1e-5f;
    bool affine = true;  // scale and shift are learned
};

namespace detail {
constexpr ConvOptions conv_options() { return {}; }
constexpr ConvOptions conv_options(int stride) { return {.stride = stride}; }
constexpr ConvOptions conv_options(int stride, int padding) { return {.stride = stride, .padding = padding}; }
constexpr ConvOptions conv_options(ConvOptions options) { return options; }
constexpr NormOptions norm_options() { return {}; }
constexpr NormOptions norm_options(NormOptions options) { return options; }
}  // namespace detail

/// 2-D convolution (cross-correlation, as PyTorch's): output[n,y,x,o] = bias[o] + sum over tap, i of input *
/// weight[tap,i,o]. Input N x H x W x In; output N x Ho x Wo x Out with Ho = (H + 2 padding - K) / stride + 1, rounded
/// down. Does not compile where the input has not In channels; Error if the image is smaller than the kernel.
/// `Conv2d<In, Out, k3>`, `<In, Out, k3, stride>`, `<In, Out, k3, stride, padding>` or
/// `<In, Out, k3, ConvOptions{.stride = 2, .bias = false}>`.
/// PyTorch: nn.Conv2d(In, Out, K, stride, padding, bias=bias).
template <int In, int Out, Kernel K, auto... More>
struct Conv2d {
    static constexpr ConvOptions options = detail::conv_options(More...);
    static constexpr Window window{K.size, K.size, options.stride, options.padding < 0 ? K.size / 2 : options.padding};
    static_assert(In > 0 && Out > 0 && K.size > 0 && options.stride > 0, "sizes of a convolution are positive");
    static_assert(options.padding >= -1, "padding is not negative; -1 stands for half the kernel");

    static constexpr auto parameter_specs() {
        return std::array{ParameterSpec{"weight", Role::weight, 4, Out, In, K.size, K.size},
                          ParameterSpec{"bias", Role::bias, 1, options.bias ? Out : 0}};
    }
    template <int Got>
    requires input_channels_match<Got, In>
    constexpr Value<Out> operator()(Value<Got> x) const {
        Node node = detail::unary(Op::conv2d, x);
        node.channels = Out;
        node.layer = detail::find_layer(x.graph(), *this);
        node.window = window;
        node.extent = detail::windowed("conv2d", node.extent, window);
        return {x.graph(), detail::record(x.graph(), node)};
    }
};

/// Batch normalisation over N, H, W: (x - mean) / sqrt(var + epsilon) * weight + bias (Ioffe & Szegedy 2015, algorithm
/// 1). Training uses the batch's mean and biased variance and moves running_mean and running_var (the unbiased
/// variance, n / (n - 1), as PyTorch); inference uses the running ones. PyTorch: nn.BatchNorm2d(C).
template <int C, auto... More>
struct BatchNorm2d {
    static constexpr NormOptions options = detail::norm_options(More...);
    static constexpr int normalized = C;
    static constexpr float momentum = options.momentum, epsilon = options.epsilon;

    static constexpr auto parameter_specs() {
        const int size = options.affine ? C : 0;
        return std::array{ParameterSpec{"weight", Role::norm_weight, 1, size, 1, 1, 1, 1.0},
                          ParameterSpec{"bias", Role::norm_bias, 1, size, 1, 1, 1, 0.0}};
    }
    template <int Got>
    requires input_channels_match<Got, C>
    constexpr Value<C> operator()(Value<Got> x) const {
        Node node = detail::unary(Op::batch_norm, x);
        node.layer = detail::find_layer(x.graph(), *this);
        return {x.graph(), detail::record(x.graph(), node)};
    }
};

/// output[n,o] = bias[o] + sum over i of input[n,i] weight[o,i]. Takes Features only, so a forgotten pool or flatten
/// does not compile. PyTorch: nn.Linear(In, Out).
template <int In, int Out>
struct Linear {
    static constexpr auto parameter_specs() {
        return std::array{ParameterSpec{"weight", Role::weight, 2, Out, In}, ParameterSpec{"bias", Role::bias, 1, Out}};
    }
    template <class X>
    requires input_is_pooled_or_flattened<X> && input_features_match<X::features, In>
    constexpr Features<Out> operator()(X x) const {
        Node node = detail::unary(Op::linear, x);
        node.layer = detail::find_layer(x.graph(), *this);
        // The features may be a flattened map: the layer is a convolution whose window is that whole map.
        node.window = {node.extent.height, node.extent.width, 1, 0};
        detail::set_linear_layout(x.graph(), node);
        node.channels = Out;
        node.extent = {1, 1};
        return {x.graph(), detail::record(x.graph(), node)};
    }
};

// Layers without parameters, for Sequential.

struct ReLU {
    constexpr auto operator()(auto x) const { return relu(x); }
};
struct GELU {
    constexpr auto operator()(auto x) const { return gelu(x); }
};
template <int Size, int Stride = Size, int Padding = 0>
struct MaxPool2d {
    template <int C>
    constexpr Value<C> operator()(Value<C> x) const {
        return max_pool2d<Size, Stride, Padding>(x);
    }
};
template <int Size, int Stride = Size, int Padding = 0>
struct AvgPool2d {
    template <int C>
    constexpr Value<C> operator()(Value<C> x) const {
        return avg_pool2d<Size, Stride, Padding>(x);
    }
};
/// Pools to 1x1 (the one size that residual classifiers use) and gives Features.
struct AdaptiveAvgPool2d {
    template <int C>
    constexpr Features<C> operator()(Value<C> x) const {
        return adaptive_avg_pool2d(x);
    }
};
template <int F>
struct Flatten {
    constexpr Features<F> operator()(auto x) const { return flatten<F>(x); }
};

}  // namespace resnet::inline v0
