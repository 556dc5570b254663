// What a custom operation has beside its parameters, for the cases that are about those.
#pragma once

#include <resnet/layers.hpp>

struct DoesNothing {
    static constexpr std::string_view name = "nothing";
    static constexpr resnet::Extent output(resnet::Extent input) { return input; }
    static constexpr resnet::Index macs(resnet::Extent input) { return input.area(); }
    template <class Scalar>
    static void forward(const resnet::CustomForward<Scalar>&) noexcept {}
    template <class Scalar>
    static void backward(const resnet::CustomBackward<Scalar>&) noexcept {}
};
