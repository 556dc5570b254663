// One node each in a small network, and every loss and optimizer.
#include <resnet/layers.hpp>

#include "check.hpp"

namespace {

using namespace resnet;

/// `Around` of make_fixtures.py: one node between a stem and a linear layer that sees every position, so that the
/// gradients of the node's input and output are general. F is the size of the node's flattened output.
template <class Layer, int F>
struct Around {
    static constexpr Extent image{11, 9};
    static constexpr int classes = 5;

    Conv2d<3, 6, k3> stem;
    Layer layer;
    Linear<F, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(flatten<F>(relu(layer(relu(stem(x)))))); }
    RESNET_MEMBERS(stem, layer, fc)
};

struct AdaptiveAvgPool {
    static constexpr Extent image{11, 9};
    static constexpr int classes = 5;

    Conv2d<3, 6, k3> stem;
    Linear<6, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(stem(x)))); }
    RESNET_MEMBERS(stem, fc)
};

/// One convolution that keeps the shape, used as Body says.
template <class Body>
struct WithLayer {
    static constexpr Extent image{11, 9};
    static constexpr int classes = 5;

    Conv2d<3, 6, k3> stem;
    Conv2d<6, 6, k3> layer;
    Linear<6 * 11 * 9, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(flatten<6 * 11 * 9>(relu(Body{}(layer, relu(stem(x)))))); }
    RESNET_MEMBERS(stem, layer, fc)
};

struct Sum {
    constexpr auto operator()(const auto& layer, Value<6> x) const { return x + layer(x); }
};
struct Gelu {
    constexpr auto operator()(const auto& layer, Value<6> x) const { return x + gelu(layer(x)); }
};
struct Scale {
    constexpr auto operator()(const auto& layer, Value<6> x) const { return 0.375f * layer(x); }
};

struct SharedLayer {
    static constexpr Extent image{11, 9};
    static constexpr int classes = 5;

    Conv2d<3, 6, k3> stem;
    Conv2d<6, 6, k3> layer;
    BatchNorm2d<6> bn;
    Linear<6 * 11 * 9, classes> fc;

    constexpr auto operator()(Value<3> x) const {
        return fc(flatten<6 * 11 * 9>(relu(layer(relu(bn(layer(relu(stem(x)))))))));
    }
    RESNET_MEMBERS(stem, layer, bn, fc)
};

/// `Mini` of make_fixtures.py.
struct Mini {
    static constexpr Extent image{8, 8};
    static constexpr int classes = 5;

    Conv2d<3, 8, k3, ConvOptions{.bias = false}> conv1;
    BatchNorm2d<8> bn1;
    Conv2d<8, 8, k3, ConvOptions{.bias = false}> conv2;
    BatchNorm2d<8> bn2;
    Linear<8, classes> fc;

    constexpr auto operator()(Value<3> x) const {
        const auto out = relu(bn1(conv1(x)));
        return fc(adaptive_avg_pool2d(relu(out + bn2(conv2(out)))));
    }
    RESNET_MEMBERS(conv1, bn1, conv2, bn2, fc)
};

}  // namespace

TEST_CASE_TEMPLATE("parity: convolutions of every kernel, stride and padding are PyTorch's", Scalar, double, float) {
    using parity::check_network;
    check_network<Around<Conv2d<6, 10, k1>, 10 * 11 * 9>, Scalar>("conv_k1");
    check_network<Around<Conv2d<6, 10, k1, 2>, 10 * 6 * 5>, Scalar>("conv_k1_stride2");
    check_network<Around<Conv2d<6, 10, k3>, 10 * 11 * 9>, Scalar>("conv_k3");
    check_network<Around<Conv2d<6, 10, k3, ConvOptions{.bias = false}>, 10 * 11 * 9>, Scalar>("conv_k3_no_bias");
    check_network<Around<Conv2d<6, 10, k3, 1, 0>, 10 * 9 * 7>, Scalar>("conv_k3_no_padding");
    check_network<Around<Conv2d<6, 10, k3, 2>, 10 * 6 * 5>, Scalar>("conv_k3_stride2");
    check_network<Around<Conv2d<6, 10, k3, 3, 0>, 10 * 3 * 3>, Scalar>("conv_k3_stride3");
    check_network<Around<Conv2d<6, 10, k5>, 10 * 11 * 9>, Scalar>("conv_k5");
    check_network<Around<Conv2d<6, 10, k5, 2>, 10 * 6 * 5>, Scalar>("conv_k5_stride2");
    check_network<Around<Conv2d<6, 10, k7, 2>, 10 * 6 * 5>, Scalar>("conv_k7_stride2");
    check_network<Around<Conv2d<6, 10, k7, 3, 1>, 10 * 3 * 2>, Scalar>("conv_k7_stride3");
}

TEST_CASE_TEMPLATE("parity: batch norm is PyTorch's, with scale and shift and without", Scalar, double, float) {
    parity::check_network<Around<BatchNorm2d<6>, 6 * 11 * 9>, Scalar>("batch_norm");
    parity::check_network<Around<BatchNorm2d<6, NormOptions{.affine = false}>, 6 * 11 * 9>, Scalar>("batch_norm_plain");
}

TEST_CASE_TEMPLATE("parity: pools are PyTorch's", Scalar, double, float) {
    parity::check_network<Around<MaxPool2d<2>, 6 * 5 * 4>, Scalar>("max_pool_k2");
    parity::check_network<Around<MaxPool2d<3, 2, 1>, 6 * 6 * 5>, Scalar>("max_pool_k3");
    parity::check_network<Around<AvgPool2d<2>, 6 * 5 * 4>, Scalar>("avg_pool_k2");
    parity::check_network<Around<AvgPool2d<3, 2>, 6 * 5 * 4>, Scalar>("avg_pool_k3");
    parity::check_network<AdaptiveAvgPool, Scalar>("adaptive_avg_pool");
}

TEST_CASE_TEMPLATE("parity: a residual sum, gelu, a scale and a layer used twice are PyTorch's", Scalar, double,
                   float) {
    parity::check_network<WithLayer<Sum>, Scalar>("residual_sum");
    parity::check_network<WithLayer<Gelu>, Scalar>("gelu");
    parity::check_network<WithLayer<Scale>, Scalar>("scale");
    parity::check_network<SharedLayer, Scalar>("shared_layer");
}

TEST_CASE_TEMPLATE("parity: cross entropy and every optimizer are PyTorch's", Scalar, double, float) {
    parity::check_network<Mini, Scalar>("loss");
}

TEST_CASE_TEMPLATE("parity: label smoothing and targets that mix two labels are PyTorch's", Scalar, double, float) {
    for (const char* name : {"loss_smoothed", "loss_mixed", "loss_smoothed_mixed"}) {
        CAPTURE(name);
        parity::check_network<Mini, Scalar>(name);
    }
}
