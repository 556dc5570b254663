// Changes that make one image many: transforms for a Loader, each a pure function of the image and of random numbers
// that belong to it (Sample). Sizes stay as they are, so a network sees the extent that it was planned for.
//
//     const resnet::Loader loader{train, {.seed = seed, .transforms = {random_crop({.padding = 4}), random_flip()}}};
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/text.hpp>
#include <resnet/data/loader.hpp>
#include <resnet/data/resize.hpp>

namespace resnet::inline v0 {

using Colour = std::array<std::uint8_t, 3>;  // red, green, blue

struct CropOptions {
    int padding = 4;       // pixels that are added on each side before the crop
    bool reflect = false;  // they mirror the image, its edge not doubled; else they have one colour
    Colour colour{};       // black; the mean colour is zero after normalisation
};

/// A window of the image's size at a random place of the padded image. PyTorch: RandomCrop(size, padding).
/// Throws Error if padding is negative or above 2^20, or, when it meets an image, not smaller than a side that it
/// reflects.
Transform random_crop(const CropOptions& options = {});

/// Left and right change places with probability 1 / 2. PyTorch: RandomHorizontalFlip.
Transform random_flip();

/// Left and right change places in every second epoch, for each image beginning with a random one: in two epochs both
/// views are seen (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.6).
Transform alternating_flip();

struct CutoutOptions {
    int size = 8;  // side of the square
    Colour colour{};
};

/// One colour in a square around a random pixel; what lies outside the image is cut off (DeVries & Taylor 2017).
/// Throws Error if the size is negative.
Transform cutout(const CutoutOptions& options = {});

struct ResizedCropOptions {
    double min_scale = 0.08, max_scale = 1;           // share of the image's area that is cut out
    double min_ratio = 3.0 / 4, max_ratio = 4.0 / 3;  // width / height
};

/// A random part of the image, resized to the whole. PyTorch: RandomResizedCrop, ten tries and then the middle.
/// Throws Error if a range is empty, a share is not in (0, 1], or a ratio is not finite and above 0.
Transform random_resized_crop(const ResizedCropOptions& options = {});

struct JitterOptions {
    double brightness = 0.4, contrast = 0.4, saturation = 0.4;  // factors of 1 - x ... 1 + x
};

/// Brightness, contrast and saturation times random factors, in this order. PyTorch: ColorJitter, which draws the
/// order, too. Throws Error if a strength is not in 0 ... 1.
Transform colour_jitter(const JitterOptions& options = {});

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline std::span<std::uint8_t> pixels_of(MutableImage image) {
    return {image.data, static_cast<std::size_t>(image.extent.area()) * 3};
}

inline void flip(MutableImage image) {
    for (int y = 0; y < image.extent.height; ++y)
        for (int x = 0; x < image.extent.width / 2; ++x)
            std::ranges::swap_ranges(image.pixel(y, x), image.pixel(y, image.extent.width - 1 - x));
}

/// Position i of a line of `size` that is mirrored at both ends.
constexpr int reflected(int i, int size) { return i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i; }

constexpr double grey(const Colour& pixel) { return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]; }
inline double grey(std::span<const std::uint8_t, 3> pixel) { return grey(Colour{pixel[0], pixel[1], pixel[2]}); }

inline std::uint8_t to_byte(double value) { return static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0)); }

/// Where random_resized_crop cuts.
struct Cut {
    int top, left;
    Extent extent;
};
inline Cut random_cut(Extent image, const ResizedCropOptions& options, const Sample& sample) {
    const double area = static_cast<double>(image.area());
    for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
        const double share = options.min_scale + (options.max_scale - options.min_scale) * sample.uniform(4 * attempt);
        const double low = std::log(options.min_ratio), high = std::log(options.max_ratio);
        const double ratio = std::exp(low + (high - low) * sample.uniform(4 * attempt + 1));
        const Extent cut{static_cast<int>(std::lround(std::sqrt(area * share / ratio))),
                         static_cast<int>(std::lround(std::sqrt(area * share * ratio)))};
        if (cut.height < 1 || cut.width < 1 || cut.height > image.height || cut.width > image.width) continue;
        return {static_cast<int>(sample.below(image.height - cut.height + 1, 4 * attempt + 2)),
                static_cast<int>(sample.below(image.width - cut.width + 1, 4 * attempt + 3)), cut};
    }
    const double ratio = static_cast<double>(image.width) / image.height;
    Extent cut = image;
    const auto side = [](double length) { return std::max(static_cast<int>(std::lround(length)), 1); };
    if (ratio < options.min_ratio) cut.height = side(image.width / options.min_ratio);
    if (ratio > options.max_ratio) cut.width = side(image.height * options.max_ratio);
    return {(image.height - cut.height) / 2, (image.width - cut.width) / 2, cut};
}

}  // namespace detail

inline Transform random_crop(const CropOptions& options) {
    constexpr int most = 1 << 20;
    if (options.padding < 0 || options.padding > most)
        throw Error("random_crop", detail::text("padding of 0 ... ", most), std::to_string(options.padding));
    return [options](MutableImage image, const Sample& sample) {
        const auto [height, width] = image.extent;
        if (options.reflect && options.padding >= std::min(height, width)) {
            throw Error(
                "random_crop",
                detail::text("padding below the sides of the image, ", height, " x ", width, ", which it reflects"),
                std::to_string(options.padding));
        }
        const auto shift = [&](std::uint32_t draw) {
            return static_cast<int>(sample.below(2 * options.padding + 1, draw)) - options.padding;
        };
        const int down = shift(0), right = shift(1);
        const auto pixels = detail::pixels_of(image);
        const std::vector<std::uint8_t> source(pixels.begin(), pixels.end());
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x) {
                int from_y = y + down, from_x = x + right;
                if (options.reflect) {
                    from_y = detail::reflected(from_y, height);
                    from_x = detail::reflected(from_x, width);
                }
                const bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
                const std::uint8_t* const from =
                    inside ? source.data() + (Index{from_y} * width + from_x) * 3 : options.colour.data();
                std::copy_n(from, 3, image.pixel(y, x).begin());
            }
    };
}

inline Transform random_flip() {
    return [](MutableImage image, const Sample& sample) {
        if (sample.below(2, 0) == 1) detail::flip(image);
    };
}

inline Transform alternating_flip() {
    return [](MutableImage image, const Sample& sample) {
        if ((sample.below_always(2, 0) + sample.epoch) % 2 == 1) detail::flip(image);
    };
}

inline Transform cutout(const CutoutOptions& options) {
    if (options.size < 0) throw Error("cutout", "a size of at least 0", std::to_string(options.size));
    return [options](MutableImage image, const Sample& sample) {
        const int top = static_cast<int>(sample.below(image.extent.height, 0)) - options.size / 2;
        const int left = static_cast<int>(sample.below(image.extent.width, 1)) - options.size / 2;
        for (int y = std::max(top, 0); y < std::min(top + options.size, image.extent.height); ++y)
            for (int x = std::max(left, 0); x < std::min(left + options.size, image.extent.width); ++x)
                std::ranges::copy(options.colour, image.pixel(y, x).begin());
    };
}

inline Transform random_resized_crop(const ResizedCropOptions& options) {
    if (!(options.min_scale > 0 && options.min_scale <= options.max_scale && options.max_scale <= 1)) {
        throw Error("random_resized_crop", "shares of the area in (0, 1], the smallest first",
                    std::to_string(options.min_scale) + " and " + std::to_string(options.max_scale));
    }
    if (!(options.min_ratio > 0 && options.min_ratio <= options.max_ratio && std::isfinite(options.max_ratio))) {
        throw Error("random_resized_crop", "finite ratios above 0, the smallest first",
                    std::to_string(options.min_ratio) + " and " + std::to_string(options.max_ratio));
    }
    return [options](MutableImage image, const Sample& sample) {
        const detail::Cut cut = detail::random_cut(image.extent, options, sample);
        const auto pixels = detail::pixels_of(image);
        const std::vector<std::uint8_t> source(pixels.begin(), pixels.end());
        ImageView part = nhwc(source.data(), 1, image.extent);
        part.data = source.data() + (Index{cut.top} * image.extent.width + cut.left) * 3;
        part.extent = cut.extent;
        resize(part, image.extent, pixels);
    };
}

inline Transform colour_jitter(const JitterOptions& options) {
    for (const double strength : {options.brightness, options.contrast, options.saturation})
        if (!(strength >= 0 && strength <= 1))
            throw Error("colour_jitter", "strengths of 0 ... 1", std::to_string(strength));
    return [options](MutableImage image, const Sample& sample) {
        const auto factor = [&](double strength, std::uint32_t draw) {
            return 1 + strength * (2 * sample.uniform(draw) - 1);
        };
        const double brightness = factor(options.brightness, 0), contrast = factor(options.contrast, 1),
                     saturation = factor(options.saturation, 2);
        const auto each_pixel = [&](const auto& change) {
            for (int y = 0; y < image.extent.height; ++y)
                for (int x = 0; x < image.extent.width; ++x) change(image.pixel(y, x));
        };
        for (std::uint8_t& value : detail::pixels_of(image)) value = detail::to_byte(value * brightness);
        double sum = 0;
        each_pixel([&](auto pixel) { sum += detail::grey(pixel); });
        const double mean = sum / static_cast<double>(image.extent.area());
        each_pixel([&](auto pixel) {
            for (std::uint8_t& value : pixel) value = detail::to_byte(mean + (value - mean) * contrast);
            const double grey = detail::grey(pixel);
            for (std::uint8_t& value : pixel) value = detail::to_byte(grey + (value - grey) * saturation);
        });
    };
}

}  // namespace resnet::inline v0
