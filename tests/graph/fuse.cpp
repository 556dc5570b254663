#include <doctest/doctest.h>

#include <resnet/blocks.hpp>
#include <resnet/graph/custom.hpp>
#include <resnet/graph/fuse.hpp>

#include "../support/describe.hpp"

using namespace resnet;

namespace {

template <class Net>
std::string fused(Mode mode) {
    return tests::describe(fuse(trace<Net>({8, 8}), mode));
}

struct Block {
    Conv2d<3, 3, k3> conv1, conv2, projection;
    BatchNorm2d<3> bn1, bn2, bn3;
    constexpr auto operator()(Value<3> x) const {
        const auto out = bn2(conv2(relu(bn1(conv1(x)))));
        return relu(bn3(projection(x)) + out);
    }
    RESNET_MEMBERS(conv1, conv2, projection, bn1, bn2, bn3)
};

/// x and two convolutions of it, combined as `body` says.
template <auto body>
struct With {
    Conv2d<3, 3, k3> a, b;
    BatchNorm2d<3> bn;
    constexpr auto operator()(Value<3> x) const { return body(x, a, b, bn); }
    RESNET_MEMBERS(a, b, bn)
};

}  // namespace

TEST_CASE(
    "fuse: training keeps batch norm apart, with the sum and the relu in one step, and convolutions collect its "
    "statistics") {
    CHECK(fused<Block>(Mode::training) ==
          "t0 = input\n"
          "t1 = convolution t0, moments\n"
          "t2 = relu(bn(t1))\n"
          "t3 = convolution t2, moments\n"
          "t4 = convolution t0, moments\n"
          "t5 = relu(bn(t4) + bn(t3))\n");
}

TEST_CASE("fuse: inference folds batch norm and relu, and the convolution that runs last adds the other branch") {
    CHECK(fused<Block>(Mode::inference) ==
          "t0 = input\n"
          "t1 = relu(bn(convolution t0))\n"
          "t2 = bn(convolution t1)\n"
          "t3 = relu(bn(convolution t0) + t2)\n");
}

TEST_CASE("fuse: the order of the summands does not matter to the residual sum of inference") {
    constexpr auto left = [](auto x, const auto& a, const auto&, const auto&) { return a(x) + x; };
    constexpr auto right = [](auto x, const auto& a, const auto&, const auto&) { return x + a(x); };
    CHECK(fused<With<left>>(Mode::inference) == "t0 = input\nt1 = convolution t0 + t0\n");
    CHECK(fused<With<right>>(Mode::inference) == fused<With<left>>(Mode::inference));
}

TEST_CASE("fuse: a convolution that two read is one tensor, and no epilogue changes it") {
    constexpr auto twice = [](auto x, const auto& a, const auto&, const auto& bn) {
        const auto y = a(x);
        return relu(bn(y) + y);
    };
    CHECK(fused<With<twice>>(Mode::inference) == "t0 = input\nt1 = convolution t0\nt2 = relu(bn(t1) + t1)\n");
    CHECK(fused<With<twice>>(Mode::training) == "t0 = input\nt1 = convolution t0, moments\nt2 = relu(bn(t1) + t1)\n");
}

TEST_CASE("fuse: a normalised or rectified value that two read is computed once") {
    constexpr auto block = [](auto x, const auto& a, const auto& b, const auto& bn) {
        const auto y = relu(bn(a(x)));
        return b(y) + y;
    };
    CHECK(fused<With<block>>(Mode::training) ==
          "t0 = input\nt1 = convolution t0, moments\nt2 = relu(bn(t1))\nt3 = convolution t2\nt4 = t3 + t2\n");
    CHECK(fused<With<block>>(Mode::inference) ==
          "t0 = input\nt1 = relu(bn(convolution t0))\nt2 = convolution t1 + t1\n");
}

TEST_CASE("fuse: nothing is folded behind a relu") {
    constexpr auto behind = [](auto x, const auto& a, const auto&, const auto& bn) { return bn(relu(a(x))); };
    CHECK(fused<With<behind>>(Mode::inference) == "t0 = input\nt1 = relu(convolution t0)\nt2 = bn(t1)\n");
    CHECK(fused<With<behind>>(Mode::training) ==
          "t0 = input\nt1 = convolution t0\nt2 = relu(t1)\nt2 = moments t2\nt3 = bn(t2)\n");
}

TEST_CASE("fuse: a gelu ends a pointwise step, also behind a convolution for inference, and behind a relu in another") {
    constexpr auto body = [](auto x, const auto& a, const auto&, const auto& bn) { return gelu(bn(a(x)) + x); };
    CHECK(fused<With<body>>(Mode::inference) == "t0 = input\nt1 = bn(convolution t0) + t0\nt2 = gelu(t1)\n");
    CHECK(fused<With<body>>(Mode::training) == "t0 = input\nt1 = convolution t0, moments\nt2 = gelu(bn(t1) + t0)\n");
    constexpr auto residual = [](auto x, const auto& a, const auto&, const auto& bn) { return x + gelu(bn(a(x))); };
    CHECK(fused<With<residual>>(Mode::inference) ==
          "t0 = input\nt1 = bn(convolution t0)\nt2 = gelu(t1)\nt3 = t0 + t2\n");
    constexpr auto scaled = [](auto x, const auto& a, const auto&, const auto& bn) { return bn(0.5f * gelu(a(x))); };
    CHECK(fused<With<scaled>>(Mode::inference) ==
          "t0 = input\nt1 = convolution t0\nt2 = gelu(t1)\nt3 = 0.5 t2\nt4 = bn(t3)\n");
    constexpr auto twice = [](auto x, const auto&, const auto&, const auto&) { return gelu(gelu(relu(x))); };
    CHECK(fused<With<twice>>(Mode::training) == "t0 = input\nt1 = relu(t0)\nt2 = gelu(t1)\nt3 = gelu(t2)\n");
    constexpr auto relus = [](auto x, const auto&, const auto&, const auto&) { return relu(relu(x)); };
    CHECK(fused<With<relus>>(Mode::training) == "t0 = input\nt1 = relu(t0)\n");
    constexpr auto folded = [](auto x, const auto& a, const auto&, const auto&) { return relu(relu(a(x))); };
    CHECK(fused<With<folded>>(Mode::inference) == "t0 = input\nt1 = relu(convolution t0)\n");
    constexpr auto negated = [](auto x, const auto& a, const auto&, const auto&) { return relu(-1.0f * relu(a(x))); };
    CHECK(fused<With<negated>>(Mode::inference) == "t0 = input\nt1 = relu(convolution t0)\nt2 = relu(-1 t1)\n");
    constexpr auto after = [](auto x, const auto& a, const auto&, const auto&) { return relu(gelu(a(x))); };
    CHECK(fused<With<after>>(Mode::inference) == "t0 = input\nt1 = convolution t0\nt2 = gelu(t1)\nt3 = relu(t2)\n");
}

TEST_CASE("fuse: a constant factor goes into the convolution, before the residual and behind batch norm") {
    constexpr auto scaled = [](auto x, const auto& a, const auto&, const auto& bn) {
        return relu(0.5f * bn(a(x)) + x);
    };
    CHECK(fused<With<scaled>>(Mode::inference) == "t0 = input\nt1 = relu(0.5 bn(convolution t0) + t0)\n");
    constexpr auto turned = [](auto x, const auto& a, const auto&, const auto& bn) {
        return relu(bn(a(x)) * 0.5f + x);
    };
    CHECK(fused<With<turned>>(Mode::inference) == fused<With<scaled>>(Mode::inference));
    CHECK(fused<With<scaled>>(Mode::training) ==
          "t0 = input\nt1 = convolution t0, moments\nt2 = relu(0.5 bn(t1) + t0)\n");
}

TEST_CASE("fuse: batch norm is not folded into a convolution that is scaled already") {
    constexpr auto scaled = [](auto x, const auto& a, const auto&, const auto& bn) { return bn(3.0f * a(x)); };
    CHECK(fused<With<scaled>>(Mode::inference) == "t0 = input\nt1 = 3 convolution t0\nt2 = bn(t1)\n");
    CHECK(fused<With<scaled>>(Mode::training) ==
          "t0 = input\nt1 = convolution t0\nt2 = 3 t1\nt2 = moments t2\nt3 = bn(t2)\n");
}

TEST_CASE("fuse: a relu is taken of the scaled sum, not before the scaling") {
    constexpr auto negated = [](auto x, const auto& a, const auto&, const auto&) { return relu(-1.0f * (a(x) + x)); };
    CHECK(fused<With<negated>>(Mode::inference) == "t0 = input\nt1 = convolution t0 + t0\nt2 = relu(-1 t1)\n");
    CHECK(fused<With<negated>>(Mode::training) == "t0 = input\nt1 = convolution t0\nt2 = relu(-1 t1 + -1 t0)\n");
}

TEST_CASE("fuse: a scaled relu is scaled behind the relu") {
    constexpr auto behind = [](auto x, const auto& a, const auto&, const auto&) { return -2.0f * relu(a(x)); };
    CHECK(fused<With<behind>>(Mode::inference) == "t0 = input\nt1 = relu(convolution t0)\nt2 = -2 t1\n");
    CHECK(fused<With<behind>>(Mode::training) == "t0 = input\nt1 = convolution t0\nt2 = relu(t1)\nt3 = -2 t2\n");
}

TEST_CASE("fuse: a sum of three terms is two steps") {
    constexpr auto three = [](auto x, const auto& a, const auto& b, const auto&) {
        const auto first = a(x), second = b(x);  // C++ leaves the order of a(x) + b(x) open
        return relu(first + second + x);
    };
    CHECK(fused<With<three>>(Mode::training) ==
          "t0 = input\nt1 = convolution t0\nt2 = convolution t0\nt3 = t1 + t2\nt4 = relu(t3 + t0)\n");
    CHECK(fused<With<three>>(Mode::inference) ==
          "t0 = input\nt1 = convolution t0\nt2 = convolution t0 + t1\nt3 = relu(t2 + t0)\n");
}

TEST_CASE("fuse: a value plus itself has two terms of one tensor") {
    constexpr auto doubled = [](auto x, const auto& a, const auto&, const auto&) {
        const auto y = a(x);
        return y + y;
    };
    for (const Mode mode : {Mode::training, Mode::inference})
        CHECK(fused<With<doubled>>(mode) == "t0 = input\nt1 = convolution t0\nt2 = t1 + t1\n");
}

TEST_CASE("fuse: what the body computes and nobody reads is left out") {
    constexpr auto dead = [](auto x, const auto& a, const auto& b, const auto&) {
        static_cast<void>(b(x));
        return a(x);
    };
    CHECK(fused<With<dead>>(Mode::training) == "t0 = input\nt1 = convolution t0\n");
    constexpr auto chain = [](auto x, const auto& a, const auto& b, const auto& bn) {
        static_cast<void>(relu(bn(b(x))));
        return a(x);
    };
    CHECK(fused<With<chain>>(Mode::training) == "t0 = input\nt1 = convolution t0\n");
    constexpr auto reader = [](auto x, const auto& a, const auto&, const auto& bn) {
        const auto y = a(x);
        static_cast<void>(relu(y));  // does not keep the norm out of the convolution
        return bn(y);
    };
    CHECK(fused<With<reader>>(Mode::inference) == "t0 = input\nt1 = bn(convolution t0)\n");
}

TEST_CASE("fuse: batch norm of the image gets its statistics from a step of its own") {
    constexpr auto first = [](auto x, const auto& a, const auto&, const auto& bn) { return a(bn(x)); };
    CHECK(fused<With<first>>(Mode::training) == "t0 = input\nt0 = moments t0\nt1 = bn(t0)\nt2 = convolution t1\n");
    CHECK(fused<With<first>>(Mode::inference) == "t0 = input\nt1 = bn(t0)\nt2 = convolution t1\n");
}

TEST_CASE("fuse: two batch norms of one tensor share its statistics") {
    constexpr auto both = [](auto x, const auto& a, const auto&, const auto& bn) {
        const auto y = a(x);
        return bn(y) + relu(bn(y));
    };
    const Program program = fuse(trace<With<both>>({8, 8}), Mode::training);
    CHECK(program.moments == 1);
    CHECK(program.norms.size() == 2);
    CHECK(tests::describe(program) ==
          "t0 = input\nt1 = convolution t0, moments\nt2 = relu(bn(t1))\nt3 = bn(t1) + t2\n");
}

TEST_CASE("fuse: pools and flatten need their operand in memory, and linear takes a relu") {
    struct Net {
        Conv2d<3, 4, k3> conv;
        Linear<16, 5> fc1;
        Linear<5, 2> fc2;
        constexpr auto operator()(Value<3> x) const {
            return fc2(relu(fc1(flatten<16>(max_pool2d<4>(relu(conv(x)))))));
        }
        RESNET_MEMBERS(conv, fc1, fc2)
    };
    CHECK(fused<Net>(Mode::inference) ==
          "t0 = input\nt1 = relu(convolution t0)\nt2 = max_pool t1\nt3 = relu(convolution t2)\nt4 = convolution t3\n");
    CHECK(fused<Net>(Mode::training) ==
          "t0 = input\nt1 = convolution t0\nt2 = relu(t1)\nt3 = max_pool t2\nt4 = convolution t3\nt5 = relu(t4)\nt6 = "
          "convolution t5\n");
}
