#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/model.hpp>
#include <resnet/resnet18.hpp>

#include "support/bits.hpp"
#include "support/networks.hpp"
#include "support/values.hpp"

using namespace resnet;

namespace {

/// A layer of each shape that a parameter can have.
struct Shapes {
    static constexpr Extent image{2, 3};
    Conv2d<3, 5, k3> conv;
    BatchNorm2d<5> norm;
    Linear<30, 2> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<30>(norm(conv(x)))); }
    RESNET_MEMBERS(conv, norm, fc)
};

/// Two layers of one shape, and one that the body leaves out.
struct Alike {
    static constexpr Extent image{4, 4};
    Conv2d<3, 3, k3> first, second;
    BatchNorm2d<3> spare;
    Linear<3, 10> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(second(first(x)))); }
    RESNET_MEMBERS(first, second, spare, fc)
};

/// torchvision's initialisation, on a small network.
struct FanOut {
    static constexpr Extent image{4, 4};
    static constexpr Initialization initialization = Initialization::kaiming_normal_fan_out;
    Conv2d<3, 64, k5> conv;
    Linear<64, 10> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(conv(x))); }
    RESNET_MEMBERS(conv, fc)
};

/// Convolutions to more and to fewer channels, and to more than are drawn at a time.
template <Initialization Method>
struct Funnels {
    static constexpr Extent image{6, 6};
    static constexpr Initialization initialization = Method;
    Conv2d<3, 40, k3> wide;
    Conv2d<40, 5, Kernel{2}> narrow;
    Conv2d<5, 140, k1> one;
    Conv2d<140, 150, k1> many;
    Linear<150, 10> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(many(one(narrow(wide(x)))))); }
    RESNET_MEMBERS(wide, narrow, one, many, fc)
};

struct Spread {
    double mean = 0, deviation = 0, largest = 0;
};
template <class Scalar>
Spread spread_of(const std::vector<Scalar>& values) {
    Spread s;
    for (const Scalar v : values) s.mean += static_cast<double>(v) / static_cast<double>(values.size());
    for (const Scalar v : values) {
        s.deviation += std::pow(static_cast<double>(v) - s.mean, 2) / static_cast<double>(values.size());
        s.largest = std::max(s.largest, std::abs(static_cast<double>(v)));
    }
    s.deviation = std::sqrt(s.deviation);
    return s;
}

std::vector<std::string> names(const std::vector<StateEntry>& state) {
    std::vector<std::string> list;
    for (const StateEntry& entry : state) list.push_back(entry.name);
    return list;
}

}  // namespace

TEST_CASE("model: weights and biases start uniform in +-1 / sqrt(fan_in), norms at one and zero, as in PyTorch") {
    const Model<ResNet18<10>> model{Seed{1}};
    for (const ParameterInfo& parameter : model.parameters()) {
        INFO(parameter.name);
        const auto values = model.parameter(parameter.name);
        if (parameter.role == Role::norm_weight) CHECK(values == std::vector<float>(values.size(), 1.0f));
        if (parameter.role == Role::norm_bias) CHECK(values == std::vector<float>(values.size(), 0.0f));
        if (parameter.role != Role::weight) continue;
        Index fan_in = 1;
        for (std::size_t d = 1; d < parameter.shape.size(); ++d) fan_in *= parameter.shape[d];
        const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
        const std::string bias = parameter.name.substr(0, parameter.name.size() - 6) + "bias";
        for (const std::string& name : {parameter.name, bias}) {
            const auto drawn = model.parameter(name);
            const Spread s = spread_of(drawn);
            CHECK(s.largest <= bound);
            // Of n uniform numbers the largest misses the bound by some bound / n, the mean zero by bound / sqrt(3 n).
            const auto n = static_cast<double>(drawn.size());
            CHECK(s.largest > bound * (1 - 12 / n));
            CHECK(std::abs(s.mean) < 4 * bound / std::sqrt(3 * n));
            if (n > 1000) CHECK(s.deviation == doctest::Approx(bound / std::sqrt(3)).epsilon(0.03));
        }
    }
}

TEST_CASE("model: a network may ask for torchvision's normal initialisation of its convolutions") {
    const Model<FanOut> model{Seed{2}};
    const Spread conv = spread_of(model.parameter("conv.weight")), fc = spread_of(model.parameter("fc.weight"));
    CHECK(conv.deviation == doctest::Approx(std::sqrt(2.0 / (64 * 25))).epsilon(0.03));
    CHECK(conv.largest > 3 * conv.deviation);  // normal, not uniform
    CHECK(fc.largest <= 1.0 / 8);
    CHECK(fc.deviation == doctest::Approx(1 / (8 * std::sqrt(3.0))).epsilon(0.08));
    CHECK(ImageNetResNet18<>::initialization == Initialization::kaiming_normal_fan_out);
}

TEST_CASE("model: a network may ask for filters that pass their input on, as torch.nn.init.dirac_ of weight[:in]") {
    const Model<Funnels<Initialization::identity>> model{Seed{2}};
    const Model<Funnels<Initialization::kaiming_uniform>> drawn{Seed{2}};
    for (const ParameterInfo& info : model.parameters()) {
        INFO(info.name);
        auto expected = drawn.parameter(info.name);
        if (info.shape.size() == 4) {
            const Index in = info.shape[1], taps = info.shape[2] * info.shape[3];
            const Index centre = info.shape[2] / 2 * info.shape[3] + info.shape[3] / 2;
            for (Index out = 0; out < std::min(in, info.shape[0]); ++out)
                for (Index i = 0; i < in * taps; ++i)
                    expected[static_cast<std::size_t>(out * in * taps + i)] = i == out * taps + centre ? 1.0f : 0.0f;
        }
        CHECK(model.parameter(info.name) == expected);
    }
}

TEST_CASE("model: weights depend on the seed and the layer alone, and double draws what float draws") {
    const Model<tests::EveryNode> a{Seed{7}}, b{Seed{7}}, c{Seed{8}};
    const Model<tests::EveryNode, double> d{Seed{7}};
    CHECK(a == b);
    CHECK_FALSE(a == c);
    for (const ParameterInfo& parameter : a.parameters()) {
        const auto narrow = a.parameter(parameter.name);
        const auto wide = d.parameter(parameter.name);
        for (std::size_t i = 0; i < wide.size(); ++i) REQUIRE(narrow[i] == static_cast<float>(wide[i]));
    }
    const Model<Alike> alike{Seed{7}};
    CHECK_FALSE(alike.parameter("first.weight") == alike.parameter("second.weight"));
    CHECK_FALSE(alike.parameter("first.bias") == alike.parameter("second.bias"));
}

TEST_CASE("model: parameters and state have PyTorch's names, shapes and order") {
    const Model<Shapes> model{Seed{1}};
    CHECK(names(model.state()) == std::vector<std::string>{"conv.weight", "conv.bias", "norm.weight", "norm.bias",
                                                           "norm.running_mean", "norm.running_var",
                                                           "norm.num_batches_tracked", "fc.weight", "fc.bias"});
    const auto parameters = model.parameters();
    REQUIRE(parameters.size() == 6);
    CHECK(parameters[0].shape == std::vector<Index>{5, 3, 3, 3});
    CHECK(parameters[1].shape == std::vector<Index>{5});
    CHECK(parameters[4].shape == std::vector<Index>{2, 30});
    CHECK(parameters[4].name == "fc.weight");
    CHECK(parameters[0].role == Role::weight);
    CHECK(parameters[5].role == Role::bias);
    CHECK(parameters[2].role == Role::norm_weight);
    CHECK(model.state()[6].shape.empty());
    CHECK(model.parameter("norm.running_var") == std::vector<float>(5, 1.0f));
    CHECK(model.parameter("norm.running_mean") == std::vector<float>(5, 0.0f));
    CHECK(model.parameter("norm.num_batches_tracked") == std::vector<float>{0.0f});
    CHECK(names(Model<CifarResNet18<10>>{Seed{1}}.state()).at(12) == "layer1.0.conv2.weight");
}

TEST_CASE("model: what is set is what is read, for every parameter and buffer, and nothing else changes") {
    Model<Shapes> model{Seed{1}};
    for (const StateEntry& entry : model.state()) {
        const Model<Shapes> before = model;
        std::vector<float> values(static_cast<std::size_t>(entry.elements()));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(100 + i);
        model.set_parameter(entry.name, values);
        CHECK(model.parameter(entry.name) == values);
        for (const StateEntry& other : model.state())
            if (other.name != entry.name) CHECK(model.parameter(other.name) == before.parameter(other.name));
    }
}

TEST_CASE(
    "model: inside, a convolution's weight is [ky][kx][in][out], and a linear layer's on a map is permuted likewise") {
    Model<Shapes> model{Seed{1}};
    std::vector<float> values(5 * 3 * 9);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    model.set_parameter("conv.weight", values);
    const float* inside = model.weights().parameter(0);
    for (std::size_t o = 0; o < 5; ++o)
        for (std::size_t i = 0; i < 3; ++i)
            for (std::size_t tap = 0; tap < 9; ++tap)
                CHECK(inside[(tap * 3 + i) * 5 + o] == values[(o * 3 + i) * 9 + tap]);
    values.assign(60, 0);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    model.set_parameter("fc.weight", values);
    inside = model.weights().parameter(4);
    for (std::size_t o = 0; o < 2; ++o)
        for (std::size_t c = 0; c < 5; ++c)
            for (std::size_t yx = 0; yx < 6; ++yx) CHECK(inside[(yx * 5 + c) * 2 + o] == values[o * 30 + c * 6 + yx]);
}

TEST_CASE("model: an unknown name and a wrong number of values are errors that change nothing") {
    Model<Shapes> model{Seed{1}};
    const Model<Shapes> copy = model;
    CHECK_THROWS_WITH_AS(model.parameter("conv.wieght"),
                         "parameter: expected the name of a parameter or buffer of this network, found conv.wieght",
                         Error);
    CHECK_THROWS_AS(model.set_parameter("conv", std::vector<float>(5)), Error);
    for (const float count : {-1.0f, 1e30f, std::numeric_limits<float>::quiet_NaN()})
        CHECK_THROWS_WITH_AS(model.set_parameter("norm.num_batches_tracked", std::vector<float>{count}),
                             doctest::Contains("norm.num_batches_tracked: expected a count of 0 ... 1e18"), Error);
    CHECK_THROWS_WITH_AS(model.set_parameter("conv.bias", std::vector<float>(4)),
                         "conv.bias: expected 5 values, found 4", Error);
    CHECK_THROWS_WITH_AS(model.set_parameter("norm.running_var", std::vector<float>(6)),
                         "norm.running_var: expected 5 values, found 6", Error);
    CHECK_THROWS_WITH_AS(model.freeze("con.*"),
                         "freeze: expected a pattern that matches a parameter's name, found con.*", Error);
    CHECK_THROWS_WITH_AS(model.unfreeze("nothing"),
                         "unfreeze: expected a pattern that matches a parameter's name, found nothing", Error);
    CHECK_THROWS_AS(model.freeze("norm.running_mean"), Error);  // a buffer
    CHECK(model == copy);
}

TEST_CASE(
    "model: copies are independent, moves keep the bits, and equality sees parameters, buffers and normalisation") {
    Model<Shapes> model{Seed{1}};
    Model<Shapes> copy = model;
    CHECK(copy == model);
    for (const char* name : {"conv.weight", "norm.bias", "norm.running_mean", "norm.num_batches_tracked"}) {
        auto values = copy.parameter(name);
        values.back() += 1;
        copy.set_parameter(name, values);
        CHECK_FALSE(copy == model);
        copy = model;
        CHECK(copy == model);
    }
    const Model<Shapes> moved = std::move(copy);
    CHECK(moved == model);
    model.set_normalization({.mean = {0, 0, 0}});
    CHECK_FALSE(moved == model);
    CHECK(moved.normalization().mean[0] == 0.485f);
    CHECK(moved.normalization().standard_deviation[2] == 0.225f);
}

TEST_CASE("model: a normalisation that no bytes could be normalised with is refused, and the old one stays") {
    Model<Shapes> model{Seed{1}};
    const Normalization before = model.normalization();
    const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    for (const float mean : {nan, infinity, -infinity})
        CHECK_THROWS_AS(model.set_normalization({.mean = {0, 0, mean}}), Error);
    for (const float deviation : {nan, infinity, 0.0f, -1.0f})
        CHECK_THROWS_AS(model.set_normalization({.standard_deviation = {1, deviation, 1}}), Error);
    CHECK(model.normalization() == before);
    CHECK_THROWS_WITH_AS((Model<Shapes>{Seed{1}, {.standard_deviation = {0, 1, 1}}}),
                         "normalization: expected finite standard deviations above 0, found 0.000000", Error);
    CHECK_THROWS_WITH_AS((Model<Shapes>{Seed{1}, {.mean = {nan, 1, 1}}}),
                         "normalization: expected finite means, found nan", Error);
}

TEST_CASE("model: freeze and unfreeze take '*' and '?'") {
    Model<tests::EveryNode> model{Seed{1}};
    const auto frozen = [&] {
        std::vector<std::string> list;
        for (const auto& parameter : model.parameters())
            if (parameter.frozen) list.push_back(parameter.name);
        return list;
    };
    CHECK(frozen().empty());
    model.freeze("fc?.weight");
    CHECK(frozen() == std::vector<std::string>{"fc1.weight", "fc2.weight"});
    model.freeze("*bias");
    CHECK(frozen().size() == 2 + 8);
    model.unfreeze("*");
    CHECK(frozen().empty());
    model.freeze("swish.beta");
    CHECK(frozen() == std::vector<std::string>{"swish.beta"});
    const auto copy = model;
    for (const auto& parameter : copy.parameters()) CHECK(parameter.frozen == (parameter.name == "swish.beta"));
}

TEST_CASE("model: the summary lists layers with output, parameters and multiply-accumulates, and totals") {
    const Model<ResNet18<10>> model{Seed{1}};
    const std::string summary = model.summary();
    CHECK(summary.find("blk1.extra.0             conv2d       64x5x5") != std::string::npos);
    CHECK(summary.find("4,910,410") != std::string::npos);
    CHECK(summary.find("11,527,936") != std::string::npos);
    CHECK(std::count(summary.begin(), summary.end(), '\n') == 42 + 2);
    CHECK(model.summary({64, 64}).find("11,527,936") == std::string::npos);
    const std::string every = Model<tests::EveryNode>{Seed{1}}.summary();
    CHECK(every.find("swish") != std::string::npos);
    const std::string alike = Model<Alike>{Seed{1}}.summary();
    CHECK(alike.find("spare                    not used") != std::string::npos);
    CHECK(alike.find(std::to_string(parameter_count<Alike>()) + " ") != std::string::npos);  // the total has them, too
    std::string line;
    detail::summary_line(line, std::string(200, 'n'), "op", "shape", "1", "2");
    CHECK(line == std::string(200, 'n') + " op           shape                       1                2\n");
}
