// A layer that a network adds to the one it derives from: the list does not have it.
// rule: every_member_is_listed
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv1;

    constexpr auto operator()(Value<3> x) const {
        return adaptive_avg_pool2d(conv1(x));
    }
    RESNET_MEMBERS(conv1)
};

struct Between : Body {
#ifdef RESNET_FAIL
    BatchNorm2d<64> bn1;
#endif
};

struct Derived : Between {
    static constexpr Extent image{64, 64};
};

static_assert(trace<Derived>({32, 32}).nodes.size() == 3);  // named here
