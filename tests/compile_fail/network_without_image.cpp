// A network that does not say the extent of its images: a Model could not prove its shapes.
// rule: has_a_usual_image
#include <resnet/model.hpp>

#include <resnet/layers.hpp>

using namespace resnet;

struct Net {
#ifndef RESNET_FAIL
    static constexpr Extent image{8, 8};
#endif
    Conv2d<3, 10, k3> conv;

    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(conv(x)); }
    RESNET_MEMBERS(conv)
};

Model<Net> model{Seed{1}};  // error here
