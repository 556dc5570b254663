// The same mistake inside Sequential: the error is where the network calls it, not inside the library.
// rule: each_layer_accepts_the_one_before
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
#ifdef RESNET_FAIL
    Sequential<Conv2d<3, 64, k3>, BatchNorm2d<64>, ReLU, Conv2d<128, 10, k1>> layers;
#else
    Sequential<Conv2d<3, 64, k3>, BatchNorm2d<64>, ReLU, Conv2d<64, 10, k1>> layers;
#endif

    constexpr auto operator()(Value<3> x) const {
        return adaptive_avg_pool2d(layers(x));  // error here
    }
    RESNET_MEMBERS(layers)
};

static_assert(trace<Body>({32, 32}).nodes.size() == 6);
