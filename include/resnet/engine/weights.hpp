// A model's numbers in flat buffers, and PyTorch's view of them by name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/core/random.hpp>
#include <resnet/graph/initialization.hpp>
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

namespace detail {

/// '*' any number of characters, '?' one. Only the last '*' is ever given more characters: those before it can keep the
/// fewest. So the time is at most the product of the lengths, whatever a file names its tensors.
constexpr bool matches(std::string_view pattern, std::string_view text) {
    constexpr std::size_t none = std::string_view::npos;
    std::size_t p = 0, t = 0, star = none, after_star = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            after_star = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p;
            ++t;
        } else if (star != none) {
            p = star + 1;
            t = ++after_star;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == none;
}

inline constexpr Index reorder_strip = 64;  // output channels

/// Copies a parameter between our order, [height][width][in][out], and PyTorch's, [out][in][height][width]; a linear
/// layer's features are [in][height][width]. The side that is const is read. Of the output channels first ... first +
/// count - 1 alone, where `theirs` begins; strips of reorder_strip can be had apart.
/// By tiles, since element after element is a cache miss each: 64 channels of ours are four lines in a page, 16 rows of
/// theirs one line. (16 x 64 and 32 x 64 took two to three times as long for CifarResNet18, AMD EPYC, g++ 12.)
template <class Ours, class Theirs>
requires(std::is_const_v<Ours> != std::is_const_v<Theirs>) void reorder(const ParameterSpec& spec, Ours* ours,
                                                                        Theirs* theirs, Index first, Index count) {
    constexpr Index columns = reorder_strip, rows = 16;
    std::remove_const_t<Ours> tile[rows][columns];
    const Index taps = Index{spec.height} * spec.width, in = spec.in, length = in * taps;
    for (Index o = 0; o < count; o += columns) {
        const Index width = std::min(columns, count - o);
        for (Index row = 0; row < length; row += rows) {
            const Index height = std::min(rows, length - row);
            Theirs* const corner = theirs + o * length + row;
            if constexpr (std::is_const_v<Theirs>) {
                for (Index c = 0; c < width; ++c)
                    for (Index r = 0; r < height; ++r) tile[r][c] = corner[c * length + r];
            }
            Index i = row / taps, tap = row % taps;
            for (Index r = 0; r < height; ++r) {
                Ours* const line = ours + (tap * in + i) * spec.out + first + o;
                if constexpr (std::is_const_v<Ours>) std::copy_n(line, width, tile[r]);
                else std::copy_n(tile[r], width, line);
                if (++tap == taps) {
                    tap = 0;
                    ++i;
                }
            }
            if constexpr (std::is_const_v<Ours>) {
                for (Index c = 0; c < width; ++c)
                    for (Index r = 0; r < height; ++r) corner[c * length + r] = tile[r][c];
            }
        }
    }
}

/// All of it, on all threads.
template <class Ours, class Theirs>
void reorder(const ParameterSpec& spec, Ours* ours, Theirs* theirs) {
    const Index length = spec.size() / spec.out, strips = divide_up(spec.out, reorder_strip);
    for_each_chunk(strips, workers_for(spec.size(), worker_count()), [&](Index strip, int) {
        const Index first = strip * reorder_strip;
        reorder(spec, ours, theirs + first * length, first, std::min<Index>(reorder_strip, spec.out - first));
    });
}

}  // namespace detail

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
            std::fill_n(statistics_.data() + layer.statistics + round_up(layer.normalized, 16), layer.normalized,
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
    /// parameters. Error where their number is wrong, or num_batches_tracked is no count; then nothing has changed.
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

    /// Draws new parameters and resets the statistics. Every value depends only on (seed, parameter, position).
    void initialize(Seed seed, Initialization method) {
        for (int index = 0; index < static_cast<int>(graph_.parameters.size()); ++index) {
            const Parameter& p = at(graph_.parameters, index);
            Scalar* values = parameter(index);
            if (p.spec.role != Role::weight && p.spec.role != Role::bias) {
                std::fill_n(values, p.spec.size(), static_cast<Scalar>(p.spec.initial));
                continue;
            }
            const Random random{seed, Purpose::initialize, static_cast<std::uint32_t>(index)};
            const ParameterSpec& weight = at(graph_.parameters, at(graph_.layers, p.layer).first_parameter).spec;
            const double taps = static_cast<double>(weight.height) * weight.width;
            const double bound = 1 / std::sqrt(taps * weight.in), deviation = std::sqrt(2 / (taps * weight.out));
            const bool filters = p.spec.role == Role::weight && p.spec.dimensions == 4,
                       normal = filters && method == Initialization::kaiming_normal_fan_out;
            const Index passing = filters && method == Initialization::identity ? std::min(p.spec.in, p.spec.out) : 0;
            const Index centre = Index{p.spec.height / 2} * p.spec.width + p.spec.width / 2;
            // A strip of output channels at a time: its numbers in PyTorch's order, which they are drawn in, then in
            // ours.
            const Index length = p.spec.size() / p.spec.out, strip = detail::reorder_strip * length;
            const Index strips = divide_up(p.spec.out, detail::reorder_strip);
            const int workers = workers_for(p.spec.size() * 16, worker_count());  // a draw costs as much as 16 numbers
            Buffer<Scalar> drawn(std::min<Index>(workers, strips) * strip);
            for_each_chunk(strips, workers, [&](Index chunk, int slot) {
                const Index first = chunk * detail::reorder_strip;
                const Index count = std::min<Index>(detail::reorder_strip, p.spec.out - first);
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
                detail::reorder(p.spec, values, static_cast<const Scalar*>(theirs), first, count);
            });
        }
        for (const StateEntry& entry : state_)
            if (entry.kind != StateEntry::Kind::parameter)
                write(entry, std::vector<Scalar>(static_cast<std::size_t>(entry.elements()),
                                                 entry.kind == StateEntry::Kind::running_var ? Scalar{1} : Scalar{0}));
        changed();
    }

    /// Error where a graph of the same network, of images of another extent, reads a linear layer's weights in another
    /// order than they lie here: flattened maps of other channels, in a body that asks for the extent.
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
        return layer.statistics + (entry.kind == StateEntry::Kind::running_var ? round_up(layer.normalized, 16) : 0);
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
