// Sequential: layers one after another, whose members are numbered.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

namespace resnet::inline v0 {

namespace detail {
template <class... Layers>
struct Chain {};
template <class First, class... Rest>
struct Chain<First, Rest...> {
    First first;
    Chain<Rest...> rest;
};

template <std::size_t I, class First, class... Rest>
constexpr const auto& chain_get(const Chain<First, Rest...>& chain) {
    if constexpr (I == 0) return chain.first;
    else return chain_get<I - 1>(chain.rest);
}

template <class X>
constexpr X chain_apply(const Chain<>&, X x) {
    return x;
}
template <class X, class First, class... Rest>
constexpr auto chain_apply(const Chain<First, Rest...>& chain, X x) {
    return chain_apply(chain.rest, chain.first(x));
}
}  // namespace detail

template <class Layer, class X>
concept layer_accepts = requires(const Layer& layer, X x) {
    layer(x);
};

namespace detail {
template <class Layer, class X>
struct Offer {
    using layer = Layer;
    using input = X;
};
struct Identity {
    constexpr auto operator()(auto x) const { return x; }
};
/// The first layer that declines what it is offered, or the last one with its input.
template <class X>
consteval auto decisive_offer() {
    return Offer<Identity, X>{};
}
template <class X, class First, class... Rest>
consteval auto decisive_offer() {
    if constexpr (!layer_accepts<First, X> || sizeof...(Rest) == 0) return Offer<First, X>{};
    else return decisive_offer<decltype(std::declval<const First&>()(std::declval<X>())), Rest...>();
}
template <class X, class... Layers>
using DecisiveLayer = typename decltype(decisive_offer<X, Layers...>())::layer;
template <class X, class... Layers>
using DecisiveInput = typename decltype(decisive_offer<X, Layers...>())::input;
}  // namespace detail

/// Each layer takes what the one before it gives: the compiler prints the layer that declines and what it was offered.
template <class X, class... Layers>
concept each_layer_accepts_the_one_before =
    layer_accepts<detail::DecisiveLayer<X, Layers...>, detail::DecisiveInput<X, Layers...>>;

/// Layers one after another; members are named 0, 1, 2, ... as PyTorch's nn.Sequential names them.
template <class... Layers>
struct Sequential {
    detail::Chain<Layers...> layers;

    template <class X>
    requires each_layer_accepts_the_one_before<X, Layers...>
    constexpr auto operator()(X x) const { return detail::chain_apply(layers, x); }
    template <std::size_t I>
    friend constexpr const auto& get(const Sequential& self) {
        return detail::chain_get<I>(self.layers);
    }
};

}  // namespace resnet::inline v0

template <class... Layers>
struct std::tuple_size<resnet::Sequential<Layers...>> : std::integral_constant<std::size_t, sizeof...(Layers)> {};
