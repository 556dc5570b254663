// Our side of the comparison: speaks the protocol of worker.py and reads the files of case.py.
// Settings: default | in-flight (inference: a batch for each thread at the same time), and either with no-winograd.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

namespace {

using resnet::Index;

template <class T>
std::vector<T> read(const std::filesystem::path& file) {
    std::vector<T> values(std::filesystem::file_size(file) / sizeof(T));
    std::ifstream in(file, std::ios::binary);
    if (!in.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(T))))
        throw resnet::FileError(file.string(), "its content", "an error while reading");
    return values;
}

void write(const std::string& file, std::span<const float> values) {
    std::ofstream out(file, std::ios::binary);
    if (!out.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes())))
        throw resnet::FileError(file, "room to write", "an error while writing");
}

/// What compare.py may ask for.
struct Work {
    std::function<std::vector<float>()> logits;
    std::function<void(Index count)> run;
};

/// The weights and batches of a case.
template <class Net>
struct Case {
    Case(const std::filesystem::path& folder, Index images_per_batch, Index batches_in_turn)
        : batch{images_per_batch},
          batches{batches_in_turn},
          labels(read<int>(folder / "labels")) {
        const std::vector<float> weights = read<float>(folder / "weights");
        std::size_t first = 0;
        for (const resnet::StateEntry& entry : model.state()) {
            if (entry.kind == resnet::StateEntry::Kind::num_batches_tracked) continue;
            const auto count = static_cast<std::size_t>(entry.elements());
            if (first + count > weights.size()) break;
            model.set_parameter(entry.name, std::span(weights).subspan(first, count));
            first += count;
        }
        if (first != weights.size()) throw resnet::Error("weights", "the tensors of this network", "others");

        // Into the layout that we like: channels innermost.
        const std::vector<float> planes = read<float>(folder / "images");
        const Index area = Net::image.area();
        pixels.resize(planes.size());
        for (Index n = 0; n < batches * batch; ++n)
            for (Index c = 0; c < 3; ++c)
                for (Index p = 0; p < area; ++p)
                    pixels[static_cast<std::size_t>((n * area + p) * 3 + c)] =
                        planes[static_cast<std::size_t>((n * 3 + c) * area + p)];
    }

    resnet::ImageView images(Index turn) const {
        return resnet::nhwc(pixels.data(), batches * batch, Net::image).slice(turn % batches * batch, batch);
    }
    std::span<const int> targets(Index turn) const {
        return std::span(labels).subspan(static_cast<std::size_t>(turn % batches * batch),
                                         static_cast<std::size_t>(batch));
    }

    resnet::Model<Net> model{resnet::Seed{1}};
    Index batch, batches;
    std::vector<float> pixels;  // [batches * batch][H][W][3]
    std::vector<int> labels;
};

/// `callers` at a time call one Classifier: one, with all threads of the arena, or as many as there are threads, each
/// alone.
template <class Net>
Work inference(const Case<Net>& data, const resnet::PlanOptions& plan, int callers) {
    const auto classify = std::make_shared<resnet::Classifier<Net>>(
        data.model, resnet::ClassifierOptions{.batch = data.batch, .plan = plan});
    std::vector<float> result(static_cast<std::size_t>(data.batch * Net::classes));
    const auto logits = [&data, classify, result]() mutable {
        std::vector<float> all;
        for (Index turn = 0; turn < data.batches; ++turn) {
            (*classify)(data.images(turn), result);
            all.insert(all.end(), result.begin(), result.end());
        }
        return all;
    };
    const auto run = [&data, classify, results = std::vector(static_cast<std::size_t>(callers), result),
                      begun = Index{0}](Index count) mutable {
        std::atomic<Index> next{begun};
        begun += count;
        const auto work = [&](std::vector<float>& logits_of_caller) {
            for (Index turn = next++; turn < begun; turn = next++) (*classify)(data.images(turn), logits_of_caller);
        };
        if (results.size() == 1) return work(results.front());
        std::vector<std::jthread> threads;
        for (std::vector<float>& own : results)
            threads.emplace_back([&work, &own] { tbb::task_arena{1}.execute([&] { work(own); }); });
    };
    return {.logits = logits, .run = run};
}

template <class Net>
std::shared_ptr<resnet::Trainer<Net>> trainer_of(Case<Net>& data, const resnet::PlanOptions& plan) {
    return std::make_shared<resnet::Trainer<Net>>(data.model, resnet::Adam{.learning_rate = 1e-3f},
                                                  resnet::TrainerOptions{.plan = plan});
}

template <class Net>
Work training(Case<Net>& data, const resnet::PlanOptions& plan) {
    auto run = [&data, trainer = trainer_of(data, plan), turn = Index{0}](Index count) mutable {
        std::span<const float> logits;
        for (; count > 0; --count, ++turn)
            logits = trainer->step(data.images(turn), data.targets(turn)).logits.values();
        return logits;
    };
    return {.logits =
                [run]() mutable {
                    const auto first = run(1);
                    return std::vector<float>(first.begin(), first.end());
                },
            .run = run};
}

/// A data set and its batches without end, epoch after epoch, shuffled, cropped and flipped.
class Source {
public:
    Source(const std::filesystem::path& folder, resnet::Extent extent, int classes, Index batch)
        : data_{extent, read<std::uint8_t>(folder / "pixels"), read<int>(folder / "pixel_labels"),
                std::vector<std::string>(static_cast<std::size_t>(classes))},
          loader_{data_,
                  {.batch = batch,
                   .seed = resnet::Seed{1},
                   .drop_last = true,
                   .transforms = {resnet::random_crop({.padding = 4}), resnet::random_flip()}}} {}

    /// Valid until the next one is asked for.
    const resnet::Batch& next() {
        if (epoch_ != nullptr) ++batch_;
        if (epoch_ == nullptr || batch_ == epoch_->end()) {
            epoch_ = std::make_unique<resnet::Loader::Epoch>(loader_, number_++, 0, std::stop_token{});
            batch_ = epoch_->begin();
        }
        return *batch_;
    }

private:
    resnet::Dataset data_;
    resnet::Loader loader_;
    std::uint32_t number_ = 0;
    std::unique_ptr<resnet::Loader::Epoch> epoch_;
    resnet::Loader::Epoch::Iterator batch_;
};

template <class Net>
Work training_from_loader(const std::filesystem::path& folder, Case<Net>& data, const resnet::PlanOptions& plan) {
    const auto trainer = trainer_of(data, plan);
    const auto source = std::make_shared<Source>(folder, Net::image, Net::classes, data.batch);
    return {.logits =
                [&data, trainer] {
                    trainer->forward(data.images(0), data.targets(0));
                    const auto logits = trainer->logits().values();
                    return std::vector<float>(logits.begin(), logits.end());
                },
            .run =
                [trainer, source](Index count) {
                    for (; count > 0; --count) {
                        const resnet::Batch& batch = source->next();
                        trainer->step(batch.images, batch.labels);
                    }
                }};
}

void serve(const Work& work, int in_flight) {
    std::cout << "ready " << in_flight << " resnet" << std::endl;
    std::string request, value;
    while (std::cin >> request >> std::ws && std::getline(std::cin, value)) {
        if (request == "logits") {
            write(value, work.logits());
            std::cout << "done" << std::endl;
            continue;
        }
        const auto start = std::chrono::steady_clock::now();
        work.run(std::stol(value));
        std::cout << std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() << std::endl;
    }
}

struct Setting {
    bool winograd = true;
    bool in_flight = false;  // a batch for each thread at the same time
};

template <class Net>
void serve(const std::map<std::string, std::string>& options, Index batch, Index batches) {
    const std::filesystem::path folder = options.at("--case");
    const std::string &work = options.at("--work"), &setting = options.at("--setting");
    const std::map<std::string, Setting> settings{{"default", {}},
                                                  {"in-flight", {.in_flight = true}},
                                                  {"no-winograd", {.winograd = false}},
                                                  {"in-flight-no-winograd", {.winograd = false, .in_flight = true}}};
    const auto found = settings.find(setting);
    if (found == settings.end())
        throw resnet::Error("--setting", "default, in-flight, no-winograd or in-flight-no-winograd", setting);
    resnet::PlanOptions plan;
    plan.choice.allow_winograd = found->second.winograd;
    const int callers = found->second.in_flight ? std::stoi(options.at("--threads")) : 1;
    Case<Net> data{folder, batch, batches};
    serve(work == "loader"  ? training_from_loader(folder, data, plan)
          : work == "train" ? training(data, plan)
                            : inference(data, plan, callers),
          callers);
}

}  // namespace

int main(int argc, char** argv) try {
    std::map<std::string, std::string> options;
    for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
    const int threads = std::stoi(options.at("--threads"));
    std::ifstream file(std::filesystem::path(options.at("--case")) / "case.json");
    const auto facts = nlohmann::json::parse(file);
    const auto network = facts.at("network").get<std::string>();
    const auto batch = facts.at("batch").get<Index>(), batches = facts.at("batches").get<Index>();

    const tbb::global_control limit{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena{threads}.execute([&] {
        if (network == "tutorial") serve<resnet::ResNet18<10>>(options, batch, batches);
        else if (network == "cifar-resnet18") serve<resnet::CifarResNet18<10>>(options, batch, batches);
        else serve<resnet::ImageNetResNet18<1000>>(options, batch, batches);
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "resnet_worker: %s\n", error.what());
    return 1;
}
