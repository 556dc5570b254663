#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "../support/engine.hpp"
#include "../support/gelu.hpp"
#include "../support/isas.hpp"

using namespace resnet;

namespace {

struct GeluOf {
    std::vector<float> value, slope;
};

GeluOf gelu_of(Isa isa, const std::vector<float>& x) {
    const std::vector<float> one(x.size(), 1.0f), zero(x.size(), 0.0f);
    GeluOf result{x, x};
    std::vector<float> row_buffer(x.size());
    const auto channels = static_cast<int>(x.size());
    PointwiseJob<float> forward{.rows = 1, .channels = channels, .shift = zero.data(), .activation = Activation::gelu};
    PointwiseGradJob<float> backward{.rows = 1,
                                     .channels = channels,
                                     .activation = Activation::gelu,
                                     .grad_output = one.data(),
                                     .shift = zero.data()};
    forward.input[0] = backward.input[0] = x.data();
    forward.scale[0] = backward.scale[0] = one.data();
    forward.output = result.value.data();
    backward.grad_input[0] = result.slope.data();
    kernels<float>(isa).pointwise(forward);
    kernels<float>(isa).pointwise_grad(backward, row_buffer.data());
    return result;
}

}  // namespace

TEST_CASE("gelu: within 3e-7 (1 + |x|) of the exact one, and its slope within 5e-7") {
    std::vector<float> x;
    for (int i = -4000; i <= 4000; ++i) x.push_back(static_cast<float>(i) / 256);
    for (const Isa isa : tests::available_isas()) {
        const GeluOf found = gelu_of(isa, x);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double exact = static_cast<double>(x[i]);
            INFO(std::string{name_of(isa)}, ", ", exact);
            CHECK(std::abs(static_cast<double>(found.value[i]) - tests::gelu(exact)) <= 3e-7 * (1 + std::abs(exact)));
            CHECK(std::abs(static_cast<double>(found.slope[i]) - tests::gelu_slope(exact)) <= 5e-7);
        }
    }
}

TEST_CASE("gelu: far out it is x or 0, and its slope 1 or 0, exactly") {
    const std::vector<float> far{14.0f, 1e3f, 1e18f, 1e19f, 1e30f, std::numeric_limits<float>::max()};
    for (const Isa isa : tests::available_isas()) {
        INFO(std::string{name_of(isa)});
        const GeluOf right = gelu_of(isa, far);
        CHECK(right.value == far);
        CHECK(right.slope == std::vector<float>(far.size(), 1.0f));
        std::vector<float> negative = far;
        for (float& x : negative) x = -x;
        const GeluOf left = gelu_of(isa, negative);
        CHECK(left.value == std::vector<float>(far.size(), 0.0f));
        CHECK(left.slope == std::vector<float>(far.size(), 0.0f));
    }
}
