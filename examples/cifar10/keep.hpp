// What --out keeps of the network in its folder: `last.safetensors`, a checkpoint that --resume goes on from, and
// `best.safetensors`, the weights of the epoch with the highest test accuracy.
#pragma once

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <resnet/checkpoint.hpp>
#include <resnet/io/crc32c.hpp>
#include <resnet/io/weights.hpp>

#include "data.hpp"
#include "folder_lock.hpp"
#include "metrics.hpp"
#include "options.hpp"

inline std::filesystem::path last_checkpoint(const Options& options) {
    return std::filesystem::path{options.out} / "last.safetensors";
}

/// The options of the run that --resume goes on with.
inline void take_over_options(CLI::App& app, Options& options) {
    const auto last = last_checkpoint(options);
    take_over(app, options, resnet::read_position(last).notes, last.string());
}

/// The mean loss of the images so far; batches may differ in size.
struct MeanLoss {
    double sum = 0;
    resnet::Index images = 0;

    void add(double loss, resnet::Index count) {
        sum += loss * static_cast<double>(count);
        images += count;
    }
    double value() const { return images == 0 ? 0 : sum / static_cast<double>(images); }
};

/// What a run has reached.
struct Reached {
    std::uint32_t epoch = 0;                         // the one that is under way, from 0
    resnet::Index batch = 0;                         // the next one of it
    MeanLoss loss{};                                 // of it
    double seconds = 0;                              // of training it
    double accuracy = 0;                             // after the epoch before it
    double views_accuracy = EpochMetrics::untested;  // after the last epoch, from all views of the test images
    double best = -1;                                // of all epochs so far
};

class Keep {
public:
    /// Without --out it keeps nothing.
    Keep(const Options& options, const Data& data) : options_{options}, images_{data.train.size()} {
        if (options.out.empty()) return;
        const std::filesystem::path folder = options.out;
        last_ = last_checkpoint(options);
        best_ = folder / "best.safetensors";
        data_ = identity(data);
        for (const std::string& name : data.test.classes()) classes_ += name + '\n';
        std::filesystem::create_directories(folder);
        lock_.emplace(folder);
        for (const char* const name : written)
            if (std::filesystem::is_directory(folder / name))
                throw std::runtime_error((folder / name).string() + " is a folder, where a file is to go");
        if (!options.resume && !has_a_run_without_a_step(folder)) refuse_files_of(folder);
        remove_leftovers(folder);
    }

    /// Throws where another folder has the name of this run's: nothing must be written to it.
    void check() const {
        if (lock_) lock_->check();
    }

    /// Where the run goes on, or begins. The checkpoint is written at once, so that a folder that can't be written is
    /// known before the first epoch, and a number of epochs that has become larger is not forgotten.
    template <class Net>
    Reached begin(resnet::Trainer<Net>& trainer, resnet::MovingAverage<Net>* average) const {
        if (!options_.resume) {
            last(trainer, average, {});
            return {};
        }
        const resnet::Resumed resumed = resnet::load_checkpoint(last_, trainer, average);
        const resnet::RunPosition& position = resumed.position;
        const auto text = [&](const char* name) { return note(position.notes, name, last_.string()); };
        const auto number = [&](const char* name) {
            const std::string& digits = text(name);
            double value = 0;
            const char* const end = digits.data() + digits.size();
            const auto [rest, error] = std::from_chars(digits.data(), end, value);
            if (error != std::errc{} || rest != end || !std::isfinite(value))
                throw std::runtime_error(last_.string() + " has no number as its note of " + name + " but " + digits);
            return value;
        };
        if (text("data") != data_) {
            throw std::runtime_error("the data is " + data_ + ", but " + last_.string() + " was made with " +
                                     text("data"));
        }
        if (!resumed.differences.empty()) {
            std::string list;
            for (const std::string& difference : resumed.differences) list += (list.empty() ? "" : "; ") + difference;
            std::fprintf(stderr, "warning: the results may differ in their last digits: %s\n", list.c_str());
        }
        std::printf("resuming from %s: %u epochs and %td batches are done%s\n", last_.c_str(), position.epoch,
                    position.batch, std::cmp_less(position.epoch, options_.epochs) ? "" : "; nothing is left to train");
        double best = number("best accuracy");
        if (best >= 0 && !std::filesystem::exists(best_)) {
            std::fprintf(stderr, "warning: %s is gone; the best of the epochs from now on takes its place\n",
                         best_.c_str());
            best = -1;
        }
        const bool has_views = position.notes.contains("views accuracy");  // earlier builds did not note it
        const double images = number("loss images");
        if (!(images >= 0 && images <= static_cast<double>(images_)))
            throw std::runtime_error(last_.string() + " notes " + text("loss images") + " images of an epoch of " +
                                     std::to_string(images_));
        const Reached reached{.epoch = position.epoch,
                              .batch = position.batch,
                              .loss = {.sum = number("loss sum"), .images = static_cast<resnet::Index>(images)},
                              .seconds = number("seconds"),
                              .accuracy = number("accuracy"),
                              .views_accuracy = has_views ? number("views accuracy") : EpochMetrics::untested,
                              .best = best};
        if (std::cmp_less(reached.epoch, options_.epochs)) last(trainer, average, reached);
        return reached;
    }

    template <class Net>
    void last(const resnet::Trainer<Net>& trainer, const resnet::MovingAverage<Net>* average,
              const Reached& reached) const {
        if (last_.empty()) return;
        check();
        resnet::Metadata notes = origin();
        notes["option epochs"] = std::to_string(options_.epochs);
        notes["loss sum"] = exact(reached.loss.sum);
        notes["loss images"] = std::to_string(reached.loss.images);
        notes["seconds"] = exact(reached.seconds);
        notes["accuracy"] = exact(reached.accuracy);
        notes["views accuracy"] = exact(reached.views_accuracy);
        notes["best accuracy"] = exact(reached.best);
        resnet::save_checkpoint(last_, trainer,
                                {.seed = resnet::Seed{options_.seed},
                                 .epoch = reached.epoch,
                                 .batch = reached.batch,
                                 .notes = std::move(notes)},
                                average);
    }

    /// Before `last`: a run that ends between the two tests this epoch again, and finds it as good again.
    template <class Net>
    void best(const resnet::Model<Net>& model) const {
        if (!best_.empty()) resnet::save(model, best_, origin());
    }

private:
    /// What either file says of the run that made it.
    resnet::Metadata origin() const {
        resnet::Metadata notes = kept(options_);
        if (find_recipe(options_.model, options_.recipe).schedule != Schedule::constant)  // else more may follow
            notes["option epochs"] = std::to_string(options_.epochs);
        notes["data"] = data_;
        notes["classes"] = classes_;
        return notes;
    }

    /// What a run's data must have in common with that of its checkpoint.
    static std::string identity(const Data& data) {
        resnet::Crc32c sum;
        for (const resnet::Dataset* const split : {&data.train, &data.test}) {
            const resnet::ImageView images = split->images();
            sum.add(std::as_bytes(split->labels()));
            sum.add({static_cast<const std::byte*>(images.data),
                     static_cast<std::size_t>(images.images * images.image_stride)});
        }
        char checksum[16];
        std::snprintf(checksum, sizeof checksum, "%08x", sum.value());
        return data.name + ", " + std::to_string(data.train.size()) + " images, checksum " + checksum;
    }

    /// Whether all that is there is from a run of this program that ended before its first step: its learning rate was
    /// too large, say. Another run may take its place.
    bool has_a_run_without_a_step(const std::filesystem::path& folder) const try {
        for (const auto& entry : std::filesystem::directory_iterator{folder}) {
            const std::string name = entry.path().filename().string();
            if (name == "best.safetensors" || name == "report.html" || is_event_file(name)) return false;
        }
        const resnet::RunPosition position = resnet::read_position(last_);
        return position.epoch == 0 && position.batch == 0 && position.notes.contains("option model") &&
               read_metrics(folder / "metrics.csv", 1).history.empty();
    } catch (const std::runtime_error&) {
        return false;  // there is none, or it is somebody's own
    }

    /// Throws where a file has a name that this run's would have.
    void refuse_files_of(const std::filesystem::path& folder) const {
        for (const char* const name : written) {
            if (!std::filesystem::exists(folder / name)) continue;
            const bool can_go_on = folder / name == last_;
            throw std::runtime_error((folder / name).string() + " is there already; " +
                                     (can_go_on ? "go on with it by --resume, or name" : "name") +
                                     " another folder with --out");
        }
        for (const auto& entry : std::filesystem::directory_iterator{folder})
            if (is_event_file(entry.path().filename().string()))
                throw std::runtime_error(entry.path().string() + " is there already; name another folder with --out");
    }

    static bool is_event_file(const std::string& name) { return name.starts_with("events.out.tfevents."); }

    /// What a killed process was writing.
    void remove_leftovers(const std::filesystem::path& folder) const {
        for (const auto& entry : std::filesystem::directory_iterator{folder})
            for (const char* const file : written)
                if (entry.path().filename().string().starts_with(std::string{file} + ".tmp-"))
                    std::filesystem::remove(entry.path());
    }

    /// What a run writes in its folder under names that another file could have.
    static constexpr const char* written[] = {"last.safetensors", "best.safetensors", "metrics.csv", "report.html"};

    const Options& options_;
    resnet::Index images_;  // of an epoch
    std::optional<FolderLock> lock_;
    std::string data_, classes_;  // classes: a line each, as the example image_folder notes them
    std::filesystem::path last_, best_;
};
