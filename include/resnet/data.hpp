// Data sets in memory, and batches of them. Needs nothing but the standard library; Fashion-MNIST, which needs zlib, is
// a header of its own: <resnet/data/fashion_mnist.hpp>.
#pragma once

#include <resnet/data/augment.hpp>
#include <resnet/data/cifar10.hpp>
#include <resnet/data/dataset.hpp>
#include <resnet/data/loader.hpp>
#include <resnet/data/resize.hpp>
