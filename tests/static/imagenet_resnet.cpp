// ImageNetResNet18 and 34, as torchvision: shapes, names and costs.
#include <array>
#include <string_view>

#include <resnet/graph/cost.hpp>
#include <resnet/imagenet_resnet.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;

constexpr Extent image{224, 224};

static_assert(ImageNetResNet18<>::image == image && ImageNetResNet18<>::classes == 1000);
static_assert(parameter_count<ImageNetResNet18<>>() == 11'689'512);
static_assert(parameter_count<ImageNetResNet34<>>() == 21'797'672);

// torchvision's own figures: 1.814 and 3.664 GMACs.
static_assert(macs<ImageNetResNet18<>>(image) == 1'814'073'344);
static_assert(macs<ImageNetResNet34<>>(image) == 3'663'761'408);
static_assert(live_macs<ImageNetResNet18<>>(image) == 1'680'390'912);
static_assert(activation_bytes<ImageNetResNet18<>>(image, 1, Mode::inference) < 4'100'000);
static_assert(activation_bytes<ImageNetResNet34<>>(image, 1, Mode::inference) ==
              activation_bytes<ImageNetResNet18<>>(image, 1, Mode::inference));

template <class Net>
constexpr bool has_torchvision_names() {
    const Graph graph = layers_of<Net>();
    constexpr std::array<std::string_view, 8> names{
        "conv1.weight",
        "bn1.weight",
        "layer1.0.conv1.weight",
        "layer1.1.bn2.bias",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.bias",
        "layer4.1.conv2.weight",
        "fc.weight",
    };
    for (const std::string_view name : names)
        if (tests::find_parameter(graph, name) < 0) return false;
    return tests::find_parameter(graph, "layer1.0.downsample.0.weight") < 0 &&
           tests::find_parameter(graph, "conv1.bias") < 0;
}
static_assert(has_torchvision_names<ImageNetResNet18<>>());
static_assert(has_torchvision_names<ImageNetResNet34<>>());
static_assert(tests::find_parameter(layers_of<ImageNetResNet34<>>(), "layer3.5.conv2.weight") >= 0);
static_assert(tests::find_parameter(layers_of<ImageNetResNet34<>>(), "layer3.6.conv2.weight") < 0);

// 112 after the stem, 56 after the pool, 28, 14 and 7.
static_assert([] {
    const Graph graph = trace<ImageNetResNet18<>>(image);
    if (at(graph.nodes, 1).extent != Extent{112, 112}) return false;
    for (const Node& node : graph.nodes) {
        if (node.op == Op::max_pool && node.extent != Extent{56, 56}) return false;
        if (node.op == Op::add && node.extent.height != 56 * 64 / node.channels) return false;
    }
    return true;
}());

// Another image than the usual one is only another argument.
static_assert(at(trace<ImageNetResNet18<>>({64, 96}).nodes, 1).extent == Extent{32, 48});

}  // namespace
