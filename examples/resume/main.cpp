// Trains the tutorial's ResNet18 for three epochs. Ctrl-C saves and ends it, the same command goes on from there.
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>

#include <resnet/checkpoint.hpp>
#include <resnet/data.hpp>
#include <resnet/resnet18.hpp>

volatile std::sig_atomic_t stop = 0;

int main(int argc, char** argv) try {
    if (argc != 3) return std::fprintf(stderr, "usage: resume CHECKPOINT FOLDER-WITH-CIFAR-10\n"), 2;
    const std::filesystem::path path = argv[1];
    const auto train = resnet::load_cifar10(argv[2], resnet::Split::train);
    resnet::Model<resnet::ResNet18<10>> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-3f}};
    resnet::RunPosition run{.seed = resnet::Seed{1}};
    if (std::filesystem::exists(path)) {
        const auto [position, differences] = load_checkpoint(path, trainer);  // trainer and model are as they were
        for (const auto& difference : differences) std::printf("not as it was: %s\n", difference.c_str());
        run = position;
    }
    const resnet::Loader loader{train, {.batch = 128, .seed = run.seed}};
    std::signal(SIGINT, [](int) { stop = 1; });
    for (; run.epoch < 3; ++run.epoch, run.batch = 0) {
        for (const auto& batch : loader.epoch(run.epoch, run.batch)) {
            trainer.step(batch.images, batch.labels);
            run.batch = batch.number + 1;
            if (stop != 0) break;
        }
        save_checkpoint(path, trainer, run);
        std::printf("saved after %td batches of epoch %u\n", run.batch, run.epoch + 1);
        if (stop != 0) return 130;
    }
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
