// Compares the gradients that backward computes with finite differences of the loss: how every node of the library is
// tested, and how a custom operation should be.
//
//     resnet::Model<MyNet, double> model{resnet::Seed{1}};
//     const auto result = resnet::check_gradients(model, images, labels);
//     CHECK(result.worst < 1e-6);   // infinity where nothing could be compared
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <resnet/trainer.hpp>

namespace resnet::inline v0 {

struct GradientCheckOptions {
    double step = 1e-6;   // a parameter moves by this much to either side
    Index elements = 64;  // of each parameter at most, spread evenly; 0: all
    double kink = 1e-5;   // one-sided differences that differ by this share of the largest gradient lie on a kink
    TrainerOptions trainer{};
};

struct GradientCheck {
    /// Largest |gradient - difference|, as a share of the layer's largest gradient, or of a thousandth of the network's
    /// largest where that is more; infinity where it is not finite, or nothing was compared.
    double worst = 0;
    std::string parameter;  // where that is
    Index element = 0;      // in PyTorch's order
    double gradient = 0, difference = 0;
    Index checked = 0;  // elements that were compared
    Index kinks = 0;    // elements that were left out, since the loss has a kink there
};

/// Moves parameters of a copy of `model` by +-step and compares the change of the loss, in training mode, with the
/// gradient. Frozen parameters are left out. In double, a right backward stays below 1e-6; a relu at 0 and ties of a
/// max pool are kinks, where differences mean nothing: draw other images if there are many.
template <class Net>
GradientCheck check_gradients(const Model<Net, double>& model, const ImageView& images, const Targets& targets,
                              const GradientCheckOptions& options = {}) {
    Model<Net, double> moved = model;
    Trainer<Net, double> trainer{moved, SGD{}, options.trainer};
    const double loss = trainer.forward(images, targets);
    trainer.backward();

    std::map<std::string, std::vector<double>> gradients;
    std::map<std::string, double>
        largest;  // by layer: a bias before batch norm has a gradient of zero, its weight has not
    const auto layer_of = [](const std::string& name) {
        return name.substr(0, std::min(name.rfind('.'), name.size()));
    };
    double largest_of_all = 0;
    for (const ParameterInfo& parameter : moved.parameters()) {
        if (parameter.frozen) continue;
        const std::vector<double>& values = gradients[parameter.name] = trainer.gradient(parameter.name);
        double& size = largest[layer_of(parameter.name)];
        for (const double g : values) size = std::max(size, std::abs(g));
        largest_of_all = std::max(largest_of_all, size);
    }

    GradientCheck result;
    for (const auto& entry : gradients) {
        const std::string& name = entry.first;
        const std::vector<double>& values = entry.second;
        const double scale = std::max(largest[layer_of(name)], 1e-3 * largest_of_all);
        const std::vector<double> original = moved.parameter(name);
        const Index size = static_cast<Index>(original.size());
        const Index count = options.elements > 0 ? std::min(options.elements, size) : size;
        for (Index i = 0; i < count; ++i) {
            const Index element = i * size / count;
            const auto at_element = static_cast<std::size_t>(element);
            const auto loss_at = [&](double shift) {
                std::vector<double> shifted = original;
                shifted[at_element] += shift;
                moved.set_parameter(name, shifted);
                return trainer.forward(images, targets);
            };
            const double above = loss_at(options.step), below = loss_at(-options.step);
            if (std::abs(above - 2 * loss + below) / options.step > options.kink * scale) {
                ++result.kinks;
                continue;
            }
            ++result.checked;
            const double difference = (above - below) / (2 * options.step);
            double error = std::abs(values[at_element] - difference) / scale;
            if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
            if (error <= result.worst) continue;
            result.worst = error;
            result.parameter = name;
            result.element = element;
            result.gradient = values[at_element];
            result.difference = difference;
        }
        moved.set_parameter(name, original);
    }
    if (result.checked == 0) result.worst = std::numeric_limits<double>::infinity();
    return result;
}

}  // namespace resnet::inline v0
