#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/layers.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/draft.hpp"
#include "../support/engine.hpp"
#include "../support/file_content.hpp"
#include "../support/killed_save.hpp"
#include "../support/networks.hpp"

using namespace resnet;
using tests::Draft;
using tests::Tiny;

namespace {

const std::filesystem::path fixtures = std::filesystem::path{__FILE__}.parent_path() / "fixtures";

using Net = Model<Tiny<5>>;

/// A model of which every number is its own.
Net trained() {
    Net model{Seed{1}, {.mean = {0.1f, 0.2f, 1 / 3.0f}, .standard_deviation = {0.4f, 1e-10f, 12345678}}};
    model.set_parameter("bn1.running_mean", std::vector{0.5f, -0.5f, 1.5f, 2.5f});
    model.set_parameter("bn1.running_var", std::vector{0.25f, 2.0f, 3.0f, 4.0f});
    model.weights().counters()[0] = (1ll << 53) + 1;  // no float, and no double, holds it
    return model;
}

/// Saves a model, lets `change` edit the file, and loads it into another model; if that fails it has to be as it was.
template <class E = FormatError>
std::string refusal(auto&& change, const LoadOptions& options = {}) {
    const TemporaryFolder folder;
    const auto saved = folder.path() / "saved", edited = folder.path() / "edited";
    save(trained(), saved);
    Draft draft{saved};
    change(draft);
    draft.write(edited);
    Net model{Seed{2}};
    const Net before = model;
    const std::string message = message_of<E>([&] { load(model, edited, options); });
    if (!message.empty()) CHECK(model == before);
    return message.starts_with(edited.string()) ? message.substr(edited.string().size()) : message;
}

/// As PyTorch's DataParallel and AveragedModel name them.
void behind_module(Draft& draft) {
    for (TensorRecord& tensor : draft.tensors) tensor.name = "module." + tensor.name;
}

}  // namespace

TEST_CASE("weights: what was saved is loaded, to the bit: parameters, statistics, counters and the normalisation") {
    const TemporaryFolder folder;
    const Net model = trained();
    save(model, folder.path() / "model");
    Net loaded{Seed{2}};
    load(loaded, folder.path() / "model");
    CHECK(loaded == model);
    CHECK(loaded.normalization() == model.normalization());
    save(loaded, folder.path() / "again");
    CHECK(file_content(folder.path() / "again") == file_content(folder.path() / "model"));
}

TEST_CASE("weights: the caller's notes are in the metadata, and a file with them is loaded as one without") {
    const TemporaryFolder folder;
    const Net model = trained();
    save(model, folder.path() / "model", {{"recipe", "fast"}, {"seed", "7"}});
    const Metadata metadata = TensorFile{folder.path() / "model"}.metadata();
    CHECK(metadata.at("note.recipe") == "fast");
    CHECK(metadata.at("note.seed") == "7");
    Net loaded{Seed{2}};
    load(loaded, folder.path() / "model");
    CHECK(loaded == model);
    save(model, folder.path() / "other", {{"latin 1", "\xe9t\xc3\xa9"}, {"long", "a/b\n"}});
    CHECK(TensorFile{folder.path() / "other"}.metadata().at("note.latin 1") == "\xef\xbf\xbdt\xc3\xa9");
    CHECK(TensorFile{folder.path() / "other"}.metadata().at("note.long") == "a/b\n");
}

TEST_CASE("weights: a model in double is saved in double, and each reads the other's file") {
    const TemporaryFolder folder;
    Model<Tiny<5>, double> fine{Seed{3}};
    save(fine, folder.path() / "fine");
    CHECK(TensorFile{folder.path() / "fine"}.find("fc.weight")->type == TensorType::f64);
    Model<Tiny<5>, double> same{Seed{4}};
    load(same, folder.path() / "fine");
    CHECK(same == fine);
    Net coarse{Seed{4}};
    load(coarse, folder.path() / "fine");
    CHECK(coarse.parameter("fc.weight")[7] == static_cast<float>(fine.parameter("fc.weight")[7]));
}

TEST_CASE("weights: a file has PyTorch's names, shapes and order of elements") {
    const TemporaryFolder folder;
    const Net model = trained();
    save(model, folder.path() / "model");
    const TensorFile file{folder.path() / "model"};
    std::string list;
    for (const TensorRecord& tensor : file.tensors()) {
        list += tensor.name + ' ' + std::string{name(tensor.type)} + ' ' + detail::shape_text(tensor.shape) + '\n';
    }
    CHECK(list ==
          "bn1.num_batches_tracked I64 []\n"
          "conv1.weight F32 [4, 3, 3, 3]\n"
          "conv1.bias F32 [4]\n"
          "bn1.weight F32 [4]\n"
          "bn1.bias F32 [4]\n"
          "bn1.running_mean F32 [4]\n"
          "bn1.running_var F32 [4]\n"
          "fc.weight F32 [5, 4]\n"
          "fc.bias F32 [5]\n");
    CHECK(file.read<float>("conv1.weight") == model.parameter("conv1.weight"));
}

TEST_CASE("weights: a file of PyTorch's gives PyTorch's logits, and is written as check_with_python.py reads it") {
    Net model{Seed{1}};
    load(model, fixtures / "network.safetensors");
    const TensorFile expected{fixtures / "network_logits.safetensors"};
    const auto images = expected.read<float>("images"), logits = expected.read<float>("logits");
    const Classifier classify{model};
    const auto found = classify(nchw(images.data(), 2, {8, 8}));
    REQUIRE(found.values().size() == logits.size());
    for (std::size_t i = 0; i < logits.size(); ++i) CHECK(std::abs(found.values()[i] - logits[i]) < 1e-5f);

    const TemporaryFolder folder;
    save(model, folder.path() / "ours");
    CHECK(file_content(folder.path() / "ours") == file_content(fixtures / "network_ours.safetensors"));
}

TEST_CASE("weights: a file that does not fit is refused with all that is missing, unexpected or different") {
    CHECK(refusal([](Draft&) {}).empty());
    CHECK(refusal([](Draft& draft) { draft.remove("fc.bias"); }) ==
          ": expected the weights of this network, found 1 missing: fc.bias");
    CHECK(refusal([](Draft& draft) { draft["fc.bias"].name = "head.bias"; }) ==
          ": expected the weights of this network, found 1 missing: fc.bias; 1 unexpected: head.bias");
    CHECK(refusal(behind_module) ==
          ": expected the weights of this network, found 8 missing: conv1.weight, conv1.bias, bn1.weight, bn1.bias, "
          "bn1.running_mean, bn1.running_var, fc.weight, fc.bias; 9 unexpected: module.bn1.num_batches_tracked, "
          "module.conv1.weight, module.conv1.bias, module.bn1.weight, module.bn1.bias, module.bn1.running_mean, "
          "module.bn1.running_var, module.fc.weight, module.fc.bias (it has them behind the prefix \"module.\" of "
          "LoadOptions)");
    CHECK(refusal([](Draft& draft) {
              draft["conv1.weight"].shape = {4, 27};
              draft["fc.weight"].shape = {4, 5};
              draft["bn1.num_batches_tracked"].shape = {1};
          }) ==
          ": expected the weights of this network, found 3 different: conv1.weight [4, 27] instead of [4, 3, 3, 3], "
          "bn1.num_batches_tracked [1] instead of [], fc.weight [4, 5] instead of [5, 4]");
    CHECK(refusal([](Draft& draft) {
              draft["fc.bias"].type = TensorType::i32;
              draft["bn1.num_batches_tracked"].type = TensorType::f64;
          }) ==
          ": expected the weights of this network, found 2 different: bn1.num_batches_tracked F64 instead of an "
          "integer, fc.bias I32 instead of a float");
    CHECK(refusal([](Draft& draft) {
              static const std::vector<std::uint64_t> too_many{1ull << 63};
              draft["bn1.num_batches_tracked"] = tensor_record("bn1.num_batches_tracked", {}, too_many);
          }).starts_with(": bn1.num_batches_tracked: expected values of the type I64"));
    CHECK(refusal([](Draft& draft) {
              static const std::vector<std::int64_t> negative{-5};
              draft["bn1.num_batches_tracked"] = tensor_record("bn1.num_batches_tracked", {}, negative);
          }) == ": bn1.num_batches_tracked: expected a count of 0 ... 1e18, found -5");
    CHECK(refusal([](Draft& draft) {
              static const std::vector<std::int64_t> most{std::numeric_limits<std::int64_t>::max()};
              draft["bn1.num_batches_tracked"] = tensor_record("bn1.num_batches_tracked", {}, most);
          }) == ": bn1.num_batches_tracked: expected a count of 0 ... 1e18, found 9223372036854775807");
}

TEST_CASE("weights: num_batches_tracked may be missing, as in PyTorch, and then stays as it is") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "model";
    save(trained(), path);
    Draft draft{path};
    draft.remove("bn1.num_batches_tracked");
    write_tensor_file(folder.path() / "without", draft.tensors);
    Net model{Seed{2}};
    model.weights().counters()[0] = 7;
    load(model, folder.path() / "without");
    CHECK(model.weights().counters()[0] == 7);
    CHECK(model.parameter("fc.bias") == trained().parameter("fc.bias"));
}

TEST_CASE("weights: half precision is taken") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "model";
    save(trained(), path);
    Draft draft{path};
    const std::vector<std::uint16_t> half{0x3C00, 0xC000, 0x3800, 0, 0x0001}, brain{0x3F80, 0xC000, 0x3F00, 0};
    draft["fc.bias"] = {"fc.bias", TensorType::f16, {5}, std::as_bytes(std::span{half})};
    draft["conv1.bias"] = {"conv1.bias", TensorType::bf16, {4}, std::as_bytes(std::span{brain})};
    write_tensor_file(folder.path() / "half", draft.tensors);
    Net model{Seed{2}};
    load(model, folder.path() / "half");
    CHECK(model.parameter("fc.bias") == std::vector{1.0f, -2.0f, 0.5f, 0.0f, 0x1p-24f});
    CHECK(model.parameter("conv1.bias") == std::vector{1.0f, -2.0f, 0.5f, 0.0f});
}

TEST_CASE("weights: tensors may lie at any byte of a foreign file") {
    const TemporaryFolder folder;
    const auto ours = folder.path() / "ours", foreign = folder.path() / "foreign";
    const Net model{Seed{1}};
    save(model, ours);
    nlohmann::json header{{"odd", {{"dtype", "F16"}, {"shape", {1}}, {"data_offsets", {0, 2}}}}};
    std::string data(2, '\0');
    const TensorFile file{ours};
    for (const TensorRecord& tensor : file.tensors()) {
        const std::size_t begin = data.size();
        data.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
        header[tensor.name] = {
            {"dtype", name(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
    }
    const std::string text = header.dump();
    std::string length(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> 8 * i & 0xFF);
    std::ofstream{foreign, std::ios::binary} << length << text << data;
    Net loaded{Seed{2}};
    load(loaded, foreign, {.skip = {"odd"}});
    CHECK(loaded == model);
}

TEST_CASE_TEMPLATE("weights: a number that is not finite is found wherever it stands", Scalar, float, double) {
    using Limits = std::numeric_limits<Scalar>;
    std::vector<Scalar> values{0, Scalar{-0.0}, Limits::max(), Limits::lowest(), Limits::min(), -Limits::denorm_min()};
    values.resize(37, Scalar{1});
    CHECK(detail::all_finite(std::span<const Scalar>{values}));
    CHECK(detail::all_finite(std::span<const Scalar>{}));
    for (const Scalar wrong :
         {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), -Limits::quiet_NaN(), Limits::signaling_NaN()})
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto changed = values;
            changed[i] = wrong;
            CHECK_FALSE(detail::all_finite(std::span<const Scalar>{changed}));
        }
}

TEST_CASE("weights: fine-tuning loads all but what a pattern names, for another number of classes") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "model";
    save(trained(), path);
    Model<Tiny<2>> model{Seed{2}};
    const auto head = model.parameter("fc.weight");
    CHECK(message_of<FormatError>([&] {
              load(model, path);
          }).ends_with("found 2 different: fc.weight [5, 4] instead of [2, 4], fc.bias [5] instead of [2]"));
    load(model, path, {.skip = {"fc.*"}});
    CHECK(model.parameter("conv1.weight") == trained().parameter("conv1.weight"));
    CHECK(model.parameter("bn1.running_mean") == trained().parameter("bn1.running_mean"));
    CHECK(model.parameter("fc.weight") == head);
}

TEST_CASE("weights: a pattern also names what a file lacks or has too much; one that names nothing is a mistake") {
    const auto rename = [](Draft& draft) { draft["fc.bias"].name = "head.bias"; };
    CHECK(refusal(rename, {.skip = {"fc.bias", "head.*"}}).empty());
    CHECK(refusal(rename, {.skip = {"*bias"}}).empty());
    CHECK(refusal(rename, {.skip = {"head.*"}}) == ": expected the weights of this network, found 1 missing: fc.bias");
    CHECK(refusal<Error>([](Draft&) {}, {.skip = {"fc*", "haed.*"}}) ==
          "load: expected a pattern that matches the name of a weight, found haed.*");
}

TEST_CASE("weights: names behind a prefix are loaded, and nothing beside them; patterns are of names without it") {
    const TemporaryFolder folder;
    save(trained(), folder.path() / "saved");
    Draft draft{folder.path() / "saved"};
    auto others = draft.tensors;
    behind_module(draft);
    others.front().name = "n_averaged";
    draft.tensors.push_back(others.front());
    draft.write(folder.path() / "parallel");
    Net model{Seed{2}};
    load(model, folder.path() / "parallel", {.prefix = "module."});
    CHECK(model == trained());
    Model<Tiny<2>> fine_tuned{Seed{2}};
    load(fine_tuned, folder.path() / "parallel", {.skip = {"fc.*"}, .prefix = "module."});
    CHECK(fine_tuned.parameter("conv1.weight") == trained().parameter("conv1.weight"));
    CHECK(refusal(behind_module, {.prefix = "model."}).ends_with("behind the prefix \"module.\" of LoadOptions)"));
    CHECK(refusal([](Draft&) {}, {.prefix = "module."}).ends_with("behind the prefix \"\" of LoadOptions)"));
    const auto too_much = [](Draft& rest) {
        behind_module(rest);
        rest["module.fc.bias"].name = "module.head.bias";
    };
    CHECK(refusal(too_much, {.prefix = "module."}) ==
          ": expected the weights of this network, found 1 missing: "
          "module.fc.bias; 1 unexpected: module.head.bias");
    CHECK(refusal<Error>(behind_module, {.skip = {"module.fc.*"}, .prefix = "module."}) ==
          "load: expected a pattern that matches the name of a weight, found module.fc.*");
    const auto escaped = [](Draft& more) {
        auto other = more.tensors.front();
        behind_module(more);
        other.name = "module.h\"ead";
        more.tensors.push_back(other);
    };
    CHECK(refusal(escaped, {.prefix = "module."}).ends_with(R"(found 1 unexpected: "module.h\"ead")"));
}

TEST_CASE("weights: no prefix is proposed for a file whose names fit, or for an optimizer's moments") {
    const auto doubled = [](Draft& draft) {
        auto others = draft.tensors;
        behind_module(draft);
        others.front().shape.push_back(1);
        draft.tensors.insert(draft.tensors.end(), others.begin(), others.end());
    };
    CHECK(refusal(doubled).find("LoadOptions") == std::string::npos);
    const auto moments = [](Draft& draft) {
        for (auto& tensor : draft.tensors) tensor.name = "optimizer/first/" + tensor.name;
    };
    CHECK(refusal(moments).find("LoadOptions") == std::string::npos);
}

TEST_CASE("weights: a normalisation that is none is refused; a file that is not ours has none") {
    const std::string expected = ": normalization.mean: expected three numbers, found ";
    for (const char* const text : {"", "1 2", "1 2 3 4", "1 2 x", "1 2 3 ", "nan 1 2", "1e99 1 2", "1,2,3"}) {
        const std::string message = refusal([&](Draft& draft) { draft.metadata["normalization.mean"] = text; });
        CHECK(message.starts_with(expected));
    }
    for (const char* const text : {"1 0 1", "-1 1 1"}) {
        CHECK(refusal([&](Draft& draft) { draft.metadata["normalization.standard_deviation"] = text; }) ==
              detail::text(": normalization.standard_deviation: expected three numbers above 0, found ", text));
    }
    Net model{Seed{1}, {.mean = {1, 2, 3}}};
    load(model, fixtures / "network.safetensors");
    CHECK(model.normalization().mean == std::array<float, 3>{1, 2, 3});
}

TEST_CASE("weights: every flipped bit and every truncation of a file is found, and the model is left as it was") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "damaged";
    save(trained(), folder.path() / "model");
    Net model{Seed{2}};
    const Net before = model;
    auto bytes = file_content(folder.path() / "model");
    std::size_t flips = 0, truncations = 0;
    const auto is_refused = [&](std::span<const std::uint8_t> broken) {
        std::filesystem::remove(path);  // writing over a file makes some file systems wait for the disk
        write_file(path, broken);
        try {
            load(model, path);
        } catch (const FormatError&) {
            return model == before;
        }
        return false;
    };
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            bytes[i] ^= static_cast<std::uint8_t>(1 << bit);
            flips += is_refused(bytes) ? 1 : 0;
            bytes[i] ^= static_cast<std::uint8_t>(1 << bit);
        }
        truncations += is_refused(std::span{bytes}.first(i)) ? 1 : 0;
    }
    CHECK(flips == 8 * bytes.size());
    CHECK(truncations == bytes.size());
    MESSAGE(flips << " flips and " << truncations << " truncations of a file of " << bytes.size() << " bytes");
    CHECK_THROWS_AS(load(model, folder.path() / "missing"), FileError);
    CHECK(model == before);
}

TEST_CASE("weights: killed at any system call of a save, the old file or the new one is left whole") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "model";
    const Net old_model{Seed{1}}, new_model{Seed{2}};
    int old_files = 0, new_files = 0;
    const bool traced = tests::kill_at_each_system_call(
        [&] {
            if (old_files == 0 || new_files > 0) save(old_model, path);
        },
        [&] { save(new_model, path); },
        [&] {
            Net left{Seed{3}};
            load(left, path);
            CHECK((left == old_model || left == new_model));
            ++(left == old_model ? old_files : new_files);
        });
    if (!traced) return;
    CHECK(old_files > 20);  // open, write, fsync, close, rename and more, twice each
    CHECK(new_files > 2);
}
