// A batch norm of 32 channels behind a convolution that gives 64.
// rule: input_channels_match
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv1;
#ifdef RESNET_FAIL
    BatchNorm2d<32> bn1;
#else
    BatchNorm2d<64> bn1;
#endif

    constexpr auto operator()(Value<3> x) const {
        return adaptive_avg_pool2d(bn1(conv1(x)));  // error here
    }
    RESNET_MEMBERS(conv1, bn1)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 4);
