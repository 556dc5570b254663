// This part of -ffast-math alone would do it, too.
// flag: -ffinite-math-only
// rule: -ffinite-math-only
#include <resnet/layers.hpp>  // named here
