// Runs a network on a fixture's weights and images, and compares everything that PyTorch recorded: logits of inference
// and training, loss, every gradient, the running statistics after a step, the weights after three steps of each
// optimizer.
#pragma once

#include "fixture.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include <resnet/model.hpp>

#include "../support/engine.hpp"

namespace parity {

/// What a step's errors may be, relative to the largest value of each tensor.
template <class Scalar>
inline constexpr double bar = std::is_same_v<Scalar, double> ? 1e-10 : 1e-4;

/// The images and targets of one step.
template <class Scalar>
struct Batch {
    std::vector<Scalar> pixels;  // [N][3][H][W], normalised
    std::vector<int> labels, second_labels;
    std::vector<float> weights;
    resnet::ImageView images;

    Batch(const Fixture& fixture, std::size_t step)
        : pixels(uniform<Scalar>(numbers(fixture.draws.at(step), Stream::images, step),
                                 fixture.images * 3 * fixture.extent.area(), -1, 1)),
          labels(integers<int>(numbers(fixture.draws.at(step), Stream::labels, step), fixture.images,
                               static_cast<std::uint64_t>(fixture.classes))),
          images(resnet::nchw(pixels.data(), fixture.images, fixture.extent)) {
        if (!fixture.mixed) return;
        second_labels = integers<int>(numbers(fixture.draws.at(step), Stream::second_labels, step), fixture.images,
                                      static_cast<std::uint64_t>(fixture.classes));
        weights = integers<float>(numbers(fixture.draws.at(step), Stream::weights, step), fixture.images, 257);
        for (float& weight : weights) weight /= 256;  // exact
    }
    resnet::Targets targets() const {
        return weights.empty() ? resnet::Targets{labels} : resnet::Targets{labels, second_labels, weights};
    }
};

template <class Net, class Scalar>
resnet::Model<Net, Scalar> initial_model(const Fixture& fixture) {
    resnet::Model<Net, Scalar> model{resnet::Seed{1}};
    for (std::size_t place = 0; place < fixture.state.size(); ++place)
        model.set_parameter(fixture.state[place].name, fixture.initial<Scalar>(place));
    return model;
}

/// The model's parameters are PyTorch's: names, order and shapes.
template <class Net, class Scalar>
void check_parameters(const Fixture& fixture, const resnet::Model<Net, Scalar>& model) {
    const std::vector<resnet::ParameterInfo> parameters = model.parameters();
    std::size_t place = 0;
    for (const StateTensor& tensor : fixture.state) {
        if (tensor.is_statistic()) continue;
        REQUIRE(place < parameters.size());
        CHECK(parameters[place].name == tensor.name);
        CHECK(parameters[place].shape == tensor.shape);
        ++place;
    }
    CHECK(place == parameters.size());
}

/// The weights after three steps of an optimizer.
template <class Net, class Scalar, class Optimizer>
void compare_training(Comparison& compare, const Fixture& fixture, resnet::Model<Net, Scalar> model,
                      std::string_view result, Optimizer optimizer, float clip_norm = 0) {
    if (!fixture.has(result)) return;
    resnet::Trainer trainer{model, optimizer,
                            resnet::TrainerOptions{.label_smoothing = fixture.label_smoothing, .clip_norm = clip_norm}};
    for (std::size_t step = 0; step < 3; ++step) {
        const Batch<Scalar> batch{fixture, step};
        const auto got = trainer.step(batch.images, batch.targets());
        if (clip_norm > 0 && step == 0) compare(result, "gradient_norm", std::vector{got.gradient_norm});
    }
    for (const auto& parameter : model.parameters()) compare(result, parameter.name, model.parameter(parameter.name));
}

template <class Net, class Scalar>
void check_network(std::string_view name) {
    const Fixture fixture{name};
    Comparison compare{fixture};
    const auto initial = initial_model<Net, Scalar>(fixture);
    check_parameters(fixture, initial);
    const Batch<Scalar> batch{fixture, 0};

    {  // a block each, so that their packed weights are not held at once
        const resnet::Classifier classify{initial, {.batch = fixture.images, .image = fixture.extent}};
        const auto logits = classify(batch.images);
        compare("inference", "logits", std::span<const Scalar>(logits));
    }
    {
        auto model = initial;
        resnet::Trainer trainer{model, resnet::SGD{.learning_rate = 0},
                                resnet::TrainerOptions{.label_smoothing = fixture.label_smoothing}};
        const double loss = trainer.forward(batch.images, batch.targets());
        compare("forward", "logits", trainer.logits().values());
        compare("forward", "loss", std::vector{loss});
        trainer.backward();
        for (const auto& parameter : model.parameters())
            compare("gradient", parameter.name, trainer.gradient(parameter.name));
        trainer.apply();
        for (const StateTensor& tensor : fixture.state)
            if (tensor.is_statistic()) compare("statistics", tensor.name, model.parameter(tensor.name));
    }

    using resnet::Adam, resnet::AdamW, resnet::SGD;
    const auto train = [&](std::string_view result, auto optimizer, float clip_norm = 0) {
        compare_training(compare, fixture, initial, result, optimizer, clip_norm);
    };
    train("adam", Adam{.learning_rate = 1e-3f, .epsilon = 1e-3f});
    train("sgd", SGD{.learning_rate = 1e-2f, .momentum = 0.9f, .weight_decay = 5e-4f, .nesterov = true});
    train("adam_decay", Adam{.learning_rate = 1e-3f, .epsilon = 1e-6f, .weight_decay = 1e-2f});
    train("adamw", AdamW{.learning_rate = 1e-3f, .epsilon = 1e-6f, .weight_decay = 1e-2f});
    train("momentum", SGD{.learning_rate = 1e-2f, .momentum = 0.9f});
    train("clipped", SGD{.learning_rate = 1e-1f}, 0.25f);

    CHECK_MESSAGE(compare.error() <= bar<Scalar>, compare.worst());
    CHECK(compare.unmet() == "");
}

}  // namespace parity
