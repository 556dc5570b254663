// What is in a checkpoint's file, and which files and saves are refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <resnet/checkpoint.hpp>

#include "data/temporary_folder.hpp"
#include "support/draft.hpp"
#include "support/engine.hpp"
#include "support/file_content.hpp"
#include "support/networks.hpp"
#include "support/training_run.hpp"
#include "support/values.hpp"

using namespace resnet;
using tests::Draft;
using tests::Tiny;
using tests::TrainingRun;

namespace {

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
          "optimizer/steps I64 [6]\n"
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
                               {"checkpoint_version", "2"},
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
    check(AdamW{1 / 7.0f, 0.3f, 0.4f, 1.2e-38f, 3.4e38f}, AdamW{});
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
    CHECK(
        refusal([](Draft& draft) { draft.metadata["checkpoint_version"] = "3"; }) ==
        ": expected the checkpoint_version 2, found 3 (another version of resnet made it; load(model, path) reads its "
        "weights)");
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
          ": position.batch: expected a number of 0 ... 1e18, found -2");
    CHECK(refusal([](Draft& draft) { draft.metadata["optimizer.steps"] = "-1"; }) ==
          ": optimizer.steps: expected a number of 0 ... 1e18, found -1");
    CHECK(refusal([](Draft& draft) { draft.metadata["optimizer.steps"] = "9223372036854775807"; }) ==
          ": optimizer.steps: expected a number of 0 ... 1e18, found 9223372036854775807");
    CHECK(refusal([](Draft& draft) { draft.metadata["optimizer.steps"] = "2"; }) ==
          ": optimizer/steps: expected numbers of 0 ... 2, found 3");
    CHECK(refusal([](Draft& draft) { draft.metadata["optimizer.learning_rate"] = "-1"; }) ==
          ": optimizer.learning_rate: expected a finite number of at least 0, found -1.000000");
    CHECK(refusal([](Draft& draft) { draft.metadata["optimizer.beta1"] = "2"; }) ==
          ": optimizer.beta1: expected 0 ... 1, without 1, found 2.000000");
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
    std::size_t cases = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 7) {
        auto damaged = bytes;
        damaged[i] ^= static_cast<std::uint8_t>(1 << i % 8);
        for (const std::span<const std::uint8_t> broken : {std::span{damaged}, std::span{damaged}.first(i)}) {
            std::filesystem::remove(path);  // writing over a file makes some file systems wait for the disk
            write_file(path, broken);
            CHECK_THROWS_AS(other.load(path), FormatError);
            ++cases;
        }
    }
    CHECK(other.state() == before);
    MESSAGE(cases << " damaged or cut files");
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
