// A traced network: the operations of its body in the order they were written, and the layers that own parameters.
// Plain data, made by trace.hpp, read by fuse.hpp and cost.hpp; constexpr, so that static_assert sees all of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <resnet/core/activation.hpp>
#include <resnet/core/convolution_shape.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/role.hpp>

namespace resnet::inline v0 {

enum class Op : std::uint8_t {
    input,
    conv2d,
    batch_norm,
    relu,
    gelu,
    add,
    scale,
    max_pool,
    average_pool,
    linear,
    flatten,
    custom
};

constexpr std::string_view name_of(Op op) {
    constexpr std::string_view names[] = {"input", "conv2d",   "batch_norm",   "relu",   "gelu",    "add",
                                          "scale", "max_pool", "average_pool", "linear", "flatten", "custom"};
    return names[static_cast<int>(op)];
}

struct CustomOperation;  // custom.hpp

struct Node {
    Op op = Op::input;
    int inputs[2] = {-1, -1};  // the nodes that it reads
    int channels = 0;
    Extent extent{};
    int layer = -1;  // whose parameters: index into Graph::layers
    Window window{};
    float factor = 1;  // scale
    const CustomOperation* custom = nullptr;
};

/// What a layer says of one of its parameters. PyTorch's shape has 1, 2 or 4 dimensions: [out], [out][in height width]
/// or [out][in][height][width]; the flat buffers hold [height][width][in][out].
struct ParameterSpec {
    std::string_view name;
    Role role = Role::weight;
    int dimensions = 1;
    int out = 1, in = 1, height = 1, width = 1;
    double initial = 0;  // norm and custom parameters start here; weights and biases of convolutions are drawn

    constexpr Index size() const { return Index{out} * in * height * width; }
    std::vector<Index> shape() const {
        if (dimensions == 4) return {out, in, height, width};
        if (dimensions == 2) return {out, Index{in} * height * width};
        return {out};
    }
};

/// One step of a dotted name: "blk1", "extra", "0". Members of Sequential and std::array have an index instead of a
/// name.
struct Module {
    int parent = -1;
    std::string_view name;
    int index = 0;
};

/// A member that owns parameters or that an operation refers to; found again by its address and type.
struct Layer {
    const void* address = nullptr;
    const void* type = nullptr;
    int module = -1;
    int first_parameter = 0, parameters = 0;
    int normalized = 0;    // channels that a batch norm keeps running statistics for; 0 for other layers
    Index statistics = 0;  // offset of running_mean, then running_var, in the statistics buffer
    int counter = -1;      // index of num_batches_tracked
    float momentum = 0.1f, epsilon = 1e-5f;
};

struct Parameter {
    int layer = -1;
    ParameterSpec spec;
    Index offset = 0;  // in the flat buffer, in elements; every parameter starts on a 64-byte line
};

struct Graph {
    std::vector<Node> nodes;
    std::vector<Module> modules;
    std::vector<Layer> layers;
    std::vector<Parameter> parameters;
    Index parameter_elements = 0;  // of the flat buffer, padding included
    Index statistics_elements = 0;
    int counters = 0;
    int output = -1;  // the node of the logits

    constexpr ConvolutionShape convolution(const Node& node) const {
        const Node& input = nodes[static_cast<std::size_t>(node.inputs[0])];
        return {input.channels, node.channels, node.window, input.extent, node.extent};
    }
    /// Index of a layer's parameter by its local name ("weight"), or -1.
    constexpr int parameter(int layer, std::string_view name) const {
        const Layer& l = layers[static_cast<std::size_t>(layer)];
        for (int p = l.first_parameter; p < l.first_parameter + l.parameters; ++p)
            if (parameters[static_cast<std::size_t>(p)].spec.name == name) return p;
        return -1;
    }
    /// The linear layer that makes the output, up to constant factors, relu and gelu; -1 where there is none.
    constexpr int last_linear() const {
        const auto passes = [](Op op) { return op == Op::scale || op == Op::relu || op == Op::gelu; };
        int id = output;
        while (passes(nodes[static_cast<std::size_t>(id)].op)) id = nodes[static_cast<std::size_t>(id)].inputs[0];
        return nodes[static_cast<std::size_t>(id)].op == Op::linear ? id : -1;
    }
    /// How many nodes read each node, the output counting as one; 0: the output does not depend on it.
    constexpr std::vector<int> uses() const {
        std::vector<int> counts(nodes.size(), 0);
        counts[static_cast<std::size_t>(output)] = 1;
        for (int id = output; id >= 0; --id) {  // readers come behind what they read
            if (counts[static_cast<std::size_t>(id)] == 0) continue;
            for (const int input : nodes[static_cast<std::size_t>(id)].inputs)
                if (input >= 0) ++counts[static_cast<std::size_t>(input)];
        }
        return counts;
    }
    /// The dotted name, as PyTorch spells it: "blk1.extra.0".
    std::string module_name(int module) const {
        if (module < 0) return {};
        const Module& m = modules[static_cast<std::size_t>(module)];
        std::string prefix = module_name(m.parent);
        if (!prefix.empty()) prefix += '.';
        return prefix + (m.name.empty() ? std::to_string(m.index) : std::string{m.name});
    }
    std::string layer_name(int layer) const { return module_name(layers[static_cast<std::size_t>(layer)].module); }
    std::string parameter_name(int parameter) const {
        const Parameter& p = parameters[static_cast<std::size_t>(parameter)];
        const std::string layer = layer_name(p.layer);
        return layer.empty() ? std::string{p.spec.name} : layer + "." + std::string{p.spec.name};
    }
};

}  // namespace resnet::inline v0
