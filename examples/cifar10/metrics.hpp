// metrics.csv: a line for each epoch of the run. Lines that begin with `#` hold the settings, in the file itself so
// that a copy of it still says what it is of; pandas.read_csv(path, comment="#"), R and gnuplot pass over them.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <resnet/core/extent.hpp>
#include <resnet/io/atomic_file.hpp>
#include <resnet/io/environment.hpp>

/// One epoch, after its test.
struct EpochMetrics {
    resnet::Index epoch = 0;           // from 1
    resnet::Index step = 0;            // steps so far
    double train_loss = 0;             // mean of the epoch's steps, as they were optimised
    double test_loss = 0;              // mean cross entropy
    double test_accuracy = 0;          // 0 ... 1
    double learning_rate = 0;          // of the last step
    double images_per_second = 0;      // in training
    double seconds = 0;                // of training
    double views_accuracy = untested;  // 0 ... 1, from all views of the test images: of the last epoch alone

    static constexpr double untested = -1;
};

inline constexpr auto metrics_header =
    "epoch,step,train_loss,test_loss,test_accuracy,learning_rate,images_per_second,seconds,views_accuracy";

/// What a file of an earlier part of the run says.
struct Metrics {
    resnet::Settings settings;
    std::vector<EpochMetrics> history;
};

/// The epochs of a file, as far as a checkpoint has come; those behind it are done again. None where there is no file.
/// Throws where there is one that can't be read: it would be written anew without them.
inline Metrics read_metrics(const std::filesystem::path& path, resnet::Index epochs) {
    Metrics metrics;
    std::vector<EpochMetrics>& history = metrics.history;
    std::ifstream file{path};
    if (!file && std::filesystem::exists(path)) throw std::runtime_error(path.string() + ": it can't be opened");
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
        if (line.ends_with('\r')) line.pop_back();  // an editor's
        if (line.starts_with("# ")) {
            const std::size_t colon = line.find(": ");
            if (colon != std::string::npos)
                metrics.settings.emplace_back(line.substr(2, colon - 2), line.substr(colon + 2));
        }
        if (line.empty() || line.starts_with('#') || line.starts_with("epoch,step,")) continue;
        const auto refuse = [&](const std::string& expected) {
            throw std::runtime_error(path.string() + ", line " + std::to_string(number) + ": expected " + expected +
                                     ", found " + line +
                                     "; mend it, or move the file away to go on without its epochs");
        };
        const char* at = line.data();
        const char* const end = at + line.size();
        const auto read = [&](auto& value, char after = ',') {
            const auto [rest, error] = std::from_chars(at, end, value);
            if (error != std::errc{} || (rest == end ? '\0' : *rest) != after) refuse(metrics_header);
            at = rest + 1;
        };
        EpochMetrics row;
        read(row.epoch);
        read(row.step);
        for (double EpochMetrics::*const value :
             {&EpochMetrics::train_loss, &EpochMetrics::test_loss, &EpochMetrics::test_accuracy,
              &EpochMetrics::learning_rate, &EpochMetrics::images_per_second})
            read(row.*value);
        const bool has_views = std::ranges::count(line, ',') > 7;  // earlier builds wrote no such column
        read(row.seconds, has_views ? ',' : '\0');
        if (has_views && at != end) read(row.views_accuracy, '\0');
        const resnet::Index before = history.empty() ? 0 : history.back().epoch;
        if (row.epoch <= before) refuse("an epoch after " + std::to_string(before));
        if (row.epoch > epochs) break;
        history.push_back(row);
    }
    if (file.bad()) throw std::runtime_error(path.string() + ": it can't be read to its end");
    return metrics;
}

/// Writes all of it anew and atomically: a kill leaves the file before or after it, whole.
inline void write_metrics(const std::filesystem::path& path, const resnet::Settings& settings,
                          const std::vector<EpochMetrics>& history) {
    std::string text;
    for (const auto& [name, value] : settings) text.append("# ").append(name).append(": ").append(value).append("\n");
    text.append(metrics_header).append("\n");
    const auto digits = [](double value) {
        std::array<char, 32> buffer{};
        char* const first = buffer.data();
        return std::string{first,
                           std::to_chars(first, first + buffer.size(), value, std::chars_format::general, 7).ptr};
    };
    for (const EpochMetrics& epoch : history) {
        text.append(std::to_string(epoch.epoch)).append(",").append(std::to_string(epoch.step)).append(",");
        for (const double value : {epoch.train_loss, epoch.test_loss, epoch.test_accuracy, epoch.learning_rate,
                                   epoch.images_per_second, epoch.seconds})
            text.append(digits(value)).append(",");
        if (epoch.views_accuracy >= 0) text.append(digits(epoch.views_accuracy));
        text.append("\n");
    }
    resnet::AtomicFile file{path};
    file.write(std::as_bytes(std::span{text}));
    file.commit();
}
