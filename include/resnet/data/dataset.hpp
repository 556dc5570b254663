// A labelled set of images in memory: bytes as they were read, one extent, a list of class names.
// Pixels are [N][H][W][3], RGB, whatever the file's order was: decoders, augmentation and the engine's input step all
// work on whole pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_limits.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0 {

/// The part of a data set that a network learns from, and the part that it is judged by.
enum class Split : std::uint8_t { train, test };

/// N images of H x W with 3 channels, and a label each: an index into the class names.
/// The views it hands out are valid as long as it lives and is not changed; slices of them, `images().slice(first,
/// count)`, copy nothing.
class Dataset {
public:
    /// `pixels` is [N][H][W][3], `labels` is [N]. Throws Error if their sizes differ from that, a label has no class,
    /// or a side is longer than 65536.
    Dataset(Extent extent, std::vector<std::uint8_t> pixels, std::vector<int> labels, std::vector<std::string> classes)
        : extent_{extent},
          pixels_{std::move(pixels)},
          labels_{std::move(labels)},
          classes_{std::move(classes)} {
        check();
    }

    Index size() const noexcept { return std::ssize(labels_); }
    Extent extent() const noexcept { return extent_; }
    /// uint8, [N][H][W][3], RGB.
    ImageView images() const noexcept { return nhwc(pixels_.data(), size(), extent_); }
    std::span<const int> labels() const noexcept { return labels_; }
    const std::vector<std::string>& classes() const noexcept { return classes_; }
    /// The name of a class. Throws Error if it is none of this set's: a network may have more outputs.
    const std::string& class_name(int label) const {
        if (label < 0 || label >= std::ssize(classes_)) throw_no_class("class_name", label);
        return classes_[static_cast<std::size_t>(label)];
    }

    /// Drops all images but the first `count`: for a quick trial. Does nothing where there are no more than that.
    void keep_first(Index count) {
        if (count < 0) throw Error("Dataset::keep_first", "a count of at least 0", std::to_string(count));
        if (count >= size()) return;
        labels_.resize(static_cast<std::size_t>(count));
        pixels_.resize(static_cast<std::size_t>(count * extent_.area() * 3));
    }

private:
    [[noreturn]] void throw_no_class(const std::string& where, int label) const {
        throw Error(where, detail::text("an index into ", classes_.size(), " classes"), std::to_string(label));
    }

    void check() const {
        constexpr int longest_side = 1 << 16;
        if (extent_.height < 1 || extent_.width < 1 || extent_.height > longest_side || extent_.width > longest_side) {
            throw Error("Dataset", detail::text("sides of 1 to ", longest_side), detail::describe(extent_));
        }
        if (std::ssize(pixels_) != size() * extent_.area() * 3) {
            throw Error("Dataset",
                        std::to_string(size() * extent_.area() * 3) + " bytes of pixels for " + std::to_string(size()) +
                            " labels",
                        std::to_string(pixels_.size()));
        }
        for (Index i = 0; i < size(); ++i) {
            const int label = labels_[static_cast<std::size_t>(i)];
            if (label < 0 || label >= std::ssize(classes_)) throw_no_class(detail::text("Dataset, label ", i), label);
        }
    }

    Extent extent_;
    std::vector<std::uint8_t> pixels_;  // [N][H][W][3]
    std::vector<int> labels_;           // [N]
    std::vector<std::string> classes_;
};

}  // namespace resnet::inline v0
