#include <doctest/doctest.h>

#include <resnet/graph/choose.hpp>

using namespace resnet;

namespace {
constexpr Direction directions[] = {Direction::forward, Direction::grad_input, Direction::grad_weight};

constexpr ConvolutionShape shape_of(int kernel) {
    return {64, 64, {kernel, kernel, 1, kernel / 2}, {12, 12}, {12, 12}};
}
}  // namespace

TEST_CASE("choose: the last candidate of each direction is im2col and declines nothing") {
    for (const Direction direction : directions) {
        const auto& candidates = convolution_candidates(direction);
        CHECK(candidates.back().kernel == ConvolutionKernel::im2col);
        for (const int kernel : {1, 2, 3, 5, 7, 9, 30})
            CHECK(
                candidates.back().decline(shape_of(kernel), {.allow_winograd = false, .allow_direct = false}).empty());
    }
}

TEST_CASE("choose: the first candidate that does not decline is taken") {
    for (const Direction direction : directions)
        for (const int kernel : {1, 3, 7, 9, 11})
            for (const bool direct : {true, false}) {
                const ConvolutionShape shape = shape_of(kernel);
                const ChoiceOptions options{.allow_winograd = direct, .allow_direct = direct};
                const ConvolutionKernel chosen = choose(direction, shape, options);
                for (const ConvolutionCandidate& candidate : convolution_candidates(direction)) {
                    if (candidate.kernel == chosen) {
                        CHECK(candidate.decline(shape, options).empty());
                        break;
                    }
                    CHECK_FALSE(candidate.decline(shape, options).empty());  // and says why
                }
            }
}

TEST_CASE(
    "choose: Winograd takes 3x3 kernels of enough channels on maps that fill its tiles, unless it is turned off") {
    for (const Direction direction : directions) {
        CHECK(choose(direction, shape_of(3)) == ConvolutionKernel::winograd);
        CHECK(choose(direction, shape_of(3), {.allow_winograd = false}) == ConvolutionKernel::direct);
        ConvolutionShape shape = shape_of(3);
        shape.in = 40;
        CHECK(choose(direction, shape) == ConvolutionKernel::direct);
        for (const int side : {1, 2, 3, 4, 5, 6, 7, 8}) {
            CAPTURE(side);
            shape = shape_of(3);
            shape.input = shape.output = {side, side};
            const bool filled = side == 4 || side >= 6;
            CHECK(choose(direction, shape) == (filled ? ConvolutionKernel::winograd : ConvolutionKernel::direct));
        }
        shape = shape_of(3);
        shape.window.stride = 2;
        shape.output = {6, 6};
        CHECK(choose(direction, shape) == ConvolutionKernel::direct);
    }
}

TEST_CASE("choose: kernels of more than 64 taps, or all where an option says so, go by im2col") {
    for (const Direction direction : directions) {
        CHECK(choose(direction, shape_of(7)) != ConvolutionKernel::im2col);
        CHECK(choose(direction, shape_of(9)) == ConvolutionKernel::im2col);
        CHECK(choose(direction, shape_of(3), {.allow_winograd = false, .allow_direct = false}) ==
              ConvolutionKernel::im2col);
    }
}

TEST_CASE("choose: candidates have names of their own") {
    for (const Direction direction : directions)
        for (const auto& a : convolution_candidates(direction))
            for (const auto& b : convolution_candidates(direction)) CHECK((&a == &b) == (a.name == b.name));
}

TEST_CASE("choose: direct kernels decline where every tap lies in the padding") {
    for (const Direction direction : directions) {
        CHECK(choose(direction, {3, 4, {1, 1, 3, 1}, {1, 1}, {1, 1}}) == ConvolutionKernel::im2col);
        CHECK(choose(direction, {3, 4, {1, 1, 3, 1}, {3, 3}, {2, 2}}) == ConvolutionKernel::direct);
    }
}
