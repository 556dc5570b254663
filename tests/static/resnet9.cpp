// ResNet9: maps, names and costs.
#include <array>
#include <string_view>

#include <resnet/graph/cost.hpp>
#include <resnet/resnet9.hpp>

#include "../support/names.hpp"

namespace {

using namespace resnet;
using Net = ResNet9<10>;

static_assert(Net::image == Extent{32, 32} && Net::classes == 10 && Net::initialization == Initialization::identity);
static_assert(macs<Net>(Net::image) == 123'455'776 && parameter_count<Net>() == 2'563'138);

// A whitening layer, seven of 3x3 and a linear one: nine with weights.
static_assert([] {
    const Graph graph = trace<Net>(Net::image);
    constexpr std::array sides{31, 31, 15, 15, 7, 7, 3, 3, 1};
    std::size_t layers = 0;
    for (const Node& node : graph.nodes) {
        if (node.op != Op::conv2d && node.op != Op::linear) continue;
        if (layers == sides.size() || node.extent != Extent{sides[layers], sides[layers]}) return false;
        ++layers;
    }
    return layers == sides.size() && at(graph.nodes, graph.output).factor == 0.125f;
}());

static_assert([] {
    const Graph graph = layers_of<Net>();
    for (const std::string_view name : {"whiten.weight", "whiten.bias", "layer1.conv.weight", "layer1.norm.bias",
                                        "residual3.conv.weight", "residual4.norm.weight", "linear.weight"})
        if (tests::find_parameter(graph, name) < 0) return false;
    return tests::find_parameter(graph, "layer1.conv.bias") < 0;
}());

}  // namespace
