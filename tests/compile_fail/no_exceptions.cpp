// Errors are exceptions.
// flag: -fno-exceptions
// rule: -fno-exceptions
#include <resnet/layers.hpp>  // named here
