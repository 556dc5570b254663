// The tutorial's ResNet18: its shapes, names and costs are facts of its type.
#include <array>
#include <string_view>

#include <resnet/graph/cost.hpp>
#include <resnet/resnet18.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;
using Net = ResNet18<10>;

constexpr Extent image{32, 32};

// The maps are 10 after the stem, then 5, 3, 2 and 1: each block halves them, rounding up.
static_assert([] {
    const Graph graph = trace<Net>(image);
    constexpr std::array sides{10, 5, 5, 5, 3, 3, 3, 2, 2, 2, 1, 1, 1};
    std::size_t convolution = 0;
    for (const Node& node : graph.nodes) {
        if (node.op != Op::conv2d) continue;
        if (convolution == sides.size() || node.extent != Extent{sides[convolution], sides[convolution]}) return false;
        ++convolution;
    }
    return convolution == sides.size();
}());
static_assert(trace<Net>(image).nodes.size() == 42);
static_assert(Net::image == image && Net::classes == 10);

static_assert(parameter_count<Net>() == 4'910'410);
static_assert(parameter_count<ResNet18<100>>() == 4'910'410 + 90 * 513);

// PyTorch's names, in PyTorch's order of registration.
static_assert([] {
    const Graph graph = layers_of<Net>();
    constexpr std::array<std::string_view, 16> first{
        "conv1.0.weight",      "conv1.0.bias",      "conv1.1.weight",      "conv1.1.bias",
        "blk1.conv1.weight",   "blk1.conv1.bias",   "blk1.bn1.weight",     "blk1.bn1.bias",
        "blk1.conv2.weight",   "blk1.conv2.bias",   "blk1.bn2.weight",     "blk1.bn2.bias",
        "blk1.extra.0.weight", "blk1.extra.0.bias", "blk1.extra.1.weight", "blk1.extra.1.bias",
    };
    for (int p = 0; p < static_cast<int>(first.size()); ++p)
        if (!tests::parameter_is(graph, p, first[static_cast<std::size_t>(p)])) return false;
    return graph.parameters.size() == 4 + 4 * 12 + 2 && tests::parameter_is(graph, 52, "outlayer.weight") &&
           tests::parameter_is(graph, 53, "outlayer.bias");
}());

// What it costs.
static_assert(macs<Net>(image) == 11'527'936);
static_assert(live_macs<Net>(image) == 5'674'752);
static_assert(activation_bytes<Net>(image, 1, Mode::inference) < 40'000);
static_assert(activation_bytes<Net>(image, 128, Mode::inference) ==
              128 * activation_bytes<Net>(image, 1, Mode::inference));
static_assert(activation_bytes<Net>(image, 128, Mode::training) < 20'000'000);
static_assert(activation_bytes<Net, double>(image, 3, Mode::training) ==
              2 * activation_bytes<Net>(image, 3, Mode::training));

}  // namespace
