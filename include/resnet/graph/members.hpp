// The members of a network: RESNET_MEMBERS lists them, layers_of() finds every layer and parameter below them, with
// PyTorch's names.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <resnet/graph/record.hpp>

/// Lists all members that are not static, once each, in PyTorch's order of registration; the text gives PyTorch's
/// names.
#define RESNET_MEMBERS(...)                                                          \
    static constexpr std::string_view resnet_member_names() { return #__VA_ARGS__; } \
    constexpr auto resnet_members() const { return std::tie(__VA_ARGS__); }

namespace resnet::inline v0 {

/// The one object of a network type: its members' addresses tell the layers apart. Weights are elsewhere, in a Model.
template <class Net>
inline constexpr Net prototype{};

/// Every layer and parameter of a network, without its operations.
template <class Net>
constexpr Graph layers_of();

namespace detail {

template <class T>
concept lists_members = requires(const T& t) {
    t.resnet_members();
};
template <class T>
concept has_parameters = requires {
    T::parameter_specs();
};

struct Anything {
    template <class T>
    constexpr operator T() const;  // NOLINT(google-explicit-constructor): it has to stand for any member
};
template <class T, std::size_t... I>
concept has_fields = requires {
    T{(static_cast<void>(I), Anything{})...};
};
/// The type that has the list: the network, or what it derives from to say another `image`.
template <class Owner, class Members>
std::type_identity<Owner> owner_of(Members (Owner::*)() const);

template <class T, std::size_t... I>
consteval std::size_t field_count(std::index_sequence<I...>) {
    if constexpr (has_fields<T, I..., sizeof...(I)>)
        return field_count<T>(std::make_index_sequence<sizeof...(I) + 1>{});
    else return sizeof...(I);
}

template <class T, std::size_t Listed>
consteval bool lists_every_member() {
    using Owner = typename decltype(owner_of(&T::resnet_members))::type;
    if constexpr (!std::is_aggregate_v<T>) return true;
    else if constexpr (std::is_same_v<Owner, T>) return field_count<T>(std::index_sequence<>{}) == Listed;
    else  // the base is its one field; a further one, here or between the two, would have a byte
        return field_count<T>(std::index_sequence<>{}) == 1 && sizeof(T) == sizeof(Owner) &&
               lists_every_member<Owner, Listed>();
}

}  // namespace detail

/// An aggregate must list as many members as it has fields: a forgotten one would keep its initial weights out of
/// files. One that derives from a network has no further fields.
template <class T, std::size_t Listed>
concept every_member_is_listed = detail::lists_every_member<T, Listed>();

namespace detail {

/// The n-th name of "conv1, bn1, extra".
constexpr std::string_view nth_name(std::string_view list, std::size_t n) {
    for (; n > 0; --n) list.remove_prefix(list.find(',') + 1);
    list = list.substr(0, list.find(','));
    while (!list.empty() && (list.front() == ' ' || list.front() == '\n')) list.remove_prefix(1);
    while (!list.empty() && (list.back() == ' ' || list.back() == '\n')) list.remove_suffix(1);
    return list;
}
template <class T, std::size_t Count>
inline constexpr auto member_names = [] {
    std::array<std::string_view, Count> names;
    for (std::size_t i = 0; i < Count; ++i) names[i] = nth_name(T::resnet_member_names(), i);
    return names;
}();

[[gnu::noinline]] constexpr int add_module(Graph& graph, const Module& module) {
    graph.modules.push_back(module);
    return static_cast<int>(graph.modules.size()) - 1;
}

[[gnu::noinline]] constexpr void add_layer(Graph& graph, Layer layer, std::span<const ParameterSpec> specs) {
    layer.first_parameter = static_cast<int>(graph.parameters.size());
    for (const ParameterSpec& spec : specs) {
        if (spec.size() == 0) continue;
        graph.parameters.push_back({static_cast<int>(graph.layers.size()), spec, graph.parameter_elements});
        graph.parameter_elements += whole_lines(spec.size());  // the next one starts on a 64-byte line
        ++layer.parameters;
    }
    if (layer.normalized > 0) {
        layer.statistics = graph.statistics_elements;
        layer.counter = graph.counters++;
        graph.statistics_elements += 2 * whole_lines(layer.normalized);
    }
    graph.layers.push_back(layer);
}

template <class L>
constexpr void add_layer(Graph& graph, const L& layer, int module) {
    Layer entry{.address = &layer, .type = &type_tag<L>, .module = module};
    if constexpr (requires { L::normalized; }) {
        entry.normalized = L::normalized;
        entry.momentum = L::momentum;
        entry.epsilon = L::epsilon;
    }
    const auto specs = L::parameter_specs();
    add_layer(graph, entry, specs);
}

template <class T>
constexpr void add_members(Graph& graph, const T& layer, int module);

template <class T, std::size_t... I>
constexpr void add_listed_members(Graph& graph, const T& layer, int module, std::index_sequence<I...>) {
    const auto members = layer.resnet_members();
    (add_members(graph, std::get<I>(members), add_module(graph, {module, member_names<T, sizeof...(I)>[I], 0})), ...);
}

/// Sequential and std::array: members without names are numbered.
template <class T, std::size_t... I>
constexpr void add_numbered_members(Graph& graph, const T& layers, [[maybe_unused]] int module,
                                    std::index_sequence<I...>) {
    using std::get;
    (add_members(graph, get<I>(layers), add_module(graph, {module, {}, static_cast<int>(I)})), ...);
}

template <class T>
constexpr void add_members(Graph& graph, const T& layer, int module) {
    if constexpr (lists_members<T>) {
        constexpr std::size_t listed = std::tuple_size_v<decltype(layer.resnet_members())>;
        static_assert(every_member_is_listed<T, listed>, "a member is missing from RESNET_MEMBERS, or there twice");
        add_listed_members(graph, layer, module, std::make_index_sequence<listed>{});
    } else if constexpr (has_parameters<T>) {
        add_layer(graph, layer, module);
    } else if constexpr (requires { std::tuple_size<T>::value; }) {
        add_numbered_members(graph, layer, module, std::make_index_sequence<std::tuple_size_v<T>>{});
    }
    // anything else (ReLU, pools) has neither parameters nor members
}

}  // namespace detail

template <class Net>
constexpr Graph layers_of() {
    Graph graph;
    detail::add_members(graph, prototype<Net>, -1);
    return graph;
}

}  // namespace resnet::inline v0
