// A convolution or linear layer with the batch norm behind it as one: what inference runs and what files can hold.
#pragma once

#include <cmath>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/engine/weights.hpp>

namespace resnet::inline v0 {

/// A convolution that has taken in what stands behind it.
template <class Scalar>
struct FoldedConvolution {
    std::vector<Scalar> weight;  // [tap][In][Out], the master order
    std::vector<Scalar> bias;    // [Out]
};

/// Weights and bias of factor * norm(layer(x)); `norm` is the index of the batch-norm layer, -1 for none:
/// s = factor * gamma / sqrt(running variance + epsilon); weight' = s weight; bias' = s (bias - running mean) + factor
/// * beta.
template <class Scalar>
FoldedConvolution<Scalar> folded_convolution(const Weights<Scalar>& weights, int layer, int norm, float factor) {
    const Graph& graph = weights.graph();
    const auto value = [&](int of, std::string_view name, int channel, double otherwise) {
        const int p = graph.parameter(of, name);
        return p < 0 ? otherwise : static_cast<double>(weights.parameter(p)[channel]);
    };
    const int index = graph.parameter(layer, "weight");
    const ParameterSpec& spec = at(graph.parameters, index).spec;
    std::vector<double> scale(static_cast<std::size_t>(spec.out));
    std::vector<Scalar> bias(scale.size());
    for (int o = 0; o < spec.out; ++o) {
        const double layer_bias = value(layer, "bias", o, 0.0), constant = static_cast<double>(factor);
        double s = constant, shift = constant * layer_bias;
        if (norm >= 0) {
            const Layer& normalization = at(graph.layers, norm);
            const Scalar *mean = weights.statistics().data() + normalization.statistics,
                         *var = mean + whole_lines(normalization.normalized);
            s *= value(norm, "weight", o, 1.0) /
                 std::sqrt(static_cast<double>(var[o]) + static_cast<double>(normalization.epsilon));
            shift = s * (layer_bias - static_cast<double>(mean[o])) + constant * value(norm, "bias", o, 0.0);
        }
        at(scale, o) = s;
        at(bias, o) = static_cast<Scalar>(shift) + Scalar{0};  // not -0, which one kernel keeps and another does not
    }
    const Scalar* weight = weights.parameter(index);
    std::vector<Scalar> folded(static_cast<std::size_t>(spec.size()));
    for (std::size_t i = 0; i < folded.size(); ++i)
        folded[i] = static_cast<Scalar>(static_cast<double>(weight[i]) * scale[i % scale.size()]);
    return {std::move(folded), std::move(bias)};
}

}  // namespace resnet::inline v0
