// Softmax cross entropy with label smoothing and targets that mix two labels: loss and the gradient of the logits in
// one pass.
#pragma once

#include <cmath>
#include <string>

#include <resnet/core/targets.hpp>
#include <resnet/core/text.hpp>
#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

/// Throws Error if targets do not fit the batch or the classes.
inline void check_targets(const Targets& targets, Index images, int classes) {
    if (static_cast<Index>(targets.labels.size()) != images)
        throw Error("targets", std::to_string(images) + " labels, one an image", std::to_string(targets.labels.size()),
                    targets.labels.empty() ? "a batch that a Loader mixed has targets, and no labels" : "");
    if (targets.second_labels.size() != targets.weights.size() ||
        (!targets.weights.empty() && targets.weights.size() != targets.labels.size()))
        throw Error("targets", "as many second labels and weights as labels",
                    detail::text(targets.second_labels.size(), " and ", targets.weights.size()));
    for (std::size_t i = 0; i < targets.weights.size(); ++i)
        if (!(targets.weights[i] >= 0 && targets.weights[i] <= 1))
            throw Error("targets", "weights of 0 ... 1",
                        detail::text(std::to_string(targets.weights[i]), " for image ", i));
    for (const auto& labels : {targets.labels, targets.second_labels})
        for (std::size_t i = 0; i < labels.size(); ++i)
            if (labels[i] < 0 || labels[i] >= classes)
                throw Error("targets", detail::text("labels of 0 to ", classes - 1),
                            detail::text(labels[i], " for image ", i));
}

/// Mean loss over the batch. target = (1 - smoothing) (w onehot(label) + (1 - w) onehot(second)) + smoothing / classes
/// (Szegedy et al. 2016, section 7); loss = -sum target log softmax(logits); gradient = (softmax - target) / N.
/// Overwrites the gradient of the logits where the step has one.
template <class Scalar>
double run_loss(const Run<Scalar>& run, int index, const Targets& targets, float label_smoothing) {
    const Step& step = run.step(index);
    const int classes = run.plan.tensor(step.output).channels;
    const Scalar* logits = run.workspace.tensor(step.output);
    Scalar* grad = step.grad_output >= 0 ? run.workspace.tensor(step.grad_output) : nullptr;
    const RowChunks chunks = row_chunks(run.images(), classes);
    double* losses = run.workspace.partial_sums();
    const double even = static_cast<double>(label_smoothing) / classes,
                 share = 1.0 - static_cast<double>(label_smoothing);
    const double images = static_cast<double>(run.images());
    run.for_each_chunk(chunks.count(), 16 * run.elements(step.output), [&](Index chunk, int) {
        double total = 0;
        for (Index n = chunks.first(chunk); n < chunks.first(chunk) + chunks.size(chunk); ++n) {
            const Scalar* x = logits + n * classes;
            const auto i = static_cast<std::size_t>(n);
            const int first = targets.labels[i], second = targets.weights.empty() ? first : targets.second_labels[i];
            const double weight = targets.weights.empty() ? 1.0 : static_cast<double>(targets.weights[i]);
            Scalar largest = x[0];
            for (int c = 1; c < classes; ++c) largest = x[c] > largest ? x[c] : largest;
            double sum = 0;
            for (int c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(x[c] - largest));
            const double log_sum = std::log(sum);
            for (int c = 0; c < classes; ++c) {
                const double log_probability = static_cast<double>(x[c] - largest) - log_sum;
                const double target = even + share * ((c == first ? weight : 0.0) + (c == second ? 1.0 - weight : 0.0));
                if (target != 0) total -= target * log_probability;
                if (grad != nullptr)
                    grad[n * classes + c] = static_cast<Scalar>((std::exp(log_probability) - target) / images);
            }
        }
        losses[chunk] = total;
    });
    detail::sum_tree(losses, chunks.count(), 1, 0, 1);
    return losses[0] / images;
}

}  // namespace resnet::inline v0
