// ResNet18 and 34 for ImageNet, in torchvision's layout and names (He et al. 2015, table 1).
// Maps 112, 56 (after the pool), 28, 14, 7 for images of 224x224; 11,689,512 and 21,797,672 parameters with 1000
// classes.
#pragma once

#include <cstddef>

#include <resnet/blocks.hpp>

namespace resnet::inline v0 {

/// Four stages of N1, N2, N3 and N4 basic blocks.
template <int Classes, std::size_t N1, std::size_t N2, std::size_t N3, std::size_t N4>
struct ImageNetResNet {
    static constexpr Extent image{224, 224};
    static constexpr int classes = Classes;
    static constexpr Initialization initialization = Initialization::kaiming_normal_fan_out;

    Conv2dNoBias<3, 64, k7, 2> conv1;
    BatchNorm2d<64> bn1;
    Stage<BasicBlock<64, 64>, BasicBlock<64, 64>, N1> layer1;
    Stage<BasicBlock<64, 128, 2>, BasicBlock<128, 128>, N2> layer2;
    Stage<BasicBlock<128, 256, 2>, BasicBlock<256, 256>, N3> layer3;
    Stage<BasicBlock<256, 512, 2>, BasicBlock<512, 512>, N4> layer4;
    Linear<512, Classes> fc;

    constexpr auto operator()(Value<3> x) const {
        const auto out = max_pool2d<3, 2, 1>(relu(bn1(conv1(x))));
        return fc(adaptive_avg_pool2d(layer4(layer3(layer2(layer1(out))))));
    }
    RESNET_MEMBERS(conv1, bn1, layer1, layer2, layer3, layer4, fc)
};

template <int Classes = 1000>
using ImageNetResNet18 = ImageNetResNet<Classes, 2, 2, 2, 2>;
template <int Classes = 1000>
using ImageNetResNet34 = ImageNetResNet<Classes, 3, 4, 6, 3>;

}  // namespace resnet::inline v0
