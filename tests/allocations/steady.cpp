// A program of its own, since it stands in for malloc and its kin: nothing is allocated after the first batch of a
// size.
#include "malloc.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/classifier.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

namespace {

using namespace resnet;

int failures = 0;

/// Runs `work` until it has seen its batches, then counts the calls that it makes on all threads.
void expect_none(const std::string& what, auto&& work) {
    for (int i = 0; i < 5; ++i) work();
    calls = 0;
    counting = true;
    for (int i = 0; i < 5; ++i) work();
    counting = false;
    const long found = calls;
    if (found != 0) ++failures;
    std::printf("%-60s %ld calls of malloc and its kin\n", what.c_str(), found);
}

/// Images and labels of three batch sizes.
template <class Net>
struct Batches {
    static constexpr std::array<Index, 3> sizes{12, 5, 7};
    std::vector<float> pixels = tests::uniform<float>(static_cast<std::size_t>(12 * 3 * Net::image.area()), 1);
    std::vector<int> labels = tests::labels(12, Net::classes);

    ImageView images(Index count) const { return nchw(pixels.data(), count, Net::image); }
    std::span<const int> labels_of(Index count) const {
        return std::span{labels}.first(static_cast<std::size_t>(count));
    }
};

template <class Net>
void check_training(const std::string& name, const OptimizerSettings& optimizer, const TrainerOptions& options) {
    const Batches<Net> batches;
    Model<Net> model{Seed{1}};
    Trainer trainer{model, optimizer, options};
    expect_none(name + ": training steps", [&] {
        for (const Index size : batches.sizes) trainer.step(batches.images(size), batches.labels_of(size));
    });
    expect_none(name + ": forward, backward twice, apply", [&] {
        trainer.forward(batches.images(12), batches.labels_of(12));
        trainer.backward();
        trainer.forward(batches.images(7), batches.labels_of(7));
        trainer.backward(true);
        trainer.set_learning_rate(1e-4f);
        trainer.apply();
    });
}

template <class Net>
void check_inference(const std::string& name, const PlanOptions& plan) {
    const Batches<Net> batches;
    const Model<Net> model{Seed{1}};
    const Classifier<Net> classify{model, {.plan = plan}};
    std::vector<float> logits(12 * Net::classes);
    expect_none(name + ": calls of a classifier, and embeddings", [&] {
        for (const Index size : batches.sizes) {
            const auto leased = classify(batches.images(size));
            classify(batches.images(size), std::span{logits}.first(static_cast<std::size_t>(size * Net::classes)));
            if (leased[0][0] != logits[0]) ++failures;
            if (classify.embed(batches.images(size)).images() != size) ++failures;
        }
    });
}

}  // namespace

int main() {
    for (const int threads : {1, 2, 4}) {
        const tbb::global_control control{tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads)};
        tbb::task_arena arena{threads};
        arena.execute([&] {
            const std::string prefix = std::to_string(threads) + " threads, ";
            check_training<ResNet18<10>>(prefix + "ResNet18", Adam{}, {});
            check_training<tests::SmallResNet>(prefix + "SmallResNet", SGD{.momentum = 0.9f}, {.clip_norm = 1});
            check_training<tests::EveryNode>(prefix + "every node", AdamW{}, {.label_smoothing = 0.1f});
            check_training<tests::EveryNode>(prefix + "every node by im2col", Adam{},
                                             {.plan = {.choice = {.allow_direct = false}}});
            check_inference<ResNet18<10>>(prefix + "ResNet18", {});
            check_inference<tests::SmallResNet>(prefix + "SmallResNet", {});
            check_inference<tests::EveryNode>(prefix + "every node by im2col", {.choice = {.allow_direct = false}});
        });
    }

    // The count itself: what allocates is seen.
    calls = 0;
    counting = true;
    delete new volatile int{1};
    counting = false;
    if (calls < 2) {
        std::printf("operator new went unseen\n");
        ++failures;
    }
    std::printf("%s\n", failures == 0 ? "nothing was allocated" : "FAILED");
    return failures == 0 ? 0 : 1;
}
