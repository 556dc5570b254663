// How good a classifier is: loss, accuracy and confusion over a labelled set.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <resnet/classifier.hpp>
#include <resnet/core/error.hpp>
#include <resnet/core/row_view.hpp>
#include <resnet/core/text.hpp>
#include <resnet/predictions.hpp>

namespace resnet::inline v0 {

struct Evaluation {
    double loss = 0;      // mean cross entropy
    double accuracy = 0;  // 0 ... 1
    Index images = 0;
    int classes = 0;
    std::vector<Index> confusion{};  // [label][predicted class], counts
    std::vector<int> predicted{};    // [images], the likeliest class
    std::vector<double> losses{};    // [images], cross entropy

    /// How many images of a label were taken for a class. Throws Error if either is none.
    Index count(int label, int prediction) const {
        for (const int index : {label, prediction})
            if (index < 0 || index >= classes)
                throw Error("Evaluation::count", detail::text("one of ", classes, " classes, from 0"),
                            std::to_string(index));
        return confusion[place(label, prediction)];
    }

    /// Takes in the next images: logits, as a Classifier gave them for these images, a training step has them
    /// (`step.logits`) or you have put them together, and one label each. For a loop of your own; `evaluate` is one.
    /// Throws Error if rows are not whole, there is not one label per image, a label is not a class, or there were
    /// other classes before.
    template <class Scalar>
    void add(RowView<Scalar> logits, std::span<const int> labels);
    template <class Scalar>
    void add(const Logits<Scalar>& logits, std::span<const int> labels) {
        add(RowView<Scalar>{logits.values(), logits.classes()}, labels);
    }

private:
    std::size_t place(int label, int prediction) const {
        return static_cast<std::size_t>(Index{label} * classes + prediction);
    }
};

/// Classifies all images, `batch` at a time. Throws Error if there are no images, not one label per image, or a label
/// is not a class.
template <class Net, class Scalar>
Evaluation evaluate(const Classifier<Net, Scalar>& classify, const ImageView& images, std::span<const int> labels,
                    Index batch = 128) {
    check_targets(Targets{labels}, images.images, Model<Net, Scalar>::classes);
    if (images.images < 1) throw Error("images", "at least one image", std::to_string(images.images));
    if (batch < 1) throw Error("evaluate", "a batch of at least one image", std::to_string(batch));
    Evaluation result;
    for (Index first = 0; first < images.images; first += batch) {
        const Index count = std::min(batch, images.images - first);
        result.add(classify(images.slice(first, count)),
                   labels.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
    }
    return result;
}

/// The images that were taken for another class, at most `count` of them, the one with the largest loss first (and one
/// that is not a number before all). Throws Error if there is not one label per image, or the count is below 0.
inline std::vector<Index> worst_mistakes(const Evaluation& evaluation, std::span<const int> labels, Index count) {
    check_targets(Targets{labels}, evaluation.images, evaluation.classes);
    if (count < 0) throw Error("worst_mistakes", "a count of at least 0", std::to_string(count));
    std::vector<Index> mistakes;
    for (std::size_t n = 0; n < labels.size(); ++n)
        if (evaluation.predicted[n] != labels[n]) mistakes.push_back(static_cast<Index>(n));
    std::ranges::stable_sort(
        mistakes, [](double a, double b) { return detail::ranks_before(a, b); },
        [&](Index n) { return evaluation.losses[static_cast<std::size_t>(n)]; });
    mistakes.resize(std::min(mistakes.size(), static_cast<std::size_t>(count)));
    return mistakes;
}

// ---------------------------------------------------------------------------------------------------------------------

template <class Scalar>
void Evaluation::add(RowView<Scalar> logits, std::span<const int> labels) {
    const Index added = logits.images();
    if (added * logits.columns() != std::ssize(logits.values()))
        throw Error("Evaluation", detail::text("rows of ", logits.columns(), " logits"),
                    detail::text(std::ssize(logits.values()), " numbers"));
    check_targets(Targets{labels}, added, static_cast<int>(logits.columns()));
    if (classes != 0 && classes != logits.columns())
        throw Error("Evaluation", std::to_string(classes) + " classes", std::to_string(logits.columns()));
    const std::size_t total = losses.size() + labels.size();
    const auto make_room = [total](auto& values) {
        if (values.capacity() < total) values.reserve(std::max(total, 2 * values.capacity()));
    };
    make_room(losses);
    make_room(predicted);
    confusion.resize(static_cast<std::size_t>(logits.columns() * logits.columns()));
    // From here on nothing throws.
    classes = static_cast<int>(logits.columns());
    double sum = 0;
    for (Index n = 0; n < added; ++n) {
        const auto row = logits[n];
        const int label = labels[static_cast<std::size_t>(n)], best = predicted_class(row);
        const auto below_best = [&](Scalar x) { return static_cast<double>(x - row[static_cast<std::size_t>(best)]); };
        double exponentials = 0;
        for (const Scalar x : row) exponentials += std::exp(below_best(x));
        losses.push_back(std::log(exponentials) - below_best(row[static_cast<std::size_t>(label)]));
        sum += losses.back();
        predicted.push_back(best);
        ++confusion[place(label, best)];
    }
    images += added;
    if (images == 0) return;
    // A mean that is infinite stays so, where the difference to it would be NaN.
    loss =
        std::isinf(loss) ? loss + sum : loss + (sum - static_cast<double>(added) * loss) / static_cast<double>(images);
    Index right = 0;
    for (int label = 0; label < classes; ++label) right += confusion[place(label, label)];
    accuracy = static_cast<double>(right) / static_cast<double>(images);
}

}  // namespace resnet::inline v0
