// The forms of Winograd's convolution (3x3, stride 1, padding 1): how many outputs a tile has, and the matrices of its
// transforms. Along one dimension, y = A^T [(G g) * (B^T d)]: `products` numbers of the transformed inputs d and
// weights g are multiplied one by one; two dimensions nest. (Winograd 1980, "Arithmetic complexity of computations";
// Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", section 4.)
//
// Small maps are one tile: their border is known to be zero, so that it is neither read nor multiplied.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

struct WinogradForm {
    std::string_view name;
    int outputs;    // of a tile, a side
    int products;   // of a tile, a side
    bool one_tile;  // the whole map: its inputs are where its outputs are
    constexpr int inputs() const { return one_tile ? outputs : outputs + 2; }
    constexpr int all_products() const { return products * products; }
    constexpr Extent tiles(Extent map) const {
        return {(map.height + outputs - 1) / outputs, (map.width + outputs - 1) / outputs};
    }
};

inline constexpr std::array winograd_forms{
    WinogradForm{.name = "Winograd F(4x4, 3x3)", .outputs = 4, .products = 6, .one_tile = false},
    WinogradForm{.name = "Winograd, one 2x2 tile", .outputs = 2, .products = 3, .one_tile = true},
    WinogradForm{.name = "Winograd, one 3x3 tile", .outputs = 3, .products = 5, .one_tile = true},
    WinogradForm{.name = "Winograd, one 5x5 tile", .outputs = 5, .products = 7, .one_tile = true},
};
inline constexpr int most_winograd_products = 49, most_winograd_outputs = 25;

/// The one for a map of this size, as an index of winograd_forms.
constexpr std::size_t winograd_form(Extent map) {
    for (std::size_t f = 1; f < winograd_forms.size(); ++f)
        if (map == Extent{winograd_forms[f].outputs, winograd_forms[f].outputs}) return f;
    return 0;
}

namespace detail {

/// Rows of the matrices, one a product: B^T, A and G. From row `first_pair` on come `pairs` pairs of rows that differ
/// only in the sign of some elements, since their points differ in sign: the transforms share their sums.
template <int Inputs, int Products, int Outputs>
struct WinogradMatrices {
    template <int Columns>
    using Rows = std::array<std::array<double, Columns>, Products>;
    Rows<Inputs> input{};
    Rows<Outputs> output{};
    Rows<3> weight{};
    int first_pair = 0, pairs = 0;
};

/// Coefficients, from that of x^0 on, of x^zero (x + extra) times (x^2 - q^2) over all `pairs` but pairs[without];
/// without the factor of `extra` where that is 0.
template <std::size_t Pairs>
constexpr auto winograd_polynomial(const std::array<double, Pairs>& pairs, std::size_t without, double extra,
                                   bool zero) {
    std::array<double, 2 * Pairs + 3> c{};
    c[zero ? 1 : 0] = 1;
    for (std::size_t q = 0; q < Pairs; ++q)
        for (std::size_t k = c.size(); k-- > 0 && q != without;)
            c[k] = (k >= 2 ? c[k - 2] : 0) - pairs[q] * pairs[q] * c[k];
    for (std::size_t k = c.size(); k-- > 0 && extra != 0;) c[k] = (k >= 1 ? c[k - 1] : 0) + extra * c[k];
    return c;
}

/// Toom and Cook's matrices, transposed, for the points +-pairs, infinity and maybe 0. For point p_i, with M_i(x) the
/// product of (x - p_k) over all k != i: B^T has the coefficients of M_i, A the powers of p_i, G the powers of p_i
/// divided by M_i(p_i). For infinity: the coefficients of all points' product, and the last power.
template <int Outputs, bool OneTile, std::size_t Pairs>
constexpr auto toom_cook(bool zero, const std::array<double, Pairs>& pairs) {
    constexpr int products = Outputs + 2, inputs = OneTile ? Outputs : products;
    WinogradMatrices<inputs, products, Outputs> m{.first_pair = zero ? 1 : 0, .pairs = Pairs};
    std::size_t row = 0;
    const auto add_point = [&](double point, const auto& c) {
        double at_point = 0, power = 1;
        for (std::size_t k = c.size(); k-- > 0;) at_point = at_point * point + c[k];
        for (std::size_t k = 0; k < std::max(m.output[row].size(), m.weight[row].size()); ++k, power *= point) {
            if (k < m.output[row].size()) m.output[row][k] = power;
            if (k < m.weight[row].size()) m.weight[row][k] = power / at_point;
        }
        std::copy_n(c.begin() + (OneTile ? 1 : 0), inputs, m.input[row++].begin());  // the border of one tile is zero
    };
    if (zero) add_point(0, winograd_polynomial(pairs, Pairs, 0, false));
    for (std::size_t q = 0; q < Pairs; ++q) {
        add_point(pairs[q], winograd_polynomial(pairs, q, pairs[q], zero));
        add_point(-pairs[q], winograd_polynomial(pairs, q, -pairs[q], zero));
    }
    std::copy_n(winograd_polynomial(pairs, Pairs, 0, zero).begin() + (OneTile ? 1 : 0), inputs, m.input[row].begin());
    m.output[row].back() = 1;
    m.weight[row].back() = 1;
    return m;
}

/// Points near 1 with quotients near 2 keep the powers near 1, and with them the rounding: against double, the relative
/// error (L2) is about 6e-7 for 3 outputs, 1e-6 for 4, 2e-6 for 5 (tests/kernels/convolution.cpp holds it).
template <std::size_t Form>
constexpr auto winograd_matrices() {
    constexpr WinogradForm form = winograd_forms[Form];
    // y_0 = w_1 x_0 + w_2 x_1 and y_1 = w_0 x_0 + w_1 x_1: three products, as Karatsuba's.
    if constexpr (form.outputs == 2)
        return WinogradMatrices<2, 3, 2>{.input = {{{1, 1}, {0, 1}, {1, 0}}},
                                         .output = {{{1, 1}, {1, 0}, {0, 1}}},
                                         .weight = {{{0, 1, 0}, {0, -1, 1}, {1, -1, 0}}}};
    else if constexpr (form.outputs == 3) return toom_cook<3, true>(false, std::array{0.5, 1.5});
    else if constexpr (form.outputs == 5) return toom_cook<5, true>(false, std::array{0.25, 0.875, 1.75});
    else return toom_cook<4, false>(true, std::array{0.70710678118654752440, 1.41421356237309504880});
}

}  // namespace detail

}  // namespace resnet::inline v0
