// The checks for numbers that are not finite would be folded away.
// flag: -ffast-math
// rule: -ffast-math
#include <resnet/layers.hpp>  // named here
