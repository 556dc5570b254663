// A model's weights as a safetensors file with PyTorch's names and shapes: safetensors.torch.load_file and
// load_state_dict take what `save` writes, and `load` takes what safetensors.torch.save_file writes.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/wildcard.hpp>
#include <resnet/io/fit.hpp>
#include <resnet/io/numbers.hpp>
#include <resnet/io/safetensors.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

struct LoadOptions {
    /// Patterns ('*' any characters, '?' one) of names that are left as they are, whether the file has them or not:
    /// {"fc.*"} to go on with another number of classes.
    std::vector<std::string> skip = {};
    /// What the file has before each name: "module." from PyTorch's DataParallel or AveragedModel, "_orig_mod." from
    /// torch.compile, "average/" for a checkpoint's moving average. Tensors without it are left out; `skip` is of names
    /// without it.
    std::string prefix = {};
};

/// Sets all weights and batch-norm statistics from a file: ours or PyTorch's, of any floating-point type. From a file
/// of ours it takes the normalisation too, and from a checkpoint the model alone, or its average (LoadOptions::prefix).
/// As in PyTorch, num_batches_tracked may be missing and then stays as it is.
/// FileError or FormatError, as TensorFile; FormatError that lists every name that is missing, unexpected, or of
/// another shape or kind; Error if a pattern matches nothing. Whatever it throws, the model is as it was.
template <class Net, class Scalar>
void load(Model<Net, Scalar>& model, const std::filesystem::path& path, const LoadOptions& options = {});

/// Writes all weights and statistics, and the normalisation as metadata; atomically and durably. `notes` are texts of
/// the caller's, such as the recipe and the seed: TensorFile{path}.metadata() has each under note.<its name>, with
/// U+FFFD for bytes that are no UTF-8, as names of files may have them.
/// Throws FileError if it can't be written, NotFiniteError if a number is not finite, Error for notes longer than a
/// header may be (write_tensor_file): then the old file is as it was, but for a last "to sync the folder".
template <class Net, class Scalar>
void save(const Model<Net, Scalar>& model, const std::filesystem::path& path, const Metadata& notes = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// num_batches_tracked as it is; Model's parameter() would round it to a Scalar.
auto& counter_of(auto& weights, const StateEntry& entry) {
    return at(weights.counters(), at(weights.graph().layers, entry.index).counter);
}

/// By their bits, which go in vectors: an exponent of ones alone, plus one in its last place, carries into the sign.
template <class Scalar>
bool all_finite(std::span<const Scalar> values) {
    using Bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    constexpr Bits infinity = std::bit_cast<Bits>(std::numeric_limits<Scalar>::infinity()),
                   sign = std::bit_cast<Bits>(Scalar{-0.0});
    Bits carried = 0;
    for (const Scalar value : values) carried |= (std::bit_cast<Bits>(value) & ~sign) + (sign - infinity);
    return (carried & sign) == 0;
}

/// Throws NotFiniteError if a number is infinite or none: what diverged must not take the place of what was good.
template <class Scalar>
void check_finite(const std::string& name, std::span<const Scalar> values) {
    if (all_finite(values)) return;
    const auto found = std::ranges::find_if(values, [](Scalar value) { return !std::isfinite(value); });
    throw NotFiniteError(name, "finite numbers", std::to_string(*found), "nothing was saved");
}

/// Tensors for a file, with what refers to their numbers: one block on huge pages, since a vector for each takes three
/// times as long, in page faults.
template <class Scalar>
class TensorCollection {
public:
    /// Of so many elements and so many counters at most.
    TensorCollection(Index elements, std::size_t counters)
        : values_{allocate(static_cast<std::size_t>(elements) * sizeof(Scalar))},
          free_{reinterpret_cast<Scalar*>(values_.get()), static_cast<std::size_t>(elements)} {
        counters_.reserve(counters);  // records refer to its elements
    }

    /// An entry of the state under some name; a parameter's numbers can come from a buffer that is laid out like the
    /// parameters.
    std::span<const Scalar> add(std::string name, const Weights<Scalar>& weights, const StateEntry& entry,
                                const Scalar* buffer = nullptr) {
        const auto tensor = free_.first(static_cast<std::size_t>(entry.elements()));
        free_ = free_.subspan(tensor.size());
        weights.read(entry, tensor, buffer);
        tensors_.push_back(tensor_record(std::move(name), entry.shape, tensor));
        return tensor;
    }
    /// Throws NotFiniteError if a number is infinite or none.
    void add_model(const Weights<Scalar>& weights, std::string_view prefix = {}) {
        for (const StateEntry& entry : weights.state()) {
            if (entry.kind != StateEntry::Kind::num_batches_tracked) {
                check_finite(text(prefix, entry.name), add(text(prefix, entry.name), weights, entry));
                continue;
            }
            const std::int64_t& count = counters_.emplace_back(counter_of(weights, entry));
            tensors_.push_back(tensor_record(text(prefix, entry.name), entry.shape, std::span{&count, 1}));
        }
    }
    /// Numbers of somebody else's, which must outlive the collection.
    void add(TensorRecord tensor) { tensors_.push_back(std::move(tensor)); }

    std::span<const TensorRecord> tensors() const { return tensors_; }

private:
    Memory values_;
    std::span<Scalar> free_;
    std::vector<std::int64_t> counters_;
    std::vector<TensorRecord> tensors_;
};

/// A file's tensors for a model, found to fit. Everything that can fail does so before `write`.
template <class Scalar>
class ModelTensors {
public:
    /// `tensors`: one for each entry of the state, or null. Throws FormatError if a counter is no int64 of 0 ... 1e18.
    ModelTensors(const TensorFile& file, std::span<const StateEntry> state,
                 std::span<const TensorRecord* const> tensors) {
        std::size_t longest = 0;
        for (std::size_t i = 0; i < state.size(); ++i) {
            if (tensors[i] == nullptr) continue;
            const StateEntry& entry = state[i];
            const bool is_counter = entry.kind == StateEntry::Kind::num_batches_tracked;
            const std::int64_t count = is_counter ? file.read<std::int64_t>(tensors[i]->name).front() : 0;
            if (count < 0 || count > largest_count)
                throw FormatError(text(file.name(), ": ", tensors[i]->name), "a count of 0 ... 1e18",
                                  std::to_string(count));
            assignments_.push_back({&entry, tensors[i], count});
            longest = std::max(longest, static_cast<std::size_t>(entry.elements()));
        }
        values_ = allocate(longest * sizeof(Scalar));
    }

    /// Does not throw. The weights have the state that the constructor was given.
    void write(Weights<Scalar>& weights) {
        for (const auto& [entry, tensor, count] : assignments_) {
            if (entry->kind == StateEntry::Kind::num_batches_tracked) counter_of(weights, *entry) = count;
            else write(weights, *entry, *tensor, nullptr);
        }
    }
    /// A parameter's tensor to a buffer that is laid out like the parameters, or the parameters themselves.
    void write(Weights<Scalar>& weights, const StateEntry& entry, const TensorRecord& tensor, Scalar* buffer) {
        const auto count = static_cast<std::size_t>(tensor.count());
        if (const auto* const values = values_in(tensor); values != nullptr) {
            weights.write(entry, {values, count}, buffer);
            return;
        }
        const std::span elements{reinterpret_cast<Scalar*>(values_.get()), count};
        convert(tensor.type, tensor.bytes, elements);
        weights.write(entry, elements, buffer);
    }

private:
    /// A tensor's numbers where they lie, if they are Scalars; else null.
    static const Scalar* values_in(const TensorRecord& tensor) {
        const bool aligned = reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignof(Scalar) == 0;
        const bool as_they_are = tensor.type == tensor_type_of<Scalar>() && aligned;
        return as_they_are ? reinterpret_cast<const Scalar*>(tensor.bytes.data()) : nullptr;
    }

    struct Assignment {
        const StateEntry* entry;
        const TensorRecord* tensor;
        std::int64_t count;
    };

    std::vector<Assignment> assignments_;
    Memory values_;  // of one tensor that can't be used where it lies; as long as the longest
};

/// How to load a file that has all names of a model behind a prefix; empty for other files. (A checkpoint's moments
/// have all names, too.)
inline std::string prefix_hint(const TensorFile& file, std::span<const StateEntry> state) {
    for (const TensorRecord& tensor : file.tensors()) {
        if (state.empty() || !tensor.name.ends_with(state.front().name) || tensor.name.starts_with("optimizer/"))
            continue;
        const auto prefix = tensor.name.substr(0, tensor.name.size() - state.front().name.size());
        const auto is_there = [&](const StateEntry& entry) {
            return entry.kind == StateEntry::Kind::num_batches_tracked || file.find(prefix + entry.name) != nullptr;
        };
        if (std::ranges::all_of(state, is_there))
            return text("it has them behind the prefix \"", printable(prefix), "\" of LoadOptions");
    }
    return {};
}

inline std::string numbers_text(const std::array<float, 3>& numbers) {
    std::string text;
    for (const float number : numbers) text.append(text.empty() ? "" : " ").append(number_text(number));
    return text;
}

/// The inverse; FormatError for what `numbers_text` does not write of finite numbers.
inline std::array<float, 3> numbers_of_text(std::string_view text, const std::string& where) {
    std::array<float, 3> numbers{};
    std::string_view rest = text;
    bool finite = true;
    for (float& number : numbers) {
        const auto stop = std::from_chars(rest.data(), rest.data() + rest.size(), number).ptr;
        rest.remove_prefix(static_cast<std::size_t>(stop - rest.data()));
        if (rest.starts_with(' ')) rest.remove_prefix(1);
        finite = finite && std::isfinite(number);
    }
    if (!finite || numbers_text(numbers) != text) throw FormatError(where, "three numbers", printable(text));
    return numbers;
}

inline constexpr auto mean_key = "normalization.mean", deviation_key = "normalization.standard_deviation";

/// The normalisation that a file of ours states; the default where it states none. Throws FormatError if a model can't
/// have it.
inline Normalization normalization_of(const TensorFile& file, Normalization normalization) {
    const auto numbers = [&file](const char* key, std::array<float, 3>& into) {
        const auto found = file.metadata().find(key);
        if (found != file.metadata().end()) into = numbers_of_text(found->second, file.name() + ": " + key);
    };
    if (file.is_ours()) {
        numbers(mean_key, normalization.mean);
        numbers(deviation_key, normalization.standard_deviation);
        if (std::ranges::min(normalization.standard_deviation) <= 0) {
            throw FormatError(text(file.name(), ": ", deviation_key), "three numbers above 0",
                              numbers_text(normalization.standard_deviation));
        }
    }
    return normalization;
}

inline Metadata normalization_text(const Normalization& normalization) {
    return {{mean_key, numbers_text(normalization.mean)},
            {deviation_key, numbers_text(normalization.standard_deviation)}};
}

inline constexpr std::string_view note_prefix = "note.";

/// The caller's own texts, apart from ours.
inline Metadata notes_text(const Metadata& notes) {
    Metadata metadata;
    for (const auto& [key, value] : notes) metadata[text(note_prefix, key)] = value;
    return metadata;
}

}  // namespace detail

template <class Net, class Scalar>
void load(Model<Net, Scalar>& model, const std::filesystem::path& path, const LoadOptions& options) {
    const TensorFile file{path};
    const std::string& prefix = options.prefix;
    const auto expected = detail::expected_of(model.state(), prefix);
    std::vector<std::string> skip;
    for (const std::string& pattern : options.skip) {
        skip.push_back(prefix + pattern);
        const auto matched = [&](const auto& named) { return detail::matches(skip.back(), named.name); };
        if (std::ranges::none_of(expected, matched) && std::ranges::none_of(file.tensors(), matched))
            throw Error("load", "a pattern that matches the name of a weight", pattern);
    }
    if (file.is_ours() && prefix.empty()) skip.emplace_back("*/*");  // what a checkpoint has beside the model
    detail::Misfits misfits;
    const auto tensors = detail::fit(file, expected, skip, misfits, prefix);
    misfits.check(file.name(), "the weights of this network",
                  misfits.missing.empty() ? "" : detail::prefix_hint(file, model.state()));
    detail::ModelTensors<Scalar> weights{file, model.state(), tensors};
    const Normalization normalization = detail::normalization_of(file, model.normalization());
    // From here on nothing throws.
    weights.write(model.weights());
    model.set_normalization(normalization);
}

template <class Net, class Scalar>
void save(const Model<Net, Scalar>& model, const std::filesystem::path& path, const Metadata& notes) {
    Index elements = 0;
    for (const StateEntry& entry : model.state()) elements += entry.elements();
    detail::TensorCollection<Scalar> collection{elements, model.state().size()};
    collection.add_model(model.weights());
    Metadata metadata = detail::normalization_text(model.normalization());
    for (const auto& [key, value] : detail::notes_text(notes)) metadata[detail::utf8(key)] = detail::utf8(value);
    write_tensor_file(path, collection.tensors(), std::move(metadata));
}

}  // namespace resnet::inline v0
