// What every way of consuming the library has to compile and run: a budget that the compiler checks.
#include <resnet/graph/cost.hpp>
#include <resnet/resnet18.hpp>

#include <cstdio>

using Net = resnet::ResNet18<10>;
static_assert(resnet::parameter_count<Net>() == 4'910'410);

int main() { std::printf("%td multiply-accumulates an image\n", resnet::macs<Net>(Net::image)); }
