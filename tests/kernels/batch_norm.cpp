#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "../support/engine.hpp"
#include "../support/gelu.hpp"
#include "../support/isas.hpp"
#include "../support/values.hpp"

using namespace resnet;

namespace {

constexpr std::array channel_counts{1, 3, 8, 16, 20, 35};
constexpr std::array<Index, 4> row_counts{1, 2, 63, 200};

template <class Scalar>
double bar(double size) {
    return 32 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * (1 + std::abs(size));
}

void on_each_kernel(auto&& check) {
    int ran = 0;
    for (const Isa isa : tests::available_isas())
        for (const int channels : channel_counts)
            for (const Index rows : row_counts) {
                INFO(std::string{name_of(isa)}, ", ", channels, " channels, ", rows, " rows");
                check(kernels<float>(isa), rows, channels, float{});
                check(kernels<double>(isa), rows, channels, double{});
                ++ran;
            }
    CHECK(ran > 0);
}

std::size_t area(Index rows, int channels) { return static_cast<std::size_t>(rows * channels); }

template <class Scalar>
struct Operands {
    std::vector<Scalar> x[2], scale[2], shift, mean[2], slope[2], offset[2], grad;
    Operands(Index rows, int channels) {
        std::uint64_t seed = 1;
        const auto row = static_cast<std::size_t>(channels);
        for (std::size_t t = 0; t < 2; ++t) {
            x[t] = tests::uniform<Scalar>(area(rows, channels), seed++);
            for (auto* v : {&scale[t], &mean[t], &slope[t], &offset[t]}) *v = tests::uniform<Scalar>(row, seed++);
        }
        shift = tests::uniform<Scalar>(row, seed++);
        grad = tests::uniform<Scalar>(area(rows, channels), seed++);
    }
};

constexpr std::array activations{Activation::none, Activation::relu, Activation::gelu};

double activated(Activation activation, double x) {
    if (activation == Activation::relu) return x < 0 ? 0 : x;
    return activation == Activation::gelu ? tests::gelu(x) : x;
}
double slope_of(Activation activation, double x) {
    if (activation == Activation::relu) return x > 0 ? 1 : 0;
    return activation == Activation::gelu ? tests::gelu_slope(x) : 1;
}

/// A row, in place.
void activate(Isa isa, Activation activation, std::vector<float>& x) {
    std::vector<float> one(x.size(), 1.0f), zero(x.size(), 0.0f);
    PointwiseJob<float> job{.rows = 1,
                            .channels = static_cast<int>(x.size()),
                            .terms = 1,
                            .shift = zero.data(),
                            .output = x.data(),
                            .activation = activation};
    job.input[0] = x.data();
    job.scale[0] = one.data();
    kernels<float>(isa).pointwise(job);
}

}  // namespace

TEST_CASE(
    "channel_moments: mean and squared deviations of each channel, also around a large mean and in a part of the "
    "channels") {
    on_each_kernel([](const auto& k, Index rows, int channels, auto scalar) {
        using Scalar = decltype(scalar);
        const int stride = channels + 5;
        for (const double center : {0.0, 1000.0}) {
            const auto x = tests::uniform<Scalar>(area(rows, stride), 3, center - 1, center + 1);
            std::vector<double> mean(static_cast<std::size_t>(channels) + 1, -7.0), squares = mean;
            k.channel_moments(x.data() + 2, rows, stride, channels, mean.data(), squares.data());
            for (int c = 0; c < channels; ++c) {
                double m = 0, s = 0;
                for (Index r = 0; r < rows; ++r)
                    m += static_cast<double>(x[area(r, stride) + 2 + static_cast<std::size_t>(c)]) /
                         static_cast<double>(rows);
                for (Index r = 0; r < rows; ++r) {
                    const double d = static_cast<double>(x[area(r, stride) + 2 + static_cast<std::size_t>(c)]) - m;
                    s += d * d;
                }
                // The deviations are taken around a row: a mean of 1000 costs no digits of theirs.
                CHECK(std::abs(mean[static_cast<std::size_t>(c)] - m) <= bar<Scalar>(1) + 1e-13 * center);
                CHECK(std::abs(squares[static_cast<std::size_t>(c)] - s) <= bar<Scalar>(4 * s) + 1e-9);
            }
            CHECK(mean.back() == -7.0);
            CHECK(squares.back() == -7.0);
        }
    });
}

TEST_CASE("pointwise: scale x + shift of one term and of two, and relu and gelu of it, in place or not") {
    on_each_kernel([](const auto& k, Index rows, int channels, auto scalar) {
        using Scalar = decltype(scalar);
        const Operands<Scalar> o{rows, channels};
        for (const int terms : {1, 2})
            for (const Activation activation : activations)
                for (const int in_place : {-1, 0, 1}) {
                    if (in_place >= terms) continue;
                    auto x0 = o.x[0], x1 = o.x[1];
                    std::vector<Scalar> output(area(rows, channels), std::numeric_limits<Scalar>::quiet_NaN());
                    PointwiseJob<Scalar> job{
                        .rows = rows, .channels = channels, .terms = terms, .activation = activation};
                    job.input[0] = x0.data();
                    job.input[1] = terms > 1 ? x1.data() : nullptr;
                    job.scale[0] = o.scale[0].data();
                    job.scale[1] = o.scale[1].data();
                    job.shift = o.shift.data();
                    job.output = in_place < 0 ? output.data() : in_place == 0 ? x0.data() : x1.data();
                    k.pointwise(job);
                    Index wrong = 0;
                    for (std::size_t i = 0; i < output.size(); ++i) {
                        const std::size_t c = i % static_cast<std::size_t>(channels);
                        double y = static_cast<double>(o.scale[0][c]) * static_cast<double>(o.x[0][i]) +
                                   static_cast<double>(o.shift[c]);
                        if (terms > 1) y += static_cast<double>(o.scale[1][c]) * static_cast<double>(o.x[1][i]);
                        y = activated(activation, y);
                        wrong += std::abs(static_cast<double>(job.output[i]) - y) <= bar<Scalar>(y) ? 0 : 1;
                    }
                    CHECK(wrong == 0);
                }
    });
}

TEST_CASE("pointwise: a NaN passes relu and gelu, as in PyTorch") {
    for (const Isa isa : tests::available_isas())
        for (const Activation activation : activations) {
            std::vector<float> x(20, std::numeric_limits<float>::quiet_NaN());
            activate(isa, activation, x);
            for (const float y : x) CHECK(std::isnan(y));
        }
}

TEST_CASE("pointwise_grad: sums and gradients of one term and of two, behind relu and gelu, written or added") {
    on_each_kernel([](const auto& k, Index rows, int channels, auto scalar) {
        using Scalar = decltype(scalar);
        const Operands<Scalar> o{rows, channels};
        const auto row = static_cast<std::size_t>(channels);
        const auto output = tests::uniform<Scalar>(area(rows, channels), 77);  // half of it positive
        for (int choice = 0; choice < 96; ++choice) {
            const int terms = 1 + (choice & 1);
            const Activation activation = activations[static_cast<std::size_t>(choice / 32)];
            const bool norms[2] = {(choice & 2) != 0, (choice & 4) != 0},
                       add[2] = {(choice & 8) != 0, (choice & 16) != 0};
            std::vector<double> sums(static_cast<std::size_t>(1 + terms) * row + 1, -7.0);
            std::vector<Scalar> grad_input[2], row_buffer(row + 1, Scalar{-7});
            PointwiseGradJob<Scalar> job{.rows = rows, .channels = channels, .terms = terms, .activation = activation};
            job.grad_output = o.grad.data();
            job.output = activation == Activation::relu ? output.data() : nullptr;
            job.shift = o.shift.data();
            job.sums = sums.data();
            for (std::size_t t = 0; t < 2; ++t) {
                grad_input[t].assign(area(rows, channels),
                                     add[t] ? Scalar{2} : std::numeric_limits<Scalar>::quiet_NaN());
                job.input[t] = norms[t] || activation == Activation::gelu ? o.x[t].data() : nullptr;
                job.mean[t] = norms[t] ? o.mean[t].data() : nullptr;
                job.scale[t] = o.scale[t].data();
                job.slope[t] = o.slope[t].data();
                job.offset[t] = o.offset[t].data();
                job.grad_input[t] = grad_input[t].data();
                job.add[t] = add[t];
            }
            const auto arriving = [&](std::size_t i) {
                double y = static_cast<double>(output[i]);
                if (activation == Activation::gelu) {
                    const std::size_t c = i % row;
                    y = static_cast<double>(o.shift[c]);
                    for (std::size_t t = 0; t < static_cast<std::size_t>(terms); ++t)
                        y += static_cast<double>(o.scale[t][c]) * static_cast<double>(o.x[t][i]);
                }
                return slope_of(activation, y) * static_cast<double>(o.grad[i]);
            };
            if (norms[0] || (terms > 1 && norms[1])) {
                k.pointwise_grad_sums(job);
                std::vector<double> expected(static_cast<std::size_t>(1 + terms) * row, 0.0);
                for (std::size_t i = 0; i < o.grad.size(); ++i) {
                    const std::size_t c = i % row;
                    expected[c] += arriving(i);
                    for (std::size_t t = 0; t < static_cast<std::size_t>(terms); ++t)
                        expected[(1 + t) * row + c] +=
                            arriving(i) * (static_cast<double>(o.x[t][i]) - static_cast<double>(o.mean[t][c]));
                }
                for (std::size_t c = 0; c < row; ++c) {
                    CHECK(std::abs(sums[c] - expected[c]) <= bar<Scalar>(16));
                    for (std::size_t t = 0; t < static_cast<std::size_t>(terms); ++t)
                        if (norms[t])
                            CHECK(std::abs(sums[(1 + t) * row + c] - expected[(1 + t) * row + c]) <= bar<Scalar>(16));
                }
                CHECK(sums.back() == -7.0);
            }
            k.pointwise_grad(job, row_buffer.data());
            CHECK(row_buffer.back() == Scalar{-7});
            Index wrong = 0;
            for (std::size_t t = 0; t < static_cast<std::size_t>(terms); ++t)
                for (std::size_t i = 0; i < o.grad.size(); ++i) {
                    const std::size_t c = i % row;
                    double d = static_cast<double>(o.scale[t][c]) * arriving(i);
                    if (norms[t])
                        d += static_cast<double>(o.slope[t][c]) *
                                 (static_cast<double>(o.x[t][i]) - static_cast<double>(o.mean[t][c])) +
                             static_cast<double>(o.offset[t][c]);
                    d += add[t] ? 2 : 0;
                    wrong += std::abs(static_cast<double>(grad_input[t][i]) - d) <= bar<Scalar>(d) ? 0 : 1;
                }
            CHECK(wrong == 0);
        }
    });
}
