#include <doctest/doctest.h>

#include <vector>

#include <resnet/blocks.hpp>
#include <resnet/graph/differentiate.hpp>
#include <resnet/graph/fuse.hpp>

#include "../support/describe.hpp"
#include "../support/names.hpp"

using namespace resnet;

namespace {

template <class Net>
Program backward_of(const std::vector<std::string_view>& frozen_names = {}) {
    const Graph graph = trace<Net>({8, 8});
    std::vector<char> frozen(graph.parameters.size(), 0);
    for (const std::string_view name : frozen_names) {
        const int p = tests::find_parameter(graph, name);
        REQUIRE(p >= 0);
        at(frozen, p) = 1;
    }
    return differentiate(graph, fuse(graph, Mode::training), frozen);
}

struct Classifier {
    Conv2d<3, 4, k3> conv;
    BatchNorm2d<4> bn;
    Linear<4, 2> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(bn(conv(x))))); }
    RESNET_MEMBERS(conv, bn, fc)
};

/// Two convolutions and a batch norm, combined as `body` says.
template <auto body>
struct With {
    Conv2d<3, 3, k3> a, b;
    BatchNorm2d<3> bn;
    constexpr auto operator()(Value<3> x) const { return body(x, a, b, bn); }
    RESNET_MEMBERS(a, b, bn)
};

}  // namespace

TEST_CASE(
    "differentiate: the loss comes between forward and backward, and backward runs from the logits to the first "
    "layer") {
    const Program program = backward_of<Classifier>();
    REQUIRE(program.first_backward == 6);
    CHECK(at(program.steps, program.first_backward - 1).kind == StepKind::loss);
    CHECK(at(program.steps, program.first_backward - 1).grad_output >= 0);
    CHECK(tests::describe_backward(program) ==
          "convolution_grad_weight t4: =weight =bias\n"
          "convolution_grad_input t4: =g3\n"
          "average_pool_grad t3: =g2\n"
          "pointwise_grad t2: =parameters =g1\n"
          "convolution_grad_weight t1: =weight\n");
}

TEST_CASE("differentiate: a value that two read is written by the first gradient and added to by the second") {
    constexpr auto body = [](auto x, const auto& a, const auto& b, const auto&) {
        const auto y = a(x);
        const auto z = b(y);
        return y + z;
    };
    CHECK(tests::describe_backward(backward_of<With<body>>()) ==
          "pointwise_grad t3: =g1 =g2\n"
          "convolution_grad_weight t2: =weight =bias\n"
          "convolution_grad_input t2: +g1\n"
          "convolution_grad_weight t1: =weight =bias\n");
}

TEST_CASE("differentiate: x + x adds its gradient twice") {
    constexpr auto body = [](auto x, const auto& a, const auto&, const auto&) {
        const auto y = a(x);
        return y + y;
    };
    CHECK(tests::describe_backward(backward_of<With<body>>()) ==
          "pointwise_grad t2: =g1 +g1\nconvolution_grad_weight t1: =weight =bias\n");
}

TEST_CASE("differentiate: the gradients of a layer that is used twice are summed") {
    constexpr auto body = [](auto x, const auto& a, const auto&, const auto& bn) {
        return bn(relu(bn(relu(a(relu(a(x)))))));
    };
    CHECK(tests::describe_backward(backward_of<With<body>>()) ==
          "pointwise_grad t6: =parameters =g5\n"
          "pointwise_grad t5: +parameters =g4\n"
          "pointwise_grad t4: =g3\n"
          "convolution_grad_weight t3: =weight =bias\n"
          "convolution_grad_input t3: =g2\n"
          "pointwise_grad t2: =g1\n"
          "convolution_grad_weight t1: +weight +bias\n");
}

TEST_CASE("differentiate: a bias that only batch norm sees has no gradient to compute") {
    constexpr auto normalized = [](auto x, const auto& a, const auto&, const auto& bn) { return bn(a(x)); };
    CHECK(tests::describe_backward(backward_of<With<normalized>>()) ==
          "pointwise_grad t2: =parameters =g1\nconvolution_grad_weight t1: =weight\n");

    constexpr auto also_read = [](auto x, const auto& a, const auto&, const auto& bn) {
        const auto y = a(x);
        return bn(y) + y;
    };
    CHECK(tests::describe_backward(backward_of<With<also_read>>()) ==
          "pointwise_grad t2: =parameters =g1 +g1\nconvolution_grad_weight t1: =weight =bias\n");
}

TEST_CASE(
    "differentiate: a bias is overwritten by the first use that has a gradient for it, even if another use came "
    "before") {
    constexpr auto body = [](auto x, const auto& a, const auto&, const auto& bn) { return bn(a(relu(a(x)))); };
    CHECK(tests::describe_backward(backward_of<With<body>>()) ==
          "pointwise_grad t4: =parameters =g3\n"
          "convolution_grad_weight t3: =weight\n"
          "convolution_grad_input t3: =g2\n"
          "pointwise_grad t2: =g1\n"
          "convolution_grad_weight t1: +weight =bias\n");
}

TEST_CASE("differentiate: nothing is computed for the image or for layers before the first that trains") {
    const Program program = backward_of<Classifier>({"conv.weight", "conv.bias", "bn.weight", "bn.bias"});
    CHECK(tests::describe_backward(program) == "convolution_grad_weight t4: =weight =bias\n");
}

TEST_CASE("differentiate: a frozen layer between others that train only passes its gradient on") {
    const Program program = backward_of<Classifier>({"bn.weight", "bn.bias", "fc.weight", "fc.bias"});
    CHECK(tests::describe_backward(program) ==
          "convolution_grad_input t4: =g3\n"
          "average_pool_grad t3: =g2\n"
          "pointwise_grad t2: =g1\n"
          "convolution_grad_weight t1: =weight\n");
}

TEST_CASE("differentiate: where everything is frozen there is a loss and no backward") {
    const Program program =
        backward_of<Classifier>({"conv.weight", "conv.bias", "bn.weight", "bn.bias", "fc.weight", "fc.bias"});
    CHECK(tests::describe_backward(program).empty());
    CHECK(program.steps.back().kind == StepKind::loss);
    CHECK(program.steps.back().grad_output == -1);
}

TEST_CASE("differentiate: every gradient is written before it is read or added to, and only once") {
    const Program program = backward_of<With<[](auto x, const auto& a, const auto& b, const auto& bn) {
        const auto y = relu(bn(a(x)));
        const auto z = y + 0.5f * b(y);
        return z + relu(a(z)) + y;
    }>>();
    std::vector<char> written(program.tensors.size(), 0);
    for (const Step& step : program.steps) {
        if (step.kind == StepKind::loss) at(written, step.grad_output) = 1;
        if (!step.backward()) continue;
        CHECK(at(written, step.grad_output) == 1);
        for (std::size_t t = 0; t < 2; ++t) {
            if (step.writes[t] == Write::none) continue;
            CHECK(at(written, step.grad_inputs[t]) == (step.writes[t] == Write::add ? 1 : 0));
            at(written, step.grad_inputs[t]) = 1;
        }
    }
}
