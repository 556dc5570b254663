// What the two units compare.
#pragma once

#include <resnet/core/random.hpp>

decltype(&resnet::philox) philox_of_the_other_unit();
