// A model's numbers in flat buffers, and PyTorch's view of them by name.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/engine/reorder.hpp>
#include <resnet/graph/program.hpp>
#include <resnet/graph/rules.hpp>

namespace resnet::inline v0 {

/// One entry of PyTorch's state_dict: a parameter, or a batch norm's buffer.
struct StateEntry {
    enum class Kind : std::uint8_t { parameter, running_mean, running_var, num_batches_tracked };

    std::string name;          // "blk1.extra.0.weight"
    std::vector<Index> shape;  // PyTorch's; empty for num_batches_tracked
    Kind kind = Kind::parameter;
    int index = 0;  // of the parameter or of the batch norm's layer

    Index elements() const {
        Index n = 1;
        for (const Index d : shape) n *= d;
        return n;
    }
};

/// Of batches or steps: an int64 has room for nine times as many.
inline constexpr std::int64_t largest_count = 1'000'000'000'000'000'000;

/// Parameters, running statistics and counters of one network.
template <class Scalar>
class Weights {
public:
    explicit Weights(Graph graph)
        : graph_{std::move(graph)},
          parameters_(graph_.parameter_elements),
          statistics_(graph_.statistics_elements),
          counters_(static_cast<std::size_t>(graph_.counters), 0),
          frozen_(graph_.parameters.size(), 0) {
        for (const Layer& layer : graph_.layers)
            std::fill_n(statistics_.data() + layer.statistics + whole_lines(layer.normalized), layer.normalized,
                        Scalar{1});
        list_state();
    }

    Weights(const Weights&) = default;
    Weights(Weights&&) noexcept = default;
    /// All of it or, where memory is short, nothing.
    Weights& operator=(const Weights& other) { return *this = Weights{other}; }
    Weights& operator=(Weights&&) noexcept = default;
    ~Weights() = default;

    const Graph& graph() const noexcept { return graph_; }
    const std::vector<StateEntry>& state() const noexcept { return state_; }

    Scalar* parameter(int index) noexcept { return parameters_.data() + at(graph_.parameters, index).offset; }
    const Scalar* parameter(int index) const noexcept {
        return parameters_.data() + at(graph_.parameters, index).offset;
    }
    Buffer<Scalar>& parameters() noexcept { return parameters_; }
    const Buffer<Scalar>& parameters() const noexcept { return parameters_; }
    Buffer<Scalar>& statistics() noexcept { return statistics_; }
    const Buffer<Scalar>& statistics() const noexcept { return statistics_; }
    std::vector<std::int64_t>& counters() noexcept { return counters_; }
    const std::vector<std::int64_t>& counters() const noexcept { return counters_; }
    std::vector<char>& frozen() noexcept { return frozen_; }
    const std::vector<char>& frozen() const noexcept { return frozen_; }

    /// Rises whenever numbers change, also by assignment, so that what was computed from them is known to be old.
    std::uint64_t generation() const noexcept { return generation_.value; }
    void changed() noexcept { ++generation_.value; }

    const StateEntry& entry(std::string_view name) const {
        const auto found =
            std::find_if(state_.begin(), state_.end(), [&](const StateEntry& e) { return e.name == name; });
        if (found == state_.end()) throw Error("parameter", "the name of a parameter or buffer of this network", name);
        return *found;
    }

    /// A copy in PyTorch's order.
    std::vector<Scalar> read(const StateEntry& entry, const Scalar* buffer = nullptr) const {
        std::vector<Scalar> values(static_cast<std::size_t>(entry.elements()));
        read(entry, values, buffer);
        return values;
    }
    /// The same into memory of entry.elements() numbers.
    void read(const StateEntry& entry, std::span<Scalar> values, const Scalar* buffer = nullptr) const {
        switch (entry.kind) {
            case StateEntry::Kind::parameter: {
                const Parameter& p = at(graph_.parameters, entry.index);
                const Scalar* from = (buffer != nullptr ? buffer : parameters_.data()) + p.offset;
                detail::reorder(p.spec, from, values.data());
                break;
            }
            case StateEntry::Kind::num_batches_tracked:
                values[0] =
                    static_cast<Scalar>(counters_[static_cast<std::size_t>(at(graph_.layers, entry.index).counter)]);
                break;
            default:
                std::copy_n(statistics_.data() + statistics_offset(entry), entry.elements(), values.begin());
        }
    }

    /// Takes values in PyTorch's order; those of a parameter can go to another buffer that is laid out like the
    /// parameters. Throws Error if their number is wrong, or num_batches_tracked is no count; then nothing has changed.
    void write(const StateEntry& entry, std::span<const Scalar> values, Scalar* buffer = nullptr) {
        if (static_cast<Index>(values.size()) != entry.elements())
            throw Error(entry.name, std::to_string(entry.elements()) + " values", std::to_string(values.size()));
        switch (entry.kind) {
            case StateEntry::Kind::parameter: {
                const Parameter& p = at(graph_.parameters, entry.index);
                Scalar* to = (buffer != nullptr ? buffer : parameters_.data()) + p.offset;
                detail::reorder(p.spec, to, values.data());
                break;
            }
            case StateEntry::Kind::num_batches_tracked:
                check_counter(entry.name, static_cast<double>(values[0]));
                counters_[static_cast<std::size_t>(at(graph_.layers, entry.index).counter)] =
                    static_cast<std::int64_t>(values[0]);
                break;
            default:
                std::copy(values.begin(), values.end(), statistics_.data() + statistics_offset(entry));
        }
        changed();
    }

    /// Throws Error if a graph of the same network, of images of another extent, reads a linear layer's weights in
    /// another order than they lie here: flattened maps of other channels, in a body that asks for the extent.
    void check_layout(const Graph& other) const {
        for (const Node& node : other.nodes) {
            if (node.op != Op::linear) continue;
            const int weight = at(other.layers, node.layer).first_parameter;
            if (at(other.parameters, weight).spec.in != at(graph_.parameters, weight).spec.in)
                rules::linear_is_used_on_unlike_maps();
        }
    }

    /// The same bits: parameters, statistics and counters.
    friend bool operator==(const Weights& a, const Weights& b) {
        const auto same = [](const Buffer<Scalar>& x, const Buffer<Scalar>& y) {
            return x.size() == y.size() &&
                   (x.size() == 0 || std::memcmp(x.data(), y.data(), x.span().size_bytes()) == 0);
        };
        return same(a.parameters_, b.parameters_) && same(a.statistics_, b.statistics_) && a.counters_ == b.counters_;
    }

private:
    /// What is assigned to has changed, however few changes the source has seen.
    struct Generation {
        std::uint64_t value = 0;

        Generation() = default;
        Generation(const Generation&) = default;
        Generation& operator=(const Generation& other) noexcept {
            value = std::max(value, other.value) + 1;
            return *this;
        }
        ~Generation() = default;
    };

    static void check_counter(const std::string& name, double count) {
        if (!(count >= 0 && count <= static_cast<double>(largest_count)))
            throw Error(name, "a count of 0 ... 1e18", std::to_string(count));
    }

    Index statistics_offset(const StateEntry& entry) const {
        const Layer& layer = at(graph_.layers, entry.index);
        return layer.statistics + (entry.kind == StateEntry::Kind::running_var ? whole_lines(layer.normalized) : 0);
    }

    /// PyTorch's state_dict: a layer's parameters, then its buffers, in the order of registration.
    void list_state() {
        for (int l = 0; l < static_cast<int>(graph_.layers.size()); ++l) {
            const Layer& layer = at(graph_.layers, l);
            for (int p = layer.first_parameter; p < layer.first_parameter + layer.parameters; ++p)
                state_.push_back(
                    {graph_.parameter_name(p), at(graph_.parameters, p).spec.shape(), StateEntry::Kind::parameter, p});
            if (layer.normalized == 0) continue;
            const std::string prefix = graph_.layer_name(l) + ".";
            state_.push_back({prefix + "running_mean", {layer.normalized}, StateEntry::Kind::running_mean, l});
            state_.push_back({prefix + "running_var", {layer.normalized}, StateEntry::Kind::running_var, l});
            state_.push_back({prefix + "num_batches_tracked", {}, StateEntry::Kind::num_batches_tracked, l});
        }
    }

    Graph graph_;
    Buffer<Scalar> parameters_, statistics_;
    std::vector<std::int64_t> counters_;
    std::vector<char> frozen_;
    std::vector<StateEntry> state_;
    Generation generation_;
};

}  // namespace resnet::inline v0
