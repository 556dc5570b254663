// A program of its own, since it stands in for malloc and its kin: for each n, the n-th allocation is refused, alone or
// with all that follow. Then there is std::bad_alloc, or the work is done in spite of it; objects and files are as they
// were, and the same work, done again, gives the bits that it gives with memory.
// Not among them: what oneTBB's scheduler allocates for itself, from an allocator of its own. Where that fails, oneTBB
// 2021.8 ends the program or waits for ever. It does so when its threads begin, and hardly ever after that.
#include "malloc.hpp"

#include <cstdio>
#include <filesystem>
#include <limits>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/blocks.hpp>
#include <resnet/checkpoint.hpp>
#include <resnet/classifier.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/trainer.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/engine.hpp"
#include "../support/file_content.hpp"
#include "../support/values.hpp"

namespace {

using namespace resnet;

/// As small as can be with a residual block: every refusal makes everything anew.
struct Net {
    static constexpr Extent image{8, 8};
    static constexpr int classes = 5;

    Conv2d<3, 16, k3> conv1;
    BatchNorm2d<16> bn1;
    CifarBasicBlock<16, 16> block1;
    Linear<16, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(block1(relu(bn1(conv1(x)))))); }
    RESNET_MEMBERS(conv1, bn1, block1, fc)
};
using Small = Model<Net>;

int failures = 0;
long all_refusals = 0;

void expect(bool holds, const std::string& what, long n, const char* promise) {
    if (holds) return;
    ++failures;
    std::printf("FAILED: %s, allocation %ld: %s\n", what.c_str(), n, promise);
}

/// For each n: arrange() makes what act(it) works on; the n-th allocation of act is refused. Then unchanged(it) has to
/// hold where act threw, and right(it) where it did not; and act(it), done again with memory, has to be right(it).
void refuse_each(const std::string& what, auto&& arrange, auto&& act, auto&& unchanged, auto&& right) {
    for (const bool all_that_follow : {false, true}) {
        long n = 1, thrown = 0;
        for (;; ++n) {
            auto it = arrange();
            bool threw = false;
            begin_refusing(n, all_that_follow ? std::numeric_limits<long>::max() : n);
            try {
                act(it);
            } catch (const std::bad_alloc&) {
                threw = true;
            }
            if (!end_refusing()) break;
            ++all_refusals;
            if (threw) {
                ++thrown;
                expect(unchanged(it), what, n, "something changed");
                act(it);
            }
            expect(right(it), what, n, "other bits");
        }
        std::printf("%-44s %5ld allocations refused%s: %ld times bad_alloc\n", what.c_str(), n - 1,
                    all_that_follow ? ", each with all after it" : "", thrown);
    }
}

struct Batch {
    explicit Batch(Extent extent, Index count = 6)
        : pixels{tests::uniform<float>(static_cast<std::size_t>(count * 3 * extent.area()), 1)},
          labels{tests::labels(static_cast<std::size_t>(count), Net::classes)},
          images{nchw(pixels.data(), count, extent)} {}

    std::vector<float> pixels;
    std::vector<int> labels;
    ImageView images;
};

/// A model and its trainer, which has taken no step, or one.
struct Training {
    explicit Training(const OptimizerSettings& optimizer = Adam{}) : trainer{model, optimizer} {}

    Small model{Seed{1}};
    Small before = model;
    Trainer<Net> trainer;
};
using Held = std::unique_ptr<Training>;  // the trainer refers to the model

void check_training() {
    const Batch batch{Net::image}, larger{{12, 12}};
    const Small reference{Seed{1}};
    refuse_each(
        "constructing a model", [] { return std::optional<Small>{}; }, [](auto& model) { model.emplace(Seed{1}); },
        [](auto& model) { return !model.has_value(); }, [&](auto& model) { return model == reference; });
    refuse_each(
        "constructing a trainer", [] { return std::make_unique<Small>(Seed{1}); },
        [](auto& model) {
            const Trainer trainer{*model, Adam{}};
        },
        [&](auto& model) { return *model == reference; }, [&](auto& model) { return *model == reference; });

    const auto step = [](auto& training, const Batch& b) { training.trainer.step(b.images, b.labels); };
    const auto as_before = [](auto& training) { return training->model == training->before; };
    Training once, twice, frozen;
    step(once, batch);
    step(twice, batch);
    step(twice, larger);
    step(frozen, batch);
    frozen.model.freeze("block1.*");
    step(frozen, batch);
    refuse_each(
        "the first step", [] { return std::make_unique<Training>(); }, [&](auto& training) { step(*training, batch); },
        as_before, [&](auto& training) { return training->model == once.model; });
    const auto after_a_step = [&] {
        auto training = std::make_unique<Training>();
        step(*training, batch);
        training->before = training->model;
        return training;
    };
    refuse_each(
        "a step with larger images", after_a_step, [&](auto& training) { step(*training, larger); }, as_before,
        [&](auto& training) { return training->model == twice.model; });
    refuse_each(
        "a step after freezing",
        [&] {
            auto training = after_a_step();
            training->model.freeze("block1.*");
            return training;
        },
        [&](auto& training) { step(*training, batch); }, as_before,
        [&](auto& training) { return training->model == frozen.model; });
}

void check_inference() {
    const Batch batch{Net::image, 9};
    const Small model{Seed{1}};
    const Classifier<Net> reference{model};
    const auto logits = [&](const Classifier<Net>& classify) {
        const auto rows = classify(batch.images);
        return std::vector<float>{rows.values().begin(), rows.values().end()};
    };
    const auto expected = logits(reference);
    std::vector<float> written(expected.size());

    struct Run {
        std::unique_ptr<Classifier<Net>> classify{};
        Index bytes = 0;
        std::vector<float> logits{};
    };
    // What the call had borrowed is there again.
    const auto none = [](auto& run) { return run.logits.empty() && run.classify->bytes() >= run.bytes; };
    const auto right = [&](auto& run) { return run.logits == expected && logits(*run.classify) == expected; };
    refuse_each(
        "constructing a classifier", [] { return std::unique_ptr<Classifier<Net>>{}; },
        [&](auto& classify) { classify = std::make_unique<Classifier<Net>>(model); },
        [](auto& classify) { return classify == nullptr; },
        [&](auto& classify) { return logits(*classify) == expected; });
    const auto arrange = [&] {
        Run run{.classify = std::make_unique<Classifier<Net>>(model, ClassifierOptions{.batch = 2})};
        run.bytes = run.classify->bytes();
        return run;
    };
    refuse_each(
        "a classifier's first call", arrange, [&](auto& run) { run.logits = logits(*run.classify); }, none, right);
    refuse_each(
        "two calls at once", arrange,
        [&](auto& run) {
            const auto first = (*run.classify)(batch.images);
            run.logits = logits(*run.classify);
        },
        none, right);
    refuse_each(
        "a call that writes to the caller's memory", arrange,
        [&](auto& run) {
            (*run.classify)(batch.images, written);
            run.logits = written;
        },
        none, right);
    const Small old{Seed{2}};
    const auto before = logits(Classifier<Net>{old});
    refuse_each(
        "refreshing a classifier", [&] { return Run{.classify = std::make_unique<Classifier<Net>>(old)}; },
        [&](auto& run) {
            run.classify->refresh(model);
            run.logits = logits(*run.classify);
        },
        [&](auto& run) {  // the call behind the refresh may be the one that was refused
            const auto found = logits(*run.classify);
            return found == before || found == expected;
        },
        right);
}

void check_files() {
    const TemporaryFolder folder;
    const auto path = folder.path() / "model", other = folder.path() / "other", state = folder.path() / "state";
    const Small model{Seed{1}}, second{Seed{2}};
    save(model, path);
    const auto content = file_content(path);
    const auto files = [&] {
        return std::distance(std::filesystem::directory_iterator{folder.path()}, std::filesystem::directory_iterator{});
    };
    save(second, other);
    const auto other_content = file_content(other);
    refuse_each(
        "saving weights",
        [&] {
            write_file(other, other_content);
            return 0;
        },
        [&](int) { save(model, other); }, [&](int) { return files() == 2 && file_content(other) == other_content; },
        [&](int) { return files() == 2 && file_content(other) == content; });
    refuse_each(
        "loading weights", [] { return std::make_unique<Small>(Seed{2}); }, [&](auto& loaded) { load(*loaded, path); },
        [&](auto& loaded) { return *loaded == second; }, [&](auto& loaded) { return *loaded == model; });

    const Batch batch{Net::image};
    const auto trained = [&](std::uint64_t seed) {
        auto training = std::make_unique<Training>();
        training->model = Small{Seed{seed}};
        training->trainer.step(batch.images, batch.labels);
        training->before = training->model;
        return training;
    };
    refuse_each(
        "assigning a model", [] { return std::make_unique<Small>(Seed{2}); },
        [&](auto& model_to) { *model_to = model; }, [&](auto& model_to) { return *model_to == second; },
        [&](auto& model_to) { return *model_to == model; });
    const auto first = trained(1);
    save_checkpoint(state, first->trainer, {});
    const auto state_content = file_content(state);
    refuse_each(
        "saving a checkpoint",
        [&] {
            write_file(other, other_content);
            return 0;
        },
        [&](int) { save_checkpoint(other, first->trainer, {}); },
        [&](int) { return files() == 3 && file_content(other) == other_content; },
        [&](int) { return files() == 3 && file_content(other) == state_content; });
    refuse_each(
        "loading a checkpoint", [&] { return trained(2); },
        [&](auto& training) { load_checkpoint(state, training->trainer); },
        [](auto& training) { return training->model == training->before; },
        [&](auto& training) {
            save_checkpoint(other, training->trainer, {});
            return training->model == first->model && file_content(other) == state_content;
        });

    struct Averaged {
        Held training;
        MovingAverage<Net> average;
    };
    const MovingAverage<Net> average{second, 0.9f};
    save_checkpoint(state, first->trainer, {}, &average);
    refuse_each(
        "loading a checkpoint with an average",
        [&] {
            Averaged averaged{trained(2), {model, 0.5f}};
            averaged.training->trainer.forward(batch.images, batch.labels);
            averaged.training->trainer.backward();
            return averaged;
        },
        [&](auto& averaged) { load_checkpoint(state, averaged.training->trainer, &averaged.average); },
        [&](auto& averaged) {
            const bool same =
                averaged.training->model == averaged.training->before && averaged.average.model() == model;
            averaged.training->trainer.apply();  // what was begun is still there
            return same;
        },
        [&](auto& averaged) { return averaged.training->model == first->model && averaged.average.model() == second; });
}

/// Enough work for two threads.
void check_threads() {
    const tbb::global_control control{tbb::global_control::max_allowed_parallelism, 2};
    tbb::task_arena arena{2};
    arena.execute([&] {
        const Batch batch{{16, 16}, 16};
        Training once;
        once.trainer.step(batch.images, batch.labels);
        refuse_each(
            "2 threads: the first step", [] { return std::make_unique<Training>(); },
            [&](auto& training) { training->trainer.step(batch.images, batch.labels); },
            [](auto& training) { return training->model == training->before; },
            [&](auto& training) { return training->model == once.model; });
    });
}

}  // namespace

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what was found is seen even where the program dies
    // Thousands of saves: syncing a file in memory costs nothing.
    if (std::filesystem::exists("/dev/shm")) ::setenv("TMPDIR", "/dev/shm", 0);
    check_training();
    check_inference();
    check_files();
    check_threads();
    constexpr long fewest = 10'000;  // else malloc is not the one of this program
    if (all_refusals < fewest) {
        std::printf("expected at least %ld refusals\n", fewest);
        ++failures;
    }
    std::printf("%ld allocations refused: %s\n", all_refusals, failures == 0 ? "all as promised" : "FAILED");
    return failures == 0 ? 0 : 1;
}
