// For programs of several source files: the engine and its kernels are compiled in one of them, where
// RESNET_ENGINE_IMPLEMENTATION is defined before this header is included, and only declared in the others. Compiling a
// Trainer takes half the time then. Without this header every source file compiles all that it uses.
//
//     // engine.cpp
//     #define RESNET_ENGINE_IMPLEMENTATION
//     #include <resnet/extern_engine.hpp>
#pragma once

#include <resnet/engine/executor.hpp>

/// What the engine compiles for a type of numbers, inside namespace resnet: `how` is `extern template` or `template`.
#define RESNET_ENGINE(how, Scalar)                      \
    how const Kernels<Scalar>& kernels<Scalar>(Isa);    \
    how void run_step<Scalar>(const Run<Scalar>&, int); \
    how void run_input<Scalar>(const Run<Scalar>&, int, const ImageView&, const Normalization&);

namespace resnet::inline v0 {

#ifdef RESNET_ENGINE_IMPLEMENTATION
RESNET_ENGINE(template, float)
#else
RESNET_ENGINE(extern template, float)
#endif

}  // namespace resnet::inline v0
