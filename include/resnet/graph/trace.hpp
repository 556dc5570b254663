// From a network's type to its Graph: the member lists give names and parameters, one call of the body gives the
// operations.
#pragma once

#include <resnet/graph/members.hpp>
#include <resnet/graph/value.hpp>

namespace resnet::inline v0 {

/// Calls the network's body once with a symbolic image of `extent` and returns what it recorded.
/// Throws resnet::Error, in a constant expression a compile error, where the body breaks a rule (namespace rules).
template <class Net>
constexpr Graph trace(Extent extent) {
    Graph graph = layers_of<Net>();
    graph.nodes.push_back({.op = Op::input, .channels = 3, .extent = extent});
    graph.output = prototype<Net>(Value<3>{graph, 0}).node();
    return graph;
}

}  // namespace resnet::inline v0
