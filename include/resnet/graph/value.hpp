// Symbolic values: what a network's body computes with while it is traced. The number of channels is in the type, so a
// mismatch is a compile error on the line that wrote it; extents are values, checked while tracing.
#pragma once

#include <resnet/core/text.hpp>
#include <resnet/graph/graph.hpp>

namespace resnet::inline v0 {

/// An activation: C channels over a map of positions.
template <int C>
class Value {
public:
    static constexpr int channels = C;

    constexpr Value(Graph& graph, int node) : graph_{&graph}, node_{node} {}
    constexpr Graph& graph() const { return *graph_; }
    constexpr int node() const { return node_; }
    constexpr Extent extent() const { return graph_->nodes[static_cast<std::size_t>(node_)].extent; }

private:
    Graph* graph_;
    int node_;
};

/// F numbers an image, without positions: what a linear layer reads and writes. Made by pooling to 1x1 or by flatten.
template <int F>
class Features {
public:
    static constexpr int features = F;

    constexpr Features(Graph& graph, int node) : graph_{&graph}, node_{node} {}
    constexpr Graph& graph() const { return *graph_; }
    constexpr int node() const { return node_; }

private:
    Graph* graph_;
    int node_;
};

// Named constraints: the compiler prints them, with both numbers, at the user's own line.
template <int Got, int Expected>
concept input_channels_match = Got == Expected;
template <class X>
concept input_is_pooled_or_flattened = requires {
    X::features;
};
template <int Got, int Expected>
concept input_features_match = Got == Expected;
template <int Left, int Right>
concept summands_have_equal_channels = Left == Right;

/// Rules that depend on extents throw from the functions named after them: in a constant expression that is a compile
/// error.
namespace rules {
[[noreturn]] inline void image_is_smaller_than_the_window(std::string_view op, Extent image, Window window) {
    throw Error(op,
                detail::text("a map of at least ", window.height - 2 * window.padding, "x",
                             window.width - 2 * window.padding, " positions"),
                detail::text(image.height, "x", image.width), "the image is too small for this network");
}
[[noreturn]] inline void summands_have_unlike_extents(Extent a, Extent b) {
    throw Error("sum", "two maps of the same extent",
                detail::text(a.height, "x", a.width, " and ", b.height, "x", b.width));
}
[[noreturn]] inline void flatten_has_other_features(int expected, Index found) {
    throw Error("flatten", detail::text(expected, " features"), std::to_string(found),
                "channels x height x width of the map; it depends on the image's extent");
}
[[noreturn]] inline void layer_is_not_a_member() {
    throw Error("trace", "a layer that is in RESNET_MEMBERS of its network", "one that is not, or a temporary");
}
[[noreturn]] inline void network_does_not_return_features() {
    throw Error("trace", "a body that returns logits: Features, as a linear layer gives", "a map; pool or flatten it");
}
[[noreturn]] inline void logits_are_a_flattened_map(Extent map) {
    throw Error("trace", "logits of one position, as a linear layer gives", detail::text(map.height, "x", map.width));
}
[[noreturn]] inline void custom_output_is_empty(Extent found) {
    throw Error("custom_operation", "an output of at least 1x1", detail::text(found.height, "x", found.width));
}
[[noreturn]] inline void linear_is_used_on_unlike_maps() {
    throw Error("linear", "one extent of the flattened map for all uses of the layer", "two");
}
[[noreturn]] inline void padding_is_not_smaller_than_the_window(std::string_view op) {
    throw Error(op, "padding of at most half the window", "more");
}
}  // namespace rules

namespace detail {

template <class T>
inline constexpr char type_tag = 0;

// What is marked noinline, here and in trace.hpp, runs once for each layer of a traced body: inlined into all their
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
    if (2 * Padding > Size) rules::padding_is_not_smaller_than_the_window(name_of(op));
    Node node = unary(op, x);
    node.window = {Size, Size, Stride, Padding};
    node.extent = windowed(name_of(op), node.extent, node.window);
    return node;
}

}  // namespace detail

/// max(x, 0). PyTorch: F.relu.
template <int C>
constexpr Value<C> relu(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::relu, x))};
}
template <int F>
constexpr Features<F> relu(Features<F> x) {
    return {x.graph(), detail::record(x.graph(), detail::unary(Op::relu, x))};
}

/// The residual sum: equal channels (checked by the compiler) and extents (checked while tracing).
template <int A, int B>
requires summands_have_equal_channels<A, B>
constexpr Value<A> operator+(Value<A> a, Value<B> b) {
    return {a.graph(), detail::record(a.graph(), detail::sum(a, b))};
}
template <int A, int B>
requires summands_have_equal_channels<A, B>
constexpr Features<A> operator+(Features<A> a, Features<B> b) {
    return {a.graph(), detail::record(a.graph(), detail::sum(a, b))};
}

/// x times a constant that is not trained.
template <int C>
constexpr Value<C> operator*(float factor, Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::scaled(factor, x))};
}
template <int F>
constexpr Features<F> operator*(float factor, Features<F> x) {
    return {x.graph(), detail::record(x.graph(), detail::scaled(factor, x))};
}

/// The largest of each window; padding never wins. PyTorch: F.max_pool2d(x, Size, Stride, Padding).
template <int Size, int Stride = Size, int Padding = 0, int C>
constexpr Value<C> max_pool2d(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::pooled<Size, Stride, Padding>(Op::max_pool, x))};
}

/// The mean of each window; padding counts as zeros (PyTorch's count_include_pad). PyTorch: F.avg_pool2d(x, Size,
/// Stride, Padding).
template <int Size, int Stride = Size, int Padding = 0, int C>
constexpr Value<C> avg_pool2d(Value<C> x) {
    return {x.graph(), detail::record(x.graph(), detail::pooled<Size, Stride, Padding>(Op::average_pool, x))};
}

/// The mean of the whole map. PyTorch: F.adaptive_avg_pool2d(x, 1), then flatten.
template <int C>
constexpr Features<C> adaptive_avg_pool2d(Value<C> x) {
    Node node = detail::unary(Op::average_pool, x);
    node.window = {node.extent.height, node.extent.width, 1, 0};
    node.extent = {1, 1};
    return {x.graph(), detail::record(x.graph(), node)};
}

/// The map as F = channels x height x width features, in PyTorch's order (channels outermost) as far as files and
/// parameter(name) are concerned. Nothing moves in memory. Error where the map has another number of values.
template <int F, int C>
constexpr Features<F> flatten(Value<C> x) {
    const Node node = detail::unary(Op::flatten, x);
    if (node.extent.area() * C != F) rules::flatten_has_other_features(F, node.extent.area() * C);
    return {x.graph(), detail::record(x.graph(), node)};
}

}  // namespace resnet::inline v0
