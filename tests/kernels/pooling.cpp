#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/seven_loops.hpp"

using namespace resnet;

namespace {

constexpr int width = 83;  // images x channels of a position: more than average_pool's strip of 64, no whole vectors

struct Pool {
    Window window;
    Extent input, output;

    Pool(Window w, Extent map)
        : window{w},
          input{map},
          output{(map.height + 2 * w.padding - w.height) / w.stride + 1,
                 (map.width + 2 * w.padding - w.width) / w.stride + 1} {}

    std::size_t inputs() const { return static_cast<std::size_t>(input.area() * width); }
    std::size_t outputs() const { return static_cast<std::size_t>(output.area() * width); }
    /// Calls visit(output position, input position) for every pair of a window inside the map, in the window's order.
    void for_each_pair(auto&& visit) const {
        for (int y = 0; y < output.height; ++y)
            for (int x = 0; x < output.width; ++x)
                for (int ky = 0; ky < window.height; ++ky)
                    for (int kx = 0; kx < window.width; ++kx) {
                        const int iy = y * window.stride + ky - window.padding,
                                  ix = x * window.stride + kx - window.padding;
                        if (iy < 0 || iy >= input.height || ix < 0 || ix >= input.width) continue;
                        visit(static_cast<std::size_t>(y * output.width + x),
                              static_cast<std::size_t>(iy * input.width + ix));
                    }
    }
};

const std::vector<Pool>& pools() {
    static const std::vector<Pool> list{
        {{2, 2, 2, 0}, {6, 8}},  {{2, 2, 2, 0}, {7, 5}}, {{3, 3, 2, 1}, {7, 9}}, {{3, 3, 1, 1}, {4, 4}},
        {{3, 3, 3, 0}, {10, 9}}, {{4, 4, 3, 2}, {5, 5}}, {{5, 5, 1, 0}, {5, 7}}, {{6, 4, 1, 0}, {6, 4}},
        {{1, 1, 2, 0}, {5, 3}},  {{2, 2, 2, 1}, {5, 4}}, {{3, 3, 3, 1}, {6, 7}}, {{2, 3, 3, 0}, {8, 7}},
    };
    return list;
}

template <class Scalar>
PoolJob<Scalar> job_of(const Pool& pool) {
    PoolJob<Scalar> job{
        .window = pool.window, .input_extent = pool.input, .output_extent = pool.output, .width = width};
    job.last_row = pool.output.height;
    return job;
}

template <class Scalar>
std::vector<Scalar> scalars(const std::vector<int>& values) {
    return {values.begin(), values.end()};
}
template <class Scalar>
std::vector<Scalar> poison(std::size_t count) {
    return std::vector<Scalar>(count, std::numeric_limits<Scalar>::quiet_NaN());
}

/// Pools many ties: values are small integers.
template <class Scalar>
void check_max_pool(const Pool& pool, const Kernels<Scalar>& k) {
    const auto input = scalars<Scalar>(tests::small_integers(pool.inputs(), 1)),
               grad = scalars<Scalar>(tests::small_integers(pool.outputs(), 2, 9));
    auto output = poison<Scalar>(pool.outputs()), grad_input = poison<Scalar>(pool.inputs());

    std::vector<Scalar> largest(pool.outputs(), -std::numeric_limits<Scalar>::infinity());
    std::vector<std::size_t> winner(pool.outputs(), 0);
    pool.for_each_pair([&](std::size_t out, std::size_t in) {
        for (std::size_t c = 0; c < width; ++c)
            if (input[in * width + c] > largest[out * width + c]) {  // the first of equals
                largest[out * width + c] = input[in * width + c];
                winner[out * width + c] = in * width + c;
            }
    });
    std::vector<Scalar> expected(pool.inputs(), 0);
    for (std::size_t i = 0; i < pool.outputs(); ++i) expected[winner[i]] += grad[i];

    auto job = job_of<Scalar>(pool);
    job.input = input.data();
    job.output = output.data();
    for (int row = 0; row < pool.output.height; ++row) {  // in bands
        job.first_row = row;
        job.last_row = row + 1;
        k.max_pool(job);
    }
    CHECK(output == largest);

    job.output_value = output.data();
    job.grad_output = grad.data();
    job.grad_input = grad_input.data();
    std::vector<Scalar> row_buffer(width + 1, Scalar{77});
    k.max_pool_grad(job, row_buffer.data());
    CHECK(grad_input == expected);
    CHECK(row_buffer.back() == 77);
    job.add = true;
    k.max_pool_grad(job, row_buffer.data());
    for (Scalar& x : expected) x *= 2;
    CHECK(grad_input == expected);
}

template <class Scalar>
void check_average_pool(const Pool& pool, const Kernels<Scalar>& k) {
    const auto input = scalars<Scalar>(tests::small_integers(pool.inputs(), 1, 50)),
               grad = scalars<Scalar>(tests::small_integers(pool.outputs(), 2, 9));
    auto output = poison<Scalar>(pool.outputs()), grad_input = poison<Scalar>(pool.inputs());
    const Scalar factor = Scalar{1} / static_cast<Scalar>(pool.window.taps());
    std::vector<Scalar> sums(pool.outputs(), 0), spread(pool.inputs(), 0);
    pool.for_each_pair([&](std::size_t out, std::size_t in) {
        for (std::size_t c = 0; c < width; ++c) {
            sums[out * width + c] += input[in * width + c];
            spread[in * width + c] += grad[out * width + c];
        }
    });
    auto job = job_of<Scalar>(pool);
    job.input = input.data();
    job.output = output.data();
    job.grad_output = grad.data();
    job.grad_input = grad_input.data();
    k.average_pool(job);
    k.average_pool_grad(job);
    const Scalar bar = 64 * std::numeric_limits<Scalar>::epsilon();
    for (std::size_t i = 0; i < sums.size(); ++i) CHECK(output[i] == sums[i] * factor);  // one rounding: exact sums
    for (std::size_t i = 0; i < spread.size(); ++i)
        CHECK(std::abs(grad_input[i] - spread[i] * factor) <= bar * (1 + std::abs(spread[i])));
    const auto once = grad_input;
    job.add = true;
    k.average_pool_grad(job);
    for (std::size_t i = 0; i < spread.size(); ++i)
        CHECK(std::abs(grad_input[i] - 2 * once[i]) <= bar * (1 + std::abs(spread[i])));
}

void on_each_kernel(auto&& check) {
    for (const Isa isa : tests::available_isas()) {
        INFO(std::string{name_of(isa)});
        for (const Pool& pool : pools()) {
            INFO("window ", pool.window.height, " stride ", pool.window.stride, " padding ", pool.window.padding);
            check(pool, kernels<float>(isa));
            check(pool, kernels<double>(isa));
        }
    }
}

}  // namespace

TEST_CASE(
    "max pool: takes the largest of each window, padding never wins, and the gradient goes to the first of equals") {
    on_each_kernel([](const Pool& pool, const auto& k) { check_max_pool(pool, k); });
}

TEST_CASE("max pool: negative values win over the padding, and a NaN wins over all") {
    const Pool pool{{3, 3, 2, 1}, {4, 4}};
    for (const Isa isa : tests::available_isas()) {
        std::vector<float> input(pool.inputs(), -3.0f), output(pool.outputs(), 0.0f);
        input[5] = std::numeric_limits<float>::quiet_NaN();  // position 0
        auto job = job_of<float>(pool);
        job.input = input.data();
        job.output = output.data();
        kernels<float>(isa).max_pool(job);
        CHECK(std::isnan(output[5]));
        CHECK(output[4] == -3.0f);
        CHECK(output[width + 5] == -3.0f);
    }
}

TEST_CASE(
    "average pool: divides by the whole window, as PyTorch's count_include_pad, and spreads the gradient evenly") {
    on_each_kernel([](const Pool& pool, const auto& k) { check_average_pool(pool, k); });
}

TEST_CASE("average pool: the mean of a map of 256x256 is right to six digits") {
    const Pool pool{{256, 256, 1, 0}, {256, 256}};
    std::vector<float> input(pool.inputs()), output(pool.outputs());
    std::vector<double> means(width, 0.0);
    const Random random{Seed{1}, Purpose::augment};
    for (std::size_t i = 0; i < input.size(); ++i) {
        input[i] = static_cast<float>(random.uniform(i));
        means[i % width] += static_cast<double>(input[i]) / static_cast<double>(pool.input.area());
    }
    auto job = job_of<float>(pool);
    job.input = input.data();
    job.output = output.data();
    for (const Isa isa : tests::available_isas()) {
        kernels<float>(isa).average_pool(job);
        for (std::size_t c = 0; c < width; ++c) CHECK(output[c] == doctest::Approx(means[c]).epsilon(1e-6));
    }
}
