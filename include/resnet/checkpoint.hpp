// A checkpoint is one file with all that a training run needs to go on as if it had never stopped: weights, statistics,
// moving average, optimizer, random state and position.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/random.hpp>
#include <resnet/io/fingerprint.hpp>
#include <resnet/io/fit.hpp>
#include <resnet/io/numbers.hpp>
#include <resnet/io/optimizer_settings.hpp>
#include <resnet/io/safetensors.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/moving_average.hpp>
#include <resnet/trainer.hpp>

namespace resnet::inline v0 {

/// How far a run has come. Random numbers are functions of (seed, purpose, epoch, position), so this is the random
/// state as well: `loader.epoch(epoch, batch)` delivers what comes next. So is the place in a schedule, which is a
/// function of the step: epoch * loader.batches() + batch.
struct RunPosition {
    Seed seed{};              // of the loader; its other options are the program's, as data and schedule are
    std::uint32_t epoch = 0;  // the one that is under way
    Index batch = 0;          // of the epoch: the next one; the number of batches where the epoch is through
    Metadata notes{};         // the program's own: sums so far, the best accuracy, the options it was started with
};

/// What load_checkpoint gives back.
struct Resumed {
    RunPosition position;
    /// What the library knows of that the bits depend on and that is not as it was: "instruction set avx512, now avx2".
    /// Where it is empty, the CPU, the C library and the compiler's options are the same (-O1 rounds otherwise than
    /// -O2), and the loader is one of the same data, seed and options, the run ends with the same bits as if it had not
    /// stopped, whatever the number of threads.
    std::vector<std::string> differences;
};

/// Writes a checkpoint, atomically and durably: killed at any moment, the old file or the new one is there, whole (and
/// `path` + ".tmp-..." beside it, which is yours to remove).
/// It is a safetensors file: the model's tensors with PyTorch's names, which `load(model, path)` takes out of it as
/// well; the optimizer's as `optimizer/first/<parameter>` and `optimizer/second/<parameter>`, each parameter's count of
/// steps as `optimizer/steps`, int64 [parameters], and what had a gradient as `optimizer/live`, int8 [elements /
/// line_elements]; those of a moving average, if there is one, as `average/<name>`; everything else in the metadata,
/// exactly. Equal states give equal bytes.
/// Whatever it throws but for a last "to sync the folder", the old file is as it was: FileError if it can't be
/// written; NotFiniteError if a weight or statistic is not finite; Error between a forward and its apply, for a
/// batch below 0, and for notes that are not UTF-8 or longer than a header may be (write_tensor_file).
///
///     for (const auto& batch : loader.epoch(epoch)) {
///         trainer.step(batch.images, batch.labels);
///         if (stop) save_checkpoint(path, trainer, {.seed = seed, .epoch = epoch, .batch = batch.number + 1});
///     }
template <class Net, class Scalar>
void save_checkpoint(const std::filesystem::path& path, const Trainer<Net, Scalar>& trainer,
                     const RunPosition& position,
                     std::type_identity_t<const MovingAverage<Net, Scalar>*> average = nullptr);

/// Sets the trainer and its model to what they were: weights, statistics, normalisation, frozen parameters, optimizer
/// with its settings and steps. The trainer's own options stay; where they differ, `differences` says so.
/// FileError or FormatError, as TensorFile; FormatError if it is no checkpoint, or of another version; FormatError
/// that lists all that is missing, unexpected or different where it is of another network or optimizer, or has an
/// average where none is given or none where one is. Whatever it throws, trainer, model and average are as they were.
///
///     const auto [position, differences] = load_checkpoint(path, trainer);
///     for (const auto& batch : loader.epoch(position.epoch, position.batch)) ...
template <class Net, class Scalar>
Resumed load_checkpoint(const std::filesystem::path& path, Trainer<Net, Scalar>& trainer,
                        std::type_identity_t<MovingAverage<Net, Scalar>*> average = nullptr);

/// How far the run of a checkpoint has come, for who does not know yet what network it is of. FileError or FormatError,
/// as TensorFile; FormatError if it is no checkpoint, or of another version.
RunPosition read_position(const std::filesystem::path& path);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline constexpr std::string_view checkpoint_version = "2";
inline constexpr auto live_name = "optimizer/live", steps_name = "optimizer/steps";
inline constexpr std::string_view average_prefix = "average/";

/// A buffer with an element for each of the parameters', saved under its part's name.
template <class Buffer>
struct Part {
    std::string_view name;
    Buffer& buffer;
};

/// What an optimizer's state consists of.
template <class Optimizer>
auto parts_of(Optimizer& optimizer) {
    std::vector<Part<std::remove_reference_t<decltype(optimizer.first())>>> parts{
        {"optimizer/first", optimizer.first()}};
    if (optimizer.second().size() > 0) parts.push_back({"optimizer/second", optimizer.second()});
    return parts;
}

/// What the bits depend on, as metadata of a file.
template <class Net, class Scalar>
Metadata fingerprint(const Trainer<Net, Scalar>& trainer, const MovingAverage<Net, Scalar>* average) {
    Metadata metadata = fingerprint<Scalar>(trainer.engine().options());
    if (average != nullptr) metadata[text(fingerprint_prefix, "decay")] = number_text(average->decay());
    return metadata;
}

/// The tensors that a checkpoint of this trainer has: the model's, the parts', what was live, and the steps of each
/// parameter.
template <class Net, class Scalar>
std::vector<ExpectedTensor> expected_of(const Trainer<Net, Scalar>& trainer) {
    auto expected = expected_of(trainer.model().state());
    for (const auto& part : parts_of(trainer.engine().optimizer()))
        for (const StateEntry& entry : trainer.model().state())
            if (entry.kind == StateEntry::Kind::parameter)
                expected.push_back({text(part.name, "/", entry.name), entry.shape});
    expected.push_back({live_name, {std::ssize(trainer.engine().live())}, true});
    expected.push_back({steps_name, {std::ssize(trainer.engine().optimizer().parameter_steps())}, true});
    return expected;
}

/// Names of frozen parameters, with a space between two.
inline std::string frozen_text(const auto& weights) {
    std::string names;
    for (const StateEntry& entry : weights.state())
        if (entry.kind == StateEntry::Kind::parameter && at(weights.frozen(), entry.index) != 0)
            names.append(names.empty() ? "" : " ").append(entry.name);
    return names;
}

/// The inverse. FormatError for another text.
template <class Scalar>
std::vector<char> frozen_of(const TensorFile& file, const Weights<Scalar>& weights) {
    const std::string& names = text_in(file, "frozen");
    const std::string padded = text(" ", names, " ");
    std::string known;
    std::vector<char> frozen(weights.frozen().size(), 0);
    for (const StateEntry& entry : weights.state()) {
        if (entry.kind != StateEntry::Kind::parameter || padded.find(text(" ", entry.name, " ")) == std::string::npos)
            continue;
        at(frozen, entry.index) = 1;
        known.append(known.empty() ? "" : " ").append(entry.name);
    }
    if (known != names)
        throw FormatError(file.name() + ": frozen", "names of this network's parameters", printable(names));
    return frozen;
}

/// Throws FormatError if the file is none, or of another version.
inline void check_checkpoint(const TensorFile& file) {
    const auto kind = file.metadata().find("kind");
    if (!file.is_ours() || kind == file.metadata().end() || kind->second != "checkpoint") {
        throw FormatError(file.name(), "a checkpoint", "another kind of file",
                          "load(model, path) reads files with weights alone");
    }
    const std::string& version = text_in(file, "checkpoint_version");
    if (version != checkpoint_version) {
        throw FormatError(file.name(), text("the checkpoint_version ", checkpoint_version), printable(version),
                          "another version of resnet made it; load(model, path) reads its weights");
    }
}

/// The count under a key. Throws FormatError if there is none, another text, or one that is not 0 ... 1e18.
template <class T>
T count_in(const TensorFile& file, const std::string& key) {
    const T count = number_in<T>(file, key);
    if (count < 0 || count > largest_count)
        throw FormatError(text(file.name(), ": ", key), "a number of 0 ... 1e18", std::to_string(count));
    return count;
}

inline RunPosition position_of(const TensorFile& file) {
    RunPosition position{.seed = {number_in<std::uint64_t>(file, "position.seed")},
                         .epoch = number_in<std::uint32_t>(file, "position.epoch"),
                         .batch = count_in<Index>(file, "position.batch")};
    for (const auto& [key, value] : file.metadata())
        if (key.starts_with(note_prefix)) position.notes[key.substr(note_prefix.size())] = value;
    return position;
}

/// Throws FormatError if a parameter's steps are not among all that were taken: Adam divides by what follows from them.
template <class Scalar>
void read_steps(const TensorFile& file, Optimizer<Scalar>& optimizer) {
    const auto all = count_in<std::int64_t>(file, "optimizer.steps");
    auto steps = file.read<std::int64_t>(steps_name);
    for (const std::int64_t of_parameter : steps)
        if (of_parameter < 0 || of_parameter > all)
            throw FormatError(text(file.name(), ": ", steps_name), text("numbers of 0 ... ", all),
                              std::to_string(of_parameter));
    optimizer.set_steps(all, std::move(steps));
}

inline Metadata position_text(const RunPosition& position) {
    Metadata metadata{{"position.seed", number_text(position.seed.value)},
                      {"position.epoch", number_text(position.epoch)},
                      {"position.batch", number_text(position.batch)}};
    metadata.merge(notes_text(position.notes));
    return metadata;
}

}  // namespace detail

template <class Net, class Scalar>
void save_checkpoint(const std::filesystem::path& path, const Trainer<Net, Scalar>& trainer,
                     const RunPosition& position, std::type_identity_t<const MovingAverage<Net, Scalar>*> average) {
    const auto& engine = trainer.engine();
    const auto& optimizer = engine.optimizer();
    const Weights<Scalar>& weights = trainer.model().weights();
    if (engine.staged() != 0) throw Error("save_checkpoint", "an apply after each forward", "a forward without it");
    if (position.batch < 0) throw Error("save_checkpoint", "a batch of at least 0", std::to_string(position.batch));

    const auto parts = detail::parts_of(optimizer);
    const Index models = average != nullptr ? 2 : 1;
    Index elements = 0;
    for (const StateEntry& entry : weights.state()) {
        const bool is_parameter = entry.kind == StateEntry::Kind::parameter;
        elements += entry.elements() * (is_parameter ? models + std::ssize(parts) : models);
    }
    detail::TensorCollection<Scalar> collection{elements, 2 * weights.state().size()};
    collection.add_model(weights);
    if (average != nullptr) collection.add_model(average->model().weights(), detail::average_prefix);
    for (const auto& part : parts)
        for (const StateEntry& entry : weights.state())
            if (entry.kind == StateEntry::Kind::parameter)
                collection.add(detail::text(part.name, "/", entry.name), weights, entry, part.buffer.data());
    collection.add(tensor_record(detail::live_name, {std::ssize(engine.live())}, std::span{engine.live()}));
    const std::vector<std::int64_t>& steps = optimizer.parameter_steps();
    collection.add(tensor_record(detail::steps_name, {std::ssize(steps)}, std::span{steps}));

    Metadata metadata{{"kind", "checkpoint"},
                      {"checkpoint_version", std::string{detail::checkpoint_version}},
                      {"frozen", detail::frozen_text(weights)},
                      {"optimizer.steps", detail::number_text(optimizer.steps())}};
    metadata.merge(detail::normalization_text(trainer.model().normalization()));
    metadata.merge(detail::settings_text(optimizer.settings()));
    metadata.merge(detail::position_text(position));
    metadata.merge(detail::fingerprint(trainer, average));
    write_tensor_file(path, collection.tensors(), std::move(metadata));
}

template <class Net, class Scalar>
Resumed load_checkpoint(const std::filesystem::path& path, Trainer<Net, Scalar>& trainer,
                        std::type_identity_t<MovingAverage<Net, Scalar>*> average) {
    const TensorFile file{path};
    detail::check_checkpoint(file);
    Model<Net, Scalar>& model = trainer.model();
    auto& engine = trainer.engine();
    const auto& state = model.state();

    detail::Misfits misfits;
    std::vector<std::string> skip;
    const std::string optimizer_found = detail::text_in(file, detail::setting_key("name")),
                      optimizer_expected = detail::name_of(engine.optimizer().settings());
    if (optimizer_found != optimizer_expected) {
        misfits.differs("optimizer", detail::printable(optimizer_found), optimizer_expected);
        skip.emplace_back("optimizer/*");  // what it has instead need not be listed
    }
    auto expected = detail::expected_of(trainer);
    const auto of_average = std::ssize(expected);
    if (average != nullptr)
        std::ranges::move(detail::expected_of(state, detail::average_prefix), std::back_inserter(expected));
    const auto tensors = detail::fit(file, expected, skip, misfits);
    misfits.check(file.name(), "a checkpoint of this network and optimizer");

    Resumed resumed{detail::position_of(file),
                    detail::differences(file.metadata(), detail::fingerprint(trainer, average))};
    const Normalization normalization = detail::normalization_of(file, model.normalization());
    std::vector<char> frozen = detail::frozen_of(file, model.weights());
    const auto marks = file.read<std::int8_t>(detail::live_name);
    std::vector<char> live{marks.begin(), marks.end()};
    const Graph& graph = model.weights().graph();
    Optimizer<Scalar> optimizer{detail::settings_of(file, engine.optimizer().settings()), graph.parameters.size(),
                                graph.parameter_elements};
    detail::read_steps(file, optimizer);
    detail::ModelTensors<Scalar> weights{file, state, std::span{tensors}.first(state.size())};
    const auto averages = std::span{tensors}.subspan(static_cast<std::size_t>(of_average));
    detail::ModelTensors<Scalar> average_weights{
        file, average != nullptr ? std::span{state} : std::span<const StateEntry>{}, averages};
    const auto parts = detail::parts_of(optimizer);
    // From here on nothing throws.
    auto tensor = tensors.begin() + std::ssize(state);
    for (const auto& part : parts)
        for (const StateEntry& entry : state)
            if (entry.kind == StateEntry::Kind::parameter)
                weights.write(model.weights(), entry, **tensor++, part.buffer.data());
    if (average != nullptr) {
        average_weights.write(average->model().weights());
        average->model().weights().frozen() = frozen;
        average->model().set_normalization(normalization);
    }
    weights.write(model.weights());
    model.weights().frozen() = std::move(frozen);
    model.set_normalization(normalization);
    engine.restore(std::move(optimizer), std::move(live));
    return resumed;
}

inline RunPosition read_position(const std::filesystem::path& path) {
    const TensorFile file{path};
    detail::check_checkpoint(file);
    return detail::position_of(file);
}

}  // namespace resnet::inline v0
