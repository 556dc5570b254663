// Batches whose images are blends of two, with targets that say of which: mixup and cutmix.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/random.hpp>

namespace resnet::inline v0 {

/// Each image is mixed with the one before it in its batch, the first with the last, all in one proportion that is
/// drawn from Beta(alpha, alpha) for the batch, as torchvision's v2.MixUp and v2.CutMix do it. Where both alphas are
/// above 0, each batch takes one of the two at random.
struct MixOptions {
    double mixup = 0;   // alpha; pixels are weighted sums (Zhang et al. 2018). 0: never
    double cutmix = 0;  // alpha; a rectangle is the other image's (Yun et al. 2019). 0: never
};

namespace detail {

/// Standard gamma of shape `alpha` (Marsaglia & Tsang 2000); `position` counts the draws from `random`.
inline double random_gamma(double alpha, const Random& random, std::uint64_t& position) {
    if (alpha < 1) {  // from the next shape (section 6)
        const double u = 1 - random.uniform(position++);
        return random_gamma(alpha + 1, random, position) * std::pow(u, 1 / alpha);
    }
    const double d = alpha - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    while (true) {
        const double x = random.normal(position++), root = 1 + c * x, u = 1 - random.uniform(position++);
        const double v = root * root * root;
        if (root > 0 && std::log(u) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
    }
}

inline double random_beta(double alpha, const Random& random, std::uint64_t& position) {
    const double a = random_gamma(alpha, random, position), b = random_gamma(alpha, random, position);
    if (a + b > 0) return a / (a + b);
    // Both are too small for a double: of so small an alpha nearly all is at 0 and at 1.
    return static_cast<double>(random.below(2, position++));
}

inline void check_mix(const MixOptions& options) {
    for (const double alpha : {options.mixup, options.cutmix})
        if (!(alpha >= 0 && std::isfinite(alpha)))
            throw Error("MixOptions", "finite alphas of at least 0", std::to_string(alpha));
}

/// Part of an image, or of none.
struct Box {
    int top = 0, bottom = 0, left = 0, right = 0;
    Index area() const { return Index{bottom - top} * (right - left); }
};

/// A box with the share 1 - `kept` of the image around a random position, cut off at the borders (CutMix, equation 2).
inline Box random_box(Extent image, double kept, const Random& random, std::uint64_t& position) {
    const double side = std::sqrt(1 - kept) / 2;
    const auto center = [&](int size) {
        return static_cast<int>(random.below(static_cast<std::uint64_t>(size), position++));
    };
    const int y = center(image.height), x = center(image.width);
    const int half_height = static_cast<int>(side * image.height), half_width = static_cast<int>(side * image.width);
    return {std::max(y - half_height, 0), std::min(y + half_height, image.height), std::max(x - half_width, 0),
            std::min(x + half_width, image.width)};
}

/// Mixes the images of a batch, [N][H][W][3], in place; returns the weight of each image's own label.
inline float mix_images(std::vector<std::uint8_t>& pixels, Index images, Extent extent, const MixOptions& options,
                        const Random& random, std::uint64_t position) {
    const bool both = options.mixup > 0 && options.cutmix > 0;
    const bool cut = both ? random.below(2, position++) == 1 : options.cutmix > 0;
    double kept = random_beta(cut ? options.cutmix : options.mixup, random, position);
    const Box box = cut ? random_box(extent, kept, random, position) : Box{};
    if (cut) kept = 1 - static_cast<double>(box.area()) / static_cast<double>(extent.area());
    const Index bytes = extent.area() * 3;
    const auto image = [&](Index n) { return pixels.data() + n * bytes; };
    const std::vector<std::uint8_t> last(image(images - 1), image(images - 1) + bytes);  // as it was
    for (Index n = images - 1; n >= 0; --n) {
        std::uint8_t* const own = image(n);
        const std::uint8_t* const other = n > 0 ? image(n - 1) : last.data();
        if (cut) {
            for (int y = box.top; y < box.bottom; ++y) {
                const Index first = (Index{y} * extent.width + box.left) * 3, count = Index{box.right - box.left} * 3;
                std::copy_n(other + first, count, own + first);
            }
        } else {
            for (Index i = 0; i < bytes; ++i)
                own[i] = static_cast<std::uint8_t>(kept * own[i] + (1 - kept) * other[i] + 0.5);
        }
    }
    return static_cast<float>(kept);
}

}  // namespace detail

}  // namespace resnet::inline v0
