// One of two units that include every header of the library: they link, and they hold the same library.
#define RESNET_IMAGE_IMPLEMENTATION  // stb's habit: one file of a program defines it
#include <everything.hpp>

#include "philox.hpp"

int main() {
    // An inline function has one address in a program, whichever unit asks.
    return philox_of_the_other_unit() == &resnet::philox ? 0 : 1;
}
