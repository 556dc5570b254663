// The general convolution, for every shape: patches are copied into rows (im2col) and multiplied by Eigen's matrix
// product. The last entry of the kernel lists, and the yardstick of the benchmarks.
#pragma once

#include <algorithm>

#include <Eigen/Core>

#include <resnet/engine/run.hpp>

namespace resnet::inline v0 {

namespace detail {

/// Eigen's product without its parallel part, with block sizes and memory of ours: nothing depends on the CPU's caches,
/// nothing is allocated.
template <class Scalar>
class FixedBlocking : public Eigen::internal::level3_blocking<Scalar, Scalar> {
public:
    FixedBlocking(Index rows, Index columns, Index depth, Scalar* memory) {
        this->m_mc = std::min(rows, im2col_rows);
        this->m_nc = std::min(columns, product_columns);
        this->m_kc = std::min(depth, product_depth);
        this->m_blockA = memory;
        this->m_blockB = memory + im2col_rows * product_depth;
    }
};

/// c[rows][columns] += a b, all row-major with a leading dimension; `a` is [rows][depth], or [depth][rows] where
/// TransposeA; `b` likewise.
template <bool TransposeA, bool TransposeB, class Scalar>
void add_product(Index rows, Index columns, Index depth, const Scalar* a, Index lda, const Scalar* b, Index ldb,
                 Scalar* c, Index ldc, Scalar* memory) {
    constexpr int a_order = TransposeA ? Eigen::ColMajor : Eigen::RowMajor,
                  b_order = TransposeB ? Eigen::ColMajor : Eigen::RowMajor;
    using Product = Eigen::internal::general_matrix_matrix_product<Index, Scalar, a_order, false, Scalar, b_order,
                                                                   false, Eigen::RowMajor, 1>;
    // A row-major result is computed as the transposed product: rows and columns change places.
    FixedBlocking<Scalar> blocking{columns, rows, depth, memory};
    Product::run(rows, columns, depth, a, lda, b, ldb, c, 1, ldc, Scalar{1}, blocking, nullptr);
}

/// Calls visit(row, tap, offset of the input's channels or -1 in the padding) for rows first ... last - 1 of (output
/// position, image).
void for_each_patch_element(const ConvolutionShape& shape, int images, Index first, Index last, auto&& visit) {
    const Window& w = shape.window;
    for (Index row = first; row < last; ++row) {
        const Index position = row / images, image = row % images;
        const int y = static_cast<int>(position / shape.output.width),
                  x = static_cast<int>(position % shape.output.width);
        for (int ky = 0; ky < w.height; ++ky)
            for (int kx = 0; kx < w.width; ++kx) {
                const int iy = y * w.stride + ky - w.padding, ix = x * w.stride + kx - w.padding;
                const bool inside = iy >= 0 && iy < shape.input.height && ix >= 0 && ix < shape.input.width;
                visit(row - first, ky * w.width + kx,
                      inside ? ((Index{iy} * shape.input.width + ix) * images + image) * shape.in : Index{-1});
            }
    }
}

template <class Scalar>
void im2col(const ConvolutionShape& shape, int images, Index first, Index last, const Scalar* input, Scalar* columns) {
    const Index depth = Index{shape.window.taps()} * shape.in;
    for_each_patch_element(shape, images, first, last, [&](Index row, int tap, Index offset) {
        Scalar* to = columns + row * depth + Index{tap} * shape.in;
        if (offset < 0) std::fill_n(to, shape.in, Scalar{0});
        else std::copy_n(input + offset, shape.in, to);
    });
}

/// The rows of one block in tiles of im2col_rows.
void for_each_tile(Index rows, auto&& visit) {
    for (Index first = 0; first < rows; first += im2col_rows) visit(first, std::min(rows, first + im2col_rows));
}

template <class Scalar>
struct Im2colScratch {
    Scalar *columns, *product, *group;
    Im2colScratch(const Run<Scalar>& run, const ConvolutionShape& shape, int slot)
        : columns{reinterpret_cast<Scalar*>(run.workspace.scratch(slot))},
          product{columns + im2col_rows * whole_lines(Index{shape.window.taps()} * shape.in)},
          group{product + product_depth * (im2col_rows + product_columns)} {}
};

}  // namespace detail

/// One block forward: output = relu(bias + patches * weight + residual).
template <class Scalar>
void convolution_im2col_forward(const Run<Scalar>& run, const ConvolutionShape& shape, int images, const Scalar* input,
                                const Scalar* weight, const Scalar* bias, const Scalar* residual, bool relu,
                                Scalar* output, int slot) {
    const Index depth = Index{shape.window.taps()} * shape.in, out = shape.out;
    const detail::Im2colScratch<Scalar> scratch{run, shape, slot};
    detail::for_each_tile(shape.output.area() * images, [&](Index first, Index last) {
        detail::im2col(shape, images, first, last, input, scratch.columns);
        Scalar* to = output + first * out;
        // The residual may lie where the output goes, and it is the same element's: then the sum is already begun.
        for (Index r = 0; r < last - first; ++r)
            for (Index o = 0; o < out; ++o)
                to[r * out + o] = (bias != nullptr ? bias[o] : Scalar{0}) +
                                  (residual != nullptr ? residual[(first + r) * out + o] : Scalar{0});
        // Eigen sums a last, smaller group of rows in another order. Such a group is computed as part of a whole one,
        // so that an image's results do not depend on its place in the batch.
        const Index rest = (last - first) % im2col_group, whole = last - first - rest;
        if (whole > 0)
            detail::add_product<false, false>(whole, out, depth, scratch.columns, depth, weight, out, to, out,
                                              scratch.product);
        if (rest > 0) {
            Scalar *columns = scratch.columns + whole * depth, *group = scratch.group;
            std::fill_n(columns + rest * depth, (im2col_group - rest) * depth, Scalar{0});
            std::fill_n(group, im2col_group * out, Scalar{0});
            std::copy_n(to + whole * out, rest * out, group);
            detail::add_product<false, false>(im2col_group, out, depth, columns, depth, weight, out, group, out,
                                              scratch.product);
            std::copy_n(group, rest * out, to + whole * out);
        }
        if (relu)
            for (Index i = 0; i < (last - first) * out; ++i) to[i] = to[i] < 0 ? Scalar{0} : to[i];
    });
}

/// One block of the gradient of the input: the columns' gradients are added back to where im2col took them from.
template <class Scalar>
void convolution_im2col_grad_input(const Run<Scalar>& run, const ConvolutionShape& shape, int images,
                                   const Scalar* grad_output, const Scalar* weight, bool add, Scalar* grad_input,
                                   int slot) {
    const Index depth = Index{shape.window.taps()} * shape.in, out = shape.out;
    const detail::Im2colScratch<Scalar> scratch{run, shape, slot};
    if (!add) std::fill_n(grad_input, shape.input.area() * images * shape.in, Scalar{0});
    detail::for_each_tile(shape.output.area() * images, [&](Index first, Index last) {
        std::fill_n(scratch.columns, (last - first) * depth, Scalar{0});
        detail::add_product<false, true>(last - first, depth, out, grad_output + first * out, out, weight, out,
                                         scratch.columns, depth, scratch.product);
        detail::for_each_patch_element(shape, images, first, last, [&](Index row, int tap, Index offset) {
            if (offset < 0) return;
            const Scalar* from = scratch.columns + row * depth + Index{tap} * shape.in;
            for (int c = 0; c < shape.in; ++c) grad_input[offset + c] += from[c];
        });
    });
}

/// Adds one block's part of the gradient of the weights.
template <class Scalar>
void convolution_im2col_grad_weight(const Run<Scalar>& run, const ConvolutionShape& shape, int images,
                                    const Scalar* input, const Scalar* grad_output, Scalar* grad_weight, int slot) {
    const Index depth = Index{shape.window.taps()} * shape.in, out = shape.out;
    const detail::Im2colScratch<Scalar> scratch{run, shape, slot};
    detail::for_each_tile(shape.output.area() * images, [&](Index first, Index last) {
        detail::im2col(shape, images, first, last, input, scratch.columns);
        detail::add_product<true, false>(depth, out, last - first, scratch.columns, depth, grad_output + first * out,
                                         out, grad_weight, out, scratch.product);
    });
}

}  // namespace resnet::inline v0
