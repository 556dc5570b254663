// A network that returns a flattened map: its values lie by position, not one row of logits an image.
// rule: logits_are_a_flattened_map
#include <resnet/model.hpp>

#include <resnet/layers.hpp>

using namespace resnet;

struct Net {
    static constexpr Extent image{2, 2};
    Conv2d<3, 5, k3> conv;
    Linear<20, 20> fc;

    constexpr auto operator()(Value<3> x) const {
#ifdef RESNET_FAIL
        return flatten<20>(conv(x));
#else
        return fc(flatten<20>(conv(x)));
#endif
    }
    RESNET_MEMBERS(conv, fc)
};

Model<Net> model{Seed{1}};  // named here
