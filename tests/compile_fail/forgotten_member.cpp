// A layer that RESNET_MEMBERS does not list: its weights would be in no file.
// rule: every_member_is_listed
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv1;
    BatchNorm2d<64> bn1;

    constexpr auto operator()(Value<3> x) const {
        return adaptive_avg_pool2d(bn1(conv1(x)));
    }
#ifdef RESNET_FAIL
    RESNET_MEMBERS(conv1)
#else
    RESNET_MEMBERS(conv1, bn1)
#endif
};

static_assert(trace<Body>({32, 32}).nodes.size() == 4);  // named here
