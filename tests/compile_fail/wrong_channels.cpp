// A convolution that gives 64 channels before one that takes 128.
// rule: input_channels_match
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv1;
#ifdef RESNET_FAIL
    Conv2d<128, 10, k3> conv2;
#else
    Conv2d<64, 10, k3> conv2;
#endif

    constexpr auto operator()(Value<3> x) const {
        auto out = relu(conv1(x));
        return adaptive_avg_pool2d(conv2(out));  // error here
    }
    RESNET_MEMBERS(conv1, conv2)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 5);
