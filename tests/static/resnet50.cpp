// ResNet50's body is traced, fused and differentiated within the compilers' default limits for constant expressions:
// the largest network that the parts of blocks.hpp are meant for, written as a user would.
#include <resnet/blocks.hpp>
#include <resnet/graph/cost.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;

/// torchvision's resnet50 (He et al. 2015, table 1, with the stride on the 3x3).
struct ResNet50 {
    static constexpr Extent image{224, 224};
    static constexpr int classes = 1000;

    Conv2dNoBias<3, 64, k7, 2> conv1;
    BatchNorm2d<64> bn1;
    Stage<Bottleneck<64, 64>, Bottleneck<256, 64>, 3> layer1;
    Stage<Bottleneck<256, 128, 2>, Bottleneck<512, 128>, 4> layer2;
    Stage<Bottleneck<512, 256, 2>, Bottleneck<1024, 256>, 6> layer3;
    Stage<Bottleneck<1024, 512, 2>, Bottleneck<2048, 512>, 3> layer4;
    Linear<2048, classes> fc;

    constexpr auto operator()(Value<3> x) const {
        const auto out = max_pool2d<3, 2, 1>(relu(bn1(conv1(x))));
        return fc(adaptive_avg_pool2d(layer4(layer3(layer2(layer1(out))))));
    }
    RESNET_MEMBERS(conv1, bn1, layer1, layer2, layer3, layer4, fc)
};

static_assert(parameter_count<ResNet50>() == 25'557'032);
static_assert(macs<ResNet50>(ResNet50::image) == 4'089'184'256);  // torchvision: 4.089 GMACs
static_assert(live_macs<ResNet50>(ResNet50::image) == 3'948'251'904);

// 53 convolutions, the linear layer, two pools and the input; folded, a residual sum is part of a convolution, too.
static_assert(fuse(trace<ResNet50>(ResNet50::image), Mode::inference).steps.size() == 53 + 1 + 2 + 1);

// Training: a pointwise step for each of 49 (batch norm + relu or sum + relu), and backward at most two steps for a
// forward one.
static_assert([] {
    const Graph graph = trace<ResNet50>(ResNet50::image);
    const Program forward = fuse(graph, Mode::training);
    const Program program = differentiate(graph, forward);
    return forward.steps.size() == 106 && program.steps.size() == 265;
}());
static_assert(activation_bytes<ResNet50>(ResNet50::image, 1, Mode::inference) < 5'300'000);
static_assert(activation_bytes<ResNet50>(ResNet50::image, 32, Mode::training) < 2'800'000'000);

static_assert(tests::find_parameter(layers_of<ResNet50>(), "layer3.5.conv3.weight") >= 0);
static_assert(tests::find_parameter(layers_of<ResNet50>(), "layer1.0.downsample.1.bias") >= 0);  // 64 -> 256 channels

}  // namespace
