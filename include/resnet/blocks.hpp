// Residual blocks (He et al. 2015, "Deep residual learning for image recognition", figure 5), written with layers.hpp.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include <resnet/layers.hpp>

namespace resnet::inline v0 {

/// The tutorial's block: two 3x3 convolutions, and a 1x1 projection on the shortcut always. All convolutions have a
/// bias. N x H x W x In to N x H / Stride x W / Stride x Out, rounded up, as every block here.
template <int In, int Out, int Stride>
struct ResBlk {
    Conv2d<In, Out, k3, Stride> conv1;
    BatchNorm2d<Out> bn1;
    Conv2d<Out, Out, k3> conv2;
    BatchNorm2d<Out> bn2;
    Sequential<Conv2d<In, Out, k1, Stride>, BatchNorm2d<Out>> extra;

    constexpr auto operator()(Value<In> x) const {
        auto out = relu(bn1(conv1(x)));
        out = bn2(conv2(out));
        return relu(extra(x) + out);
    }
    RESNET_MEMBERS(conv1, bn1, conv2, bn2, extra)
};

/// A convolution before batch norm needs no bias: the normalisation takes the mean away again.
template <int In, int Out, Kernel K, int Stride = 1, int Padding = K.size / 2>
using Conv2dNoBias = Conv2d<In, Out, K, ConvOptions{.stride = Stride, .padding = Padding, .bias = false}>;

/// kuangliu/pytorch-cifar's basic block; `shortcut` is empty where shapes agree.
template <int In, int Out, int Stride = 1>
struct CifarBasicBlock {
    static constexpr bool projects = Stride != 1 || In != Out;
    using Shortcut =
        std::conditional_t<projects, Sequential<Conv2dNoBias<In, Out, k1, Stride>, BatchNorm2d<Out>>, Sequential<>>;

    Conv2dNoBias<In, Out, k3, Stride> conv1;
    BatchNorm2d<Out> bn1;
    Conv2dNoBias<Out, Out, k3> conv2;
    BatchNorm2d<Out> bn2;
    Shortcut shortcut;

    constexpr auto operator()(Value<In> x) const {
        auto out = relu(bn1(conv1(x)));
        out = bn2(conv2(out));
        return relu(out + shortcut(x));
    }
    RESNET_MEMBERS(conv1, bn1, conv2, bn2, shortcut)
};

/// torchvision's basic block (ResNet18 and 34); `downsample` is empty where shapes agree.
template <int In, int Out, int Stride = 1>
struct BasicBlock {
    static constexpr bool projects = Stride != 1 || In != Out;
    using Downsample =
        std::conditional_t<projects, Sequential<Conv2dNoBias<In, Out, k1, Stride>, BatchNorm2d<Out>>, Sequential<>>;

    Conv2dNoBias<In, Out, k3, Stride> conv1;
    BatchNorm2d<Out> bn1;
    Conv2dNoBias<Out, Out, k3> conv2;
    BatchNorm2d<Out> bn2;
    Downsample downsample;

    constexpr auto operator()(Value<In> x) const {
        auto out = relu(bn1(conv1(x)));
        out = bn2(conv2(out));
        return relu(out + downsample(x));
    }
    RESNET_MEMBERS(conv1, bn1, conv2, bn2, downsample)
};

/// torchvision's bottleneck (ResNet50 and deeper): 1x1 down to Width channels, 3x3 with the stride, 1x1 up to 4 Width.
template <int In, int Width, int Stride = 1>
struct Bottleneck {
    static constexpr int out_channels = 4 * Width;
    static constexpr bool projects = Stride != 1 || In != out_channels;
    using Downsample =
        std::conditional_t<projects, Sequential<Conv2dNoBias<In, out_channels, k1, Stride>, BatchNorm2d<out_channels>>,
                           Sequential<>>;

    Conv2dNoBias<In, Width, k1> conv1;
    BatchNorm2d<Width> bn1;
    Conv2dNoBias<Width, Width, k3, Stride> conv2;
    BatchNorm2d<Width> bn2;
    Conv2dNoBias<Width, out_channels, k1> conv3;
    BatchNorm2d<out_channels> bn3;
    Downsample downsample;

    constexpr auto operator()(Value<In> x) const {
        const auto narrow = relu(bn2(conv2(relu(bn1(conv1(x))))));
        const auto out = bn3(conv3(narrow));
        return relu(out + downsample(x));
    }
    RESNET_MEMBERS(conv1, bn1, conv2, bn2, conv3, bn3, downsample)
};

namespace detail {
template <class First, class Next, std::size_t... I>
constexpr auto stage(std::index_sequence<I...>) -> Sequential<First, std::enable_if_t<(I + 1 > 0), Next>...>;
}  // namespace detail

/// A stage of a residual network: First, which may change the extent and the channels, then Count - 1 blocks of kind
/// Next.
template <class First, class Next, std::size_t Count>
using Stage = decltype(detail::stage<First, Next>(std::make_index_sequence<Count - 1>{}));

}  // namespace resnet::inline v0
