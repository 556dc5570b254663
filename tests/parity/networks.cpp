// The library's own networks. In one unit with each other, since each unit that trains compiles all kernels.
#include <resnet/cifar_resnet18.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/resnet9.hpp>

#include "check.hpp"

TEST_CASE_TEMPLATE("parity: the tutorial's ResNet18 computes and trains as PyTorch", Scalar, double, float) {
    parity::check_network<resnet::ResNet18<10>, Scalar>("resnet18");
}

TEST_CASE_TEMPLATE("parity: CifarResNet18 computes and trains as PyTorch", Scalar, double, float) {
    parity::check_network<resnet::CifarResNet18<10>, Scalar>("cifar_resnet18");
}

TEST_CASE_TEMPLATE("parity: ResNet9 computes and trains as PyTorch", Scalar, double, float) {
    parity::check_network<resnet::ResNet9<10>, Scalar>("resnet9");
}

TEST_CASE_TEMPLATE("parity: ImageNetResNet18 computes and trains as PyTorch", Scalar, double, float) {
    parity::check_network<resnet::ImageNetResNet18<12>, Scalar>("imagenet_resnet18");
}

TEST_CASE_TEMPLATE("parity: ImageNetResNet34 computes and trains as PyTorch", Scalar, double, float) {
    parity::check_network<resnet::ImageNetResNet34<12>, Scalar>("imagenet_resnet34");
}
