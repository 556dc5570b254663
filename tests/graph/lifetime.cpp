#include <doctest/doctest.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/graph/differentiate.hpp>
#include <resnet/graph/fuse.hpp>
#include <resnet/graph/lifetime.hpp>
#include <resnet/resnet18.hpp>

using namespace resnet;

namespace {

template <auto body>
struct With {
    Conv2d<3, 3, k3> a, b;
    BatchNorm2d<3> bn;
    constexpr auto operator()(Value<3> x) const { return body(x, a, b, bn); }
    RESNET_MEMBERS(a, b, bn)
};

template <class Net>
Program program_of(Mode mode, Extent image = {8, 8}) {
    const Graph graph = trace<Net>(image);
    Program program = fuse(graph, mode);
    return mode == Mode::training ? differentiate(graph, std::move(program)) : program;
}

/// The largest number of elements that are alive at once, by looking at every step. In the step in which one tensor
/// takes over another's memory the two are one.
Index counted_peak(const Program& program) {
    const auto lives = lifetimes(program);
    Index peak = 0;
    for (int step = 0; step <= static_cast<int>(program.steps.size()); ++step) {
        Index live = 0;
        for (std::size_t t = 0; t < lives.size(); ++t) {
            const int first = lives[t].first + (lives[t].takes_over >= 0 ? 1 : 0);
            if (first <= step && step <= lives[t].last) live += program.tensors[t].elements();
        }
        peak = std::max(peak, live);
    }
    return peak;
}

constexpr auto residual = [](auto x, const auto& a, const auto& b, const auto&) {
    const auto y = relu(a(x));
    return b(relu(b(y) + y));
};

}  // namespace

TEST_CASE("lifetime: the logits live beyond the last step") {
    for (const Mode mode : {Mode::training, Mode::inference}) {
        const Program program = program_of<ResNet18<10>>(mode, {32, 32});
        CHECK(at(lifetimes(program), program.logits).last == static_cast<int>(program.steps.size()));
    }
}

TEST_CASE("lifetime: every tensor that a step touches is alive in that step") {
    for (const Mode mode : {Mode::training, Mode::inference})
        for (const Program& program : {program_of<ResNet18<10>>(mode, {32, 32}), program_of<With<residual>>(mode)}) {
            const auto lives = lifetimes(program);
            for (int i = 0; i < static_cast<int>(program.steps.size()); ++i)
                for_each_tensor(at(program.steps, i), [&](int tensor) {
                    CHECK(at(lives, tensor).first <= i);
                    CHECK(i <= at(lives, tensor).last);
                });
        }
}

TEST_CASE("lifetime: the peak is the largest sum over the steps") {
    for (const Mode mode : {Mode::training, Mode::inference}) {
        for (const Program& program : {program_of<ResNet18<10>>(mode, {32, 32}),
                                       program_of<CifarResNet18<10>>(mode, {32, 32}), program_of<With<residual>>(mode)})
            CHECK(peak_elements(program) == counted_peak(program));
    }
}

TEST_CASE("lifetime: a result takes over only the memory of an operand of its own size that dies in that step") {
    int taken = 0;
    for (const Mode mode : {Mode::training, Mode::inference})
        for (const Program& program :
             {program_of<ResNet18<10>>(mode, {32, 32}), program_of<CifarResNet18<10>>(mode, {32, 32}),
              program_of<With<residual>>(mode)}) {
            const auto lives = lifetimes(program);
            for (std::size_t t = 0; t < lives.size(); ++t) {
                if (lives[t].takes_over < 0) continue;
                ++taken;
                CHECK(at(lives, lives[t].takes_over).last == lives[t].first);
                CHECK(at(program.tensors, lives[t].takes_over).elements() == program.tensors[t].elements());
                for (std::size_t other = 0; other < t; ++other) CHECK(lives[other].takes_over != lives[t].takes_over);
            }
        }
    CHECK(taken > 0);
}

TEST_CASE("lifetime: a convolution's result never takes over its input, not even where that is the residual too") {
    constexpr auto body = [](auto x, const auto& a, const auto& b, const auto&) {
        const auto y = relu(a(x));
        return b(y) + y;
    };
    for (const Program& program :
         {program_of<With<body>>(Mode::inference), program_of<With<residual>>(Mode::inference)}) {
        const auto lives = lifetimes(program);
        for (const Step& step : program.steps)
            if (step.kind == StepKind::convolution) CHECK(at(lives, step.output).takes_over != step.terms[0].tensor);
    }
}

TEST_CASE("lifetime: what a gelu was taken of lives until its backward, and what a relu was taken of does not") {
    constexpr auto smooth = [](auto x, const auto& a, const auto& b, const auto&) { return gelu(a(x) + b(x)); };
    constexpr auto rectified = [](auto x, const auto& a, const auto& b, const auto&) { return relu(a(x) + b(x)); };
    const auto check = [](const Program& program, bool lives_on) {
        const auto lives = lifetimes(program);
        int backward = 0, forward = 0;
        for (int i = 0; i < static_cast<int>(program.steps.size()); ++i) {
            if (at(program.steps, i).kind == StepKind::pointwise) forward = i;
            if (at(program.steps, i).kind == StepKind::pointwise_grad) backward = i;
        }
        REQUIRE(forward < backward);
        for (const Term& term : at(program.steps, forward).terms)
            CHECK(at(lives, term.tensor).last == (lives_on ? backward : forward));
        CHECK((at(lives, at(program.steps, forward).output).takes_over < 0) == lives_on);
    };
    check(program_of<With<smooth>>(Mode::training), true);
    check(program_of<With<rectified>>(Mode::training), false);
}
