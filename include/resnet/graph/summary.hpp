// A table of a network's layers, as Model::summary gives it: output, parameters and multiply-accumulates of each, and
// totals.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include <resnet/graph/cost.hpp>
#include <resnet/graph/custom.hpp>
#include <resnet/graph/program.hpp>

namespace resnet::inline v0 {

namespace detail {

/// 11689512 -> "11,689,512".
inline std::string grouped(Index number) {
    std::string digits = std::to_string(number);
    for (Index i = static_cast<Index>(digits.size()) - 3; i > 0; i -= 3)
        digits.insert(static_cast<std::size_t>(i), 1, ',');
    return digits;
}

inline void summary_line(std::string& text, const std::string& name, const std::string& op, const std::string& shape,
                         const std::string& parameters, const std::string& macs) {
    const auto padding = [](const std::string& cell, std::size_t width) {
        return std::string(width - std::min(cell.size(), width), ' ');
    };
    text.append(name).append(padding(name, 24)).append(" ").append(op).append(padding(op, 12)).append(" ");
    text.append(shape).append(padding(shape, 14)).append(" ").append(padding(parameters, 14)).append(parameters);
    text.append(" ").append(padding(macs, 16)).append(macs).append("\n");
}

inline Index parameters_of(const Graph& graph, const Layer& layer) {
    Index sum = 0;
    for (int p = layer.first_parameter; p < layer.first_parameter + layer.parameters; ++p)
        sum += at(graph.parameters, p).spec.size();
    return sum;
}

inline std::string summary(const Graph& graph) {
    std::string text;
    summary_line(text, "layer", "operation", "output", "parameters", "macs");
    std::vector<char> counted(graph.layers.size(), 0);
    Index all_parameters = 0, all_macs = 0;
    for (const Node& node : graph.nodes) {
        Index parameters = 0;
        if (node.layer >= 0 && at(counted, node.layer) == 0) {
            at(counted, node.layer) = 1;
            parameters = parameters_of(graph, at(graph.layers, node.layer));
        }
        const Index cost = macs(graph, node);
        all_parameters += parameters;
        all_macs += cost;
        summary_line(text, node.layer >= 0 ? graph.layer_name(node.layer) : "",
                     std::string{node.op == Op::custom ? node.custom->name : name_of(node.op)},
                     std::to_string(node.channels) + "x" + std::to_string(node.extent.height) + "x" +
                         std::to_string(node.extent.width),
                     parameters > 0 ? grouped(parameters) : "", cost > 0 ? grouped(cost) : "");
    }
    for (std::size_t l = 0; l < graph.layers.size(); ++l) {
        if (counted[l] != 0) continue;
        const Index parameters = parameters_of(graph, graph.layers[l]);
        all_parameters += parameters;
        summary_line(text, graph.layer_name(static_cast<int>(l)), "not used", "", grouped(parameters), "");
    }
    summary_line(text, "total", "", "", grouped(all_parameters), grouped(all_macs));
    return text;
}

}  // namespace detail

}  // namespace resnet::inline v0
