// Everything that is compiled for one instruction set, in the namespace and target region of kernels.hpp.

// Vectors come first, and tiles before what is built on them:
// clang-format off
#include <resnet/kernels/vector.inl>
#include <resnet/kernels/convolution.inl>
#include <resnet/kernels/convolution_by_tap.inl>
#include <resnet/kernels/weight_gradient.inl>
#include <resnet/kernels/winograd.inl>
#include <resnet/kernels/gelu.inl>
#include <resnet/kernels/batch_norm.inl>
#include <resnet/kernels/pooling.inl>
#include <resnet/kernels/update.inl>
#include <resnet/kernels/transpose.inl>
// clang-format on

template <class Scalar>
inline constexpr Kernels<Scalar> table{
    .lanes = Vector<Scalar>::lanes,
    .widest = tile_vectors,
    .convolution = &convolution<Scalar>,
    .convolution_by_tap = &convolution_by_tap<Scalar>,
    .weight_gradient = &weight_gradient<Scalar>,
    .winograd = winograd_kernels<Scalar>(std::make_index_sequence<winograd_forms.size()>{}),
    .matrix_product = &matrix_product<Scalar>,
    .transpose = &transpose<Scalar>,
    .channel_moments = &channel_moments<Scalar>,
    .pointwise = &pointwise<Scalar>,
    .pointwise_grad_sums = &pointwise_grad_sums<Scalar>,
    .pointwise_grad = &pointwise_grad<Scalar>,
    .max_pool = &max_pool<Scalar>,
    .max_pool_grad = &max_pool_grad<Scalar>,
    .average_pool = &average_pool<Scalar>,
    .average_pool_grad = &average_pool_grad<Scalar>,
    .adam_update = &adam_update<Scalar>,
    .sgd_update = &sgd_update<Scalar>,
    .sum_of_squares = &sum_of_squares<Scalar>,
};

#undef RESNET_VECTOR_BYTES
#undef RESNET_TILE_ROWS
#undef RESNET_TILE_VECTORS
