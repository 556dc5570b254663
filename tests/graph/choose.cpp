#include <doctest/doctest.h>

#include <resnet/graph/choose.hpp>

using namespace resnet;

namespace {
constexpr ConvolutionShape shape_of(int kernel) {
    return {64, 64, {kernel, kernel, 1, kernel / 2}, {12, 12}, {12, 12}};
}
constexpr ConvolutionShape map_of(int side) { return {64, 64, {3, 3, 1, 1}, {side, side}, {side, side}}; }
}  // namespace

TEST_CASE("choose: the last candidate is im2col and declines nothing") {
    CHECK(convolution_candidates.back().kernel == ConvolutionKernel::im2col);
    for (const int kernel : {1, 2, 3, 5, 7, 9, 30})
        CHECK(convolution_candidates.back()
                  .decline(shape_of(kernel), {.allow_winograd = false, .allow_direct = false})
                  .empty());
}

TEST_CASE("choose: distant are weights that are read, not those of taps that touch no data") {
    const auto deep = [](int side) { return ConvolutionShape{512, 512, {3, 3, 1, 1}, {side, side}, {side, side}}; };
    CHECK(has_distant_weights(deep(4)));
    CHECK_FALSE(has_distant_weights(deep(1)));  // of nine taps one is live
    CHECK_FALSE(has_distant_weights(map_of(12)));
}

TEST_CASE("choose: the first candidate that does not decline is taken") {
    for (const int kernel : {1, 3, 7, 9, 11})
        for (const bool direct : {true, false}) {
            const ConvolutionShape shape = shape_of(kernel);
            const ChoiceOptions options{.allow_winograd = direct, .allow_direct = direct};
            const ConvolutionKernel chosen = choose(shape, options);
            for (const ConvolutionCandidate& candidate : convolution_candidates) {
                if (candidate.kernel == chosen) {
                    CHECK(candidate.decline(shape, options).empty());
                    break;
                }
                CHECK_FALSE(candidate.decline(shape, options).empty());  // and says why
            }
        }
}

TEST_CASE("choose: Winograd takes 3x3 kernels of enough channels and tiles, unless it is turned off") {
    CHECK(choose(shape_of(3)) == ConvolutionKernel::winograd);
    CHECK(choose(shape_of(3), {.allow_winograd = false}) == ConvolutionKernel::direct);
    ConvolutionShape shape = shape_of(3);
    shape.in = 40;
    CHECK(choose(shape) == ConvolutionKernel::direct);
    for (const int side : {1, 2, 3, 4, 5, 6, 7, 8}) {
        CAPTURE(side);
        CHECK(choose(map_of(side)) == (side > 1 ? ConvolutionKernel::winograd : ConvolutionKernel::direct));
        const bool winograd_alone =
            side == 2 || side > 6;  // on the others, of one image, its weights take longer to read
        CHECK(choose(map_of(side), {.images = 1}) ==
              (winograd_alone ? ConvolutionKernel::winograd : ConvolutionKernel::direct));
    }
    shape = shape_of(3);
    shape.window.stride = 2;
    shape.output = {6, 6};
    CHECK(choose(shape) == ConvolutionKernel::direct);
}

TEST_CASE("choose: maps of 2x2, 3x3 and 5x5 are one tile of Winograd's, others are cut into tiles of 4x4") {
    for (const int side : {1, 2, 3, 4, 5, 6, 8, 32}) {
        CAPTURE(side);
        const WinogradForm& form = winograd_forms[winograd_form({side, side})];
        CHECK(form.one_tile == (side == 2 || side == 3 || side == 5));
        CHECK(form.tiles({side, side}).area() == (form.one_tile ? 1 : (side + 3) / 4 * ((side + 3) / 4)));
        CHECK(winograd_forms[winograd_form({side, side + 1})].outputs == 4);
        CHECK(form.all_products() <= most_winograd_products);
        CHECK(form.outputs * form.outputs <= most_winograd_outputs);
    }
}

TEST_CASE("choose: kernels of more than 64 taps, or all where an option says so, go by im2col") {
    CHECK(choose(shape_of(7)) != ConvolutionKernel::im2col);
    CHECK(choose(shape_of(9)) == ConvolutionKernel::im2col);
    CHECK(choose(shape_of(3), {.allow_winograd = false, .allow_direct = false}) == ConvolutionKernel::im2col);
}

TEST_CASE("choose: candidates have names of their own") {
    for (const auto& a : convolution_candidates)
        for (const auto& b : convolution_candidates) CHECK((&a == &b) == (a.name == b.name));
}

TEST_CASE("choose: direct kernels decline where every tap lies in the padding") {
    CHECK(choose({3, 4, {1, 1, 3, 1}, {1, 1}, {1, 1}}) == ConvolutionKernel::im2col);
    CHECK(choose({3, 4, {1, 1, 3, 1}, {3, 3}, {2, 2}}) == ConvolutionKernel::direct);
}
