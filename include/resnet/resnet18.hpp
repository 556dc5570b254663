// The ResNet18 of the PyTorch tutorial on CIFAR-10: a stride-3 stem and four blocks, each at stride 2 with a
// projection. Maps 10, 5, 3, 2, 1 for images of 32x32; 4,910,410 parameters with 10 classes.
#pragma once

#include <resnet/blocks.hpp>

namespace resnet::inline v0 {

template <int Classes = 10>
struct ResNet18 {
    static constexpr Extent image{32, 32};
    static constexpr int classes = Classes;

    Sequential<Conv2d<3, 64, k3, 3, 0>, BatchNorm2d<64>> conv1;
    ResBlk<64, 64, 2> blk1;
    ResBlk<64, 128, 2> blk2;
    ResBlk<128, 256, 2> blk3;
    ResBlk<256, 512, 2> blk4;
    Linear<512, Classes> outlayer;

    constexpr auto operator()(Value<3> x) const {
        auto out = relu(conv1(x));
        out = blk1(out);
        return outlayer(adaptive_avg_pool2d(blk4(blk3(blk2(out)))));
    }
    RESNET_MEMBERS(conv1, blk1, blk2, blk3, blk4, outlayer)
};

}  // namespace resnet::inline v0
