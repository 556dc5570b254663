// A pool of no positions: what it gives would be whatever lies in memory.
// rule: window_is_positive
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 8, k3> conv;

    constexpr auto operator()(Value<3> x) const {
#ifdef RESNET_FAIL
        return adaptive_avg_pool2d(max_pool2d<0, 1>(conv(x)));  // error here
#else
        return adaptive_avg_pool2d(max_pool2d<2, 1>(conv(x)));
#endif
    }
    RESNET_MEMBERS(conv)
};

static_assert(trace<Body>({32, 32}).output > 0);
