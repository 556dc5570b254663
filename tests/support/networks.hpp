// Small networks for tests of the engine.
#pragma once

#include <array>

#include <resnet/blocks.hpp>

#include "swish.hpp"

namespace tests {

using namespace resnet;

/// One of each node: convolutions with and without bias, of several kernels and strides; batch norm with and without
/// scale and shift; relu, gelu, sums, a constant factor, both pools, a custom operation (or another), flatten and
/// linear layers; a layer and a value used twice.
template <class Middle>
struct EveryNodeWith {
    static constexpr Extent image{12, 10};
    static constexpr int classes = 4;

    Conv2d<3, 8, k3> stem;
    BatchNorm2d<8> norm;
    Conv2dNoBias<8, 8, k3> twice;
    BatchNorm2d<8, NormOptions{.affine = false}> plain;
    Sequential<Conv2d<8, 12, k5, 2>, BatchNorm2d<12>, ReLU> down;
    Conv2d<8, 12, k1, 2> shortcut;
    Middle swish;
    Conv2d<12, 5, Kernel{2}, 1, 0> last;
    Linear<20, 7> fc1;
    Linear<7, classes> fc2;

    constexpr auto operator()(Value<3> x) const {
        const auto stemmed = relu(norm(stem(x)));
        const auto once = plain(twice(stemmed));
        const auto again = gelu(twice(once) + stemmed);
        const auto y = swish(down(again) + 0.5f * shortcut(again));               // 6x5
        const auto pooled = max_pool2d<3, 2, 1>(y) + avg_pool2d<3, 2, 1>(y + y);  // 3x3
        return fc2(gelu(fc1(flatten<20>(last(pooled)))));
    }
    RESNET_MEMBERS(stem, norm, twice, plain, down, shortcut, swish, last, fc1, fc2)
};
using EveryNode = EveryNodeWith<Swish<12>>;
using EveryNodeButCustom = EveryNodeWith<ReLU>;

/// A residual network in small, as wide as a vector and more.
struct SmallResNet {
    static constexpr Extent image{16, 16};
    static constexpr int classes = 5;

    Conv2d<3, 32, k3> conv1;
    BatchNorm2d<32> bn1;
    CifarBasicBlock<32, 32> block1;
    CifarBasicBlock<32, 48, 2> block2;
    Linear<48, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(block2(block1(relu(bn1(conv1(x))))))); }
    RESNET_MEMBERS(conv1, bn1, block1, block2, fc)
};

/// Maps that are one tile of Winograd's, and weights that keep still while the tiles of many images pass by.
struct OneTile {
    static constexpr Extent image{9, 9};
    static constexpr int classes = 5;

    Conv2d<3, 160, k3, 2> conv1;
    CifarBasicBlock<160, 160> block1;     // 5x5
    CifarBasicBlock<160, 160, 2> block2;  // 3x3
    CifarBasicBlock<160, 160, 2> block3;  // 2x2
    Linear<160, classes> fc;

    constexpr auto operator()(Value<3> x) const {
        return fc(adaptive_avg_pool2d(block3(block2(block1(relu(conv1(x)))))));
    }
    RESNET_MEMBERS(conv1, block1, block2, block3, fc)
};

/// A smaller network still, for files: that of check_with_python.py.
template <int Classes>
struct Tiny {
    static constexpr Extent image{8, 8};
    static constexpr int classes = Classes;

    Conv2d<3, 4, k3, 2> conv1;
    BatchNorm2d<4> bn1;
    Linear<4, Classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(bn1(conv1(x))))); }
    RESNET_MEMBERS(conv1, bn1, fc)
};

}  // namespace tests
