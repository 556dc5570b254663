// Symbolic values: what a network's body computes with while it is traced. The number of channels is in the type, so a
// mismatch is a compile error on the line that wrote it; extents are values, checked while tracing.
#pragma once

#include <cstddef>

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
template <int Size, int Stride, int Padding>
concept window_is_positive = (Size > 0) && (Stride > 0) && (Padding >= 0);

}  // namespace resnet::inline v0
