// ResNet9, the network of the fast CIFAR-10 runs: Page 2018 ("How to train your ResNet", DAWNBench) for its nine
// layers, its residual sums and the logits' factor of 1/8, Jordan 2024 ("94% on CIFAR-10 in 3.29 seconds on a single
// GPU") for its whitening layer, its widths, gelu, a further convolution on each pooled map, the filters that pass
// their input on at first, and its batch norms' momentum (0.6 there: the share that is kept). Maps 31, 15, 7, 3 for
// images of 32x32, less than a quarter of CifarResNet18's work.
#pragma once

#include <resnet/blocks.hpp>

namespace resnet::inline v0 {

/// 3x3 to Out channels, halving the map. Pooled before it is normalised: a quarter of the numbers to normalise.
template <int In, int Out>
struct ConvPool {
    Conv2dNoBias<In, Out, k3> conv;
    BatchNorm2d<Out, NormOptions{.momentum = 0.4f}> norm;

    constexpr auto operator()(Value<In> x) const { return gelu(norm(max_pool2d<2>(conv(x)))); }
    RESNET_MEMBERS(conv, norm)
};

/// x + gelu(norm(a 3x3 convolution of x)).
template <int Channels>
struct ResidualConv {
    Conv2dNoBias<Channels, Channels, k3> conv;
    BatchNorm2d<Channels, NormOptions{.momentum = 0.4f}> norm;

    constexpr auto operator()(Value<Channels> x) const { return x + gelu(norm(conv(x))); }
    RESNET_MEMBERS(conv, norm)
};

template <int Classes = 10>
struct ResNet9 {
    static constexpr Extent image{32, 32};
    static constexpr int classes = Classes;
    static constexpr Initialization initialization = Initialization::identity;

    Conv2d<3, 24, k2, 1, 0> whiten;  // its weights are to come from whitening.hpp and be frozen, its bias is trained
    ConvPool<24, 64> layer1;
    ResidualConv<64> residual1;
    ConvPool<64, 256> layer2;
    ResidualConv<256> residual2;
    ConvPool<256, 256> layer3;
    ResidualConv<256> residual3, residual4;
    Linear<256, Classes> linear;

    constexpr auto operator()(Value<3> x) const {
        const auto out = residual2(layer2(residual1(layer1(gelu(whiten(x))))));
        return 0.125f * linear(flatten<256>(max_pool2d<3>(residual4(residual3(layer3(out))))));
    }
    RESNET_MEMBERS(whiten, layer1, residual1, layer2, residual2, layer3, residual3, residual4, linear)
};

}  // namespace resnet::inline v0
