// CifarResNet18, as kuangliu/pytorch-cifar: shapes, names and costs.
#include <array>
#include <string_view>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/graph/cost.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;
using Net = CifarResNet18<10>;

constexpr Extent image{32, 32};

static_assert(Net::image == image && Net::classes == 10);
static_assert(parameter_count<Net>() == 11'173'962);

// The maps before the pool, stage by stage: 32, 16, 8, 4.
static_assert([] {
    const Graph graph = trace<Net>(image);
    constexpr std::array channels{64, 128, 256, 512};
    for (const Node& node : graph.nodes) {
        if (node.op != Op::add) continue;
        bool found = false;
        for (std::size_t stage = 0; stage < channels.size(); ++stage) {
            const int side = 32 >> stage;
            found = found || (node.channels == channels[stage] && node.extent == Extent{side, side});
        }
        if (!found) return false;
    }
    return at(graph.nodes, graph.output).channels == 10;
}());

// No convolution has a bias, and `shortcut` exists only where the shape changes.
static_assert([] {
    const Graph graph = layers_of<Net>();
    constexpr std::array<std::string_view, 9> names{
        "conv1.weight",
        "bn1.weight",
        "bn1.bias",
        "layer1.0.conv1.weight",
        "layer1.1.bn2.bias",
        "layer2.0.shortcut.0.weight",
        "layer2.0.shortcut.1.bias",
        "layer4.1.conv2.weight",
        "linear.bias",
    };
    for (const std::string_view name : names)
        if (tests::find_parameter(graph, name) < 0) return false;
    return tests::find_parameter(graph, "conv1.bias") < 0 &&
           tests::find_parameter(graph, "layer1.0.shortcut.0.weight") < 0 &&
           tests::find_parameter(graph, "layer2.1.shortcut.0.weight") < 0 && graph.parameters.size() == 62;
}());

static_assert(macs<Net>(image) == 555'422'720);
static_assert(live_macs<Net>(image) == 481'859'328);
static_assert(activation_bytes<Net>(image, 1, Mode::inference) ==
              2 * 64 * 32 * 32 * 4);  // a block's input and its output
static_assert(activation_bytes<Net>(image, 128, Mode::training) < 620'000'000);

}  // namespace
