// A linear layer that takes 512 features where the pool gives 256.
// rule: input_features_match
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 256, k3> conv;
#ifdef RESNET_FAIL
    Linear<512, 10> outlayer;
#else
    Linear<256, 10> outlayer;
#endif

    constexpr auto operator()(Value<3> x) const {
        return outlayer(adaptive_avg_pool2d(conv(x)));  // error here
    }
    RESNET_MEMBERS(conv, outlayer)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 4);
