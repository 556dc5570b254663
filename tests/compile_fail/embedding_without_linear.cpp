// The embedding is what the last linear layer reads; this network's output is pooled.
// rule: output_is_a_linear_layer
#include <resnet/classifier.hpp>

using namespace resnet;

struct Body {
    static constexpr Extent image{8, 8};
    Conv2d<3, 10, k3> conv;
    Linear<10, 10> fc;

    constexpr auto operator()(Value<3> x) const {
        auto out = adaptive_avg_pool2d(conv(x));
#ifdef RESNET_FAIL
        return out;
#else
        return fc(out);
#endif
    }
    RESNET_MEMBERS(conv, fc)
};

Index features(const Classifier<Body>& classify, const ImageView& images) {
    return classify.embed(images).features();  // error here
}
