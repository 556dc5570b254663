// A user's own operation joins the graph like any other: a layer type with a few static members, and custom_operation()
// in its body.
//
//     template <int C>
//     struct Swish {                                              // y = x sigmoid(beta x), one beta a channel
//         static constexpr std::string_view name = "swish";
//         static constexpr auto parameter_specs() {
//             return std::array{ParameterSpec{"beta", Role::custom, 1, C, 1, 1, 1, 1.0}};
//         }
//         static constexpr Extent output(Extent input) { return input; }
//         static constexpr Index macs(Extent input) { return input.area() * C; }
//         template <class Scalar> static void forward(const CustomForward<Scalar>& op) noexcept;
//         template <class Scalar> static void backward(const CustomBackward<Scalar>& op) noexcept;
//         constexpr Value<C> operator()(Value<C> x) const { return custom_operation<C>(*this, x); }
//     };
#pragma once

#include <cstddef>
#include <string_view>

#include <resnet/graph/record.hpp>
#include <resnet/graph/rules.hpp>
#include <resnet/graph/value.hpp>

namespace resnet::inline v0 {

/// A block of images as [image][y][x][channel], wherever the elements lie.
template <class Scalar>
struct ImageBlock {
    Scalar* data = nullptr;
    int images = 0;
    Extent extent{};
    int channels = 0;

    // Blocks are stored [H][W][images][C].
    Scalar& operator()(int image, int y, int x, int channel) const {
        return data[((Index{y} * extent.width + x) * images + image) * channels + channel];
    }
};

/// One call computes one block of images; calls for several blocks run at the same time, so `forward` must be pure.
template <class Scalar>
struct CustomForward {
    ImageBlock<const Scalar> input;
    ImageBlock<Scalar> output;                  // overwritten
    const Scalar* const* parameters = nullptr;  // one pointer a ParameterSpec, to [height][width][in][out]
    Scalar* scratch = nullptr;                  // `scratch(extent, images)` elements, if the layer asks for them
};

template <class Scalar>
struct CustomBackward {
    ImageBlock<const Scalar> input, grad_output;
    ImageBlock<Scalar> grad_input;  // added to; data is null where nobody needs it
    const Scalar* const* parameters = nullptr;
    Scalar* const* grad_parameters = nullptr;  // added to; the library sums the blocks in a fixed order
    Scalar* scratch = nullptr;
};

/// What the engine knows of a custom operation: one constexpr table for each layer type.
struct CustomOperation {
    std::string_view name;
    void (*forward_float)(const CustomForward<float>&) noexcept = nullptr;
    void (*forward_double)(const CustomForward<double>&) noexcept = nullptr;
    void (*backward_float)(const CustomBackward<float>&) noexcept = nullptr;
    void (*backward_double)(const CustomBackward<double>&) noexcept = nullptr;
    Index (*macs_of)(Extent input) = nullptr;
    Index (*scratch_of)(Extent input, int images) = nullptr;

    void forward(const CustomForward<float>& op) const { forward_float(op); }
    void forward(const CustomForward<double>& op) const { forward_double(op); }
    void backward(const CustomBackward<float>& op) const { backward_float(op); }
    void backward(const CustomBackward<double>& op) const { backward_double(op); }
};

/// Parameters that a custom operation may have.
inline constexpr std::size_t most_custom_parameters = 8;

namespace detail {
template <class L>
constexpr bool all_have_elements() {
    for (const ParameterSpec& spec : L::parameter_specs())
        if (spec.size() < 1) return false;
    return true;
}
/// What has one dimension is [out], what has two is [out][in height width].
template <class L>
constexpr bool all_have_the_elements_of_their_dimensions() {
    for (const ParameterSpec& spec : L::parameter_specs()) {
        const bool is_vector = spec.dimensions == 1 && spec.in == 1 && spec.height == 1 && spec.width == 1;
        if (!is_vector && spec.dimensions != 2 && spec.dimensions != 4) return false;
    }
    return true;
}
template <class L>
constexpr bool all_have_their_own_names() {
    const auto specs = L::parameter_specs();
    for (std::size_t i = 0; i < specs.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (specs[i].name == specs[j].name) return false;
    return true;
}
}  // namespace detail
template <class L>
concept custom_parameters_are_at_most_eight = (L::parameter_specs().size() <= most_custom_parameters);
template <class L>
concept custom_parameters_have_elements = detail::all_have_elements<L>();
template <class L>
concept custom_parameters_have_the_elements_of_their_dimensions =
    detail::all_have_the_elements_of_their_dimensions<L>();
template <class L>
concept custom_parameters_have_names_of_their_own = detail::all_have_their_own_names<L>();
/// They run on all workers, where nobody could catch what they throw; memory is `scratch`.
template <class L>
concept custom_functions_are_noexcept =
    noexcept(L::forward(CustomForward<float>{})) && noexcept(L::backward(CustomBackward<float>{}));

namespace detail {
constexpr Index no_scratch(Extent, int) { return 0; }

template <class L>
consteval CustomOperation custom_table() {
    CustomOperation table{.name = L::name};
    table.forward_float = &L::template forward<float>;
    table.forward_double = &L::template forward<double>;
    table.backward_float = &L::template backward<float>;
    table.backward_double = &L::template backward<double>;
    table.macs_of = &L::macs;
    if constexpr (requires { &L::scratch; }) table.scratch_of = &L::scratch;
    else table.scratch_of = &no_scratch;
    return table;
}
template <class L>
inline constexpr CustomOperation custom_table_of = custom_table<L>();
}  // namespace detail

/// Records a custom operation with Out channels; `layer` is `*this` of the layer that is called.
template <int Out, class L, int In>
requires custom_parameters_are_at_most_eight<L> && custom_parameters_have_elements<L> &&
    custom_parameters_have_the_elements_of_their_dimensions<L> && custom_parameters_have_names_of_their_own<L> &&
    custom_functions_are_noexcept<L>
constexpr Value<Out> custom_operation(const L& layer, Value<In> x) {
    Node node = detail::unary(Op::custom, x);
    node.channels = Out;
    node.extent = L::output(x.extent());
    if (node.extent.height < 1 || node.extent.width < 1) rules::custom_output_is_empty(node.extent);
    node.layer = detail::find_layer(x.graph(), layer);
    node.custom = &detail::custom_table_of<L>;
    return {x.graph(), detail::record(x.graph(), node)};
}

}  // namespace resnet::inline v0
