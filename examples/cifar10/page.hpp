// What report.html shows of the epochs and of the last test.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include <resnet/evaluate.hpp>
#include <resnet/image_write.hpp>
#include <resnet/io/report.hpp>

#include "data.hpp"
#include "metrics.hpp"

/// As printf has it.
inline std::string formatted(const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

inline resnet::ReportSeries line(const std::string& name, const std::vector<EpochMetrics>& history,
                                 double EpochMetrics::*value, double factor = 1) {
    resnet::ReportSeries series{name};
    for (const EpochMetrics& epoch : history) {
        series.x.push_back(static_cast<double>(epoch.epoch));
        series.y.push_back(factor * epoch.*value);
    }
    return series;
}

inline std::vector<resnet::ReportPicture> pictures_of_mistakes(const resnet::Evaluation& evaluation,
                                                               const resnet::Dataset& test) {
    std::vector<resnet::ReportPicture> pictures;
    for (const resnet::Index n : resnet::worst_mistakes(evaluation, test.labels(), 24)) {
        const auto i = static_cast<std::size_t>(n);
        pictures.push_back(
            {resnet::encode_png(test.images().slice(n, 1)),
             test.class_name(test.labels()[i]) + ", taken for " + test.class_name(evaluation.predicted[i]),
             "image " + std::to_string(n) + ", loss " + formatted("%.2f", evaluation.losses[i])});
    }
    return pictures;
}

/// Figures, charts, confusion, mistakes and the table of a run that has at least one epoch.
inline resnet::Report page(const std::vector<EpochMetrics>& history, const resnet::Evaluation& evaluation,
                           const Data& data, float label_smoothing) {
    resnet::Report report;
    // The loss of smoothed labels is another one than the test's, and above it even where the network fits better.
    const std::string training =
        label_smoothing == 0 ? "training" : "training, labels smoothed by " + formatted("%g", double{label_smoothing});
    const EpochMetrics& last = history.back();
    const EpochMetrics& best = *std::ranges::max_element(history, {}, &EpochMetrics::test_accuracy);
    double seconds = 0;
    for (const EpochMetrics& epoch : history) seconds += epoch.seconds;
    report.figures = {
        {"Test accuracy", formatted("%.2f %%", 100 * last.test_accuracy)},
        {"Best, after epoch " + std::to_string(best.epoch), formatted("%.2f %%", 100 * best.test_accuracy)},
        {"Test loss", formatted("%.4f", last.test_loss)},
        {"Training loss", formatted("%.4f", last.train_loss)},
        {"Time in training", seconds < 600 ? formatted("%.0f s", seconds) : formatted("%.0f min", seconds / 60)},
        {"Images a second", formatted("%.0f", last.images_per_second)}};
    if (last.views_accuracy >= 0)
        report.figures.insert(report.figures.begin() + 1,
                              {"Test accuracy, all views", formatted("%.2f %%", 100 * last.views_accuracy)});
    report.charts = {
        {"Loss",
         "epoch",
         {line(training, history, &EpochMetrics::train_loss), line("test", history, &EpochMetrics::test_loss)}},
        {"Test accuracy (%)", "epoch", {line("test", history, &EpochMetrics::test_accuracy, 100)}},
        {"Images a second", "epoch", {line("training", history, &EpochMetrics::images_per_second)}, true}};
    report.table = {
        "Epochs",
        {"epoch", "step", "training loss", "test loss", "test accuracy", "learning rate", "images/s", "seconds"},
        {}};
    for (const EpochMetrics& epoch : history) {
        report.table.rows.push_back({std::to_string(epoch.epoch), std::to_string(epoch.step),
                                     formatted("%.4f", epoch.train_loss), formatted("%.4f", epoch.test_loss),
                                     formatted("%.2f %%", 100 * epoch.test_accuracy),
                                     formatted("%.4g", epoch.learning_rate), formatted("%.0f", epoch.images_per_second),
                                     formatted("%.1f", epoch.seconds)});
    }
    report.confusion = {data.test.classes(), evaluation.confusion};
    report.mistakes = pictures_of_mistakes(evaluation, data.test);
    return report;
}
