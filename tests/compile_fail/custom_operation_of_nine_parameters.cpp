// A custom operation with more parameters than the engine hands over.
// rule: custom_parameters_are_at_most_eight
#include "does_nothing.hpp"

#include <array>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr std::size_t parameters = 9;
#else
inline constexpr std::size_t parameters = 8;
#endif

struct Many : DoesNothing {
    static constexpr auto parameter_specs() {
        std::array<ParameterSpec, parameters> specs;
        constexpr std::string_view names = "abcdefghi";
        for (std::size_t i = 0; i < parameters; ++i) specs[i] = {names.substr(i, 1), Role::custom, 1, 3};
        return specs;
    }
    constexpr Value<3> operator()(Value<3> x) const {
        return custom_operation<3>(*this, x);  // error here
    }
};

struct Net {
    Many many;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(many(x)); }
    RESNET_MEMBERS(many)
};

static_assert(trace<Net>({8, 8}).output > 0);
