#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/kernels/kernels.hpp>

#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/seven_loops.hpp"

using namespace resnet;

namespace {

template <class Scalar>
Buffer<Scalar> noise(Index size) {
    Buffer<Scalar> values(size);
    for (Index i = 0; i < size; ++i)
        values.data()[i] = static_cast<Scalar>((i * 7919 + 13) % 2003 - 1001) / Scalar{997};
    return values;
}

/// One convolution of `images` in two bands of runs, from noise; the output before is a residual that it takes the
/// place of.
template <class Scalar>
Buffer<Scalar> outputs(const Kernels<Scalar>& kernels, void (*kernel)(const ConvolutionJob<Scalar>&) noexcept,
                       const ConvolutionShape& shape, int images, bool epilogue, bool distant_weights = false) {
    const GatherTable table = gather_table(shape, true);
    const std::vector<TapRuns> taps = tap_runs(shape);
    const Panels panels = kernels.panels(shape.out);
    const Buffer<Scalar> input = noise<Scalar>(shape.input.area() * images * shape.in),
                         weight = noise<Scalar>(static_cast<Index>(table.live.size()) * shape.in * panels.padded()),
                         bias = noise<Scalar>(panels.padded());
    Buffer<Scalar> output = noise<Scalar>(shape.output.area() * images * shape.out);
    const auto runs = static_cast<Index>(table.runs.size());
    ConvolutionJob<Scalar> job{.table = &table, .taps = taps.data()};
    job.last_panel = panels.count();
    job.images = images;
    job.in = shape.in;
    job.out = shape.out;
    job.input = input.data();
    job.weight = weight.data();
    job.distant_weights = distant_weights;
    job.output = output.data();
    if (epilogue) {
        job.bias = bias.data();
        job.residual = output.data();
        job.relu = true;
    }
    for (const auto& [first, last] : {std::pair{Index{0}, runs / 2}, {runs / 2, runs}}) {
        job.first_run = first;
        job.last_run = last;
        if (first < last) kernel(job);
    }
    return output;
}

}  // namespace

TEST_CASE_TEMPLATE("convolution by tap: the bits of the walk by runs, for every shape, batch, band and epilogue",
                   Scalar, float, double) {
    for (const Isa isa : tests::available_isas()) {
        const Kernels<Scalar>& k = kernels<Scalar>(isa);
        for (const int kernel : {1, 3, 5})
            for (const int stride : {1, 2})
                for (const Extent map : {Extent{1, 1}, Extent{2, 2}, Extent{3, 3}, Extent{5, 5}, Extent{4, 7}})
                    for (const int images : {1, 3})
                        for (const auto& [in, out] : {std::pair{3, 10}, {40, 130}, {300, 96}, {600, 16}}) {
                            const ConvolutionShape shape =
                                tests::convolution_shape(in, out, kernel, stride, kernel / 2, map);
                            CAPTURE(tests::describe(shape) + ", " + std::to_string(images) + " images, " +
                                    std::string{name_of(isa)});
                            const bool epilogue = (in + images + map.width) % 2 == 0;
                            const Buffer<Scalar> expected = outputs(k, k.convolution, shape, images, epilogue);
                            for (const bool distant_weights : {false, true}) {
                                const Buffer<Scalar> found =
                                    outputs(k, k.convolution_by_tap, shape, images, epilogue, distant_weights);
                                CHECK(std::memcmp(found.data(), expected.data(),
                                                  static_cast<std::size_t>(found.size()) * sizeof(Scalar)) == 0);
                            }
                        }
    }
}

TEST_CASE("convolution by tap: positions without taps are as in the walk by runs") {
    const ConvolutionShape shape = tests::convolution_shape(3, 16, 1, 1, 1, {2, 2});  // 4x4, the border without taps
    for (const Isa isa : tests::available_isas()) {
        const Kernels<float>& k = kernels<float>(isa);
        const Buffer<float> expected = outputs(k, k.convolution, shape, 1, true),
                            found = outputs(k, k.convolution_by_tap, shape, 1, true);
        CHECK(std::memcmp(found.data(), expected.data(), static_cast<std::size_t>(found.size()) * sizeof(float)) == 0);
    }
}
