// A Model proves that its network takes its usual image: here the 7x7 window of conv2 meets a map of 4x4 positions.
// rule: image_is_smaller_than_the_window
#include <resnet/model.hpp>

#include <resnet/layers.hpp>

using namespace resnet;

struct Net {
#ifdef RESNET_FAIL
    static constexpr Extent image{8, 8};
#else
    static constexpr Extent image{16, 16};
#endif
    Conv2d<3, 64, k3, 2> conv1;
    Conv2d<64, 10, k7, 1, 0> conv2;

    constexpr auto operator()(Value<3> x) const {
        auto out = relu(conv1(x));
        return adaptive_avg_pool2d(conv2(out));  // named here
    }
    RESNET_MEMBERS(conv1, conv2)
};

Model<Net> model{Seed{1}};
