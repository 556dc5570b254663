// The command line of the program.
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include <resnet/core/extent.hpp>
#include <resnet/optim/optimizers.hpp>

/// What the command line asks for; the defaults are the tutorial's recipe.
struct Options {
    std::string model = "tutorial";
    int epochs = 6;
    resnet::Index batch_size = 128;
    std::string optimizer = "adam";
    float learning_rate = 0;  // 0: the optimizer's usual one
    std::uint64_t seed = 1;
    int threads = 0;  // 0: one for each core that the process may use
    std::string data;
    resnet::Index limit = 0;  // 0: all images
    bool verbose = false;
};

inline void add_options(CLI::App& app, Options& options) {
    app.description(
        "Trains a residual network on CIFAR-10 and tests it. The defaults are the PyTorch tutorial's network and "
        "recipe.");
    app.add_option("--model", options.model,
                   "tutorial (4.9 million parameters) or cifar-resnet18 (11.2 million, 48 times the work)")
        ->check(CLI::IsMember({"tutorial", "cifar-resnet18"}))
        ->capture_default_str();
    app.add_option("--epochs", options.epochs, "times that the training images are gone through")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_option("--batch-size", options.batch_size, "images in a step")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    app.add_option("--optimizer", options.optimizer,
                   "adam, adamw (weight decay 0.01) or sgd (Nesterov momentum 0.9, weight decay 0.0005)")
        ->check(CLI::IsMember({"adam", "adamw", "sgd"}))
        ->capture_default_str();
    app.add_option("--learning-rate", options.learning_rate, "per step; without it 0.001, and 0.05 for sgd")
        ->check(CLI::PositiveNumber);
    app.add_option("--seed", options.seed, "of the first weights and of the shuffling")->capture_default_str();
    app.add_option("--threads", options.threads, "threads that compute; without it one for each core")
        ->check(CLI::Range(1, 1024));
    app.add_option("--data", options.data,
                   "folder with CIFAR-10's binary version, or with Fashion-MNIST's IDX files; without it the variable "
                   "CIFAR10_DIR, then the cache folder, then Debian's dataset-fashion-mnist");
    app.add_option("--limit", options.limit, "take only the first N images of each split, for a quick trial")
        ->check(CLI::Range(1, 1'000'000));
    app.add_flag("--verbose", options.verbose,
                 "print the network, and logits and labels of the first test batch of each epoch");
}

inline resnet::OptimizerSettings optimizer(const Options& options) {
    const auto rate_or = [&](float usual) { return options.learning_rate > 0 ? options.learning_rate : usual; };
    if (options.optimizer == "sgd") {
        return resnet::SGD{.learning_rate = rate_or(0.05f), .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true};
    }
    if (options.optimizer == "adamw") return resnet::AdamW{.learning_rate = rate_or(1e-3f)};
    return resnet::Adam{.learning_rate = rate_or(1e-3f)};
}
