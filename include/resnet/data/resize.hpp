// Resizing of 8-bit images: bilinear, with antialiasing where the image shrinks. It gives the bytes of Pillow's
// Image.resize(size, BILINEAR), and so of torchvision's Resize on a PIL image; but where one side grows and the other
// shrinks, Pillow 13 rounds in another order, and some bytes differ by one.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_limits.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0 {

/// Writes each of the N images at the new extent to `output`, [N][extent.height][extent.width][C]; the channels keep
/// their order. Throws Error if the images are not uint8, an extent is empty, or `output` has not that many bytes.
void resize(const ImageView& images, Extent extent, std::span<std::uint8_t> output);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// One axis of a resize: output[i] = sum over t < count[i] of weight[i][t] * input[first[i] + t], rounded.
/// The weights form a triangle of half-width one input pixel, or one output pixel where that is larger (antialiasing);
/// they are fixed point and computed as in Pillow's Resample.c, so that results agree to the bit.
class ResizeAxis {
public:
    ResizeAxis(int input, int output) {
        const double scale = double{1} * input / output, support = std::max(scale, 1.0);
        taps_ = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
        first_.resize(static_cast<std::size_t>(output));
        count_.resize(static_cast<std::size_t>(output));
        weight_.resize(static_cast<std::size_t>(output) * taps_);
        std::vector<double> triangle(taps_);
        for (std::size_t i = 0; i < first_.size(); ++i) {
            const double center = (static_cast<double>(i) + 0.5) * scale;  // pixel x covers [x, x + 1)
            const int begin = std::max(static_cast<int>(center - support + 0.5), 0);
            const int end = std::min(static_cast<int>(center + support + 0.5), input);
            first_[i] = begin;
            count_[i] = static_cast<std::size_t>(end - begin);
            double sum = 0;
            for (std::size_t t = 0; t < count_[i]; ++t) {
                const double distance = std::abs(begin + static_cast<double>(t) - center + 0.5) / support;
                sum += triangle[t] = std::max(1 - distance, 0.0);
            }
            for (std::size_t t = 0; t < count_[i]; ++t) {
                weight_[i * taps_ + t] = static_cast<std::int32_t>(triangle[t] / sum * one + 0.5);
            }
        }
    }

    /// output[i] of a line of input that starts at `line`, `stride` bytes apart.
    std::uint8_t operator()(int i, const std::uint8_t* line, Index stride) const {
        const auto o = static_cast<std::size_t>(i);
        const std::int32_t* const weight = weight_.data() + o * taps_;
        const std::uint8_t* input = line + first_[o] * stride;
        std::int32_t sum = one / 2;
        for (std::size_t t = 0; t < count_[o]; ++t, input += stride) sum += weight[t] * *input;
        return static_cast<std::uint8_t>(std::min(sum >> fraction_bits, 255));
    }

private:
    static constexpr int fraction_bits = 22, one = 1 << fraction_bits;  // times an 8-bit pixel: 31 bits with the sign

    std::size_t taps_ = 0;              // room for each output's weights
    std::vector<int> first_;            // [output]
    std::vector<std::size_t> count_;    // [output]
    std::vector<std::int32_t> weight_;  // [output][taps_]
};

}  // namespace detail

inline void resize(const ImageView& images, Extent extent, std::span<std::uint8_t> output) {
    const Index row = Index{extent.width} * images.channels;  // bytes
    if (images.type != PixelType::uint8) throw Error("resize", "pixels of 8 bits", "floating-point pixels");
    for (const Extent e : {images.extent, extent}) {
        if (e.height < 1 || e.width < 1) throw Error("resize", "extents of at least 1 x 1", detail::describe(e));
    }
    if (std::ssize(output) != images.images * extent.height * row) {
        throw Error("resize", detail::text("an output of ", images.images * extent.height * row, " bytes"),
                    std::to_string(output.size()));
    }
    const detail::ResizeAxis across{images.extent.width, extent.width}, down{images.extent.height, extent.height};
    std::vector<std::uint8_t> narrowed(static_cast<std::size_t>(images.extent.height * row));  // [H][extent.width][C]
    std::uint8_t* out = output.data();
    for (Index n = 0; n < images.images; ++n) {
        const auto* const image = static_cast<const std::uint8_t*>(images.data) + n * images.image_stride;
        std::uint8_t* mid = narrowed.data();
        for (int y = 0; y < images.extent.height; ++y) {
            for (int x = 0; x < extent.width; ++x) {
                for (int c = 0; c < images.channels; ++c) {
                    *mid++ = across(x, image + y * images.row_stride + c * images.channel_stride, images.pixel_stride);
                }
            }
        }
        for (int y = 0; y < extent.height; ++y) {
            for (Index i = 0; i < row; ++i) *out++ = down(y, narrowed.data() + i, row);
        }
    }
}

}  // namespace resnet::inline v0
