// A Model is the weights of one network type: parameters, running statistics and the normalisation of its images.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/wildcard.hpp>
#include <resnet/engine/initialize.hpp>
#include <resnet/engine/input.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/graph/cost.hpp>
#include <resnet/graph/summary.hpp>
#include <resnet/layers.hpp>  // what a network of one's own is written with

namespace resnet::inline v0 {

namespace detail {
template <class Net>
constexpr bool traces() {
    const Graph graph = trace<Net>(Net::image);
    if constexpr (requires { decltype(prototype<Net>(std::declval<Value<3>>()))::features; }) {
        const Extent logits = at(graph.nodes, graph.output).extent;
        if (logits != Extent{1, 1}) rules::logits_are_a_flattened_map(logits);
    } else {
        rules::network_does_not_return_features();
    }
    return true;
}
}  // namespace detail

/// A network says the extent of its usual image. The comment is for the compiler to quote.
template <class Net>
concept has_a_usual_image = requires {
    Extent{Net::image};  // static constexpr resnet::Extent image{32, 32};
};

/// A network's shape is proved when its Model is named: the body is traced for its usual image in a constant
/// expression, and returns logits. Where a compiler does not print the numbers that don't fit, trace<Net>(Net::image)
/// at run time throws an Error that has them.
template <class Net>
concept traces_its_usual_image = has_a_usual_image<Net> && detail::traces<Net>();

struct ParameterInfo {
    std::string name;          // PyTorch's: "blk1.extra.0.weight"
    std::vector<Index> shape;  // PyTorch's
    Role role = Role::weight;
    bool frozen = false;
};

/// The weights of Net, with PyTorch's names, shapes and order of elements at the surface. A value: copies are
/// independent, and equal models have equal bits. Scalar is float, or double for tests of gradients.
template <class Net, class Scalar = float>
requires traces_its_usual_image<Net>
class Model {
public:
    using Network = Net;
    static constexpr int classes = decltype(prototype<Net>(std::declval<Value<3>>()))::features;

    /// PyTorch's default initialisation (torchvision's where the network states it), drawn from the seed alone.
    /// Error as set_normalization.
    explicit Model(Seed seed, Normalization normalization = {})
        : weights_{trace<Net>(Net::image)},
          normalization_{normalization} {
        check_normalization(normalization);
        Initialization method = Initialization::kaiming_uniform;
        if constexpr (requires { Net::initialization; }) method = Net::initialization;
        resnet::initialize(weights_, seed, method);
    }

    /// In PyTorch's order of net.parameters().
    std::vector<ParameterInfo> parameters() const {
        std::vector<ParameterInfo> list;
        for (const StateEntry& entry : weights_.state())
            if (entry.kind == StateEntry::Kind::parameter)
                list.push_back({entry.name, entry.shape, at(weights_.graph().parameters, entry.index).spec.role,
                                at(weights_.frozen(), entry.index) != 0});
        return list;
    }

    /// PyTorch's state_dict: names and shapes of parameters and of batch norm's buffers.
    const std::vector<StateEntry>& state() const noexcept { return weights_.state(); }

    /// A copy of a parameter or buffer ("bn1.running_mean") in PyTorch's order of elements. Error for an unknown name.
    std::vector<Scalar> parameter(std::string_view name) const { return weights_.read(weights_.entry(name)); }

    /// Sets a parameter or buffer from values in PyTorch's order. Error for an unknown name, another number of values,
    /// or a num_batches_tracked that is no count.
    void set_parameter(std::string_view name, std::span<const Scalar> values) {
        weights_.write(weights_.entry(name), values);
    }

    /// Keeps the parameters whose names match ('*' any characters, '?' one) as they are in training. Batch norm's mode
    /// is untouched, as in PyTorch. Throws Error if nothing matches.
    void freeze(std::string_view pattern) { set_frozen("freeze", pattern, 1); }
    void unfreeze(std::string_view pattern) { set_frozen("unfreeze", pattern, 0); }

    /// How uint8 images become the network's input. Error for means that are not finite, and deviations that are not
    /// finite or not above 0.
    const Normalization& normalization() const noexcept { return normalization_; }
    void set_normalization(const Normalization& normalization) {
        check_normalization(normalization);
        normalization_ = normalization;
    }

    /// A table of the body as it is written: layer, output shape, parameters, multiply-accumulates.
    std::string summary(Extent image = Net::image) const { return detail::summary(trace<Net>(image)); }

    const Weights<Scalar>& weights() const noexcept { return weights_; }
    Weights<Scalar>& weights() noexcept { return weights_; }

    friend bool operator==(const Model& a, const Model& b) {
        return a.weights_ == b.weights_ && a.normalization_ == b.normalization_;
    }

private:
    void set_frozen(std::string_view where, std::string_view pattern, char frozen) {
        bool found = false;
        for (const StateEntry& entry : weights_.state()) {
            if (entry.kind != StateEntry::Kind::parameter || !detail::matches(pattern, entry.name)) continue;
            at(weights_.frozen(), entry.index) = frozen;
            found = true;
        }
        if (!found) throw Error(where, "a pattern that matches a parameter's name", pattern);
    }

    Weights<Scalar> weights_;
    Normalization normalization_;
};

}  // namespace resnet::inline v0
