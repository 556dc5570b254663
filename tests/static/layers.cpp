// What single layers do to shapes, names and costs.
#include <array>

#include <resnet/blocks.hpp>
#include <resnet/graph/cost.hpp>
#include <resnet/resnet18.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;

/// A network of one convolution.
template <class Convolution>
struct One {
    Convolution conv;
    constexpr auto operator()(Value<3> x) const { return conv(x); }
    RESNET_MEMBERS(conv)
};
template <class Convolution>
constexpr Extent output_of(Extent image) {
    return at(trace<One<Convolution>>(image).nodes, 1).extent;
}

// Ho = (H + 2 padding - K) / stride + 1, rounded down; padding defaults to half the kernel.
static_assert(output_of<Conv2d<3, 4, k1>>({7, 5}) == Extent{7, 5});
static_assert(output_of<Conv2d<3, 4, k3>>({7, 5}) == Extent{7, 5});
static_assert(output_of<Conv2d<3, 4, k7, 2>>({224, 224}) == Extent{112, 112});
static_assert(output_of<Conv2d<3, 4, k3, 3, 0>>({32, 32}) == Extent{10, 10});
static_assert(output_of<Conv2d<3, 4, k3, ConvOptions{.stride = 2, .padding = 1}>>({5, 8}) == Extent{3, 4});
static_assert(output_of<Conv2d<3, 4, Kernel{2}, 1, 0>>({5, 8}) == Extent{4, 7});
static_assert(output_of<Conv2d<3, 4, Kernel{9}, 2>>({9, 10}) == Extent{5, 5});
static_assert(output_of<Conv2d<3, 4, k3, 1, 0>>({3, 3}) == Extent{1, 1});

// A network for images of another extent derives from one.
struct Larger : ResNet18<10> {
    static constexpr Extent image{64, 64};
};
static_assert(parameter_count<Larger>() == parameter_count<ResNet18<10>>());
static_assert(trace<Larger>(Larger::image).nodes.size() == trace<ResNet18<10>>({32, 32}).nodes.size());

static_assert(parameter_count<One<Conv2d<3, 4, k3>>>() == 3 * 4 * 9 + 4);
static_assert(parameter_count<One<Conv2d<3, 4, k3, ConvOptions{.bias = false}>>>() == 3 * 4 * 9);
static_assert(parameter_count<One<Sequential<BatchNorm2d<3>, BatchNorm2d<3, NormOptions{.affine = false}>>>>() == 6);

// live_macs counts, one by one, the taps that touch data.
constexpr Index counted_live_macs(const ConvolutionShape& s) {
    Index count = 0;
    for (int y = 0; y < s.output.height; ++y)
        for (int x = 0; x < s.output.width; ++x)
            for (int ky = 0; ky < s.window.height; ++ky)
                for (int kx = 0; kx < s.window.width; ++kx) {
                    const int iy = y * s.window.stride + ky - s.window.padding,
                              ix = x * s.window.stride + kx - s.window.padding;
                    count += iy >= 0 && iy < s.input.height && ix >= 0 && ix < s.input.width ? 1 : 0;
                }
    return count * s.in * s.out;
}
static_assert([] {
    for (int kernel = 1; kernel <= 5; ++kernel)
        for (int stride = 1; stride <= 3; ++stride)
            for (int padding = 0; padding <= kernel; ++padding)
                for (int side = 1; side <= 6; ++side) {
                    ConvolutionShape shape{2, 3, {kernel, kernel, stride, padding}, {side, 6}, {}};
                    if (side + 2 * padding < kernel) continue;
                    shape.output = {(side + 2 * padding - kernel) / stride + 1,
                                    (6 + 2 * padding - kernel) / stride + 1};
                    if (live_macs(shape) != counted_live_macs(shape)) return false;
                    if (macs(shape) != shape.output.area() * kernel * kernel * 6) return false;
                }
    return true;
}());

// Members of Sequential, Stage and std::array are numbered.
struct Numbered {
    std::array<Conv2d<3, 3, k1>, 2> twins;
    Stage<Conv2d<3, 4, k1>, Conv2d<4, 4, k1>, 3> stage;
    Sequential<ReLU, Linear<4, 2>> head;

    constexpr auto operator()(Value<3> x) const { return head(adaptive_avg_pool2d(stage(twins[1](twins[0](x))))); }
    RESNET_MEMBERS(twins, stage, head)
};
static_assert(tests::find_parameter(layers_of<Numbered>(), "twins.1.weight") == 2);
static_assert(tests::find_parameter(layers_of<Numbered>(), "stage.2.bias") == 9);
static_assert(tests::find_parameter(layers_of<Numbered>(), "head.1.weight") == 10);  // ReLU is counted, as in PyTorch
static_assert(at(trace<Numbered>({2, 2}).nodes, 2).layer == 1);                      // equal types are told apart

// The head that PyTorch's programs write, with its names; features are flat already.
struct PyTorchHead {
    Sequential<AdaptiveAvgPool2d, Flatten<3>, Linear<3, 2>> head;

    constexpr auto operator()(Value<3> x) const { return head(x); }
    RESNET_MEMBERS(head)
};
static_assert(tests::find_parameter(layers_of<PyTorchHead>(), "head.2.weight") == 0);
static_assert(trace<PyTorchHead>({2, 2}).nodes.size() == 3);  // image, pool and linear layer

// The same layer twice is one set of parameters and two nodes.
struct Shared {
    Conv2d<3, 3, k3> conv;
    constexpr auto operator()(Value<3> x) const { return conv(conv(x)); }
    RESNET_MEMBERS(conv)
};
static_assert(parameter_count<Shared>() == 84 && macs<Shared>({4, 4}) == 2 * 16 * 81);
static_assert(at(trace<Shared>({4, 4}).nodes, 1).layer == at(trace<Shared>({4, 4}).nodes, 2).layer);

// Every parameter starts on a 64-byte line of its own.
static_assert([] {
    const Graph graph = layers_of<Numbered>();
    Index end = 0;
    for (const Parameter& parameter : graph.parameters) {
        if (parameter.offset % 16 != 0 || parameter.offset < end) return false;
        end = parameter.offset + parameter.spec.size();
    }
    return graph.parameter_elements >= end && graph.parameter_elements % 16 == 0;
}());

}  // namespace
