// A Flatten behind a pool that says another number of features than the pool has channels.
// rule: input_features_match
#include <resnet/layers.hpp>
#include <resnet/sequential.hpp>

using namespace resnet;

#ifdef RESNET_FAIL
inline constexpr int features = 4;
#else
inline constexpr int features = 3;
#endif

struct Net {
    Linear<features, 2> linear;

    constexpr auto operator()(Value<3> x) const {
        return linear(flatten<features>(adaptive_avg_pool2d(x)));  // error here
    }
    RESNET_MEMBERS(linear)
};

static_assert(trace<Net>({8, 8}).output > 0);
