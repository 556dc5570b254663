// The test of an epoch.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/evaluate.hpp>

#include "interrupt.hpp"
#include "options.hpp"
#include "print.hpp"
#include "progress.hpp"
#include "recipe.hpp"
#include "views.hpp"

/// All test images, from these views; nothing where a signal comes first.
template <class Net>
std::optional<resnet::Evaluation> test(const resnet::Model<Net>& model, const resnet::Dataset& data, Views views,
                                       const Options& options, Progress progress) {
    const resnet::Classifier classify{model, {.batch = options.batch_size, .mirrored = views != Views::plain}};
    constexpr resnet::Index classes = resnet::Model<Net>::classes;
    resnet::Evaluation evaluation;
    for (resnet::Index first = 0; first < data.size(); first += options.batch_size) {
        const resnet::Index count = std::min(options.batch_size, data.size() - first);
        const std::vector<float> logits =
            logits_of(classify, data.images().slice(first, count), views);  // [count][classes]
        const auto labels = data.labels().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
        evaluation.add(resnet::RowView<float>{logits, classes}, labels);
        if (options.verbose && first == 0) {
            print_matrix("logits", logits, classes);
            print_vector("pred", evaluation.predicted);
            print_vector("label", labels);
        }
        if (interrupt_signal != 0) return {};
        progress.show(first + count);
    }
    return evaluation;
}
