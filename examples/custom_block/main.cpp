// A network of one's own: a block that no header knows, with no backward to write. It tells four kinds of stripes apart.
#include <cstdio>
#include <vector>

#include <resnet/layers.hpp>
#include <resnet/trainer.hpp>

template <int C>
struct PreActivationBlock {  // He et al. 2016, "Identity mappings in deep residual networks", figure 4(e)
    resnet::BatchNorm2d<C> bn1, bn2;
    resnet::Conv2d<C, C, resnet::k3> conv1, conv2;

    constexpr auto operator()(resnet::Value<C> x) const { return x + conv2(relu(bn2(conv1(relu(bn1(x)))))); }
    RESNET_MEMBERS(bn1, conv1, bn2, conv2)
};

struct StripeNet {
    static constexpr resnet::Extent image{16, 16};
    resnet::Conv2d<3, 32, resnet::k3, 2> stem;
    PreActivationBlock<32> block;
    resnet::Linear<32, 4> head;

    constexpr auto operator()(resnet::Value<3> x) const { return head(adaptive_avg_pool2d(block(stem(x)))); }
    RESNET_MEMBERS(stem, block, head)
};

int main() {
    std::vector<unsigned char> pixels;  // 64 images of stripes: rows, columns and the two diagonals
    std::vector<int> labels;
    for (int n = 0; n < 64; ++n) {
        const int dy[] = {1, 0, 1, 1}, dx[] = {0, 1, 1, -1};
        for (int i = 0; i < 16 * 16 * 3; ++i)
            pixels.push_back((i / 48 * dy[n % 4] + i / 3 % 16 * dx[n % 4] + n / 4 + 64) % 4 < 2 ? 255 : 0);
        labels.push_back(n % 4);
    }
    resnet::Model<StripeNet> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::SGD{.learning_rate = 0.05f, .momentum = 0.9f, .nesterov = true}};
    for (int step = 0; step < 59; ++step) trainer.step(resnet::nhwc(pixels.data(), 64, {16, 16}), labels);
    std::printf("loss of step 60: %.4f\n", trainer.step(resnet::nhwc(pixels.data(), 64, {16, 16}), labels).loss);
}
