// A parameter of one dimension with 3x3 numbers for each output: PyTorch's shape would say fewer than there are.
// rule: custom_parameters_have_the_elements_of_their_dimensions
#include "does_nothing.hpp"

#include <array>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr int dimensions = 1;
#else
inline constexpr int dimensions = 4;
#endif

struct Two : DoesNothing {
    static constexpr auto parameter_specs() {
        return std::array{ParameterSpec{"p", Role::custom, dimensions, 3, 1, 3, 3}};
    }
    constexpr Value<3> operator()(Value<3> x) const {
        return custom_operation<3>(*this, x);  // error here
    }
};

struct Net {
    Two two;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(two(x)); }
    RESNET_MEMBERS(two)
};

static_assert(trace<Net>({8, 8}).output > 0);
