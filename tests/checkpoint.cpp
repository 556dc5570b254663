#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>  // setrlimit
#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/checkpoint.hpp>
#include <resnet/data/loader.hpp>

#include "data/temporary_folder.hpp"
#include "support/draft.hpp"
#include "support/engine.hpp"
#include "support/file_content.hpp"
#include "support/killed_save.hpp"
#include "support/networks.hpp"
#include "support/values.hpp"

using namespace resnet;
using tests::Draft;
using tests::EveryNode;
using tests::SmallResNet;
using tests::Tiny;

namespace {

constexpr std::uint32_t epochs = 2;
constexpr Index all_steps = std::numeric_limits<Index>::max();

/// A run of two epochs of five batches, the last of them smaller, on images that are changed at random.
struct Recipe {
    OptimizerSettings optimizer = Adam{.learning_rate = 1e-2f};
    TrainerOptions options{.plan = {.block = 1}};

    static constexpr Seed seed{9};
};

Dataset dataset(Extent extent, int classes) {
    constexpr std::size_t images = 22;
    std::vector<std::uint8_t> pixels;
    for (const int value : tests::labels(images * static_cast<std::size_t>(extent.area() * 3), 256))
        pixels.push_back(static_cast<std::uint8_t>(value));
    return {extent, pixels, tests::labels(images, classes),
            std::vector<std::string>(static_cast<std::size_t>(classes))};
}

/// Adds a random number to each image.
void lighten(MutableImage image, const Sample& sample) {
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

/// The message of the error for a checkpoint that `change` has edited; trainer and model have to be as they were.
template <class E = FormatError>
std::string refusal(auto&& change) {
    const TemporaryFolder folder;
    const auto saved = folder.path() / "saved", edited = folder.path() / "edited";
    TrainingRun<Tiny<5>> run{{}};
    run.go_on(1, 3);
    run.save(saved);
    Draft draft{saved};
    change(draft);
    draft.write(edited);
    TrainingRun<Tiny<5>> other{{}, Seed{2}};
    other.go_on(1, 1);
    const auto before = other.state();
    const std::string message = message_of<E>([&] { load_checkpoint(edited, other.trainer); });
    CHECK((other.state() == before) == !message.empty());
    return message.starts_with(edited.string()) ? message.substr(edited.string().size()) : message;
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
    CHECK(message_of<FormatError>([&] { load_checkpoint(path, resumed.trainer); }).find("average/fc.bias") !=
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

TEST_CASE("checkpoint: the file has PyTorch's names, the parts before a slash, and the rest as text") {
    const TemporaryFolder folder;
    TrainingRun<Tiny<5>> run{{}};
    run.go_on(1, 7);
    run.model.freeze("conv1.*");
    run.position.notes["best"] = "0.5";
    run.save(folder.path() / "checkpoint");
    const TensorFile file{folder.path() / "checkpoint"};
    std::string list;
    for (const TensorRecord& tensor : file.tensors())
        list += tensor.name + ' ' + std::string{name(tensor.type)} + ' ' + detail::shape_text(tensor.shape) + '\n';
    CHECK(list ==
          "bn1.num_batches_tracked I64 []\n"
          "conv1.weight F32 [4, 3, 3, 3]\n"
          "conv1.bias F32 [4]\n"
          "bn1.weight F32 [4]\n"
          "bn1.bias F32 [4]\n"
          "bn1.running_mean F32 [4]\n"
          "bn1.running_var F32 [4]\n"
          "fc.weight F32 [5, 4]\n"
          "fc.bias F32 [5]\n"
          "optimizer/first/conv1.weight F32 [4, 3, 3, 3]\n"
          "optimizer/first/conv1.bias F32 [4]\n"
          "optimizer/first/bn1.weight F32 [4]\n"
          "optimizer/first/bn1.bias F32 [4]\n"
          "optimizer/first/fc.weight F32 [5, 4]\n"
          "optimizer/first/fc.bias F32 [5]\n"
          "optimizer/second/conv1.weight F32 [4, 3, 3, 3]\n"
          "optimizer/second/conv1.bias F32 [4]\n"
          "optimizer/second/bn1.weight F32 [4]\n"
          "optimizer/second/bn1.bias F32 [4]\n"
          "optimizer/second/fc.weight F32 [5, 4]\n"
          "optimizer/second/fc.bias F32 [5]\n"
          "optimizer/live I8 [13]\n");
    Metadata metadata = file.metadata();
    std::erase_if(metadata, [](const auto& item) {
        return item.first == "checksum" || item.first.starts_with("fingerprint.") ||
               item.first == "optimizer.learning_rate";
    });
    CHECK(metadata == Metadata{{"format", "resnet"},
                               {"format_version", "1"},
                               {"kind", "checkpoint"},
                               {"checkpoint_version", "1"},
                               {"normalization.mean", "0.485 0.456 0.406"},
                               {"normalization.standard_deviation", "0.229 0.224 0.225"},
                               {"frozen", "conv1.weight conv1.bias"},
                               {"optimizer.name", "Adam"},
                               {"optimizer.beta1", "0.9"},
                               {"optimizer.beta2", "0.999"},
                               {"optimizer.epsilon", "1e-08"},
                               {"optimizer.weight_decay", "0"},
                               {"optimizer.steps", "7"},
                               {"position.seed", "9"},
                               {"position.epoch", "1"},
                               {"position.batch", "2"},
                               {"note.best", "0.5"}});
    CHECK(detail::number_in<float>(file, "optimizer.learning_rate") == run.trainer.learning_rate());
}

TEST_CASE("checkpoint: every setting of each optimizer comes back to the bit, from one that was set otherwise") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    const auto check = [&](const OptimizerSettings& settings, const OptimizerSettings& others) {
        TrainingRun<Tiny<5>> run{{.optimizer = settings}}, other{{.optimizer = others}};
        run.save(path);
        other.load(path);
        CHECK(detail::settings_text(other.trainer.optimizer().settings()) == detail::settings_text(settings));
        CHECK(detail::settings_text(settings) != detail::settings_text(others));
    };
    check(Adam{1 / 3.0f, 0.1f, 0.2f, 1e-30f, 7e20f}, Adam{});
    check(AdamW{1 / 7.0f, 0.3f, 0.4f, 1e-45f, 3.4e38f}, AdamW{});
    check(SGD{0.0f, 1 / 9.0f, 1e-7f, true}, SGD{});
    check(SGD{}, SGD{1, 2, 3, true});
}

TEST_CASE("checkpoint: what the bits depend on and is not as it was is said, and the run goes on") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<5>> run{{}};
    run.go_on(1, 1);
    run.save(path);
    Draft draft{path};
    draft.metadata["fingerprint.compiler"] = "Cfront 3.0";
    draft.metadata["fingerprint.library"] = "0.0.9";
    draft.metadata.erase("fingerprint.precision");
    draft.write(path);
    TrainingRun<Tiny<5>> other{{.options = {.clip_norm = 1, .plan = {.isa = Isa::baseline}}}};
    std::vector<std::string> expected{"block 1, now 0", "clip_norm 0, now 1",
                                      "compiler Cfront 3.0, now " + detail::compiler()};
    if (current_isa() != Isa::baseline)
        expected.push_back(detail::text("instruction set ", name_of(current_isa()), ", now baseline"));
    expected.push_back(detail::text("library 0.0.9, now ", version));
    expected.emplace_back("precision unknown, now F32");
    CHECK(other.load(path) == expected);
    CHECK(other.model == run.model);

    Model<Tiny<5>, double> fine{Seed{1}};
    Trainer trainer{fine, Adam{}, {.plan = {.block = 1}}};
    run.save(path);
    CHECK(load_checkpoint(path, trainer).differences == std::vector<std::string>{"precision F32, now F64"});
}

TEST_CASE("checkpoint: one of another network or optimizer is refused with all that does not fit") {
    CHECK(refusal([](Draft&) {}).empty());
    CHECK(refusal([](Draft& draft) {
              draft.remove("fc.bias");
              draft.remove("optimizer/second/fc.bias");
              draft["optimizer/first/fc.bias"].name = "average/fc.bias";
          }) ==
          ": expected a checkpoint of this network and optimizer, found 3 missing: fc.bias, optimizer/first/fc.bias, "
          "optimizer/second/fc.bias; 1 unexpected: average/fc.bias");
    CHECK(refusal([](Draft& draft) {
              draft["optimizer/first/conv1.weight"].shape = {4, 27};
          }) ==
          ": expected a checkpoint of this network and optimizer, found 1 different: optimizer/first/conv1.weight "
          "[4, 27] instead of [4, 3, 3, 3]");
    const auto message = refusal([](Draft& draft) {
        draft.metadata["optimizer.name"] = "SGD";
        draft.remove("optimizer/first/fc.bias");
        draft.remove("fc.bias");
    });
    CHECK(message ==
          ": expected a checkpoint of this network and optimizer, found 1 missing: fc.bias; 1 different: optimizer SGD "
          "instead of Adam");

    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<2>>{{}}.save(path);
    TrainingRun<Tiny<5>> other{{.optimizer = SGD{}}};
    CHECK(
        message_of<FormatError>([&] { other.load(path); })
            .ends_with("found 3 different: optimizer Adam instead of SGD, fc.weight [2, 4] instead of [5, 4], fc.bias "
                       "[2] instead of [5]"));
}

TEST_CASE("checkpoint: another kind of file, and another version, are refused by name") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "file";
    TrainingRun<Tiny<5>> run{{}};
    save(run.model, path);
    const std::string expected =
        ": expected a checkpoint, found another kind of file (load(model, path) reads files with weights alone)";
    CHECK(message_of<FormatError>([&] { run.load(path); }).ends_with(expected));
    CHECK(message_of<FormatError>([&] { read_position(path); }).ends_with(expected));
    CHECK(refusal([](Draft& draft) { draft.metadata["checkpoint_version"] = "2"; }) ==
          ": expected the checkpoint_version 1, found 2 (it may be from a newer version of resnet)");
    CHECK_THROWS_AS(run.load(folder.path() / "missing"), FileError);
}

TEST_CASE("checkpoint: a text that is missing or none of its kind is refused, and nothing has changed") {
    const std::vector<std::string> numbers{"optimizer.steps",        "optimizer.learning_rate", "optimizer.beta1",
                                           "optimizer.beta2",        "optimizer.epsilon",       "position.seed",
                                           "optimizer.weight_decay", "position.epoch",          "position.batch"};
    for (const std::string& key : numbers) {
        CHECK(refusal([&](Draft& draft) { draft.metadata.erase(key); }) ==
              detail::text(": expected metadata with the key ", key, ", found none"));
        for (const char* const text : {"", "x", "1 ", "01", "0x1", "1e"}) {
            CHECK(refusal([&](Draft& draft) { draft.metadata[key] = text; }) ==
                  detail::text(": ", key, ": expected a number of its type, found ", text));
        }
    }
    CHECK(refusal([](Draft& draft) { draft.metadata["position.batch"] = "-2"; }) ==
          ": position.batch: expected a number of at least 0, found -2");
    CHECK(refusal([](Draft& draft) {
              draft.metadata["position.epoch"] = "4294967296";
          }).starts_with(": position.epoch: expected a number"));
    for (const char* const text : {"fc.weights", "fc.bias fc.weight", "fc.bias ", "bn1.running_mean"}) {
        CHECK(refusal([&](Draft& draft) { draft.metadata["frozen"] = text; }) ==
              detail::text(": frozen: expected names of this network's parameters, found ", text));
    }
    CHECK(refusal([](Draft& draft) { draft.metadata.erase("checkpoint_version"); }) ==
          ": expected metadata with the key checkpoint_version, found none");
}

TEST_CASE("checkpoint: a damaged or cut file is found, and trainer and model are as they were") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "damaged";
    TrainingRun<Tiny<5>> run{{}};
    run.go_on(1, 1);
    run.save(folder.path() / "checkpoint");
    const auto bytes = file_content(folder.path() / "checkpoint");
    TrainingRun<Tiny<5>> other{{}, Seed{2}};
    const auto before = other.state();
    for (std::size_t i = 0; i < bytes.size(); i += 7) {
        auto damaged = bytes;
        damaged[i] ^= static_cast<std::uint8_t>(1 << i % 8);
        for (const std::span<const std::uint8_t> broken : {std::span{damaged}, std::span{damaged}.first(i)}) {
            std::filesystem::remove(path);  // writing over a file makes some file systems wait for the disk
            write_file(path, broken);
            CHECK_THROWS_AS(other.load(path), FormatError);
        }
    }
    CHECK(other.state() == before);
}

TEST_CASE("checkpoint: between a forward and its apply there is nothing that could be resumed") {
    const TemporaryFolder folder;
    TrainingRun<Tiny<5>> run{{}};
    const auto pixels = tests::uniform<float>(3 * 3 * 8 * 8, 1);
    run.trainer.forward(nchw(pixels.data(), 3, {8, 8}), tests::labels(3, 5));
    CHECK_THROWS_WITH_AS(run.save(folder.path() / "checkpoint"),
                         "save_checkpoint: expected an apply after each forward, found a forward without it", Error);
    run.trainer.backward();
    CHECK_THROWS_AS(run.save(folder.path() / "checkpoint"), Error);
    run.trainer.apply();
    run.save(folder.path() / "checkpoint");
}

TEST_CASE("checkpoint: a batch below 0 is not saved, and a note may be any text") {
    const TemporaryFolder folder;
    TrainingRun<Tiny<5>> run{{}};
    run.position.batch = -2;
    CHECK_THROWS_WITH_AS(run.save(folder.path() / "checkpoint"),
                         "save_checkpoint: expected a batch of at least 0, found -2", Error);
    run.position.batch = 2;
    run.position.notes = {{"a", "crc32c:00000000"}, {"\"checksum", "crc32c:00000000"}, {"checksum\"", "\\\"\n"}};
    const auto notes = run.position.notes;
    run.save(folder.path() / "checkpoint");
    run.load(folder.path() / "checkpoint");
    CHECK(run.position.notes == notes);
}

TEST_CASE("checkpoint: a save writes, syncs, renames, and syncs the folder, in this order") {
    const TemporaryFolder folder;
    TrainingRun<Tiny<5>> run{{}};
    auto traced = tests::trace_save([&] { run.save(folder.path() / "checkpoint"); }, 0);
    if (!traced.possible) {
        MESSAGE("processes can't be traced here: nothing was checked");
        return;
    }
    REQUIRE(traced.finished);
    CHECK(std::ranges::count(traced.calls, "write file") > 20);  // a call or more for each tensor
    traced.calls.erase(std::unique(traced.calls.begin(), traced.calls.end()), traced.calls.end());
    CHECK(traced.calls == std::vector<std::string>{"write file", "fsync file", "rename", "fsync folder"});
}

TEST_CASE("checkpoint: killed at any system call of a save, the old file or the new one is left whole") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<5>> run{{}};
    const auto old_state = run.state();
    TrainingRun<Tiny<5>> further{{}};
    further.go_on(1, 3);
    const auto new_state = further.state();
    int old_files = 0, new_files = 0;
    const bool traced = tests::kill_at_each_system_call(
        [&] {
            if (old_files == 0 || new_files > 0) run.save(path);
        },
        [&] { further.save(path); },
        [&] {
            const auto left = file_content(path);
            CHECK((left == old_state || left == new_state));
            TrainingRun<Tiny<5>>{{}, Seed{2}}.load(path);
            ++(left == old_state ? old_files : new_files);
        });
    if (!traced) return;
    CHECK(old_files > 60);  // a write for each tensor, open, fsync, close, rename and more, twice each
    CHECK(new_files > 2);
}

TEST_CASE("checkpoint: a disk without room for it is reported, the old file stays and nothing is left beside it") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "checkpoint";
    TrainingRun<Tiny<5>> run{{}};
    run.save(path);
    const auto old_state = file_content(path);
    run.go_on(1, 1);
    for (const rlim_t bytes : {rlim_t{0}, rlim_t{100}, rlim_t{old_state.size() - 1}}) {
        CAPTURE(bytes);
        const pid_t child = ::fork();
        REQUIRE(child >= 0);
        if (child == 0) {  // the limit is of the process: the kernel cuts a write short, then fails it
            ::signal(SIGXFSZ, SIG_IGN);
            const rlimit limit{bytes, bytes};
            ::setrlimit(RLIMIT_FSIZE, &limit);
            const auto message = message_of<FileError>([&] { run.save(path); });
            ::_exit(message == path.string() + ": expected to write it, found " + std::strerror(EFBIG) ? 0 : 1);
        }
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == 0);
        CHECK(file_content(path) == old_state);
        CHECK(std::distance(std::filesystem::directory_iterator{folder.path()}, {}) == 1);
    }
}
