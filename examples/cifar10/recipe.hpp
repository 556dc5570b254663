// Recipes: all that a run is made of beside network, data and seed. One table.
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <resnet/data/augment.hpp>
#include <resnet/optim/optimizers.hpp>
#include <resnet/optim/schedule.hpp>

enum class Schedule : std::uint8_t { constant, one_cycle, triangle };
enum class Flip : std::uint8_t { none, random, alternating };
enum class Views : std::uint8_t { plain, mirrored, shifted };  // of a test image; shifted ones are mirrored, too

struct Recipe {
    const char* model;
    const char* name;
    int epochs;
    resnet::Index batch_size;
    const char* optimizer;
    float learning_rate;  // its peak where there is a schedule
    float momentum;       // Nesterov's, of sgd
    float weight_decay;
    float norm_bias_rate;  // times the learning rate, for batch norm's biases
    bool norm_scales;      // whether batch norm's weights are trained, or stay 1
    float label_smoothing;
    Schedule schedule;
    int crop;      // random crops of the image with so many pixels around it: of the mean colour, or ...
    bool reflect;  // ... the image's mirror image
    Flip flip;
    int cutout;      // side of a square of the mean colour
    bool lookahead;  // every `lookahead_every` steps
    Views views;     // from which the trained network is tested as well: the mean of their logits
};

// clang-format off
inline constexpr Recipe recipes[] = {
    // model           name        epochs batch optim.   rate   moment. decay    bias scales smooth schedule             crop reflect flip               cutout ahead  views
    {"tutorial",       "tutorial", 6,     128,  "adam",  1e-3f, 0,      0,       1,   true,  0,     Schedule::constant,  0,   false,  Flip::none,        0,     false, Views::plain},
    {"tutorial",       "fast",     24,    128,  "adamw", 4e-3f, 0,      0.05f,   1,   true,  0,     Schedule::one_cycle, 4,   false,  Flip::random,      0,     false, Views::plain},
    {"cifar-resnet18", "tutorial", 6,     128,  "adam",  1e-3f, 0,      0,       1,   true,  0,     Schedule::constant,  0,   false,  Flip::none,        0,     false, Views::plain},
    {"cifar-resnet18", "fast",     10,    256,  "sgd",   0.4f,  0.9f,   5e-4f,   1,   true,  0.1f,  Schedule::one_cycle, 4,   false,  Flip::random,      0,     false, Views::plain},
    {"cifar-resnet18", "best",     40,    128,  "sgd",   0.2f,  0.9f,   5e-4f,   1,   true,  0.1f,  Schedule::one_cycle, 4,   false,  Flip::alternating, 8,     false, Views::mirrored},
    {"resnet9",        "tutorial", 6,     128,  "adam",  1e-3f, 0,      0,       1,   true,  0,     Schedule::constant,  0,   false,  Flip::none,        0,     false, Views::plain},
    {"resnet9",        "fast",     10,    512,  "sgd",   0.75f, 0.85f,  1.3e-3f, 64,  false, 0.2f,  Schedule::triangle,  2,   true,   Flip::alternating, 0,     true,  Views::shifted},
    {"resnet9",        "best",     40,    512,  "sgd",   0.75f, 0.85f,  1.3e-3f, 64,  false, 0.2f,  Schedule::triangle,  2,   true,   Flip::alternating, 8,     true,  Views::shifted},
};
// clang-format on

inline const Recipe& find_recipe(const std::string& model, const std::string& name) {
    std::string others;
    for (const Recipe& recipe : recipes) {
        if (model != recipe.model) continue;
        if (name == recipe.name) return recipe;
        others += (others.empty() ? "" : ", ") + std::string{recipe.name};
    }
    throw std::runtime_error("there is no recipe " + name + " for " + model + "; there are " + others);
}

/// What the loader does to each image.
inline std::vector<resnet::Transform> transforms(const Recipe& recipe) {
    constexpr resnet::Colour mean{124, 116, 104};
    std::vector<resnet::Transform> list;
    if (recipe.crop > 0)
        list.push_back(resnet::random_crop({.padding = recipe.crop, .reflect = recipe.reflect, .colour = mean}));
    if (recipe.flip == Flip::random) list.push_back(resnet::random_flip());
    if (recipe.flip == Flip::alternating) list.push_back(resnet::alternating_flip());
    if (recipe.cutout > 0) list.push_back(resnet::cutout({.size = recipe.cutout, .colour = mean}));
    return list;
}

/// The learning rate of a step of `steps`; `described` has its numbers in words.
inline float learning_rate(const Recipe& recipe, float peak, resnet::Index steps, resnet::Index step) {
    switch (recipe.schedule) {
        case Schedule::one_cycle:
            return resnet::OneCycle{.peak = peak, .steps = steps}(step);
        case Schedule::triangle:
            return resnet::Triangle{
                .peak = peak, .steps = steps, .warmup = steps / 4, .first = 0.2f * peak, .last = 0.07f * peak}(step);
        case Schedule::constant:
            break;
    }
    return peak;
}

/// So many training images at most, the first ones, make ResNet9's first layer.
inline constexpr resnet::Index whitening_images = 5000;

/// Every so many steps lookahead moves its average towards the weights, and goes on from there.
inline constexpr resnet::Index lookahead_every = 5;

/// How much of the average lookahead keeps after a step of `steps`: little at first, much at last, as the code of
/// Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", has it (which counts the step itself, too).
inline float lookahead_decay(resnet::Index steps, resnet::Index step) {
    const double past = static_cast<double>(step) / static_cast<double>(steps);
    return static_cast<float>(std::pow(0.95, lookahead_every) * std::pow(past, 3));
}

/// The recipe's parts that go with any optimizer, as texts.
inline std::vector<std::pair<std::string, std::string>> described(const Recipe& recipe) {
    constexpr const char* schedules[] = {"constant",
                                         "one cycle, from 1/25 of the rate up for 0.3 of the steps, down to 1/250000",
                                         "triangle, from 0.2 of the rate up for a quarter of the steps, down to 0.07"};
    constexpr const char* flips[] = {"", "flips", "alternating flips"};
    constexpr const char* views[] = {
        "as they are", "as they are; at last also mirrored",
        "as they are; at last also mirrored: half of the logits, a quarter each moved by a pixel up-left, down-right"};
    std::string augmentation;
    const auto add = [&](bool has, const std::string& what) {
        if (has) augmentation += (augmentation.empty() ? "" : ", ") + what;
    };
    add(recipe.crop > 0, "crops of " + std::to_string(recipe.crop) + " pixels" + (recipe.reflect ? ", reflected" : ""));
    add(recipe.flip != Flip::none, flips[static_cast<int>(recipe.flip)]);
    add(recipe.cutout > 0, "cutout of " + std::to_string(recipe.cutout) + " pixels");
    return {{"batch norm's weights", recipe.norm_scales ? "trained" : "1"},
            {"schedule", schedules[static_cast<int>(recipe.schedule)]},
            {"augmentation", augmentation.empty() ? "none" : augmentation},
            {"lookahead", recipe.lookahead ? "every " + std::to_string(lookahead_every) +
                                                 " steps, keeping the share 0.95^5 (part of the run)^3 of the average"
                                           : "none"},
            {"test images", views[static_cast<int>(recipe.views)]}};
}
