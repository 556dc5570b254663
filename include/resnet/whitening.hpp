// Filters that make an image's patches white: squares of what they give have mean 1, products of two have mean 0. As a
// network's first layer they need no training (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section
// 3.2).
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include <Eigen/Dense>

#include <resnet/core/error.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/text.hpp>
#include <resnet/engine/input.hpp>

namespace resnet::inline v0 {

struct WhiteningOptions {
    int kernel = 2;         // side of a patch
    double epsilon = 5e-4;  // added to each mean square: where patches have hardly anything, it is not blown up
};

/// PyTorch's weight of a convolution with 2 * 3 * kernel^2 output channels, [channels][3][kernel][kernel]: the
/// principal directions of the images' patches over the root of their mean square, the largest first, then their
/// negatives, so that nothing is lost behind relu or gelu (f(x) - f(-x) = x). Bytes are normalised as a model does it.
/// The patches' mean is not taken away: the filters see it, too, and grey images have little but a mean in the
/// directions of colour. Throws Error if there are no images, one is smaller than a patch, or epsilon is negative;
/// NotFiniteError if pixels, their squares or the filters are not finite (with epsilon 0 those of images of one
/// colour).
///
///     model.set_parameter("whiten.weight", whitening_filters(images, model.normalization()));
///     model.freeze("whiten.weight");
inline std::vector<float> whitening_filters(const ImageView& images, const Normalization& normalization = {},
                                            const WhiteningOptions& options = {}) {
    check_images(images, images.extent);
    const int kernel = options.kernel;
    const Index width = images.extent.width;
    if (!(options.epsilon >= 0 && std::isfinite(options.epsilon)))
        throw Error("whitening_filters", "a finite epsilon of at least 0", std::to_string(options.epsilon));
    if (kernel < 1) throw Error("whitening_filters", "a kernel of at least 1", std::to_string(kernel));
    if (images.images < 1 || kernel > images.extent.height || kernel > images.extent.width)
        throw Error("whitening_filters", detail::text("an image of at least ", kernel, "x", kernel, " pixels"),
                    detail::text(images.images, " images of ", images.extent.height, "x", images.extent.width));

    const int size = 3 * kernel * kernel;
    const Extent patches{images.extent.height - kernel + 1, images.extent.width - kernel + 1};
    const detail::PixelScaling<double> scaling{images.type, normalization};
    std::vector<double> pixels(static_cast<std::size_t>(images.extent.area() * 3));  // of one image, [H][W][3]
    Eigen::MatrixXd products = Eigen::MatrixXd::Zero(size, size);
    Eigen::VectorXd patch(size);
    for (Index n = 0; n < images.images; ++n) {
        detail::load_block(images.slice(n, 1), scaling, pixels.data());
        for (int y = 0; y < patches.height; ++y) {
            const double* const row = pixels.data() + y * width * 3;
            for (int x = 0; x < patches.width; ++x) {
                for (int c = 0, i = 0; c < 3; ++c)
                    for (int ky = 0; ky < kernel; ++ky)
                        for (int kx = 0; kx < kernel; ++kx, ++i) patch[i] = row[(ky * width + x + kx) * 3 + c];
                products.selfadjointView<Eigen::Lower>().rankUpdate(patch);
            }
        }
    }
    const double count = static_cast<double>(images.images * patches.area());
    products /= count;
    if (!products.allFinite()) throw NotFiniteError("whitening_filters", "pixels whose squares are finite", "others");
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver{products};  // reads the lower half

    const auto& mean_squares = solver.eigenvalues();  // the largest last
    const double rounding = (size + count) * std::numeric_limits<double>::epsilon() * mean_squares[size - 1];
    std::vector<float> filters;
    filters.reserve(static_cast<std::size_t>(2 * size * size));
    for (const double sign : {1.0, -1.0})
        for (int k = size - 1; k >= 0; --k) {
            const double mean_square = (mean_squares[k] > rounding ? mean_squares[k] : 0) + options.epsilon;
            for (int i = 0; i < size; ++i) {
                filters.push_back(static_cast<float>(sign * solver.eigenvectors()(i, k) / std::sqrt(mean_square)));
                if (!std::isfinite(filters.back()))
                    throw NotFiniteError("whitening_filters", "patches with something in every direction",
                                         "some without", "a larger epsilon takes them");
            }
        }
    return filters;
}

}  // namespace resnet::inline v0
