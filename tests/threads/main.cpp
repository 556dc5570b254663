// The engine and the loader on several threads, for ThreadSanitizer: training from a loader, calls of one classifier
// from many threads, loaders side by side, the layers of few images on all threads. Prints a checksum of all bits,
// which is the same on oneTBB's threads. With the argument `planted_race` it has a race and nothing else, which
// ThreadSanitizer has to find: so it sees what the threads of for_each_chunk do.
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <span>
#include <thread>
#include <vector>

#include <resnet/classifier.hpp>
#include <resnet/data/loader.hpp>
#include <resnet/io/crc32c.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "../support/networks.hpp"
#include "../support/values.hpp"

namespace {

using namespace resnet;
using Net = tests::SmallResNet;

constexpr Index images = 48, batch = 20;
constexpr int callers = 3;

Dataset data() {
    std::vector<std::uint8_t> pixels;
    for (const float value : tests::uniform<float>(images * 3 * Net::image.area(), 1, 0, 255))
        pixels.push_back(static_cast<std::uint8_t>(value));
    return {Net::image, std::move(pixels), tests::labels(images, Net::classes), {"a", "b", "c", "d", "e"}};
}

/// Two epochs, each half gone through and gone on with, as a resumed run does; the loader's thread draws as it
/// prepares.
void train(Model<Net>& model, const Dataset& dataset) {
    const Transform brighten = [](MutableImage image, const Sample& sample) {
        for (std::uint8_t& value : image.row(0)) value = static_cast<std::uint8_t>(value + sample.below(9, 0));
    };
    const Loader loader{dataset, {.batch = batch, .seed = Seed{3}, .ahead = 3, .transforms = {brighten}}};
    Trainer trainer{model, Adam{}, {.clip_norm = 1}};
    for (const std::uint32_t epoch : {0u, 1u}) {
        for (const auto& b : loader.epoch(epoch)) {
            trainer.step(b.images, b.labels);
            if (b.number == 1) break;  // while the loader is at work
        }
        for (const auto& b : loader.epoch(epoch, 2)) trainer.step(b.images, b.labels);
    }
}

/// Parameters that few images gave, and the logits of one: the threads share a block's products and a layer's parts.
std::vector<float> few_images() {
    Model<tests::OneTile> model{Seed{1}};
    constexpr Index few = 3;
    static_assert(tests::OneTile::image.area() <= ResNet18<>::image.area());
    const auto pixels = tests::uniform<float>(few * 3 * ResNet18<>::image.area(), 1);
    Trainer trainer{model, SGD{}};
    for (int step = 0; step < 2; ++step)
        trainer.step(nchw(pixels.data(), few, tests::OneTile::image), tests::labels(few, tests::OneTile::classes));
    const Model<ResNet18<>> tutorial{Seed{1}};
    const Classifier classifier{tutorial, {.batch = 1}};
    const auto logits = classifier(nchw(pixels.data(), 1, ResNet18<>::image));
    std::vector<float> rows{logits.values().begin(), logits.values().end()};
    const auto parameters = model.weights().parameters().span();
    rows.insert(rows.end(), parameters.begin(), parameters.end());
    return rows;
}

/// Many calls of one classifier at once, of both kinds, fed by a loader each; every caller gets the same.
std::vector<float> classify(const Model<Net>& model, const Dataset& dataset) {
    const Classifier<Net> classifier{model, {.batch = batch}};
    const Loader loader{dataset, {.batch = batch, .shuffle = false}};
    std::array<std::vector<float>, callers> found;
    {
        std::vector<std::jthread> threads;
        for (auto& rows : found) {
            threads.emplace_back([&] {
                for (const auto& b : loader.epoch(0)) {
                    const auto logits = classifier(b.images);
                    const auto embeddings = classifier.embed(b.images);
                    rows.insert(rows.end(), logits.values().begin(), logits.values().end());
                    rows.insert(rows.end(), embeddings.values().begin(), embeddings.values().end());
                }
            });
        }
    }
    for (const auto& rows : found)
        if (rows != found[0]) std::printf("FAILED: callers got different numbers\n");
    return found[0];
}

[[gnu::noinline]] void planted_race(int& sum) {
    ++sum;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});  // so that no thread does all the chunks
}

}  // namespace

int main(int argc, char**) {
    if (argc > 1) {
        int chunks = 0;
        for_each_chunk(12, 3, [&](Index, int) { planted_race(chunks); });
        std::printf("%d chunks\n", chunks);
        return 0;
    }
    const Dataset dataset = data();
    Model<Net> model{Seed{1}};
    train(model, dataset);
    const std::vector<float> rows = classify(model, dataset);
    Crc32c sum;
    sum.add(std::as_bytes(model.weights().parameters().span()));
    sum.add(std::as_bytes(model.weights().statistics().span()));
    sum.add(std::as_bytes(std::span{rows}));
    const std::vector<float> of_few = few_images();
    sum.add(std::as_bytes(std::span{of_few}));
    std::printf("checksum %08x\n", static_cast<unsigned>(sum.value()));
}
