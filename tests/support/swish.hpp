// A user's own operation: y = x sigmoid(beta x) with one beta a channel (Ramachandran et al. 2017, "Searching for
// activation functions").
#pragma once

#include <array>
#include <cmath>
#include <string_view>

#include <resnet/layers.hpp>

namespace tests {

template <int C>
struct Swish {
    static constexpr std::string_view name = "swish";
    static constexpr auto parameter_specs() {
        return std::array{resnet::ParameterSpec{"beta", resnet::Role::custom, 1, C, 1, 1, 1, 1.0}};
    }
    static constexpr resnet::Extent output(resnet::Extent input) { return input; }
    static constexpr resnet::Index macs(resnet::Extent input) { return input.area() * C; }

    /// Calls visit(image, y, x, channel) for every value of a block.
    static void for_each(const auto& block, auto&& visit) {
        for (int n = 0; n < block.images; ++n)
            for (int y = 0; y < block.extent.height; ++y)
                for (int x = 0; x < block.extent.width; ++x)
                    for (int c = 0; c < C; ++c) visit(n, y, x, c);
    }
    template <class Scalar>
    static void forward(const resnet::CustomForward<Scalar>& op) noexcept {
        for_each(op.input, [&](int n, int y, int x, int c) {
            const Scalar v = op.input(n, y, x, c), beta = op.parameters[0][c];
            op.output(n, y, x, c) = v / (1 + std::exp(-beta * v));
        });
    }
    template <class Scalar>
    static void backward(const resnet::CustomBackward<Scalar>& op) noexcept {
        for_each(op.input, [&](int n, int y, int x, int c) {
            const Scalar v = op.input(n, y, x, c), beta = op.parameters[0][c], g = op.grad_output(n, y, x, c);
            const Scalar s = 1 / (1 + std::exp(-beta * v)), slope = s * (1 - s);
            op.grad_parameters[0][c] += g * v * v * slope;
            if (op.grad_input.data != nullptr) op.grad_input(n, y, x, c) += g * (s + beta * v * slope);
        });
    }

    constexpr resnet::Value<C> operator()(resnet::Value<C> x) const { return resnet::custom_operation<C>(*this, x); }
};

/// Halves the map, with a scratch row and no parameter: its forward is x(2y, 2x) + x(2y + 1, 2x + 1).
template <int C>
struct Diagonal {
    static constexpr std::string_view name = "diagonal";
    static constexpr auto parameter_specs() { return std::array<resnet::ParameterSpec, 0>{}; }
    static constexpr resnet::Extent output(resnet::Extent input) { return {input.height / 2, input.width / 2}; }
    static constexpr resnet::Index macs(resnet::Extent input) { return input.area() * C / 4; }
    static constexpr resnet::Index scratch(resnet::Extent input, int images) {
        return resnet::Index{input.width} * images * C;
    }

    template <class Scalar>
    static void forward(const resnet::CustomForward<Scalar>& op) noexcept {
        Swish<C>::for_each(op.output, [&](int n, int y, int x, int c) {
            op.scratch[(x * op.output.images + n) * C + c] = op.input(n, 2 * y, 2 * x, c);
            op.output(n, y, x, c) =
                op.scratch[(x * op.output.images + n) * C + c] + op.input(n, 2 * y + 1, 2 * x + 1, c);
        });
    }
    template <class Scalar>
    static void backward(const resnet::CustomBackward<Scalar>& op) noexcept {
        if (op.grad_input.data == nullptr) return;
        Swish<C>::for_each(op.grad_output, [&](int n, int y, int x, int c) {
            op.grad_input(n, 2 * y, 2 * x, c) += op.grad_output(n, y, x, c);
            op.grad_input(n, 2 * y + 1, 2 * x + 1, c) += op.grad_output(n, y, x, c);
        });
    }

    constexpr resnet::Value<C> operator()(resnet::Value<C> x) const { return resnet::custom_operation<C>(*this, x); }
};

}  // namespace tests
