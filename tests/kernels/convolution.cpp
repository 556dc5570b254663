#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "../support/isas.hpp"
#include "../support/one_convolution.hpp"
#include "../support/seven_loops.hpp"

using namespace resnet;
using tests::ConvolutionOptions;
using tests::OneConvolution;
using tests::SevenLoops;

namespace {

struct Case {
    ConvolutionShape shape;
    int images, block;
};

/// Every kernel, stride and padding meets every channel count, batch and block; odd maps, also such as are smaller than
/// the kernel or all border.
std::vector<Case> sweep() {
    constexpr std::array kernels{1, 2, 3, 5, 7, 9};
    constexpr std::array channels{1, 3, 5, 6, 10, 16, 40, 64, 96, 130};
    constexpr std::array batches{1, 2, 5, 16, 17, 33};
    constexpr std::array blocks{0, 1, 4, 16};
    constexpr std::array<Extent, 5> maps{{{1, 1}, {2, 3}, {5, 7}, {9, 4}, {11, 13}}};
    std::vector<Case> cases;
    std::size_t turn = 0;
    for (const int kernel : kernels)
        for (int stride = 1; stride <= 3; ++stride)
            for (int padding = 0; padding <= kernel / 2; ++padding)
                for (const Extent map : maps) {
                    ++turn;
                    int in = channels[turn % channels.size()], out = channels[turn * 3 % channels.size()];
                    const ConvolutionShape shape = tests::convolution_shape(in, out, kernel, stride, padding, map);
                    if (shape.output == Extent{}) continue;
                    int images = batches[turn % batches.size()];
                    while (images > 2 && macs(shape) * images > 4'000'000) images /= 2;  // the seven loops are slow
                    cases.push_back({shape, images, blocks[turn % blocks.size()]});
                }
    return cases;
}

std::string describe(const Case& c, const PlanOptions& plan) {
    return tests::describe(c.shape) + ", batch " + std::to_string(c.images) + ", block " + std::to_string(c.block) +
           ", " + std::string{name_of(plan.isa)};
}

template <class Scalar>
Index differences(const std::vector<Scalar>& found, const std::vector<int>& expected) {
    if (found.size() != expected.size()) return -1;
    Index count = 0;
    for (std::size_t i = 0; i < found.size(); ++i) count += found[i] == static_cast<Scalar>(expected[i]) ? 0 : 1;
    return count;
}

/// Mean and summed squares of the deviations, of each channel.
void check_moments(const std::vector<double>& found, const std::vector<int>& outputs, std::size_t channels,
                   double bar) {
    const double rows = static_cast<double>(outputs.size() / channels);
    for (std::size_t o = 0; o < channels; ++o) {
        double mean = 0, squares = 0;
        for (std::size_t i = o; i < outputs.size(); i += channels) mean += outputs[i] / rows;
        for (std::size_t i = o; i < outputs.size(); i += channels) squares += (outputs[i] - mean) * (outputs[i] - mean);
        CHECK(std::abs(found[o] - mean) <= bar * (1 + std::sqrt(squares / rows) + std::abs(mean)));
        CHECK(std::abs(found[channels + o] - squares) <= 10 * bar * (1 + squares));
    }
}

/// Everything that a kernel computes for one case; the counts of wrong elements.
template <class Scalar>
void check_exact(const Case& c, const SevenLoops& loops, const PlanOptions& plan, ConvolutionKernel meant) {
    INFO(describe(c, plan));
    const bool flip = (c.images + c.shape.in) % 2 == 0;  // half of the cases each way
    OneConvolution<Scalar> training{c.shape, c.images, plan, {.bias = flip, .add = !flip}};
    for (const StepKind kind :
         {StepKind::convolution, StepKind::convolution_grad_input, StepKind::convolution_grad_weight})
        REQUIRE(training.kernel(kind) == meant);
    training.set_weights(loops.weight, loops.bias);

    std::vector<int> expected = loops.output;
    const auto out = static_cast<std::size_t>(c.shape.out);
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += flip ? loops.bias[i % out] : 0;
    std::vector<double> moments;
    CHECK(differences(training.forward(loops.input, {}, &moments), expected) == 0);
    check_moments(moments, expected, out, std::is_same_v<Scalar, float> ? 1e-5 : 1e-13);

    expected = loops.grad_input;
    for (int& x : expected) x += flip ? 0 : 7;
    CHECK(differences(training.grad_input(loops.grad_output, std::vector<int>(expected.size(), 7)), expected) == 0);

    expected = loops.grad_weight;
    if (flip) expected.insert(expected.end(), loops.grad_bias.begin(), loops.grad_bias.end());
    for (int& x : expected) x += flip ? 0 : 5;
    CHECK(differences(training.grad_weight(loops.input, loops.grad_output, 5), expected) == 0);
    CHECK(training.stray_writes() == 0);

    OneConvolution<Scalar> inference{
        c.shape, c.images, plan, {.bias = !flip, .inference = true, .relu = flip, .residual = c.images % 3 != 0}};
    REQUIRE(inference.kernel(StepKind::convolution) == meant);
    inference.set_weights(loops.weight, loops.bias);
    expected = loops.output;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += (flip ? 0 : loops.bias[i % out]) + (c.images % 3 != 0 ? loops.grad_output[i] : 0);
        if (flip && expected[i] < 0) expected[i] = 0;
    }
    CHECK(differences(inference.forward(loops.input, loops.grad_output, nullptr), expected) == 0);
    CHECK(inference.stray_writes() == 0);
}

/// The largest error in units of (terms of a sum) x epsilon x (largest product). A tile's transforms add and subtract
/// tens of numbers of several times the size: the largest errors that were seen are 2.6 units for maps of one 5x5 tile,
/// whose points lie furthest apart, and 1.1 for the others.
constexpr double bar_of(const ConvolutionShape& shape) { return shape.output == Extent{5, 5} ? 4 : 2; }
template <class Scalar>
double error_units(const std::vector<Scalar>& found, const std::vector<int>& expected, Index terms) {
    REQUIRE(found.size() == expected.size());
    const double unit =
        static_cast<double>(terms + 36) * static_cast<double>(std::numeric_limits<Scalar>::epsilon()) * 4;
    double worst = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        const double error = std::abs(static_cast<double>(found[i]) - expected[i]) / unit;
        worst = std::isnan(error) ? 1e300 : std::max(worst, error);
    }
    return worst;
}

/// |found - expected| / |expected|, lengths of the whole.
template <class Scalar>
double relative_error(const std::vector<Scalar>& found, const std::vector<int>& expected) {
    double error = 0, length = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        error += std::pow(static_cast<double>(found[i]) - expected[i], 2);
        length += std::pow(expected[i], 2);
    }
    return std::sqrt(error / length);
}

/// Winograd's transforms round: its sums are compared with a computed bar.
template <class Scalar>
void check_winograd(const Case& c, const SevenLoops& loops, const PlanOptions& plan) {
    INFO(describe(c, plan));
    const double bar = bar_of(c.shape);
    OneConvolution<Scalar> training{c.shape, c.images, plan, {}};
    for (const StepKind kind :
         {StepKind::convolution, StepKind::convolution_grad_input, StepKind::convolution_grad_weight})
        REQUIRE(training.kernel(kind) == ConvolutionKernel::winograd);
    training.set_weights(loops.weight, loops.bias);
    const auto out = static_cast<std::size_t>(c.shape.out);
    std::vector<int> expected = loops.output;
    for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += loops.bias[i % out];
    std::vector<double> moments;
    const std::vector<Scalar> output = training.forward(loops.input, {}, &moments);
    CHECK(error_units(output, expected, 9 * c.shape.in) < bar);
    CHECK(relative_error(output, expected) < 30 * static_cast<double>(std::numeric_limits<Scalar>::epsilon()));
    check_moments(moments, expected, out, 1e-4);
    CHECK(error_units(training.grad_input(loops.grad_output, {}), loops.grad_input, 9 * c.shape.out) < bar);
    expected = loops.grad_weight;
    expected.insert(expected.end(), loops.grad_bias.begin(), loops.grad_bias.end());
    CHECK(error_units(training.grad_weight(loops.input, loops.grad_output, 0), expected,
                      c.images * c.shape.output.area()) < bar);
    CHECK(training.stray_writes() == 0);

    OneConvolution<Scalar> adding{c.shape, c.images, plan, {.bias = false, .add = true}};
    adding.set_weights(loops.weight, {});
    expected = loops.grad_input;
    for (int& x : expected) x += 7;
    CHECK(error_units(adding.grad_input(loops.grad_output, std::vector<int>(expected.size(), 7)), expected,
                      9 * c.shape.out) < bar);
    expected = loops.grad_weight;
    for (int& x : expected) x += 5;
    CHECK(error_units(adding.grad_weight(loops.input, loops.grad_output, 5), expected,
                      c.images * c.shape.output.area()) < bar);
    CHECK(adding.stray_writes() == 0);

    OneConvolution<Scalar> inference{c.shape, c.images, plan, {.inference = true, .relu = true, .residual = true}};
    REQUIRE(inference.kernel(StepKind::convolution) == ConvolutionKernel::winograd);
    inference.set_weights(loops.weight, loops.bias);
    expected = loops.output;
    for (std::size_t i = 0; i < expected.size(); ++i)
        expected[i] = std::max(0, expected[i] + loops.bias[i % out] + loops.grad_output[i]);
    CHECK(error_units(inference.forward(loops.input, loops.grad_output, nullptr), expected, 9 * c.shape.in) < bar);
    CHECK(inference.stray_writes() == 0);
}

void check_exact(const Case& c, const std::vector<PlanOptions>& plans, ConvolutionKernel meant) {
    const SevenLoops loops{c.shape, c.images};
    for (PlanOptions plan : plans) {
        plan.block = c.block;
        check_exact<float>(c, loops, plan, meant);
        check_exact<double>(c, loops, plan, meant);
    }
}

std::vector<PlanOptions> on_each_isa(const ChoiceOptions& choice) {
    std::vector<PlanOptions> plans;
    for (const Isa isa : tests::available_isas()) plans.push_back({.choice = choice, .isa = isa});
    return plans;
}

}  // namespace

TEST_CASE(
    "convolution: the direct kernels equal the seven loops to the bit, in all directions and on each instruction set") {
    int ran = 0;
    for (const Case& c : sweep()) {
        if (c.shape.window.taps() > 64) continue;
        check_exact(c, on_each_isa({.allow_winograd = false}), ConvolutionKernel::direct);
        ++ran;
    }
    CHECK(ran > 120);
}

TEST_CASE(
    "convolution: im2col and Eigen's product equal the seven loops to the bit, also where direct kernels decline") {
    int ran = 0, large = 0;
    for (const Case& c : sweep()) {
        if (c.shape.window.taps() <= 64 && ran++ % 4 != 0) continue;
        if (c.shape.window.taps() > 64) ++large;
        const bool declined = c.shape.window.taps() > 64;
        check_exact(c, on_each_isa({.allow_winograd = false, .allow_direct = declined}), ConvolutionKernel::im2col);
    }
    CHECK(ran > 120);
    CHECK(large > 20);
}

TEST_CASE("convolution: sums longer than a block of the weights, and weights too large to copy, are exact as well") {
    for (const Case& c :
         {Case{tests::convolution_shape(600, 20, 3, 1, 1, {3, 3}), 3, 0},  // more than 512 input channels
          Case{tests::convolution_shape(1100, 3, 1, 1, 0, {2, 2}), 5, 1},
          Case{tests::convolution_shape(130, 12, 7, 2, 3, {5, 6}), 2, 4},    // taps in several blocks
          Case{tests::convolution_shape(16, 530, 3, 2, 1, {5, 5}), 2, 0},    // so of the input's gradient
          Case{tests::convolution_shape(128, 130, 3, 2, 1, {4, 4}), 5, 1}})  // one part for all blocks
        check_exact(c, on_each_isa({.allow_winograd = false}), ConvolutionKernel::direct);
}

TEST_CASE("convolution: where every tap lies in the padding the output is the bias, and the gradients are zero") {
    for (const int images : {1, 5}) {
        const Case c{tests::convolution_shape(3, 20, 1, 3, 1, {1, 1}), images, 0};
        REQUIRE(live_macs(c.shape) == 0);
        check_exact(c, on_each_isa({}), ConvolutionKernel::im2col);
    }
}

TEST_CASE("convolution: more padding than half the kernel is exact, too") {
    for (const int padding : {2, 3, 4})
        for (const int stride : {1, 2, 3}) {
            const Case c{tests::convolution_shape(10, 19, 3, stride, padding, {2, 3}), 3, 2};
            check_exact(c, on_each_isa({.allow_winograd = false}), ConvolutionKernel::direct);
            check_exact(c, on_each_isa({.allow_winograd = false, .allow_direct = false}), ConvolutionKernel::im2col);
        }
}

TEST_CASE("convolution: Winograd's kernels stay within a computed bar of the seven loops, in all directions") {
    int ran = 0;
    for (const Case& c : {Case{tests::convolution_shape(32, 48, 3, 1, 1, {4, 4}), 1, 4},
                          Case{tests::convolution_shape(64, 32, 3, 1, 1, {5, 7}), 5, 2},
                          Case{tests::convolution_shape(48, 80, 3, 1, 1, {10, 3}), 17, 16},
                          Case{tests::convolution_shape(112, 32, 3, 1, 1, {8, 8}), 3, 1},
                          Case{tests::convolution_shape(64, 80, 3, 1, 1, {2, 2}), 19, 4},  // one tile
                          Case{tests::convolution_shape(288, 320, 3, 1, 1, {2, 2}), 33, 16},
                          Case{tests::convolution_shape(48, 64, 3, 1, 1, {3, 3}), 7, 16},
                          Case{tests::convolution_shape(192, 176, 3, 1, 1, {3, 3}), 37, 8},
                          Case{tests::convolution_shape(512, 32, 3, 1, 1, {4, 4}), 3, 4},
                          Case{tests::convolution_shape(32, 512, 3, 1, 1, {4, 4}), 3, 4},
                          Case{tests::convolution_shape(32, 112, 3, 1, 1, {5, 5}), 4, 1},
                          Case{tests::convolution_shape(144, 128, 3, 1, 1, {5, 5}), 21, 4},
                          Case{tests::convolution_shape(160, 144, 3, 1, 1, {7, 6}), 5, 4},  // weights that keep still
                          Case{tests::convolution_shape(144, 160, 3, 1, 1, {4, 4}), 33, 2},
                          Case{tests::convolution_shape(144, 160, 3, 1, 1, {5, 7}), 69, 16},     // two groups of blocks
                          Case{tests::convolution_shape(32, 48, 3, 1, 1, {137, 8}), 16, 16}}) {  // a block in two parts
        const SevenLoops loops{c.shape, c.images};
        for (PlanOptions plan : on_each_isa({})) {
            plan.block = c.block;
            check_winograd<float>(c, loops, plan);
            check_winograd<double>(c, loops, plan);
            ++ran;
        }
    }
    CHECK(ran >= 12);
}
