// How an operation enters the graph: the node it records, made from those of its inputs.
#pragma once

#include <cstddef>
#include <string_view>

#include <resnet/graph/rules.hpp>
#include <resnet/graph/value.hpp>

namespace resnet::inline v0::detail {

// What is marked noinline, here and in members.hpp, runs once for each layer of a traced body: inlined into all their
// calls it would only cost the user compile time.

[[gnu::noinline]] constexpr int record(Graph& graph, const Node& node) {
    graph.nodes.push_back(node);
    return static_cast<int>(graph.nodes.size()) - 1;
}

constexpr const Node& node_of(const auto& value) { return value.graph().nodes[static_cast<std::size_t>(value.node())]; }

/// The index of a layer in the member list of the network that is being traced.
[[gnu::noinline]] constexpr int find_layer(const Graph& graph, const void* address, const void* type) {
    for (std::size_t i = 0; i < graph.layers.size(); ++i)
        if (graph.layers[i].address == address && graph.layers[i].type == type) return static_cast<int>(i);
    rules::layer_is_not_a_member();
}

/// Its address tells types apart.
template <class T>
inline constexpr char type_tag = 0;
template <class L>
constexpr int find_layer(const Graph& graph, const L& layer) {
    return find_layer(graph, &layer, &type_tag<L>);
}

[[gnu::noinline]] constexpr Extent windowed(std::string_view op, Extent image, Window w) {
    const int height = image.height + 2 * w.padding - w.height, width = image.width + 2 * w.padding - w.width;
    if (height < 0 || width < 0) rules::image_is_smaller_than_the_window(op, image, w);
    return {height / w.stride + 1, width / w.stride + 1};
}

/// A linear layer after flatten keeps its weights as [y][x][C][Out]: the order of the map in memory. PyTorch's is
/// [Out][C][y][x].
constexpr void set_linear_layout(Graph& graph, const Node& node) {
    ParameterSpec& weight =
        graph.parameters[static_cast<std::size_t>(graph.layers[static_cast<std::size_t>(node.layer)].first_parameter)]
            .spec;
    for (const Node& earlier : graph.nodes)
        if (earlier.layer == node.layer && earlier.window != node.window) rules::linear_is_used_on_unlike_maps();
    weight.in = node.channels;
    weight.height = node.window.height;
    weight.width = node.window.width;
}

constexpr Node unary(Op op, const auto& x) {
    Node node = node_of(x);
    return {.op = op, .inputs = {x.node(), -1}, .channels = node.channels, .extent = node.extent};
}

constexpr Node sum(const auto& a, const auto& b) {
    const Node &left = node_of(a), &right = node_of(b);
    if (left.extent != right.extent) rules::summands_have_unlike_extents(left.extent, right.extent);
    Node node = unary(Op::add, a);
    node.inputs[1] = b.node();
    return node;
}

constexpr Node scaled(float factor, const auto& x) {
    Node node = unary(Op::scale, x);
    node.factor = factor;
    return node;
}

template <int Size, int Stride, int Padding>
constexpr Node pooled(Op op, const auto& x) {
    if (2 * Padding > Size) rules::padding_is_more_than_half_the_window(name_of(op));
    Node node = unary(op, x);
    node.window = {Size, Size, Stride, Padding};
    node.extent = windowed(name_of(op), node.extent, node.window);
    return node;
}

}  // namespace resnet::inline v0::detail
