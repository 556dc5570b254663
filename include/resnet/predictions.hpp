// What logits say: probabilities, the likeliest classes, the likeliest one. For one image at a time: logits[n].
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <string>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0 {

/// A value for each class of one image: logits[n], or a std::vector of probabilities.
template <class Values>
concept class_values = std::ranges::contiguous_range<Values> && std::ranges::sized_range<Values> &&
    std::floating_point<std::ranges::range_value_t<Values>>;

/// A class and its logit or probability.
template <class Scalar>
struct ClassValue {
    int index = 0;  // of the class
    Scalar value = 0;

    friend bool operator==(const ClassValue&, const ClassValue&) = default;
};

/// exp(x) / sum of exp(x) over the classes: probabilities that sum to 1, however large the logits are. As in PyTorch, a
/// logit that is NaN or plus infinity makes all of them NaN; that of minus infinity has probability 0.
/// PyTorch: F.softmax(logits[n], dim=0).
template <class_values Values>
std::vector<std::ranges::range_value_t<Values>> softmax(const Values& logits);

/// The k largest values with their classes, the largest first; of equals, the class that comes first. As in PyTorch, a
/// NaN counts as larger than any number: it is seen at once. Throws Error if k is not 0 ... classes.
/// PyTorch: torch.topk(logits[n], k).
///
///     for (const auto [index, probability] : top_k(softmax(logits[n]), 5)) ...
template <class_values Values>
std::vector<ClassValue<std::ranges::range_value_t<Values>>> top_k(const Values& values, int k);

/// The first of top_k. Throws Error if there are no values. PyTorch: torch.argmax(logits[n]).
template <class_values Values>
int predicted_class(const Values& values);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// a before b in top_k; neither where they are equal.
bool ranks_before(std::floating_point auto a, std::floating_point auto b) {
    return a > b || (std::isnan(a) && !std::isnan(b));
}

}  // namespace detail

template <class_values Values>
std::vector<std::ranges::range_value_t<Values>> softmax(const Values& logits) {
    using Scalar = std::ranges::range_value_t<Values>;
    std::vector<Scalar> result(std::ranges::begin(logits), std::ranges::end(logits));
    if (result.empty()) return result;
    const Scalar largest = *std::ranges::max_element(result);
    double sum = 0;
    for (Scalar& x : result) {
        x = std::exp(x - largest);
        sum += static_cast<double>(x);
    }
    for (Scalar& x : result) x = static_cast<Scalar>(static_cast<double>(x) / sum);
    return result;
}

template <class_values Values>
std::vector<ClassValue<std::ranges::range_value_t<Values>>> top_k(const Values& values, int k) {
    using Value = ClassValue<std::ranges::range_value_t<Values>>;
    const auto classes = static_cast<int>(std::ranges::size(values));
    if (k < 0 || k > classes) throw Error("top_k", detail::text("0 to ", classes, " classes"), std::to_string(k));
    std::vector<Value> ranked;
    ranked.reserve(static_cast<std::size_t>(classes));
    for (const auto value : values) ranked.push_back({static_cast<int>(ranked.size()), value});
    std::ranges::partial_sort(ranked, ranked.begin() + k, [](const Value& a, const Value& b) {
        if (detail::ranks_before(a.value, b.value)) return true;
        return !detail::ranks_before(b.value, a.value) && a.index < b.index;
    });
    ranked.resize(static_cast<std::size_t>(k));
    return ranked;
}

template <class_values Values>
int predicted_class(const Values& values) {
    if (std::ranges::empty(values)) throw Error("predicted_class", "at least 1 class", "none");
    const auto* const first = std::ranges::data(values);
    std::size_t best = 0;
    for (std::size_t c = 1; c < std::ranges::size(values); ++c)
        if (detail::ranks_before(first[c], first[best])) best = c;
    return static_cast<int>(best);
}

}  // namespace resnet::inline v0
