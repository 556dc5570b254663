// An optimizer's name and settings in a file's metadata.
#pragma once

#include <string>
#include <type_traits>
#include <variant>

#include <resnet/core/error.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/numbers.hpp>
#include <resnet/io/safetensors.hpp>
#include <resnet/optim/optimizers.hpp>

namespace resnet::inline v0::detail {

/// Calls visit(name, setting) for each of an optimizer's settings. There is a binding for every member: one that were
/// forgotten here would not compile.
template <class Settings>
void for_each_setting(Settings& settings, auto&& visit) {
    if constexpr (std::is_same_v<std::remove_const_t<Settings>, SGD>) {
        auto& [learning_rate, momentum, weight_decay, nesterov] = settings;
        visit("learning_rate", learning_rate);
        visit("momentum", momentum);
        visit("weight_decay", weight_decay);
        visit("nesterov", nesterov);
    } else {  // Adam, AdamW
        auto& [learning_rate, beta1, beta2, epsilon, weight_decay] = settings;
        visit("learning_rate", learning_rate);
        visit("beta1", beta1);
        visit("beta2", beta2);
        visit("epsilon", epsilon);
        visit("weight_decay", weight_decay);
    }
}

inline std::string name_of(const OptimizerSettings& settings) {
    if (std::holds_alternative<SGD>(settings)) return "SGD";
    return std::holds_alternative<AdamW>(settings) ? "AdamW" : "Adam";
}

inline std::string setting_key(const char* name) { return text("optimizer.", name); }

inline Metadata settings_text(const OptimizerSettings& settings) {
    Metadata metadata{{setting_key("name"), name_of(settings)}};
    std::visit(
        [&](const auto& s) {
            for_each_setting(s,
                             [&](const char* name, auto value) { metadata[setting_key(name)] = number_text(value); });
        },
        settings);
    return metadata;
}

/// The settings that a file states for the same optimizer. Throws FormatError if one is missing, no number, or none
/// that the optimizer takes.
inline OptimizerSettings settings_of(const TensorFile& file, OptimizerSettings settings) {
    std::visit(
        [&](auto& s) {
            for_each_setting(s, [&](const char* name, auto& value) {
                value = number_in<std::remove_reference_t<decltype(value)>>(file, setting_key(name));
            });
            try {
                check_settings(s);
            } catch (const Error& error) {
                throw FormatError(text(file.name(), ": optimizer.", error.where()), error.expected(), error.found());
            }
        },
        settings);
    return settings;
}

}  // namespace resnet::inline v0::detail
