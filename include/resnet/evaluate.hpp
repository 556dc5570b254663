// How good a classifier is: loss, accuracy and confusion over a labelled set.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <resnet/classifier.hpp>

namespace resnet::inline v0 {

struct Evaluation {
    double loss = 0;      // mean cross entropy
    double accuracy = 0;  // 0 ... 1
    Index images = 0;
    int classes = 0;
    std::vector<Index> confusion;  // [label][class that was said], counts

    Index confused(int label, int said) const { return at(confusion, label * classes + said); }
};

/// Classifies all images, `batch` at a time. Error where there are no images, not one label an image, or a label is not a
/// class.
template <class Net, class Scalar>
Evaluation evaluate(const Classifier<Net, Scalar>& classify, const ImageView& images, std::span<const int> labels,
                    Index batch = 128) {
    constexpr int classes = Model<Net, Scalar>::classes;
    check_targets(Targets{labels}, images.images, classes);
    if (images.images < 1) throw Error("images", "at least one image", std::to_string(images.images));
    if (batch < 1) throw Error("evaluate", "a batch of at least one image", std::to_string(batch));
    Evaluation result{.images = images.images,
                      .classes = classes,
                      .confusion = std::vector<Index>(static_cast<std::size_t>(classes * classes), 0)};
    Index right = 0;
    for (Index first = 0; first < images.images; first += batch) {
        const Index count = std::min(batch, images.images - first);
        const auto logits = classify(images.slice(first, count));
        for (Index n = 0; n < count; ++n) {
            const auto row = logits[n];
            const int label = labels[static_cast<std::size_t>(first + n)], said = predicted_class(row);
            double sum = 0;
            for (const Scalar x : row) sum += std::exp(static_cast<double>(x - row[static_cast<std::size_t>(said)]));
            result.loss += std::log(sum) - static_cast<double>(row[static_cast<std::size_t>(label)] -
                                                               row[static_cast<std::size_t>(said)]);
            right += label == said ? 1 : 0;
            ++result.confusion[static_cast<std::size_t>(label * classes + said)];
        }
    }
    result.loss /= static_cast<double>(images.images);
    result.accuracy = static_cast<double>(right) / static_cast<double>(images.images);
    return result;
}

}  // namespace resnet::inline v0
