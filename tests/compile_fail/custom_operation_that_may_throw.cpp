// A custom operation whose functions may throw: they run on all workers, where nobody could catch it.
// rule: custom_functions_are_noexcept
#include <resnet/layers.hpp>

#include <array>

using namespace resnet;

struct Twice {
    static constexpr std::string_view name = "twice";
    static constexpr std::array<ParameterSpec, 0> parameter_specs() { return {}; }
    static constexpr Extent output(Extent input) { return input; }
    static constexpr Index macs(Extent input) { return input.area(); }
#ifdef RESNET_FAIL
    template <class Scalar>
    static void forward(const CustomForward<Scalar>&) {}
#else
    template <class Scalar>
    static void forward(const CustomForward<Scalar>&) noexcept {}
#endif
    template <class Scalar>
    static void backward(const CustomBackward<Scalar>&) noexcept {}
    constexpr Value<3> operator()(Value<3> x) const {
        return custom_operation<3>(*this, x);  // error here
    }
};

struct Net {
    Twice twice;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(twice(x)); }
    RESNET_MEMBERS(twice)
};

static_assert(trace<Net>({8, 8}).output > 0);
