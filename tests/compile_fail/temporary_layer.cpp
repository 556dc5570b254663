// A layer that is created in the body: it has no name and no weights of its own.
// rule: layer_is_not_a_member
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv1;
    Conv2d<64, 64, k3> conv2;

    constexpr auto operator()(Value<3> x) const {
        auto out = relu(conv1(x));
#ifdef RESNET_FAIL
        return adaptive_avg_pool2d(Conv2d<64, 64, k3>{}(out));  // named here
#else
        return adaptive_avg_pool2d(conv2(out));
#endif
    }
    RESNET_MEMBERS(conv1, conv2)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 5);
