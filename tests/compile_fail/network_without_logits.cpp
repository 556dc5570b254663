// A network whose body returns a map: there are no logits to train or to classify with.
// rule: network_does_not_return_features
#include <resnet/model.hpp>

#include <resnet/layers.hpp>

using namespace resnet;

struct Net {
    static constexpr Extent image{8, 8};
    Conv2d<3, 10, k3> conv;

    constexpr auto operator()(Value<3> x) const {
#ifdef RESNET_FAIL
        return conv(x);
#else
        return adaptive_avg_pool2d(conv(x));
#endif
    }
    RESNET_MEMBERS(conv)
};

Model<Net> model{Seed{1}};  // named here
