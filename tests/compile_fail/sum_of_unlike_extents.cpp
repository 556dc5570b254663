// A shortcut that keeps the map's extent around a convolution that halves it: channels agree, extents do not.
// rule: summands_have_unlike_extents
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3, 2> conv1;
#ifdef RESNET_FAIL
    Conv2d<3, 64, k1> shortcut;
#else
    Conv2d<3, 64, k1, 2> shortcut;
#endif

    constexpr auto operator()(Value<3> x) const {
        auto out = conv1(x) + shortcut(x);  // named here
        return adaptive_avg_pool2d(relu(out));
    }
    RESNET_MEMBERS(conv1, shortcut)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 6);
