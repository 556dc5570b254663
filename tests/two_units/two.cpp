// The other of two units that include every header of the library; see one.cpp.
#include <everything.hpp>

#include "philox.hpp"

decltype(&resnet::philox) philox_of_the_other_unit() { return &resnet::philox; }
