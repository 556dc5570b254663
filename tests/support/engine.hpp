// Include this in tests that train or classify: the engine and its kernels are compiled once, in engine.cpp, not in every test.
#pragma once

#include <resnet/classifier.hpp>
#include <resnet/trainer.hpp>

namespace resnet::inline v0 {

extern template const Kernels<float>& kernels<float>(Isa);
extern template const Kernels<double>& kernels<double>(Isa);
extern template void run_step<float>(const Run<float>&, int);
extern template void run_step<double>(const Run<double>&, int);
extern template void run_input<float>(const Run<float>&, int, const ImageView&, const Normalization&);
extern template void run_input<double>(const Run<double>&, int, const ImageView&, const Normalization&);

}  // namespace resnet::inline v0
