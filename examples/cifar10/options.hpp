// The command line of the program.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>

#include <resnet/core/extent.hpp>
#include <resnet/optim/optimizers.hpp>

#include "recipe.hpp"

/// The shortest text that is read as the same number.
inline std::string exact(auto number) {
    std::array<char, 32> digits{};
    return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr};
}

/// What the command line asks for. What is 0 or empty by default is the recipe's: see `resolved`.
struct Options {
    std::string model = "tutorial", recipe = "tutorial";
    int epochs = 0;
    resnet::Index batch_size = 0;
    std::string optimizer;
    float learning_rate = 0;
    std::uint64_t seed = 1;
    int threads = 0;  // 0: one for each core that the process may use
    std::string data;
    resnet::Index limit = 0;  // 0: all images
    std::string out;
    bool resume = false;
    bool verbose = false;
};

/// For a number that must lie above 0 and have a value; CLI11's own lets nan and 1e39 pass.
inline std::string check_positive(const std::string& text) {
    float number = 0;
    const bool is_number = CLI::detail::lexical_cast(text, number);
    return is_number && std::isfinite(number) && number > 0 ? "" : text + " is not a finite number above 0";
}

/// For a whole number; CLI11 would take -1 and 2^64 for the largest one, and 010 for 8.
inline std::string check_unsigned(const std::string& text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    const bool as_printed = error == std::errc{} && stop == end && (text == "0" || text.front() != '0');
    return as_printed ? "" : text + " is not a whole number of 0 to 2^64 - 1, without zeros before it";
}

inline std::string check_not_empty(const std::string& text) { return text.empty() ? "an empty name" : ""; }

inline void add_options(CLI::App& app, Options& options) {
    app.name("cifar10");
    app.description(
        "Trains a residual network on CIFAR-10 and tests it. The defaults are the PyTorch tutorial's network and "
        "recipe.");
    app.add_option("--model", options.model,
                   "tutorial (4.9 million parameters), resnet9 (2.6 million, 11 times the work) or cifar-resnet18 "
                   "(11.2 million, 48 times the work)")
        ->check(CLI::IsMember({"tutorial", "resnet9", "cifar-resnet18"}))
        ->capture_default_str();
    app.add_option(
           "--recipe", options.recipe,
           "tutorial: as the tutorial trains, 6 epochs. fast: with random crops and flips, and a learning rate that "
           "rises and falls; 24 epochs, 10 for resnet9 and cifar-resnet18. best: for these two, 40 epochs. "
           "The options below change parts of it")
        ->check(CLI::IsMember({"tutorial", "fast", "best"}))
        ->capture_default_str();
    app.add_option("--epochs", options.epochs, "times that the training images are gone through")
        ->check(check_unsigned)
        ->check(CLI::Range(1, 100'000));
    app.add_option("--batch-size", options.batch_size, "images in a step")
        ->check(check_unsigned)
        ->check(CLI::Range(1, 1'000'000));
    app.add_option(
           "--optimizer", options.optimizer,
           "adam, adamw or sgd (with Nesterov momentum); where it is not the recipe's, with weight decay 0, 0.01 or "
           "0.0005, and sgd with momentum 0.9")
        ->check(CLI::IsMember({"adam", "adamw", "sgd"}));
    app.add_option(
           "--learning-rate", options.learning_rate,
           "of each step, or its peak where the recipe has a schedule; without it the recipe's, or 0.001 (sgd: 0.05) "
           "where --optimizer is not the recipe's")
        ->check(check_positive);
    app.add_option("--seed", options.seed, "of the first weights, the shuffling and the augmentation")
        ->check(check_unsigned)
        ->capture_default_str();
    app.add_option("--threads", options.threads, "threads that compute; without it one for each core")
        ->check(check_unsigned)
        ->check(CLI::Range(1, 128));
    app.add_option("--data", options.data,
                   "folder with CIFAR-10's binary version, or with Fashion-MNIST's IDX files; without it the variable "
                   "CIFAR10_DIR, then the cache folder, then Debian's dataset-fashion-mnist")
        ->check(check_not_empty);
    app.add_option("--limit", options.limit, "take only the first N images of each split, for a quick trial")
        ->check(check_unsigned)
        ->check(CLI::Range(1, 1'000'000));
    app.add_option(
           "--out", options.out,
           "folder for last.safetensors, a checkpoint (after each epoch, and when a signal ends the run), "
           "best.safetensors, the weights of the best epoch, metrics.csv, TensorBoard's event file and report.html")
        ->check(check_not_empty);
    app.add_flag(
           "--resume", options.resume,
           "go on from last.safetensors in --out, with the options that the run began with; --epochs may change where "
           "the recipe has no schedule (tutorial)")
        ->needs("--out");
    app.add_flag("--verbose", options.verbose,
                 "print the network, and logits and labels of the first test batch of each epoch");
}

/// The options with all that the recipe decides.
inline Options resolved(Options options) {
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    if (options.epochs == 0) options.epochs = recipe.epochs;
    if (options.batch_size == 0) options.batch_size = recipe.batch_size;
    if (options.optimizer.empty()) options.optimizer = recipe.optimizer;
    if (options.learning_rate == 0) {
        options.learning_rate = options.optimizer == recipe.optimizer ? recipe.learning_rate
                                : options.optimizer == "sgd"          ? 0.05f
                                                                      : 1e-3f;
    }
    return options;
}

/// Of resolved options.
inline resnet::OptimizerSettings optimizer(const Options& options) {
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    const auto decay_or = [&](float usual) {
        return options.optimizer == recipe.optimizer ? recipe.weight_decay : usual;
    };
    if (options.optimizer == "sgd") {
        return resnet::SGD{.learning_rate = options.learning_rate,
                           .momentum = options.optimizer == recipe.optimizer ? recipe.momentum : 0.9f,
                           .weight_decay = decay_or(5e-4f),
                           .nesterov = true};
    }
    if (options.optimizer == "adamw") {
        return resnet::AdamW{.learning_rate = options.learning_rate, .weight_decay = decay_or(1e-2f)};
    }
    return resnet::Adam{.learning_rate = options.learning_rate, .weight_decay = decay_or(0)};
}

/// How much faster than the rest batch norm's biases are trained: it is the recipe's optimizer that takes a larger rate
/// for them. Of resolved options.
inline float norm_bias_rate(const Options& options) {
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    return options.optimizer == recipe.optimizer ? recipe.norm_bias_rate : 1;
}

inline float label_smoothing(const Options& options) {
    return find_recipe(options.model, options.recipe).label_smoothing;
}

/// What decides as well and has no option, as texts. Of resolved options.
inline std::vector<std::pair<std::string, std::string>> settled(const Options& options) {
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    const resnet::OptimizerSettings settings = optimizer(options);
    std::vector<std::pair<std::string, std::string>> list;
    if (const auto* const sgd = std::get_if<resnet::SGD>(&settings))
        list.emplace_back("momentum", exact(sgd->momentum) + (sgd->nesterov ? ", Nesterov's" : ""));
    list.emplace_back("weight decay", std::visit([](const auto& of) { return exact(of.weight_decay); }, settings));
    const float norm_bias = norm_bias_rate(options);
    list.emplace_back("batch norm's biases", exact(norm_bias) + " times the learning rate, " + exact(1 / norm_bias) +
                                                 " times the weight decay");
    if (options.model == "resnet9")
        list.emplace_back("first layer", "whitens the first training images, at most " +
                                             std::to_string(whitening_images) + "; its weights are not trained");
    list.emplace_back("label smoothing", exact(recipe.label_smoothing));
    for (auto& part : described(recipe)) list.push_back(std::move(part));
    return list;
}

/// The options that decide what a run computes, as texts. 0 or empty where one is left open; of resolved options that
/// is the limit alone.
inline std::vector<std::pair<std::string, std::string>> decisive(const Options& options) {
    return {{"model", options.model},
            {"recipe", options.recipe},
            {"optimizer", options.optimizer},
            {"learning-rate", exact(options.learning_rate)},
            {"batch-size", std::to_string(options.batch_size)},
            {"seed", std::to_string(options.seed)},
            {"limit", std::to_string(options.limit)}};
}

/// What files with weights keep of the resolved options.
inline std::map<std::string, std::string> kept(const Options& options) {
    std::map<std::string, std::string> notes;
    for (const auto& [name, value] : decisive(options)) notes["option " + name] = value;
    return notes;
}

/// A note of a checkpoint of this program's.
inline const std::string& note(const std::map<std::string, std::string>& notes, const std::string& name,
                               const std::string& checkpoint) {
    const auto found = notes.find(name);
    if (found == notes.end())
        throw std::runtime_error(checkpoint + " is of another program: it has no note of " + name);
    return found->second;
}

/// Options that the command line leaves open become what a checkpoint's run began with. One that contradicts it is an
/// error; but for the number of epochs, which a run that goes on may have more of, unless its learning rate follows
/// them.
inline void take_over(CLI::App& app, Options& options, const std::map<std::string, std::string>& notes,
                      const std::string& checkpoint) {
    const auto set = [&app](const std::string& name, const std::string& value) {
        CLI::Option* const option = app.get_option("--" + name);
        option->add_result(value);
        option->run_callback();
    };
    for (const auto& [name, value] : decisive(options)) {
        const std::string& before = note(notes, "option " + name, checkpoint);
        if (value == before) continue;
        if (app.count("--" + name) > 0) {
            throw std::runtime_error("--" + name + " " + value + " contradicts " + checkpoint +
                                     ", which was made with " +
                                     (name == "limit" && before == "0" ? "all images" : "--" + name + " " + before));
        }
        set(name, before);
    }
    const std::string& epochs = note(notes, "option epochs", checkpoint);
    if (app.count("--epochs") == 0) set("epochs", epochs);
    if (find_recipe(options.model, options.recipe).schedule != Schedule::constant &&
        std::to_string(options.epochs) != epochs) {
        throw std::runtime_error("--epochs " + std::to_string(options.epochs) + " contradicts " + checkpoint +
                                 ", whose learning rate falls over --epochs " + epochs);
    }
}
