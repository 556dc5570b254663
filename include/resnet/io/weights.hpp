// A model's weights as a safetensors file with PyTorch's names and shapes: safetensors.torch.load_file and
// load_state_dict take what `save` writes, and `load` takes what safetensors.torch.save_file writes.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/io/safetensors.hpp>
#include <resnet/model.hpp>

namespace resnet::inline v0 {

struct LoadOptions {
    /// Patterns ('*' any characters, '?' one) of names that are left as they are, whether the file has them or not:
    /// {"fc.*"} to go on with another number of classes.
    std::vector<std::string> skip;
};

/// Sets all weights and batch-norm statistics from a file: ours or PyTorch's, of any floating-point type. From a file
/// of ours it takes the normalisation too. As in PyTorch, num_batches_tracked may be missing and then stays as it is.
/// FileError or FormatError, as TensorFile; FormatError that lists every name that is missing, unexpected, or of
/// another shape or kind; Error where a pattern matches nothing. Whatever it throws, the model is as it was.
template <class Net, class Scalar>
void load(Model<Net, Scalar>& model, const std::filesystem::path& path, const LoadOptions& options = {});

/// Writes all weights and statistics, and the normalisation as metadata; atomically and durably.
/// FileError where it can't be written: then the old file is as it was.
template <class Net, class Scalar>
void save(const Model<Net, Scalar>& model, const std::filesystem::path& path);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// "[64, 3, 7, 7]"
inline std::string shape_text(std::span<const Index> shape) {
    std::string text;
    for (const Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
    return '[' + text + ']';
}

inline bool matches_any(std::span<const std::string> patterns, std::string_view name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(pattern, name); });
}

/// Names of what a file lacks, has too much, or has otherwise than a model.
struct Misfits {
    std::vector<std::string> missing, unexpected, different;

    /// FormatError where there are any.
    void check(const std::string& file) const {
        std::string found;
        for (const auto& [kind, names] : {std::pair{" missing: ", &missing}, std::pair{" unexpected: ", &unexpected},
                                          std::pair{" different: ", &different}}) {
            if (names->empty()) continue;
            found += (found.empty() ? "" : "; ") + std::to_string(names->size()) + kind;
            for (const std::string& name : *names) found += (&name == &names->front() ? "" : ", ") + name;
        }
        if (!found.empty()) throw FormatError(file, "the weights of this network", found);
    }
};

/// Which tensor of the file becomes which entry of the model.
struct Assignment {
    const StateEntry* entry;
    const TensorRecord* tensor;
};

/// FormatError where the file does not fit the model, Error where a pattern of `skip` matches nothing.
inline std::vector<Assignment> assign(const TensorFile& file, std::span<const StateEntry> state,
                                      std::span<const std::string> skip) {
    const auto is_entry = [&](std::string_view name) { return std::ranges::count(state, name, &StateEntry::name) > 0; };
    for (const std::string& pattern : skip) {
        const auto matched = [&](const auto& named) { return matches(pattern, named.name); };
        if (std::ranges::none_of(state, matched) && std::ranges::none_of(file.tensors(), matched)) {
            throw Error("load", "a pattern that matches the name of a weight", pattern);
        }
    }
    Misfits misfits;
    std::vector<Assignment> assignments;
    for (const StateEntry& entry : state) {
        if (matches_any(skip, entry.name)) continue;
        const bool is_counter = entry.kind == StateEntry::Kind::num_batches_tracked;
        const TensorRecord* const tensor = file.find(entry.name);
        const auto differs = [&](std::string_view found, std::string_view expected) {
            misfits.different.push_back(entry.name + ' ' + std::string{found} + " instead of " + std::string{expected});
        };
        if (tensor == nullptr) {
            if (!is_counter) misfits.missing.push_back(entry.name);
        } else if (tensor->shape != entry.shape) {
            differs(shape_text(tensor->shape), shape_text(entry.shape));
        } else if (is_floating_point(tensor->type) == is_counter) {
            differs(name(tensor->type), is_counter ? "an integer" : "a float");
        } else {
            assignments.push_back({&entry, tensor});
        }
    }
    for (const TensorRecord& tensor : file.tensors()) {
        if (is_entry(tensor.name) || matches_any(skip, tensor.name)) continue;
        misfits.unexpected.push_back(printable(tensor.name));
    }
    misfits.check(file.name());
    return assignments;
}

/// num_batches_tracked as it is; Model's parameter() would round it to a Scalar.
auto& counter_of(auto& weights, const StateEntry& entry) {
    return at(weights.counters(), at(weights.graph().layers, entry.index).counter);
}

inline std::string numbers_text(const std::array<float, 3>& numbers) {
    std::string text;
    for (const float number : numbers) {
        std::array<char, 32> digits;  // the shortest that is read as the same number
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        text.append(text.empty() ? "" : " ").append(digits.data(), end);
    }
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

/// The normalisation that a file of ours states; the default where it states none.
inline Normalization normalization_of(const TensorFile& file, Normalization normalization) {
    const auto numbers = [&file](const char* key, std::array<float, 3>& into) {
        const auto found = file.metadata().find(key);
        if (found != file.metadata().end()) into = numbers_of_text(found->second, file.name() + ": " + key);
    };
    if (file.is_ours()) {
        numbers(mean_key, normalization.mean);
        numbers(deviation_key, normalization.standard_deviation);
    }
    return normalization;
}

}  // namespace detail

template <class Net, class Scalar>
void load(Model<Net, Scalar>& model, const std::filesystem::path& path, const LoadOptions& options) {
    const TensorFile file{path};
    const auto assignments = detail::assign(file, model.state(), options.skip);
    const Normalization normalization = detail::normalization_of(file, model.normalization());
    std::vector<std::pair<const StateEntry*, std::int64_t>> counters;
    std::vector<Scalar> values;  // of one tensor; as long as the longest
    for (const auto& [entry, tensor] : assignments) {
        if (entry->kind == StateEntry::Kind::num_batches_tracked) {
            counters.emplace_back(entry, file.read<std::int64_t>(entry->name).front());
        } else {
            values.resize(std::max(values.size(), static_cast<std::size_t>(tensor->count())));
        }
    }
    // From here on nothing throws.
    for (const auto& [entry, tensor] : assignments) {
        if (entry->kind == StateEntry::Kind::num_batches_tracked) continue;
        const auto elements = std::span{values}.first(static_cast<std::size_t>(tensor->count()));
        convert(tensor->type, tensor->bytes, elements);
        model.set_parameter(entry->name, elements);
    }
    for (const auto& [entry, count] : counters) detail::counter_of(model.weights(), *entry) = count;
    model.set_normalization(normalization);
}

template <class Net, class Scalar>
void save(const Model<Net, Scalar>& model, const std::filesystem::path& path) {
    using Kind = StateEntry::Kind;
    Index elements = 0;
    for (const StateEntry& entry : model.state()) elements += entry.elements();
    // One buffer for all, on huge pages: a vector for each tensor takes three times as long, in page faults.
    Buffer<Scalar> values(elements);
    std::vector<std::int64_t> counters;
    counters.reserve(model.state().size());  // records refer to its elements
    std::vector<TensorRecord> tensors;
    auto free = values.span();
    for (const StateEntry& entry : model.state()) {
        if (entry.kind == Kind::num_batches_tracked) {
            const std::int64_t& count = counters.emplace_back(detail::counter_of(model.weights(), entry));
            tensors.push_back(tensor_record(entry.name, entry.shape, std::span{&count, 1}));
        } else {
            const auto tensor = free.first(static_cast<std::size_t>(entry.elements()));
            free = free.subspan(tensor.size());
            std::ranges::copy(model.parameter(entry.name), tensor.begin());
            tensors.push_back(tensor_record(entry.name, entry.shape, tensor));
        }
    }
    const Normalization& normalization = model.normalization();
    write_tensor_file(path, tensors,
                      {{detail::mean_key, detail::numbers_text(normalization.mean)},
                       {detail::deviation_key, detail::numbers_text(normalization.standard_deviation)}});
}

}  // namespace resnet::inline v0
