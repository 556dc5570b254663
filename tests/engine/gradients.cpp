#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>

#include <resnet/gradient_check.hpp>

#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;

namespace {

constexpr Extent map{7, 6};

/// A layer between a stem and a linear layer that sees every position, so that gradients of its input and its output
/// are general. F is the size of its flattened output.
template <class Layer, int F, int C = 6>
struct Around {
    static constexpr Extent image = map;
    static constexpr int classes = 3;

    Conv2d<3, C, k3> stem;
    Layer layer;
    Linear<F, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(flatten<F>(layer(stem(x)))); }
    RESNET_MEMBERS(stem, layer, fc)
};

/// Two values, a convolution and a batch norm, combined as `body` says; the map keeps its shape.
template <auto body>
struct With {
    static constexpr Extent image = map;
    static constexpr int classes = 3;

    Conv2d<3, 6, k3> stem1, stem2;
    Conv2d<6, 6, k3> conv;
    BatchNorm2d<6> norm;
    Linear<6 * 7 * 6, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(flatten<6 * 7 * 6>(body(stem1(x), stem2(x), conv, norm))); }
    RESNET_MEMBERS(stem1, stem2, conv, norm, fc)
};

/// The second term of the inner gelu's sum is the image.
struct GeluOfImage {
    static constexpr Extent image = map;
    static constexpr int classes = 3;

    Conv2d<3, 3, k3> conv;
    BatchNorm2d<3> norm;
    Linear<3 * 7 * 6, classes> fc;

    constexpr auto operator()(Value<3> x) const { return fc(flatten<3 * 7 * 6>(gelu(norm(gelu(conv(x) + x))))); }
    RESNET_MEMBERS(conv, norm, fc)
};

/// One convolution on a whole map and on a single position, where only its middle tap touches data. Backward comes to
/// the position first.
template <int C>
struct Pyramid {
    Conv2d<C, C, k3> conv;
    MaxPool2d<6> pool;
    constexpr auto operator()(Value<C> x) const { return conv(pool(conv(x))); }
    RESNET_MEMBERS(conv, pool)
};

struct Wide {
    static constexpr Extent image{8, 9};
    static constexpr int classes = 3;
    Conv2d<3, 32, k3> stem;
    Conv2d<32, 48, k3> conv1;
    Conv2d<48, 32, k3> conv2;
    Linear<32, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(conv2(relu(conv1(stem(x))))))); }
    RESNET_MEMBERS(stem, conv1, conv2, fc)
};

/// Maps so large that the weights of 5 channels have their gradient of all taps at once.
struct Large {
    static constexpr Extent image{24, 23};
    static constexpr int classes = 3;
    Conv2d<3, 5, k3> stem;
    Conv2d<5, 18, k3> conv;
    Linear<18, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(conv(relu(stem(x)))))); }
    RESNET_MEMBERS(stem, conv, fc)
};

struct Global {
    static constexpr Extent image = map;
    static constexpr int classes = 3;
    Conv2d<3, 20, k3> stem;
    Linear<20, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(stem(x)))); }
    RESNET_MEMBERS(stem, fc)
};

struct Deep {
    static constexpr Extent image{3, 4};
    static constexpr int classes = 3;
    Conv2d<3, 2, k3> stem;
    Linear<24, 10> fc1;
    Linear<10, 10> fc2;
    Linear<10, classes> fc3;
    constexpr auto operator()(Value<3> x) const {
        const auto h = relu(fc1(flatten<24>(stem(x))));
        return fc3(relu(fc2(h)) + 0.5f * h);
    }
    RESNET_MEMBERS(stem, fc1, fc2, fc3)
};

/// Swish, but a thousandth of its gradient is missing in one channel.
struct WrongSwish : tests::Swish<6> {
    template <class Scalar>
    static void backward(const CustomBackward<Scalar>& op) noexcept {
        tests::Swish<6>::backward(op);
        for_each(op.input, [&](int n, int y, int x, int c) {
            if (c == 4 && op.grad_input.data != nullptr) op.grad_input(n, y, x, c) *= static_cast<Scalar>(0.999);
        });
    }
    constexpr Value<6> operator()(Value<6> x) const { return custom_operation<6>(*this, x); }
};

/// The worst disagreement of a network on `images` images, with weights that are not the symmetric initial ones.
template <class Net>
GradientCheck check_net(const GradientCheckOptions& options = {}, Index images = 5, std::uint64_t seed = 1) {
    Model<Net, double> model{Seed{seed}};
    for (const ParameterInfo& parameter : model.parameters())
        if (parameter.role == Role::norm_weight || parameter.role == Role::norm_bias || parameter.role == Role::custom)
            model.set_parameter(parameter.name,
                                tests::uniform<double>(model.parameter(parameter.name).size(), seed, 0.5, 1.5));
    const auto pixels = tests::uniform<double>(static_cast<std::size_t>(images * 3 * Net::image.area()), seed + 1);
    const auto labels = tests::labels(static_cast<std::size_t>(images), Net::classes);
    return check_gradients(model, nchw(pixels.data(), images, Net::image), labels, options);
}

template <class Net>
void check(const GradientCheckOptions& options = {}, Index images = 5, std::uint64_t seed = 1) {
    const GradientCheck result = check_net<Net>(options, images, seed);
    INFO(result.parameter, "[", result.element, "]: gradient ", result.gradient, ", difference ", result.difference);
    CHECK(result.worst < 1e-6);
    CHECK(result.checked > 100);
    CHECK(result.kinks * 20 < result.checked);
}

GradientCheckOptions planned(const ChoiceOptions& choice, int block = 0, Isa isa = current_isa()) {
    return {.trainer = {.plan = {.choice = choice, .block = block, .isa = isa}}};
}

}  // namespace

TEST_CASE(
    "gradients agree with finite differences: convolutions of every kernel, stride and padding, with and without "
    "bias") {
    check<Around<Conv2d<6, 5, k1>, 5 * 42>>();
    check<Around<Conv2d<6, 5, k3>, 5 * 42>>();
    check<Around<Conv2d<6, 5, k3, ConvOptions{.stride = 2, .bias = false}>, 5 * 12>>();
    check<Around<Conv2d<6, 5, k3, 3, 0>, 5 * 4>>();
    check<Around<Conv2d<6, 5, k5, 2>, 5 * 12>>();
    check<Around<Conv2d<6, 5, k7, 1, 2>, 5 * 20>>();
    check<Around<Conv2d<6, 5, Kernel{2}, 2, 0>, 5 * 9>>();
    check<Around<Conv2d<6, 5, k1, 2>, 5 * 12>>();
    check<Around<Conv2d<6, 5, Kernel{9}, 2>, 5 * 12>>();  // im2col
}

TEST_CASE(
    "gradients agree with finite differences: convolutions of few channels on large maps, whose weights have theirs of "
    "all taps at once") {
    for (const Isa isa : tests::available_isas()) check<Large>(planned({}, 2, isa), 3);
}

TEST_CASE(
    "gradients agree with finite differences: convolutions of more channels, whose weights have theirs tap by tap") {
    check<Around<Conv2d<33, 5, k3>, 5 * 42, 33>>();
    check<Around<Conv2d<33, 5, k3, ConvOptions{.stride = 2, .bias = false}>, 5 * 12, 33>>();
    check<Around<Conv2d<33, 5, k5, 2>, 5 * 12, 33>>(planned({}, 2));
}

TEST_CASE("gradients agree with finite differences: convolutions by im2col") {
    check<Around<Conv2d<6, 5, k3>, 5 * 42>>(planned({.allow_direct = false}));
    check<Around<Conv2d<6, 5, k5, 2>, 5 * 12>>(planned({.allow_direct = false}, 2));
}

TEST_CASE("gradients agree with finite differences: convolutions by Winograd") {
    Model<Wide, double> model{Seed{1}};
    const std::string plan = Trainer<Wide, double>{model, SGD{}}.plan().print();
    REQUIRE(plan.find("Winograd") != std::string::npos);
    check<Wide>();
}

TEST_CASE("gradients agree with finite differences: batch norm with and without scale and shift") {
    check<Around<BatchNorm2d<6>, 6 * 42>>();
    check<Around<BatchNorm2d<6, NormOptions{.affine = false}>, 6 * 42>>();
    check<Around<Sequential<ReLU, BatchNorm2d<6>>, 6 * 42>>();
    check<Around<BatchNorm2d<6>, 6 * 42>>({}, 2);
}

TEST_CASE("gradients agree with finite differences: relu, alone and in one step with batch norm and a sum") {
    check<Around<ReLU, 6 * 42>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) { return relu(norm(conv(a)) + b); }>>();
}

TEST_CASE("gradients agree with finite differences: gelu, alone, of a sum, with batch norm on either side, and twice") {
    check<Around<GELU, 6 * 42>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) { return gelu(norm(conv(a)) + b); }>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) {
        return gelu(-0.5f * norm(a)) + gelu(conv(b));
    }>>();
    check<
        With<[](auto a, auto b, const auto& conv, const auto& norm) { return gelu(relu(gelu(norm(conv(b))) + a)); }>>();
}

TEST_CASE(
    "gradients agree with finite differences: gelu of a sum with the image, which needs no gradient, and behind a "
    "frozen layer") {
    check<GeluOfImage>();
    Model<GeluOfImage, double> model{Seed{1}};
    model.freeze("norm.*");
    const auto pixels = tests::uniform<double>(5 * 3 * 42, 1);
    const std::vector<int> labels{0, 1, 2, 1, 0};
    const GradientCheck result = check_gradients(model, nchw(pixels.data(), 5, map), labels);
    CHECK(result.worst < 1e-6);
    CHECK(result.checked > 20);
}

TEST_CASE("gradients agree with finite differences: sums of two values, a value used twice, and x + x") {
    check<With<[](auto a, auto b, const auto&, const auto& norm) { return norm(a + b); }>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) {
        const auto y = norm(conv(a));
        return relu(y + b) + y;
    }>>();
    check<With<[](auto a, auto b, const auto&, const auto& norm) { return norm(a + a) + b; }>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) { return conv(norm(a)) + b + norm(b); }>>();
}

TEST_CASE("gradients agree with finite differences: a constant factor, also negative and before a relu") {
    check<With<[](auto a, auto b, const auto&, const auto& norm) { return norm(-0.5f * a) + 2.0f * b; }>>();
    check<With<[](auto a, auto b, const auto& conv, const auto& norm) { return relu(-1.5f * (norm(conv(a)) + b)); }>>();
}

TEST_CASE("gradients: a layer used twice sums the gradients of its uses") {
    check<
        With<[](auto a, auto b, const auto& conv, const auto& norm) { return conv(relu(conv(a))) + norm(norm(b)); }>>();
}

TEST_CASE_TEMPLATE("gradients: a convolution used on maps of different sizes gets the same gradient in every step", Net,
                   Around<Pyramid<16>, 16, 16>, Around<Pyramid<32>, 32, 32>, Around<Pyramid<33>, 33, 33>) {
    for (const GradientCheckOptions& options : {planned({}), planned({}, 1), planned({.allow_direct = false})}) {
        check<Net>(options);
        Model<Net, double> model{Seed{1}};
        Trainer<Net, double> trainer{model, SGD{.learning_rate = 0}, options.trainer};
        // With 32 channels the whole map goes by Winograd.
        CHECK((trainer.plan().print().find(", Winograd") != std::string::npos) ==
              (std::is_same_v<Net, Around<Pyramid<32>, 32, 32>>));
        const auto pixels = tests::uniform<double>(2 * 3 * 42, 1);
        const std::vector<int> labels{0, 1};
        trainer.step(nchw(pixels.data(), 2, map), labels);
        const auto first = trainer.gradient("layer.conv.weight");
        trainer.step(nchw(pixels.data(), 2, map), labels);
        CHECK(trainer.gradient("layer.conv.weight") == first);
    }
}

TEST_CASE("gradients: a bias that batch norm cancels in one of its uses has the gradient of the other") {
    constexpr auto body = [](auto a, auto b, const auto& conv, const auto& norm) {
        return norm(conv(relu(conv(a)))) + b;
    };
    check<With<body>>();
    // And it is overwritten, not added to, by the next batch.
    Model<With<body>, double> model{Seed{1}};
    Trainer<With<body>, double> trainer{model, SGD{.learning_rate = 0}};
    const auto pixels = tests::uniform<double>(2 * 3 * 42, 1);
    const std::vector<int> labels{0, 1};
    trainer.step(nchw(pixels.data(), 2, map), labels);
    const auto first = trainer.gradient("conv.bias");
    trainer.step(nchw(pixels.data(), 2, map), labels);
    CHECK(trainer.gradient("conv.bias") == first);
}

TEST_CASE("gradients agree with finite differences: max pool, away from ties") {
    check<Around<MaxPool2d<2>, 6 * 9>>();
    check<Around<MaxPool2d<3, 2, 1>, 6 * 12>>();
    check<Around<MaxPool2d<3, 1>, 6 * 20>>();
}

TEST_CASE("gradients agree with finite differences: average pool over windows and over the whole map") {
    check<Around<AvgPool2d<2>, 6 * 9>>();
    check<Around<AvgPool2d<3, 2, 1>, 6 * 12>>();
    check<Global>();
}

TEST_CASE(
    "gradients agree with finite differences: linear layers, after flatten, after another with a relu, and summed") {
    check<Deep>();
}

TEST_CASE(
    "gradients agree with finite differences: a custom operation with a parameter of its own, and one with scratch "
    "memory") {
    check<Around<tests::Swish<6>, 6 * 42>>();
    check<Around<Sequential<tests::Swish<6>, tests::Diagonal<6>>, 6 * 9>>();
    check<Around<Sequential<tests::Swish<6>, tests::Diagonal<6>>, 6 * 9>>(planned({}, 2));
}

TEST_CASE(
    "gradients agree with finite differences: a network with every node, for each instruction set and several blocks") {
    for (const Isa isa : tests::available_isas())
        for (const int block : {0, 1, 3}) {
            GradientCheckOptions options = planned({}, block, isa);
            options.elements = 12;
            check<tests::EveryNode>(options, 4);
        }
    check<tests::EveryNode>();
}

TEST_CASE("gradients agree with finite differences: label smoothing and targets that mix two labels") {
    using Net = Around<ReLU, 6 * 42>;
    const Model<Net, double> model{Seed{1}};
    const auto pixels = tests::uniform<double>(3 * 3 * 42, 5);
    const std::vector<int> first{0, 1, 2}, second{2, 1, 0};
    const std::vector<float> weights{0.25f, 0.5f, 1.0f};
    const GradientCheck result = check_gradients(model, nchw(pixels.data(), 3, map), Targets{first, second, weights},
                                                 {.trainer = {.label_smoothing = 0.1f}});
    CHECK(result.worst < 1e-6);
    CHECK(result.checked > 100);
}

TEST_CASE("check_gradients: finds a wrong gradient and names its place") {
    const GradientCheck result = check_net<Around<WrongSwish, 6 * 42>>();
    CHECK(result.worst > 1e-5);
    CHECK(result.parameter.find("stem.") == 0);
    CHECK(result.gradient != result.difference);
}

TEST_CASE("check_gradients: leaves the model alone, and frozen parameters out") {
    using Net = Around<ReLU, 6 * 42>;
    Model<Net, double> model{Seed{1}};
    const Model<Net, double> copy = model;
    const auto pixels = tests::uniform<double>(3 * 42, 5);
    const auto images = nchw(pixels.data(), 1, map);
    const std::vector<int> labels{0};
    const Index all = check_gradients(model, images, labels, {.elements = 0}).checked;
    CHECK(model == copy);
    CHECK(all > parameter_count<Net>() - 20);
    model.freeze("stem.*");
    CHECK(check_gradients(model, images, labels, {.elements = 0}).checked == 3 * 6 * 42 + 3);
    model.freeze("*");  // nothing is compared, so nothing is shown
    CHECK(check_gradients(model, images, labels).worst == std::numeric_limits<double>::infinity());
}
