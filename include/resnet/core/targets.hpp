// Training targets of a batch: class indices, or pairs of them that mixup or cutmix mixed.
#pragma once

#include <span>
#include <vector>

namespace resnet::inline v0 {

/// The class index of each image, or the mixture weight * label + (1 - weight) * second label (mixup, cutmix). A view.
struct Targets {
    std::span<const int> labels;
    std::span<const int> second_labels{};  // empty, or as many as labels
    std::span<const float> weights{};      // of the first label, 0 ... 1

    Targets() = default;
    Targets(std::span<const int> first) : labels{first} {}     // NOLINT(google-explicit-constructor)
    Targets(const std::vector<int>& first) : labels{first} {}  // NOLINT(google-explicit-constructor)
    Targets(std::span<const int> first, std::span<const int> second, std::span<const float> weight)
        : labels{first},
          second_labels{second},
          weights{weight} {}
};

}  // namespace resnet::inline v0
