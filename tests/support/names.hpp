// Parameter names in constant expressions, where std::string is not at hand.
#pragma once

#include <cstddef>
#include <string_view>

#include <resnet/graph/program.hpp>

namespace tests {

/// Takes `word` off the end of `text`, with the dot before it; false where `text` ends otherwise.
constexpr bool take_last(std::string_view& text, std::string_view word) {
    if (!text.ends_with(word)) return false;
    text.remove_suffix(word.size());
    if (text.empty()) return true;
    if (!text.ends_with('.')) return false;
    text.remove_suffix(1);
    return true;
}

constexpr bool module_is(const resnet::Graph& graph, int module, std::string_view name) {
    for (; module >= 0; module = resnet::at(graph.modules, module).parent) {
        const resnet::Module& m = resnet::at(graph.modules, module);
        if (!m.name.empty()) {
            if (!take_last(name, m.name)) return false;
            continue;
        }
        char digits[12] = {};
        std::size_t first = sizeof digits;
        int rest = m.index;
        do digits[--first] = static_cast<char>('0' + rest % 10);
        while ((rest /= 10) > 0);
        if (!take_last(name, std::string_view{digits + first, sizeof digits - first})) return false;
    }
    return name.empty();
}

/// Is `name` the dotted name ("blk1.extra.0.weight") of the parameter with this index?
constexpr bool parameter_is(const resnet::Graph& graph, int parameter, std::string_view name) {
    const resnet::Parameter& p = resnet::at(graph.parameters, parameter);
    return take_last(name, p.spec.name) && module_is(graph, resnet::at(graph.layers, p.layer).module, name);
}

/// Index of the parameter with this dotted name, or -1.
constexpr int find_parameter(const resnet::Graph& graph, std::string_view name) {
    for (int p = 0; p < static_cast<int>(graph.parameters.size()); ++p)
        if (parameter_is(graph, p, name)) return p;
    return -1;
}

}  // namespace tests
