// Whether a file has the tensors that are expected of it, and which is which; what is amiss is said all at once.
// Tensors of a model have PyTorch's names. Those of something else have a part before a slash, which no name in C++
// has: `optimizer/first/conv1.weight`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/wildcard.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/io/safetensors.hpp>

namespace resnet::inline v0::detail {

struct ExpectedTensor {
    std::string name;
    std::vector<Index> shape;
    bool is_integer = false;  // else of floating-point numbers
    bool may_be_missing = false;
};

/// A model's tensors, their names behind `prefix`. As in PyTorch, num_batches_tracked may be missing.
inline std::vector<ExpectedTensor> expected_of(std::span<const StateEntry> state, std::string_view prefix = {}) {
    std::vector<ExpectedTensor> expected;
    for (const StateEntry& entry : state) {
        const bool is_counter = entry.kind == StateEntry::Kind::num_batches_tracked;
        expected.push_back({text(prefix, entry.name), entry.shape, is_counter, is_counter});
    }
    return expected;
}

/// Names of what a file lacks, has too much, or has otherwise than expected.
struct Misfits {
    std::vector<std::string> missing, unexpected, different;

    void differs(std::string_view name, std::string_view found, std::string_view expected) {
        different.push_back(text(name, " ", found, " instead of ", expected));
    }

    /// Throws FormatError if there are any; a hint may say what to do.
    void check(const std::string& file, std::string_view expected, std::string_view hint = {}) const {
        std::string found;
        for (const auto& [kind, names] : {std::pair{" missing: ", &missing}, std::pair{" unexpected: ", &unexpected},
                                          std::pair{" different: ", &different}}) {
            if (names->empty()) continue;
            found += (found.empty() ? "" : "; ") + std::to_string(names->size()) + kind;
            for (const std::string& name : *names) found += (&name == &names->front() ? "" : ", ") + name;
        }
        if (!found.empty()) throw FormatError(file, expected, found, hint);
    }
};

/// "[64, 3, 7, 7]"
inline std::string shape_text(std::span<const Index> shape) {
    std::string text;
    for (const Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
    return '[' + text + ']';
}

inline bool matches_any(std::span<const std::string> patterns, std::string_view name) {
    return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(pattern, name); });
}

/// The file's tensor for each that is expected, in that order; null where it may be missing and is, or is skipped.
/// Names that match a pattern of `skip`, or do not begin with `prefix`, are expected of neither side. What does not fit
/// joins `misfits`.
inline std::vector<const TensorRecord*> fit(const TensorFile& file, std::span<const ExpectedTensor> expected,
                                            std::span<const std::string> skip, Misfits& misfits,
                                            std::string_view prefix = {}) {
    std::vector<const TensorRecord*> tensors;
    for (const ExpectedTensor& entry : expected) {
        const TensorRecord* const tensor = matches_any(skip, entry.name) ? nullptr : file.find(entry.name);
        tensors.push_back(tensor);
        if (tensor == nullptr) {
            if (!entry.may_be_missing && !matches_any(skip, entry.name)) misfits.missing.push_back(entry.name);
        } else if (tensor->shape != entry.shape) {
            misfits.differs(entry.name, shape_text(tensor->shape), shape_text(entry.shape));
        } else if (is_floating_point(tensor->type) == entry.is_integer) {
            misfits.differs(entry.name, name(tensor->type), entry.is_integer ? "an integer" : "a float");
        }
    }
    for (const TensorRecord& tensor : file.tensors()) {
        if (!tensor.name.starts_with(prefix) || matches_any(skip, tensor.name) ||
            std::ranges::count(expected, tensor.name, &ExpectedTensor::name) > 0)
            continue;
        misfits.unexpected.push_back(printable(tensor.name));
    }
    return tensors;
}

}  // namespace resnet::inline v0::detail
