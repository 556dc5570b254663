// A short run of training that is saved, stopped and resumed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/checkpoint.hpp>
#include <resnet/data/loader.hpp>

#include "../data/temporary_folder.hpp"
#include "engine.hpp"
#include "file_content.hpp"
#include "values.hpp"

namespace tests {

using namespace resnet;

inline constexpr std::uint32_t epochs = 2;
inline constexpr Index all_steps = std::numeric_limits<Index>::max();

/// A run of two epochs of five batches, the last of them smaller, on images that are changed at random.
struct Recipe {
    OptimizerSettings optimizer = Adam{.learning_rate = 1e-2f};
    TrainerOptions options{.plan = {.block = 1}};

    static constexpr Seed seed{9};
};

inline Dataset dataset(Extent extent, int classes) {
    constexpr std::size_t images = 22;
    std::vector<std::uint8_t> pixels;
    for (const int value : labels(images * static_cast<std::size_t>(extent.area() * 3), 256))
        pixels.push_back(static_cast<std::uint8_t>(value));
    return {extent, pixels, labels(images, classes), std::vector<std::string>(static_cast<std::size_t>(classes))};
}

/// Adds a random number to each image.
inline void lighten(MutableImage image, const Sample& sample) {
    const auto light = static_cast<std::uint8_t>(sample.below(64, 0));
    for (int y = 0; y < image.extent.height; ++y)
        for (std::uint8_t& value : image.row(y)) value = static_cast<std::uint8_t>(value / 2 + light);
}

template <class Net>
class TrainingRun {
public:
    explicit TrainingRun(const Recipe& recipe, Seed seed = {1})
        : model{seed},
          trainer{model, recipe.optimizer, recipe.options} {}

    /// At most so many steps with so many threads. The learning rate shrinks with each.
    void go_on(int threads, Index steps = all_steps) {
        const tbb::global_control control{tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads)};
        tbb::task_arena arena{threads};
        arena.execute([&] {
            while (steps > 0 && position.epoch < epochs) {
                for (const auto& batch : loader.epoch(position.epoch, position.batch)) {
                    losses.push_back(trainer.step(batch.images, batch.labels).loss);
                    trainer.set_learning_rate(trainer.learning_rate() * 0.9f);
                    position.batch = batch.number + 1;
                    if (--steps == 0) return;
                }
                ++position.epoch;
                position.batch = 0;
            }
        });
    }
    void save(const std::filesystem::path& path) const { save_checkpoint(path, trainer, position); }
    std::vector<std::string> load(const std::filesystem::path& path) {
        const auto resumed = load_checkpoint(path, trainer);
        position = resumed.position;
        return resumed.differences;
    }
    /// All that a checkpoint holds, to the bit.
    std::vector<std::uint8_t> state() const {
        const TemporaryFolder folder;
        save(folder.path() / "state");
        return file_content(folder.path() / "state");
    }

    Model<Net> model;
    Trainer<Net> trainer;
    Dataset data = dataset(Net::image, Net::classes);
    Loader loader{data, {.batch = 5, .seed = Recipe::seed, .transforms = {lighten}}};
    RunPosition position{.seed = Recipe::seed};
    std::vector<double> losses;
};

}  // namespace tests
