// The engine and its kernels, for all tests that include engine.hpp.
#include <resnet/engine/executor.hpp>

namespace resnet::inline v0 {

template const Kernels<float>& kernels<float>(Isa);
template const Kernels<double>& kernels<double>(Isa);
template void run_step<float>(const Run<float>&, int);
template void run_step<double>(const Run<double>&, int);
template void run_input<float>(const Run<float>&, int, const ImageView&, const Normalization&);
template void run_input<double>(const Run<double>&, int, const ImageView&, const Normalization&);

}  // namespace resnet::inline v0
