// A map handed to a linear layer without pooling or flattening it: Linear takes Features only.
// rule: input_is_pooled_or_flattened
#include <resnet/layers.hpp>

using namespace resnet;

struct Body {
    Conv2d<3, 64, k3> conv;
    Linear<64, 10> outlayer;

    constexpr auto operator()(Value<3> x) const {
        auto out = relu(conv(x));
#ifdef RESNET_FAIL
        return outlayer(out);  // error here
#else
        return outlayer(adaptive_avg_pool2d(out));
#endif
    }
    RESNET_MEMBERS(conv, outlayer)
};

static_assert(trace<Body>({32, 32}).output > 0);
