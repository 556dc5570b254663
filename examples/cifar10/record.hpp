// What --out records of a run for people to look at: metrics.csv, TensorBoard's event file and report.html.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <resnet/evaluate.hpp>
#include <resnet/io/event_file.hpp>
#include <resnet/io/report.hpp>

#include "chart_js.hpp"  // made by CMakeLists.txt
#include "data.hpp"
#include "metrics.hpp"
#include "options.hpp"
#include "page.hpp"

/// All that decides the run's numbers, and what it was built with and runs on.
inline resnet::Settings run_settings(const Options& options, const Data& data) {
    resnet::Settings settings{{"data", data.name + ", " + std::to_string(data.train.size()) + " training and " +
                                           std::to_string(data.test.size()) + " test images"},
                              {"epochs", std::to_string(options.epochs)}};
    for (const auto& [name, value] : decisive(options))
        if (name != "limit") settings.emplace_back(name, value);
    for (const auto& [name, value] : settled(options)) settings.emplace_back(name, value);
    for (const auto& [name, value] : resnet::environment()) settings.emplace_back(name, value);
    return settings;
}

class Record {
public:
    /// Without --out it records nothing. `epochs` are done already: what older files have of later ones is dropped.
    /// `learning_rate` is a function of the step, `steps` the number of them in an epoch.
    Record(const Options& options, const Data& data, resnet::Index epochs, resnet::Index steps,
           std::function<double(resnet::Index)> learning_rate, std::string summary)
        : data_{data},
          options_{options},
          settings_{run_settings(options, data)},
          first_epoch_{epochs + 1},
          steps_{steps},
          first_step_{options.resume ? epochs * steps + 1 : 0},
          learning_rate_{std::move(learning_rate)},
          summary_{std::move(summary)} {
        if (options.out.empty()) return;
        folder_ = options.out;
        if (options.resume) go_on_with(read_metrics(folder_ / "metrics.csv", epochs));
        resumed_ = history_.size();
        if (std::cmp_not_equal(history_.size(), epochs)) {
            std::fprintf(stderr, "warning: %s has %zu of the %td epochs that are done\n",
                         (folder_ / "metrics.csv").c_str(), history_.size(), epochs);
        }
        if (std::cmp_less(epochs, options.epochs))  // known before the next epoch, if it can't be written
            write_metrics(folder_ / "metrics.csv", settings_, history_);
        if (chart_js.empty()) {
            std::printf(
                "no report.html: Chart.js was not found when this program was built (Debian: libjs-chart.js)\n");
        }
    }

    /// Before the checkpoint of the epoch: a run that ends between the two does the epoch again and records it anew. A
    /// curve or a report that can't be written costs a warning, not the epoch.
    void epoch(EpochMetrics metrics, const resnet::Evaluation& evaluation) {
        if (folder_.empty()) return;
        metrics.learning_rate = learning_rate_(metrics.step - 1);
        history_.push_back(metrics);
        write_metrics(folder_ / "metrics.csv", settings_, history_);
        warn_of([&] { add_events(); });
        if (!chart_js.empty()) warn_of([&] { write_page(metrics, evaluation); });
    }

private:
    /// What the run's earlier parts were built with and ran on stays in the records, beside what this one does:
    /// "avx512; from epoch 3: avx2".
    void go_on_with(Metrics metrics) {
        history_ = std::move(metrics.history);
        const resnet::Settings environment = resnet::environment();
        for (const auto& earlier : metrics.settings) {
            const auto is_of = [&](const auto& setting) { return setting.first == earlier.first; };
            const auto setting = std::ranges::find_if(settings_, is_of);
            if (setting == settings_.end() || std::ranges::none_of(environment, is_of)) continue;
            const std::string from = "; from epoch " + std::to_string(first_epoch_) + ": ", now = setting->second;
            setting->second = earlier.second.substr(0, earlier.second.find(from));  // no epoch of a later part is left
            if (setting->second != now && !setting->second.ends_with(": " + now)) setting->second += from + now;
        }
    }

    static void warn_of(const auto& write) {
        try {
            write();
        } catch (const resnet::FileError& error) {
            std::fprintf(stderr, "warning: %s\n", error.what());
        }
    }

    void write_page(const EpochMetrics& metrics, const resnet::Evaluation& evaluation) const {
        resnet::Report report = page(history_, evaluation, data_, label_smoothing(options_));
        report.title = options_.model + " on " + data_.name;
        report.subtitle = "Recipe " + options_.recipe + ", seed " + std::to_string(options_.seed) + ", epoch " +
                          std::to_string(metrics.epoch) + " of " + std::to_string(options_.epochs);
        report.charts.insert(report.charts.begin() + 2, learning_rates(metrics.step));
        report.settings = settings_;
        report.summary = summary_;
        write_report(folder_ / "report.html", report, chart_js);
    }

    /// The epochs that no event file has yet: all since the program was started, where theirs was removed.
    void add_events() {
        if (!events_ || events_->was_removed()) {
            events_.emplace(folder_, first_step_);
            recorded_ = resumed_;
            std::string table = "| setting | value |\n| --- | --- |\n";
            for (const auto& [name, value] : settings_) table += "| " + name + " | " + value + " |\n";
            events_->add_text("settings", table, first_step_);
        }
        for (; recorded_ < history_.size(); ++recorded_) {
            const EpochMetrics& metrics = history_[recorded_];
            events_->add(metrics.step, {{"loss/train", metrics.train_loss},
                                        {"loss/test", metrics.test_loss},
                                        {"accuracy/test", metrics.test_accuracy},
                                        {"learning_rate", metrics.learning_rate},
                                        {"images_per_second", metrics.images_per_second}});
            if (metrics.views_accuracy >= 0)
                events_->add(metrics.step, {{"accuracy/test_all_views", metrics.views_accuracy}});
        }
    }

    /// Of the steps so far, at two hundred of them.
    resnet::ReportChart learning_rates(resnet::Index steps) const {
        resnet::ReportSeries line{"learning rate"};
        for (resnet::Index i = 0; i <= 200; ++i) {
            const resnet::Index step = (steps - 1) * i / 200;
            line.x.push_back(static_cast<double>(step) / static_cast<double>(steps_));
            line.y.push_back(learning_rate_(step));
        }
        return {"Learning rate", "epoch", {line}, true};
    }

    const Data& data_;
    const Options& options_;
    resnet::Settings settings_;
    resnet::Index first_epoch_, steps_, first_step_;
    std::function<double(resnet::Index)> learning_rate_;
    std::string summary_;
    std::filesystem::path folder_;
    std::vector<EpochMetrics> history_;
    std::optional<resnet::EventFile> events_;
    std::size_t resumed_ = 0, recorded_ = 0;  // of the history: from an earlier part of the run, in an event file
};
