// The optimizers a Trainer takes: their settings, with PyTorch's names, meanings and defaults.
#pragma once

#include <variant>

namespace resnet::inline v0 {

/// Kingma & Ba 2015, algorithm 1. weight_decay is added to the gradient (L2). PyTorch: torch.optim.Adam.
struct Adam {
    float learning_rate = 1e-3f;
    float beta1 = 0.9f, beta2 = 0.999f;
    float epsilon = 1e-8f;
    float weight_decay = 0;
};

/// Loshchilov & Hutter 2019, algorithm 2: weights shrink by learning_rate * weight_decay, apart from the gradient.
/// PyTorch: torch.optim.AdamW.
struct AdamW {
    float learning_rate = 1e-3f;
    float beta1 = 0.9f, beta2 = 0.999f;
    float epsilon = 1e-8f;
    float weight_decay = 1e-2f;
};

/// Gradient descent; with momentum, velocity = momentum * velocity + gradient. PyTorch: torch.optim.SGD.
struct SGD {
    float learning_rate = 1e-3f;
    float momentum = 0;
    float weight_decay = 0;
    bool nesterov = false;
};

using OptimizerSettings = std::variant<Adam, AdamW, SGD>;

}  // namespace resnet::inline v0
