// Include this in tests that train or classify: the engine and its kernels are compiled once, also those for double,
// not in every test.
#pragma once

#include <resnet/classifier.hpp>
#include <resnet/extern_engine.hpp>
#include <resnet/trainer.hpp>

namespace resnet::inline v0 {

RESNET_ENGINE(extern template, double)

}  // namespace resnet::inline v0
