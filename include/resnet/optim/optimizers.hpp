// The optimizers a Trainer takes: their settings, with PyTorch's names, meanings and defaults.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <variant>

#include <resnet/core/error.hpp>
#include <resnet/core/role.hpp>

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

/// A factor for each role that a parameter can have. PyTorch: parameter groups.
struct RoleFactors {
    float weight = 1, bias = 1, norm_weight = 1, norm_bias = 1, custom = 1;

    constexpr float of(Role role) const {
        switch (role) {
            case Role::weight:
                return weight;
            case Role::bias:
                return bias;
            case Role::norm_weight:
                return norm_weight;
            case Role::norm_bias:
                return norm_bias;
            case Role::custom:
                break;
        }
        return custom;
    }
};

/// Throws Error if the rate is negative or not finite.
inline void check_learning_rate(float rate) {
    if (!(rate >= 0 && std::isfinite(rate)))
        throw Error("learning_rate", "a finite number of at least 0", std::to_string(rate));
}

/// Throws Error if one is negative or not finite.
inline void check_factors(const char* what, const RoleFactors& factors) {
    const auto& [weight, bias, norm_weight, norm_bias, custom] = factors;
    for (const float factor : {weight, bias, norm_weight, norm_bias, custom})
        if (!(factor >= 0 && std::isfinite(factor)))
            throw Error(what, "finite factors of at least 0", std::to_string(factor));
}

/// Throws Error if a setting is outside the range that PyTorch takes, or epsilon is 0 or denormal.
void check_settings(const auto& settings) {
    const auto check = [](const char* what, bool holds, const char* expected, float found) {
        if (!holds) throw Error(what, expected, std::to_string(found));
    };
    check_learning_rate(settings.learning_rate);
    check("weight_decay", settings.weight_decay >= 0, "at least 0", settings.weight_decay);
    if constexpr (requires { settings.momentum; }) {
        check("momentum", settings.momentum >= 0, "at least 0", settings.momentum);
        check("SGD", !settings.nesterov || settings.momentum > 0, "momentum above 0 with nesterov", settings.momentum);
    } else {
        check("beta1", settings.beta1 >= 0 && settings.beta1 < 1, "0 ... 1, without 1", settings.beta1);
        check("beta2", settings.beta2 >= 0 && settings.beta2 < 1, "0 ... 1, without 1", settings.beta2);
        // Else 0 / 0 where no gradient ever was; workers take denormals as 0.
        check("epsilon", settings.epsilon >= std::numeric_limits<float>::min(), "above 0 and not denormal",
              settings.epsilon);
    }
}

}  // namespace resnet::inline v0
