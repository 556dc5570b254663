// Runs that are stopped and resumed; the file itself is checkpoint_file.cpp's.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <resnet/checkpoint.hpp>

#include "data/temporary_folder.hpp"
#include "support/engine.hpp"
#include "support/networks.hpp"
#include "support/training_run.hpp"
#include "support/values.hpp"

using namespace resnet;
using tests::EveryNode;
using tests::Recipe;
using tests::SmallResNet;
using tests::Tiny;
using tests::TrainingRun;

namespace {

/// Cuts a run after each of its steps, goes on in a new one with another number of threads, and compares the ends.
template <class Net>
void check_each_cut(const Recipe& recipe) {
    TrainingRun<Net> whole{recipe};
    whole.go_on(2);
    const auto steps = std::ssize(whole.losses);
    REQUIRE(steps == 10);
    const auto expected = whole.state();

    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Net> cut{recipe};
    for (Index step = 0; step <= steps; ++step) {
        CAPTURE(step);
        if (step > 0) cut.go_on(1, 1);
        // After the last batch of an epoch the run is at its end, and at the begin of the next.
        std::vector<RunPosition> positions{cut.position};
        if (cut.position.batch == cut.loader.batches())
            positions.push_back({.seed = Recipe::seed, .epoch = cut.position.epoch + 1});
        CHECK(positions.size() == (step == 5 || step == 10 ? 2 : 1));
        for (const RunPosition& position : positions) {
            save_checkpoint(path, cut.trainer, position);
            TrainingRun<Net> resumed{recipe, Seed{77}};
            CHECK(resumed.load(path).empty());
            resumed.go_on(3);
            CHECK(std::ranges::equal(resumed.losses, std::span{whole.losses}.subspan(static_cast<std::size_t>(step))));
            CHECK(resumed.state() == expected);
        }
    }
}

}  // namespace

TEST_CASE("checkpoint: a run that is cut after any step ends with the same bits, with another number of threads") {
    SUBCASE("Adam") { check_each_cut<EveryNode>({}); }
    SUBCASE("AdamW") { check_each_cut<EveryNode>({.optimizer = AdamW{.learning_rate = 1e-2f}}); }
    SUBCASE("SGD with momentum") {
        check_each_cut<EveryNode>({.optimizer = SGD{.learning_rate = 1e-2f, .momentum = 0.9f, .nesterov = true}});
    }
    SUBCASE("clipping and smoothing") {
        check_each_cut<EveryNode>({.options = {.label_smoothing = 0.1f, .clip_norm = 0.5f, .plan = {.block = 1}}});
    }
}

TEST_CASE("checkpoint: a trainer that has trained on something else becomes what was saved") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<EveryNode> run{{}};
    run.go_on(1, 4);
    run.position.notes = {{"best", "0.1"}, {"an empty one", ""}};
    run.save(path);
    const auto saved = run.state();
    run.go_on(1, 3);
    run.model.freeze("fc*");
    run.model.set_normalization({.mean = {1, 2, 3}});
    run.trainer.forward(nhwc(tests::uniform<float>(360, 1).data(), 1, {12, 10}), std::vector<int>{1});
    run.position = {};
    CHECK(run.load(path).empty());
    CHECK(run.position.notes == Metadata{{"best", "0.1"}, {"an empty one", ""}});
    CHECK(run.trainer.optimizer().steps() == 4);
    CHECK(run.state() == saved);
    CHECK(read_position(path).notes == run.position.notes);
    CHECK(read_position(path).batch == 4);
    CHECK(read_position(path).seed.value == Recipe::seed.value);

    TrainingRun<EveryNode> whole{{}};
    whole.go_on(1);
    for (int twice = 0; twice < 2; ++twice) {
        run.load(path);
        run.position.notes.clear();
        run.go_on(1);
        CHECK(run.state() == whole.state());
    }
}

TEST_CASE("checkpoint: gradients from before it was loaded are gone, also for a backward that accumulates") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<EveryNode> run{{}};
    run.save(path);
    run.go_on(1, 2);
    TrainingRun<EveryNode> fresh{{}, Seed{77}};
    for (auto* const resumed : {&run, &fresh}) {
        resumed->load(path);
        const auto images = resumed->data.images().slice(0, 4);
        resumed->trainer.forward(images, resumed->data.labels().first(4));
        resumed->trainer.backward(true);
        resumed->trainer.apply();
    }
    CHECK(run.state() == fresh.state());
}

TEST_CASE("checkpoint: parameters that were thawed go on with their own count of steps") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<EveryNode> whole{{}}, resumed{{}, Seed{77}};
    whole.model.freeze("stem.*");
    whole.go_on(1, 3);
    whole.model.unfreeze("stem.*");
    whole.go_on(1, 2);
    whole.save(path);
    resumed.load(path);
    const auto& steps = resumed.trainer.optimizer().parameter_steps();
    CHECK(steps == whole.trainer.optimizer().parameter_steps());
    CHECK(std::ranges::count(steps, 2) > 0);
    CHECK(std::ranges::count(steps, 5) > 0);
    for (auto* const run : {&whole, &resumed}) run->go_on(1);
    CHECK(resumed.state() == whole.state());
}

TEST_CASE("checkpoint: what is frozen stays frozen") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    const Recipe recipe{.optimizer = AdamW{.learning_rate = 1e-2f}};  // which would shrink frozen weights
    TrainingRun<EveryNode> whole{recipe};
    whole.go_on(1, 2);
    whole.model.freeze("stem.weight");
    whole.model.freeze("*fc2*");
    whole.go_on(1, 1);
    whole.save(path);
    whole.go_on(1);
    TrainingRun<EveryNode> resumed{recipe, Seed{77}};
    resumed.load(path);
    CHECK(resumed.model.parameters()[0].frozen);
    CHECK_FALSE(resumed.model.parameters()[1].frozen);
    resumed.go_on(1);
    CHECK(resumed.state() == whole.state());
}

TEST_CASE("checkpoint: what earlier images of another size have left in the optimizer goes on to count") {
    // On 2x2 pixels the last maps are 1x1: eight of nine taps get no gradient any more, but Adam still moves them, and
    // the sum of the gradient's norm is split where they begin.
    const Recipe recipe{.options = {.clip_norm = 0.5f, .plan = {.block = 1}}};
    const auto pixels = tests::uniform<float>(4 * 3 * 16 * 16, 1);
    const auto step = [&](TrainingRun<SmallResNet>& run, Extent extent) {
        run.losses.push_back(run.trainer.step(nchw(pixels.data(), 4, extent), tests::labels(4, 5)).gradient_norm);
    };
    const TemporaryFolder folder;
    TrainingRun<SmallResNet> whole{recipe}, resumed{recipe, Seed{77}};
    for (int i = 0; i < 2; ++i) step(whole, {16, 16});
    whole.save(folder.path() / "checkpoint");
    for (int i = 0; i < 3; ++i) step(whole, {2, 2});
    resumed.load(folder.path() / "checkpoint");
    for (int i = 0; i < 3; ++i) step(resumed, {2, 2});
    CHECK(std::ranges::equal(resumed.losses, std::span{whole.losses}.subspan(2)));
    CHECK(resumed.state() == whole.state());
}

TEST_CASE("checkpoint: a moving average goes on, and one that is missing or too much is refused") {
    using Net = SmallResNet;
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint", without = folder.path() / "without";
    const auto go_on = [](TrainingRun<Net>& run, MovingAverage<Net>& average, int steps) {
        for (int step = 0; step < steps; ++step) {
            run.go_on(2, 1);
            average.update(run.model);
        }
    };
    TrainingRun<Net> whole{{}}, cut{{}}, resumed{{}, Seed{5}};
    MovingAverage<Net> expected{whole.model, 0.9f}, average{cut.model, 0.9f}, other{resumed.model, 0.9f};
    for (TrainingRun<Net>* const run : {&whole, &cut}) {
        run->model.freeze("conv1.weight");
        run->model.set_normalization({.mean = {1, 2, 3}});
    }
    go_on(whole, expected, 6);
    go_on(cut, average, 4);
    save_checkpoint(path, cut.trainer, cut.position, &average);
    cut.save(without);
    const auto before = resumed.state();
    const Model<Net> other_before = other.model();
    CHECK(message_of<FormatError>([&] { load_checkpoint(path, resumed.trainer, nullptr); }).find("average/fc.bias") !=
          std::string::npos);
    CHECK(message_of<FormatError>([&] {
              load_checkpoint(without, resumed.trainer, &other);
          }).find("missing: average/") != std::string::npos);
    CHECK((resumed.state() == before && other.model() == other_before));
    const auto [position, differences] = load_checkpoint(path, resumed.trainer, &other);
    CHECK(differences.empty());
    resumed.position = position;
    CHECK(other.model() == average.model());  // and the normalisation
    CHECK(other.model().weights().frozen() == average.model().weights().frozen());
    CHECK(other.model().parameters()[0].frozen);
    MovingAverage<Net> faster{whole.model, 0.5f};
    CHECK(load_checkpoint(path, resumed.trainer, &faster).differences ==
          std::vector<std::string>{"decay 0.9, now 0.5"});
    go_on(resumed, other, 2);
    CHECK(resumed.model == whole.model);
    CHECK(other.model() == expected.model());
    Model<Net> weights{Seed{8}};
    load(weights, path);  // the model's own, not the average
    CHECK(weights == cut.model);
    load(weights, path, {.prefix = "average/"});
    CHECK(weights == average.model());
}

TEST_CASE("checkpoint: an SGD without momentum, and a trainer that has not trained, can be kept") {
    const TemporaryFolder folder;
    const Recipe recipe{.optimizer = SGD{.learning_rate = 0.1f}};
    TrainingRun<Tiny<5>> fresh{recipe}, resumed{recipe, Seed{2}};
    fresh.save(folder.path() / "checkpoint");
    resumed.load(folder.path() / "checkpoint");
    fresh.go_on(1);
    resumed.go_on(1);
    CHECK(resumed.state() == fresh.state());
}

TEST_CASE("checkpoint: a model takes its weights and normalisation out of a checkpoint") {
    const TemporaryFolder folder;
    TrainingRun<EveryNode> run{{}};
    run.model.set_normalization({.mean = {1, 2, 3}});
    run.go_on(1, 2);
    run.save(folder.path() / "checkpoint");
    Model<EveryNode> model{Seed{3}};
    load(model, folder.path() / "checkpoint");
    CHECK(model == run.model);
}
