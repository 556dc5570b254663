// Drawing a network's first weights.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/core/random.hpp>
#include <resnet/engine/reorder.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/graph/initialization.hpp>

namespace resnet::inline v0 {

namespace detail {

/// Weights and biases of convolutions and linear layers; other parameters start at a constant of their layer's.
template <class Scalar>
void draw(Weights<Scalar>& weights, int index, Seed seed, Initialization method) {
    const Graph& graph = weights.graph();
    const Parameter& p = at(graph.parameters, index);
    const ParameterSpec& weight = at(graph.parameters, at(graph.layers, p.layer).first_parameter).spec;
    const Random random{seed, Purpose::initialize, static_cast<std::uint32_t>(index)};
    const double taps = static_cast<double>(weight.height) * weight.width;
    const double bound = 1 / std::sqrt(taps * weight.in), deviation = std::sqrt(2 / (taps * weight.out));
    const bool filters = p.spec.role == Role::weight && p.spec.dimensions == 4,
               normal = filters && method == Initialization::kaiming_normal_fan_out;
    const Index passing = filters && method == Initialization::identity ? std::min(p.spec.in, p.spec.out) : 0;
    const Index centre = Index{p.spec.height / 2} * p.spec.width + p.spec.width / 2;
    // A strip of output channels at a time: its numbers in PyTorch's order, which they are drawn in, then in ours.
    const Index length = p.spec.size() / p.spec.out, strip = reorder_strip * length;
    const Index strips = divide_up(p.spec.out, reorder_strip);
    const int workers = workers_for(p.spec.size() * 16, worker_count());  // a draw costs as much as 16 numbers
    Buffer<Scalar> drawn(std::min<Index>(workers, strips) * strip);
    for_each_chunk(strips, workers, [&](Index chunk, int slot) {
        const Index first = chunk * reorder_strip;
        const Index count = std::min<Index>(reorder_strip, p.spec.out - first);
        Scalar* const theirs = drawn.data() + slot * strip;
        for (Index k = 0; k < count * length; ++k) {
            const auto position = static_cast<std::uint64_t>(first * length + k);
            theirs[k] = static_cast<Scalar>(normal ? deviation * random.normal(position)
                                                   : bound * (2 * random.uniform(position) - 1));
        }
        for (Index out = first; out < std::min(passing, first + count); ++out) {
            Scalar* const filter = theirs + (out - first) * length;
            std::fill_n(filter, length, Scalar{0});
            filter[out * p.spec.height * p.spec.width + centre] = 1;
        }
        reorder(p.spec, weights.parameter(index), static_cast<const Scalar*>(theirs), first, count);
    });
}

}  // namespace detail

/// Draws new parameters and resets the statistics. Every value depends only on (seed, parameter, position).
template <class Scalar>
void initialize(Weights<Scalar>& weights, Seed seed, Initialization method) {
    const Graph& graph = weights.graph();
    for (int index = 0; index < static_cast<int>(graph.parameters.size()); ++index) {
        const ParameterSpec& spec = at(graph.parameters, index).spec;
        if (spec.role == Role::weight || spec.role == Role::bias) detail::draw(weights, index, seed, method);
        else std::fill_n(weights.parameter(index), spec.size(), static_cast<Scalar>(spec.initial));
    }
    for (const StateEntry& entry : weights.state())
        if (entry.kind != StateEntry::Kind::parameter)
            weights.write(entry,
                          std::vector<Scalar>(static_cast<std::size_t>(entry.elements()),
                                              entry.kind == StateEntry::Kind::running_var ? Scalar{1} : Scalar{0}));
    weights.changed();
}

}  // namespace resnet::inline v0
