// The input step: pixels of any layout and type become the first activation, scaled, normalised and blocked.
#pragma once

#include <array>
#include <cmath>
#include <string>

#include <resnet/core/error.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

/// (pixel / 255 - mean) / standard_deviation, a channel each, in the order red, green, blue. The default is ImageNet's,
/// which the tutorial takes, too.
struct Normalization {
    std::array<float, 3> mean{0.485f, 0.456f, 0.406f};
    std::array<float, 3> standard_deviation{0.229f, 0.224f, 0.225f};

    friend bool operator==(const Normalization&, const Normalization&) = default;
};

namespace detail {

/// What makes a normalised number of a pixel: pixel * scale + shift.
template <class Scalar>
struct PixelScaling {
    std::array<Scalar, 3> scale, shift;

    PixelScaling(PixelType type, const Normalization& normalization) {
        const bool bytes = type == PixelType::uint8;  // floats are normalised already
        for (std::size_t c = 0; c < 3; ++c) {
            const auto mean = static_cast<double>(normalization.mean[c]),
                       deviation = static_cast<double>(normalization.standard_deviation[c]);
            scale[c] = bytes ? static_cast<Scalar>(1 / (255 * deviation)) : Scalar{1};
            shift[c] = bytes ? static_cast<Scalar>(-mean / deviation) : Scalar{0};
        }
    }
};

template <class Pixel, class Scalar>
void load_pixels(const ImageView& view, const PixelScaling<Scalar>& scaling, Scalar* to) {
    const auto* base = static_cast<const std::byte*>(view.data);
    for (int y = 0; y < view.extent.height; ++y)
        for (int x = 0; x < view.extent.width; ++x)
            for (Index n = 0; n < view.images; ++n) {
                const std::byte* pixel = base + n * view.image_stride + y * view.row_stride + x * view.pixel_stride;
                for (std::size_t c = 0; c < 3; ++c, ++to) {
                    const Index channel =
                        view.order == ChannelOrder::rgb ? static_cast<Index>(c) : static_cast<Index>(2 - c);
                    Pixel value;
                    std::memcpy(&value, pixel + channel * view.channel_stride, sizeof value);
                    *to = static_cast<Scalar>(value) * scaling.scale[c] + scaling.shift[c];
                }
            }
}

/// Images of any layout and type to one block, [H][W][N][3], normalised.
template <class Scalar>
void load_block(const ImageView& view, const PixelScaling<Scalar>& scaling, Scalar* to) {
    switch (view.type) {
        case PixelType::uint8:
            return load_pixels<std::uint8_t>(view, scaling, to);
        case PixelType::float32:
            return load_pixels<float>(view, scaling, to);
        case PixelType::float64:
            return load_pixels<double>(view, scaling, to);
    }
}

}  // namespace detail

/// Throws Error if bytes could not be normalised with it, or would all become the same.
inline void check_normalization(const Normalization& normalization) {
    for (const float mean : normalization.mean)
        if (!std::isfinite(mean)) throw Error("normalization", "finite means", std::to_string(mean));
    for (const float deviation : normalization.standard_deviation)
        if (!(std::isfinite(deviation) && deviation > 0))
            throw Error("normalization", "finite standard deviations above 0", std::to_string(deviation));
}

/// Throws Error if the view is not what the network reads. No images are.
inline void check_images(const ImageView& view, Extent extent) {
    if (view.images < 0) throw Error("images", "at least no image", std::to_string(view.images));
    if (view.images > 0 && view.data == nullptr) throw Error("images", "pixels", "a null pointer");
    if (view.channels != 3)
        throw Error("images", "3 channels", std::to_string(view.channels),
                    view.channels == 4 ? "a view with channels = 3 and the same pixel_stride leaves the fourth out"
                                       : "grey images have three in a view with channels = 3 and channel_stride = 0");
    if (view.extent != extent)
        throw Error("images", std::to_string(extent.height) + "x" + std::to_string(extent.width) + " pixels",
                    std::to_string(view.extent.height) + "x" + std::to_string(view.extent.width),
                    "resize them (image.hpp), or plan for their extent by ClassifierOptions::image");
}

template <class Scalar>
void run_input(const Run<Scalar>& run, int index, const ImageView& images, const Normalization& normalization) {
    const detail::PixelScaling<Scalar> scaling{images.type, normalization};
    const int tensor = run.step(index).output;
    run.for_each_chunk(run.blocks(), 4 * run.elements(tensor), [&](Index block, int) {
        detail::load_block(images.slice(block * run.plan.block(), run.block_images(block)), scaling,
                           run.block(tensor, block));
    });
}

}  // namespace resnet::inline v0
