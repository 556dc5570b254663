// A custom operation with more parameters than the engine hands over.
// rule: custom_parameters_are_at_most_eight
#include <resnet/layers.hpp>

#include <array>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr std::size_t parameters = 9;
#else
inline constexpr std::size_t parameters = 8;
#endif

struct Many {
    static constexpr std::string_view name = "many";
    static constexpr auto parameter_specs() {
        std::array<ParameterSpec, parameters> specs;
        constexpr std::string_view names = "abcdefghi";
        for (std::size_t i = 0; i < parameters; ++i) specs[i] = {names.substr(i, 1), Role::custom, 1, 3};
        return specs;
    }
    static constexpr Extent output(Extent input) { return input; }
    static constexpr Index macs(Extent input) { return input.area(); }
    template <class Scalar>
    static void forward(const CustomForward<Scalar>&) noexcept {}
    template <class Scalar>
    static void backward(const CustomBackward<Scalar>&) noexcept {}
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
