// The kernels, each body compiled once for every instruction set in this unit; the CPU chooses at run time, so the user
// needs no -march and no public type depends on one. The bodies are the .inl files beside this one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <type_traits>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <resnet/kernels/isa.hpp>
#include <resnet/kernels/jobs.hpp>

namespace resnet::inline v0 {

/// The transforms of one of winograd_forms. `rows` are the positions of a tile, or the 9 taps of weights, `count`
/// numbers each; result p goes to out + p * stride.
template <class Scalar>
struct WinogradKernels {
    void (*input)(const Scalar* const* rows, Index count, Scalar* out, Index stride) noexcept;
    void (*output)(const WinogradOutputJob<Scalar>&) noexcept;
    void (*grad_output)(const Scalar* const* rows, Index count, Scalar* out, Index stride) noexcept;
    void (*weight)(const Scalar* const* rows, Index count, Scalar* out, Index stride) noexcept;
    void (*grad_weight)(const Scalar* u, Index stride, Index count, Scalar* const* taps, bool add) noexcept;
};

/// One instruction set's functions, and the sizes that packed weights depend on.
template <class Scalar>
struct Kernels {
    int lanes, widest;  // of panels
    void (*convolution)(const ConvolutionJob<Scalar>&) noexcept;
    void (*convolution_by_tap)(const ConvolutionJob<Scalar>&) noexcept;
    void (*weight_gradient)(const WeightGradientJob<Scalar>&) noexcept;
    std::array<WinogradKernels<Scalar>, winograd_forms.size()> winograd;
    void (*matrix_product)(const MatrixProductJob<Scalar>&) noexcept;
    void (*transpose)(const Scalar* from, Index from_stride, Index rows, Index columns, Scalar* to,
                      Index to_stride) noexcept;
    void (*channel_moments)(const Scalar* x, Index rows, Index stride, int channels, double* mean,
                            double* squares) noexcept;
    void (*pointwise)(const PointwiseJob<Scalar>&) noexcept;
    void (*pointwise_grad_sums)(const PointwiseGradJob<Scalar>&) noexcept;
    void (*pointwise_grad)(const PointwiseGradJob<Scalar>&, Scalar* row_buffer) noexcept;
    void (*max_pool)(const PoolJob<Scalar>&) noexcept;
    void (*max_pool_grad)(const PoolJob<Scalar>&, Scalar* row_buffer) noexcept;
    void (*average_pool)(const PoolJob<Scalar>&) noexcept;
    void (*average_pool_grad)(const PoolJob<Scalar>&) noexcept;
    void (*adam_update)(const UpdateJob<Scalar>&) noexcept;
    void (*sgd_update)(const UpdateJob<Scalar>&) noexcept;
    double (*sum_of_squares)(const Scalar* x, Index count) noexcept;

    Panels panels(int channels) const { return {channels, lanes, widest}; }
};

}  // namespace resnet::inline v0

// Without the pragma g++ keeps the sums of a tile on the stack.
#define RESNET_UNROLL _Pragma("GCC unroll 16")
// Arrays are the same or apart: no iteration depends on another. (clang checks overlap at run time instead.)
#if defined(__clang__)
#define RESNET_INDEPENDENT
#else
#define RESNET_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace resnet::inline v0 {
namespace baseline {  // SSE2 on x86-64: 16 registers, 8 sums, 2 weights
#define RESNET_VECTOR_BYTES 16
#define RESNET_TILE_ROWS 4
#define RESNET_TILE_VECTORS 2
#include <resnet/kernels/bodies.inl>
}  // namespace baseline

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
namespace avx2 {  // 16 registers: 12 sums, 2 weights
#define RESNET_VECTOR_BYTES 32
#define RESNET_TILE_ROWS 6
#define RESNET_TILE_VECTORS 2
#include <resnet/kernels/bodies.inl>
}  // namespace avx2
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,fma,prefer-vector-width=512")
#endif
namespace avx512 {  // 32 registers: 24 sums, 4 weights
#define RESNET_VECTOR_BYTES 64
#define RESNET_TILE_ROWS 6
#define RESNET_TILE_VECTORS 4
#include <resnet/kernels/bodies.inl>
}  // namespace avx512
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/// The kernels of an instruction set. Throws Error if the CPU lacks it.
template <class Scalar>
const Kernels<Scalar>& kernels(Isa isa) {
    check_isa(isa);
#if defined(__x86_64__)
    if (isa == Isa::avx512) return avx512::table<Scalar>;
    if (isa == Isa::avx2) return avx2::table<Scalar>;
#endif
    static_cast<void>(isa);
    return baseline::table<Scalar>;
}

}  // namespace resnet::inline v0

#undef RESNET_UNROLL
#undef RESNET_INDEPENDENT
