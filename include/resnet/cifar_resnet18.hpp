// ResNet18 for CIFAR, as kuangliu/pytorch-cifar writes it: a stride-1 stem and four stages of two basic blocks.
// Maps 32, 16, 8, 4; 11,173,962 parameters with 10 classes.
#pragma once

#include <resnet/blocks.hpp>

namespace resnet::inline v0 {

template <int Classes = 10>
struct CifarResNet18 {
    static constexpr Extent image{32, 32};
    static constexpr int classes = Classes;

    Conv2dNoBias<3, 64, k3> conv1;
    BatchNorm2d<64> bn1;
    Sequential<CifarBasicBlock<64, 64>, CifarBasicBlock<64, 64>> layer1;
    Sequential<CifarBasicBlock<64, 128, 2>, CifarBasicBlock<128, 128>> layer2;
    Sequential<CifarBasicBlock<128, 256, 2>, CifarBasicBlock<256, 256>> layer3;
    Sequential<CifarBasicBlock<256, 512, 2>, CifarBasicBlock<512, 512>> layer4;
    Linear<512, Classes> linear;

    constexpr auto operator()(Value<3> x) const {
        const auto out = relu(bn1(conv1(x)));
        return linear(adaptive_avg_pool2d(layer4(layer3(layer2(layer1(out))))));
    }
    RESNET_MEMBERS(conv1, bn1, layer1, layer2, layer3, layer4, linear)
};

}  // namespace resnet::inline v0
