// Reads ONNX files and computes them by plain loops in double, as far as the library writes them. What is not as
// onnx.proto and the operators' specification (github.com/onnx/onnx/blob/main/docs/Operators.md) have it is a
// std::runtime_error.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <resnet/core/extent.hpp>

#include "protobuf.hpp"

namespace tests {

using resnet::Index;

struct OnnxTensor {
    std::vector<std::int64_t> shape;
    std::vector<double> values;

    Index size(std::size_t dimension) const { return static_cast<Index>(shape.at(dimension)); }
    /// Element [n][c][y][x].
    double& at(Index n, Index c, Index y, Index x) {
        return values.at(static_cast<std::size_t>(((n * size(1) + c) * size(2) + y) * size(3) + x));
    }
};

struct OnnxNode {
    explicit OnnxNode(const ProtobufMessage& node)
        : op{node.text(4)},
          name{node.text(3)},
          output{node.text(2)},
          inputs{node.texts(1)} {
        for (const ProtobufMessage& attribute : node.messages(5)) {
            std::vector<double>& values = attributes[attribute.text(1)];
            switch (attribute.integer(20)) {
                case 1:
                    values.push_back(attribute.numbers<float>(2).at(0));
                    break;
                case 2:
                    values.push_back(static_cast<double>(attribute.integer(3)));
                    break;
                case 7:
                    for (const std::int64_t value : attribute.integers(8)) values.push_back(static_cast<double>(value));
                    break;
                default:
                    throw std::runtime_error("an attribute of another type");
            }
        }
    }
    Index attribute(const std::string& key, std::size_t i = 0) const {
        return static_cast<Index>(attributes.at(key).at(i));
    }

    std::string op, name, output;
    std::vector<std::string> inputs;
    std::map<std::string, std::vector<double>> attributes;
};

class OnnxFile {
public:
    explicit OnnxFile(std::vector<std::uint8_t> bytes)
        : content{std::move(bytes)},
          model{std::as_bytes(std::span{content})} {
        const ProtobufMessage graph = model.message(7);
        for (const ProtobufMessage& node : graph.messages(1)) nodes.emplace_back(node);
        for (const ProtobufMessage& tensor : graph.messages(5)) {
            if (tensor.integer(2) != 1) throw std::runtime_error("a tensor that is not of floats");
            const auto floats = tensor.numbers<float>(9);
            const OnnxTensor value{tensor.integers(1), {floats.begin(), floats.end()}};
            Index elements = 1;
            for (const std::int64_t extent : value.shape) elements *= extent;
            if (elements != std::ssize(floats)) throw std::runtime_error("a tensor of another size");
            if (!tensors.emplace(tensor.text(8), value).second)
                throw std::runtime_error("a tensor that is there twice");
        }
    }

    OnnxFile(const OnnxFile&) = delete;
    OnnxFile& operator=(const OnnxFile&) = delete;

    /// The output `logits` for `images`.
    OnnxTensor run(const OnnxTensor& images) const {
        std::map<std::string, OnnxTensor> values = tensors;
        values["images"] = images;
        for (const OnnxNode& node : nodes) {
            std::vector<OnnxTensor> inputs;
            for (const std::string& name : node.inputs) inputs.push_back(values.at(name));  // topological order
            if (!values.emplace(node.output, compute(node, inputs)).second)
                throw std::runtime_error("a value that is computed twice");
        }
        return values.at("logits");
    }

    std::vector<std::uint8_t> content;
    ProtobufMessage model;  // refers to the content
    std::vector<OnnxNode> nodes;
    std::map<std::string, OnnxTensor> tensors;  // the initializers

private:
    static OnnxTensor compute(const OnnxNode& node, std::vector<OnnxTensor>& inputs) {
        OnnxTensor& x = inputs.at(0);
        if (node.op == "Relu") return each(x, [](double v) { return std::max(v, 0.0); });
        if (node.op == "Erf") return each(x, [](double v) { return std::erf(v); });
        if (node.op == "Div") return both(x, inputs.at(1), [](double a, double b) { return a / b; });
        if (node.op == "Mul") return both(x, inputs.at(1), [](double a, double b) { return a * b; });
        if (node.op == "Add") return both(x, inputs.at(1), [](double a, double b) { return a + b; });
        if (node.op == "Flatten") return {{x.shape.at(0), std::ssize(x.values) / x.shape.at(0)}, x.values};
        if (node.op == "Gemm") return gemm(node, inputs);
        if (x.shape.size() != 4) throw std::runtime_error("no map");
        if (node.op == "BatchNormalization") return batch_norm(node, inputs);
        if (node.op == "Conv") return convolution(node, inputs);
        if (node.op == "MaxPool") return pool(node, x, true);
        if (node.op == "AveragePool" && node.attribute("count_include_pad") == 1) return pool(node, x, false);
        if (node.op == "GlobalAveragePool") return global_average_pool(x);
        throw std::runtime_error("the operation " + node.op);
    }

    static OnnxTensor each(OnnxTensor x, const auto& f) {
        std::ranges::transform(x.values, x.values.begin(), f);
        return x;
    }

    /// Of equal shapes, or of a tensor and a number.
    static OnnxTensor both(OnnxTensor x, const OnnxTensor& y, const auto& f) {
        if (!y.shape.empty() && x.shape != y.shape) throw std::runtime_error("operands of unlike shapes");
        for (std::size_t i = 0; i < x.values.size(); ++i)
            x.values[i] = f(x.values[i], y.values.at(y.shape.empty() ? 0 : i));
        return x;
    }

    static OnnxTensor gemm(const OnnxNode& node, const std::vector<OnnxTensor>& inputs) {
        const OnnxTensor &x = inputs.at(0), &weight = inputs.at(1), &bias = inputs.at(2);
        const auto features = static_cast<std::size_t>(x.size(1)), out = static_cast<std::size_t>(weight.size(0));
        if (node.attribute("transB") != 1 || x.shape.size() != 2 || weight.shape.at(1) != x.shape[1] ||
            bias.shape != std::vector<std::int64_t>{weight.shape[0]})
            throw std::runtime_error("a product of unlike shapes");
        OnnxTensor y{{x.shape[0], weight.shape[0]}, {}};
        for (std::size_t n = 0; n < static_cast<std::size_t>(x.size(0)); ++n)
            for (std::size_t o = 0; o < out; ++o) {
                double sum = bias.values[o];
                for (std::size_t i = 0; i < features; ++i)
                    sum += x.values[n * features + i] * weight.values[o * features + i];
                y.values.push_back(sum);
            }
        return y;
    }

    static OnnxTensor batch_norm(const OnnxNode& node, std::vector<OnnxTensor>& inputs) {
        OnnxTensor& x = inputs.at(0);
        const auto parameter = [&](std::size_t i, Index c) {
            return inputs.at(i).values.at(static_cast<std::size_t>(c));
        };
        for_each(x, [&](Index n, Index c, Index y, Index column) {
            double& v = x.at(n, c, y, column);
            v = parameter(1, c) * (v - parameter(3, c)) /
                    std::sqrt(parameter(4, c) + node.attributes.at("epsilon").at(0)) +
                parameter(2, c);
        });
        return x;
    }

    static OnnxTensor convolution(const OnnxNode& node, std::vector<OnnxTensor>& inputs) {
        OnnxTensor &x = inputs.at(0), &weight = inputs.at(1);
        if (x.size(1) != weight.size(1) || weight.size(2) != node.attribute("kernel_shape", 0) ||
            weight.size(3) != node.attribute("kernel_shape", 1))
            throw std::runtime_error("a convolution of unlike shapes");
        return windowed(node, x, weight.shape[0], [&](OnnxTensor& y, Index n, Index o, Index row, Index column) {
            double sum = inputs.size() > 2 ? inputs[2].values.at(static_cast<std::size_t>(o)) : 0;
            for (Index c = 0; c < x.size(1); ++c)
                for_each_tap(node, x, row, column, [&](Index dy, Index dx, Index iy, Index ix) {
                    sum += x.at(n, c, iy, ix) * weight.at(o, c, dy, dx);
                });
            y.at(n, o, row, column) = sum;
        });
    }

    static OnnxTensor pool(const OnnxNode& node, OnnxTensor& x, bool largest) {
        const double taps = static_cast<double>(node.attribute("kernel_shape", 0) * node.attribute("kernel_shape", 1));
        return windowed(node, x, x.shape[1], [&](OnnxTensor& y, Index n, Index c, Index row, Index column) {
            double best = -std::numeric_limits<double>::infinity(), sum = 0;
            for_each_tap(node, x, row, column, [&](Index, Index, Index iy, Index ix) {
                best = std::max(best, x.at(n, c, iy, ix));
                sum += x.at(n, c, iy, ix) / taps;
            });
            y.at(n, c, row, column) = largest ? best : sum;
        });
    }

    static OnnxTensor global_average_pool(OnnxTensor& x) {
        OnnxTensor y{{x.shape[0], x.shape[1], 1, 1},
                     std::vector<double>(static_cast<std::size_t>(x.size(0) * x.size(1)))};
        for_each(x, [&](Index n, Index c, Index row, Index column) {
            y.at(n, c, 0, 0) += x.at(n, c, row, column) / static_cast<double>(x.size(2) * x.size(3));
        });
        return y;
    }

    /// Calls f(n, c, y, x) for every element.
    static void for_each(const OnnxTensor& tensor, const auto& f) {
        for (Index n = 0; n < tensor.size(0); ++n)
            for (Index c = 0; c < tensor.size(1); ++c)
                for (Index y = 0; y < tensor.size(2); ++y)
                    for (Index x = 0; x < tensor.size(3); ++x) f(n, c, y, x);
    }
    /// Calls f(dy, dx, y, x) for every tap of the window at (row, column) that lies inside the map.
    static void for_each_tap(const OnnxNode& node, const OnnxTensor& x, Index row, Index column, const auto& f) {
        for (Index dy = 0; dy < node.attribute("kernel_shape", 0); ++dy)
            for (Index dx = 0; dx < node.attribute("kernel_shape", 1); ++dx) {
                const Index iy = row * node.attribute("strides", 0) + dy - node.attribute("pads", 0);
                const Index ix = column * node.attribute("strides", 1) + dx - node.attribute("pads", 1);
                if (iy >= 0 && iy < x.size(2) && ix >= 0 && ix < x.size(3)) f(dy, dx, iy, ix);
            }
    }
    static OnnxTensor windowed(const OnnxNode& node, const OnnxTensor& x, std::int64_t channels, const auto& f) {
        const auto extent = [&](std::size_t i) {
            const Index padded = x.size(2 + i) + node.attribute("pads", i) + node.attribute("pads", 2 + i);
            return (padded - node.attribute("kernel_shape", i)) / node.attribute("strides", i) + 1;
        };
        OnnxTensor y{{x.shape[0], channels, extent(0), extent(1)}, {}};
        y.values.resize(static_cast<std::size_t>(y.size(0) * y.size(1) * y.size(2) * y.size(3)));
        for_each(y, [&](Index n, Index c, Index row, Index column) { f(y, n, c, row, column); });
        return y;
    }
};

}  // namespace tests
