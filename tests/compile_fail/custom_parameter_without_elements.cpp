// A custom operation with a parameter of no elements: it would have no place in the list that the engine hands over.
// rule: custom_parameters_have_elements
#include "does_nothing.hpp"

#include <array>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr int elements = 0;
#else
inline constexpr int elements = 3;
#endif

struct Two : DoesNothing {
    static constexpr auto parameter_specs() {
        return std::array{ParameterSpec{"p", Role::custom, 1, 3}, ParameterSpec{"q", Role::custom, 1, elements}};
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
