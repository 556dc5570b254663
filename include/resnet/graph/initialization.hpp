// How a network's weights are drawn before it is trained.
#pragma once

#include <cstdint>

namespace resnet::inline v0 {

/// A network states its own as `static constexpr Initialization initialization`.
enum class Initialization : std::uint8_t {
    kaiming_uniform,         // PyTorch's default: uniform in +-1 / sqrt(fan_in), weights and biases
    kaiming_normal_fan_out,  // torchvision's ResNets: convolutions normal with variance 2 / fan_out, the rest as above
    identity,  // a convolution's first filters, one an input channel, pass it on (torch.nn.init.dirac_); the rest as
               // kaiming_uniform (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU", section 3.3)
};

}  // namespace resnet::inline v0
