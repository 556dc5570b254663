// What the bits of a training run depend on beside its data, seed and optimizer. The number of threads is not among it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <resnet/core/text.hpp>
#include <resnet/core/version.hpp>
#include <resnet/engine/training.hpp>
#include <resnet/io/environment.hpp>
#include <resnet/io/numbers.hpp>
#include <resnet/io/safetensors.hpp>
#include <resnet/io/tensor_type.hpp>
#include <resnet/kernels/isa.hpp>

namespace resnet::inline v0::detail {

inline constexpr std::string_view fingerprint_prefix = "fingerprint.";

inline std::string factors_text(const RoleFactors& factors) {
    const auto& [weight, bias, norm_weight, norm_bias, custom] = factors;
    std::string text;
    for (const float factor : {weight, bias, norm_weight, norm_bias, custom})
        text.append(text.empty() ? "" : " ").append(number_text(factor));
    return text;
}

/// Metadata of a file.
template <class Scalar>
Metadata fingerprint(const TrainerOptions& options) {
    const auto& [label_smoothing, clip_norm, learning_rate, weight_decay, plan] = options;
    const auto& [choice, block, isa] = plan;
    const auto& [allow_winograd, allow_direct, images] = choice;
    Metadata fields{{"library", std::string{version}},
                    {"compiler", compiler()},
                    {"instruction set", std::string{name_of(isa)}},
                    {"precision", std::string{name(tensor_type_of<Scalar>())}},
                    {"label_smoothing", number_text(label_smoothing)},
                    {"clip_norm", number_text(clip_norm)},
                    {"learning_rate factors", factors_text(learning_rate)},
                    {"weight_decay factors", factors_text(weight_decay)},
                    {"block", number_text(block)},
                    {"allow_winograd", number_text(allow_winograd)},
                    {"allow_direct", number_text(allow_direct)},
                    {"images", number_text(images)}};
    Metadata metadata;
    for (auto& [key, value] : fields) metadata[text(fingerprint_prefix, key)] = std::move(value);
    return metadata;
}

/// "instruction set avx512, now avx2", one for each field that differs.
inline std::vector<std::string> differences(const Metadata& before, const Metadata& now) {
    std::vector<std::string> found;
    for (const auto& [key, value] : now) {
        const auto old = before.find(key);
        if (old != before.end() && old->second == value) continue;
        const std::string was = old == before.end() ? "unknown" : printable(old->second);
        found.push_back(text(key.substr(fingerprint_prefix.size()), " ", was, ", now ", value));
    }
    return found;
}

}  // namespace resnet::inline v0::detail
