// Recipes: all that a run is made of beside network, data and seed. One table.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include <resnet/data/augment.hpp>
#include <resnet/optim/optimizers.hpp>
#include <resnet/optim/schedule.hpp>

struct Recipe {
    const char* model;
    const char* name;
    int epochs;
    resnet::Index batch_size;
    const char* optimizer;
    float learning_rate;  // its peak where there is a schedule
    float weight_decay;
    float label_smoothing;
    bool one_cycle;  // else the learning rate stays as it is
    bool augmented;  // random crops of the image with 4 pixels of the mean colour around it, and flips
};

inline constexpr Recipe recipes[] = {
    // model, name, epochs, batch, optimizer, rate, decay, smoothing, one cycle, augmented
    {"tutorial", "tutorial", 6, 128, "adam", 1e-3f, 0, 0, false, false},
    {"tutorial", "fast", 24, 128, "adamw", 4e-3f, 0.05f, 0, true, true},
    {"cifar-resnet18", "tutorial", 6, 128, "adam", 1e-3f, 0, 0, false, false},
    {"cifar-resnet18", "fast", 10, 256, "sgd", 0.4f, 5e-4f, 0.1f, true, true},
};

inline const Recipe& find_recipe(const std::string& model, const std::string& name) {
    for (const Recipe& recipe : recipes)
        if (model == recipe.model && name == recipe.name) return recipe;
    throw std::runtime_error("there is no recipe " + name + " for " + model);
}

/// What the loader does to each image.
inline std::vector<resnet::Transform> transforms(const Recipe& recipe) {
    if (!recipe.augmented) return {};
    return {resnet::random_crop({.padding = 4, .colour = {124, 116, 104}}), resnet::random_flip()};
}
