// A network of one's own: trained for a few steps on images that it has to tell apart, then run.
#include <resnet/blocks.hpp>
#include <resnet/classifier.hpp>
#include <resnet/trainer.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

struct SmallNet {
    static constexpr resnet::Extent image{16, 16};

    resnet::Conv2d<3, 16, resnet::k3> conv1;
    resnet::BatchNorm2d<16> bn1;
    resnet::ResBlk<16, 32, 2> block;
    resnet::Linear<32, 2> fc;

    constexpr auto operator()(resnet::Value<3> x) const {
        auto out = relu(bn1(conv1(x)));
        return fc(adaptive_avg_pool2d(block(out)));
    }
    RESNET_MEMBERS(conv1, bn1, block, fc)
};
static_assert(resnet::macs<SmallNet>(SmallNet::image) < 2'000'000);

int main() {
    // Sixteen grey images: dark ones are of class 0, bright ones of class 1.
    constexpr int images = 16;
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    for (int n = 0; n < images; ++n) {
        labels.push_back(n % 2 == 0 ? 0 : 1);
        const auto grey = static_cast<std::uint8_t>(6 * n + (n % 2 == 0 ? 0 : 120));
        pixels.insert(pixels.end(), std::size_t{16 * 16 * 3}, grey);
    }
    const resnet::ImageView view = resnet::nhwc(pixels.data(), images, SmallNet::image);

    resnet::Model<SmallNet> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-2f}};
    for (int step = 0; step < 60; ++step) trainer.step(view, labels);

    const resnet::Classifier classify{model};
    const auto logits = classify(view);
    int right = 0;
    for (int n = 0; n < images; ++n) right += (logits[n][0] < logits[n][1]) == (n % 2 == 1) ? 1 : 0;
    std::printf("%d of %d images are classified rightly\n", right, images);
    return right == images ? 0 : 1;
}
