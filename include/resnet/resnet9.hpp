// ResNet9, the network of the fast CIFAR-10 runs: Page 2018 ("How to train your ResNet", DAWNBench) for its nine
// layers and the logits' factor of 1/8, Jordan 2024 ("94% on CIFAR-10 in 3.29 seconds on a single GPU") for its
// whitening layer, its widths and its batch norms' momentum (0.6 there: the share that is kept). Maps 31, 15, 7, 3 for
// images of 32x32, a fifth of CifarResNet18's work.
#pragma once

#include <resnet/blocks.hpp>

namespace resnet::inline v0 {

/// 3x3 to Out channels, halving the map. Pooled before it is normalised: a quarter of the numbers to normalise.
template <int In, int Out>
struct ConvPool {
    Conv2dNoBias<In, Out, k3> conv;
    BatchNorm2d<Out, NormOptions{.momentum = 0.4f}> norm;

    constexpr auto operator()(Value<In> x) const { return relu(norm(max_pool2d<2>(conv(x)))); }
    RESNET_MEMBERS(conv, norm)
};

/// x + two 3x3 convolutions of it.
template <int Channels>
struct ResidualPair {
    Conv2dNoBias<Channels, Channels, k3> conv1;
    BatchNorm2d<Channels, NormOptions{.momentum = 0.4f}> norm1;
    Conv2dNoBias<Channels, Channels, k3> conv2;
    BatchNorm2d<Channels, NormOptions{.momentum = 0.4f}> norm2;

    constexpr auto operator()(Value<Channels> x) const { return x + relu(norm2(conv2(relu(norm1(conv1(x)))))); }
    RESNET_MEMBERS(conv1, norm1, conv2, norm2)
};

template <int Classes = 10>
struct ResNet9 {
    static constexpr Extent image{32, 32};
    static constexpr int classes = Classes;

    Conv2d<3, 24, k2, 1, 0> whiten;  // its weights come from whitening.hpp and are frozen, its bias is trained
    ConvPool<24, 64> layer1;
    ResidualPair<64> residual1;
    ConvPool<64, 256> layer2;
    ConvPool<256, 256> layer3;
    ResidualPair<256> residual3;
    Linear<256, Classes> linear;

    constexpr auto operator()(Value<3> x) const {
        const auto out = residual1(layer1(relu(whiten(x))));
        return 0.125f * linear(flatten<256>(max_pool2d<3>(residual3(layer3(layer2(out))))));
    }
    RESNET_MEMBERS(whiten, layer1, residual1, layer2, layer3, residual3, linear)
};

}  // namespace resnet::inline v0
