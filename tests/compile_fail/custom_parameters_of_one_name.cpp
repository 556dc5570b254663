// Two parameters of one name: both gradients would go to the first.
// rule: custom_parameters_have_names_of_their_own
#include "does_nothing.hpp"

#include <array>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr std::string_view second = "p";
#else
inline constexpr std::string_view second = "q";
#endif

struct Two : DoesNothing {
    static constexpr auto parameter_specs() {
        return std::array{ParameterSpec{"p", Role::custom, 1, 3}, ParameterSpec{second, Role::custom, 1, 3}};
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
