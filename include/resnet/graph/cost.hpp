// What a network costs, from its type alone: for budgets in static_assert, and at run time.
#pragma once

#include <resnet/graph/custom.hpp>
#include <resnet/graph/differentiate.hpp>
#include <resnet/graph/fuse.hpp>
#include <resnet/graph/lifetime.hpp>
#include <resnet/graph/trace.hpp>

namespace resnet::inline v0 {

/// Multiply-accumulates an image, as papers count them: padding included.
constexpr Index macs(const ConvolutionShape& shape) { return shape.output.area() * shape.weights(); }

/// The same without the taps that only touch padding: what direct kernels execute.
constexpr Index live_macs(const ConvolutionShape& shape) { return live_pairs(shape) * shape.in * shape.out; }

constexpr Index macs(const Graph& graph, const Node& node) {
    if (node.op == Op::conv2d || node.op == Op::linear) return macs(graph.convolution(node));
    if (node.op == Op::custom) return node.custom->macs_of(at(graph.nodes, node.inputs[0]).extent);
    return 0;
}

/// Multiply-accumulates of one image of `extent` in convolutions, linear layers and custom operations.
template <class Net>
constexpr Index macs(Extent extent) {
    const Graph graph = trace<Net>(extent);
    Index sum = 0;
    for (const Node& node : graph.nodes) sum += macs(graph, node);
    return sum;
}

/// macs<Net> without what only touches padding.
template <class Net>
constexpr Index live_macs(Extent extent) {
    const Graph graph = trace<Net>(extent);
    Index sum = 0;
    for (const Node& node : graph.nodes) {
        const bool windowed = node.op == Op::conv2d || node.op == Op::linear;
        sum += windowed ? live_macs(graph.convolution(node)) : macs(graph, node);
    }
    return sum;
}

/// The number of parameters, frozen ones among them, as PyTorch's sum(p.numel() for p in net.parameters()).
template <class Net>
constexpr Index parameter_count() {
    Index sum = 0;
    for (const Parameter& parameter : layers_of<Net>().parameters) sum += parameter.spec.size();
    return sum;
}

/// The arena's peak of live activations (and, in training, gradients) for a batch, in bytes.
template <class Net, class Scalar = float>
constexpr Index activation_bytes(Extent extent, Index batch, Mode mode) {
    const Graph graph = trace<Net>(extent);
    Program program = fuse(graph, mode);
    if (mode == Mode::training) program = differentiate(graph, std::move(program));
    return peak_elements(program) * batch * static_cast<Index>(sizeof(Scalar));
}

}  // namespace resnet::inline v0
