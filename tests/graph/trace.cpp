#include <doctest/doctest.h>

#include <array>
#include <string>

#include <resnet/blocks.hpp>
#include <resnet/graph/program.hpp>  // at
#include <resnet/graph/trace.hpp>

using namespace resnet;

namespace {

template <auto body>
struct With {
    Conv2d<3, 4, k3, 2, 0> conv;
    Linear<16, 2> fc;
    constexpr auto operator()(Value<3> x) const { return body(x, conv, fc); }
    RESNET_MEMBERS(conv, fc)
};

struct Half {
    static constexpr std::string_view name = "half";
    static constexpr std::array<ParameterSpec, 0> parameter_specs() { return {}; }
    static constexpr Extent output(Extent input) { return {input.height / 2, input.width / 2}; }
    static constexpr Index macs(Extent input) { return input.area(); }
    template <class Scalar>
    static void forward(const CustomForward<Scalar>&) noexcept {}
    template <class Scalar>
    static void backward(const CustomBackward<Scalar>&) noexcept {}
    constexpr Value<3> operator()(Value<3> x) const { return custom_operation<3>(*this, x); }
};
struct Halving {
    Half half;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(half(x)); }
    RESNET_MEMBERS(half)
};

/// The message of the Error that tracing throws; empty if it throws none.
template <class Net>
std::string error_of(Extent image) {
    try {
        static_cast<void>(trace<Net>(image));
    } catch (const Error& error) {
        return error.what();
    }
    return {};
}

}  // namespace

TEST_CASE("trace: an image smaller than the kernel is an error that gives the least size") {
    constexpr auto body = [](auto x, const auto& conv, const auto&) { return conv(x); };
    CHECK(error_of<With<body>>({3, 3}).empty());
    CHECK(error_of<With<body>>({2, 9}) ==
          "conv2d: expected a map of at least 3x3 positions, found 2x9 (the image is too small for this network)");
    CHECK(error_of<With<body>>({9, 2}).find("found 9x2") != std::string::npos);
}

TEST_CASE("trace: a map smaller than a pool's window is an error that names the pool") {
    constexpr auto largest = [](auto x, const auto&, const auto&) { return max_pool2d<4>(x); };
    constexpr auto mean = [](auto x, const auto&, const auto&) { return avg_pool2d<5, 2, 1>(x); };
    CHECK(error_of<With<largest>>({3, 8}) ==
          "max_pool: expected a map of at least 4x4 positions, found 3x8 (the image is too small for this network)");
    CHECK(error_of<With<mean>>({3, 3}).empty());
    CHECK(
        error_of<With<mean>>({2, 3}) ==
        "average_pool: expected a map of at least 3x3 positions, found 2x3 (the image is too small for this network)");
}

TEST_CASE("trace: a pool's padding is at most half its window") {
    constexpr auto half = [](auto x, const auto&, const auto&) { return max_pool2d<4, 2, 2>(x); };
    constexpr auto more = [](auto x, const auto&, const auto&) { return max_pool2d<3, 2, 2>(x); };
    CHECK(error_of<With<half>>({8, 8}).empty());
    CHECK(error_of<With<more>>({8, 8}) == "max_pool: expected padding of at most half the window, found more");
}

TEST_CASE("trace: a sum of maps with unlike extents is an error with both extents") {
    constexpr auto body = [](auto x, const auto&, const auto&) { return x + max_pool2d<2>(x); };
    CHECK(error_of<With<body>>({8, 6}) == "sum: expected two maps of the same extent, found 8x6 and 4x3");
    CHECK(error_of<With<body>>({1, 1}).find("max_pool") == 0);
}

TEST_CASE("trace: flatten to another number of features than the map has is an error with both numbers") {
    constexpr auto body = [](auto x, const auto& conv, const auto& fc) { return fc(flatten<16>(conv(x))); };
    CHECK(error_of<With<body>>({5, 5}).empty());
    CHECK(error_of<With<body>>({7, 5}) ==
          "flatten: expected 16 features, found 24 (channels x height x width of the map; it depends on the image's "
          "extent)");
}

TEST_CASE("trace: a custom operation whose output has no positions is an error") {
    CHECK(error_of<Halving>({4, 2}).empty());
    CHECK(error_of<Halving>({4, 1}) == "custom_operation: expected an output of at least 1x1, found 2x0");
}

TEST_CASE("trace: a layer that is no member, or a temporary, is an error") {
    constexpr auto temporary = [](auto x, const auto&, const auto&) { return Conv2d<3, 4, k3>{}(x); };
    CHECK(error_of<With<temporary>>({8, 8}) ==
          "trace: expected a layer that is in RESNET_MEMBERS of its network, found one that is not, or a temporary");
}

TEST_CASE("trace: a linear layer on flattened maps of two shapes is an error, and on maps of one shape is shared") {
    struct Alike {
        Conv2d<3, 4, k3, 1, 0> conv;
        Linear<16, 2> fc;
        constexpr auto operator()(Value<3> x) const {
            const auto wide = fc(flatten<16>(conv(x)));
            return wide + fc(flatten<16>(conv(max_pool2d<1, 1>(x))));
        }
        RESNET_MEMBERS(conv, fc)
    };
    CHECK(error_of<Alike>({3, 6}).empty());

    struct Wide {
        Conv2d<3, 4, k1> conv;
        Conv2d<3, 1, k1> narrow;
        Linear<16, 2> fc;
        constexpr auto operator()(Value<3> x) const {
            const auto of_pooled = fc(flatten<16>(conv(max_pool2d<2>(x))));  // 4 channels of 2x2
            return of_pooled + fc(flatten<16>(narrow(x)));                   // 1 channel of 4x4
        }
        RESNET_MEMBERS(conv, narrow, fc)
    };
    CHECK(error_of<Wide>({4, 4}) ==
          "linear: expected the same flattened map for all uses of the layer, whatever the extent of the images, found "
          "two");

    struct PooledFirst {
        Conv2d<3, 16, k1> conv;
        Conv2d<3, 1, k1> narrow;
        Linear<16, 2> fc;
        constexpr auto operator()(Value<3> x) const {
            const auto of_pooled = fc(adaptive_avg_pool2d(conv(x)));  // 16 channels of 1x1
            return of_pooled + fc(flatten<16>(narrow(x)));            // 1 channel of 4x4
        }
        RESNET_MEMBERS(conv, narrow, fc)
    };
    CHECK(error_of<PooledFirst>({4, 4}) ==
          "linear: expected the same flattened map for all uses of the layer, whatever the extent of the images, found "
          "two");
}

TEST_CASE("trace: nodes are recorded in the order of the body, each with its inputs") {
    constexpr auto body = [](auto x, const auto& conv, const auto& fc) { return fc(flatten<16>(relu(conv(x)))); };
    const Graph graph = trace<With<body>>({5, 5});
    const std::array ops{Op::input, Op::conv2d, Op::relu, Op::flatten, Op::linear};
    REQUIRE(graph.nodes.size() == ops.size());
    for (int i = 0; i < static_cast<int>(ops.size()); ++i) {
        CHECK(at(graph.nodes, i).op == ops[static_cast<std::size_t>(i)]);
        CHECK(at(graph.nodes, i).inputs[0] == i - 1);
    }
    CHECK(graph.output == 4);
}

TEST_CASE("trace: names follow the member list, and a layer used twice has one set of parameters") {
    struct Net {
        std::array<Conv2d<3, 3, k1>, 2> convs;
        ResBlk<3, 3, 1> block;
        constexpr auto operator()(Value<3> x) const { return convs[0](convs[1](convs[0](block(x)))); }
        RESNET_MEMBERS(convs, /* written
            freely */
                       block)
    };
    const Graph graph = trace<Net>({4, 4});
    CHECK(graph.parameter_name(0) == "convs.0.weight");
    CHECK(graph.parameter_name(3) == "convs.1.bias");
    CHECK(graph.parameter_name(4) == "block.conv1.weight");
    CHECK(graph.parameter_name(static_cast<int>(graph.parameters.size()) - 1) == "block.extra.1.bias");
    std::vector<int> layers;
    for (const Node& node : graph.nodes)
        if (node.op == Op::conv2d) layers.push_back(node.layer);
    REQUIRE(layers.size() == 6);
    CHECK(layers[3] == layers[5]);
    CHECK(layers[3] != layers[4]);
}

TEST_CASE("trace: the member list is split at its commas, whatever spaces are around them") {
    CHECK(detail::nth_name("a,b ,\n c", 0) == "a");
    CHECK(detail::nth_name("a,b ,\n c", 1) == "b");
    CHECK(detail::nth_name("a,b ,\n c", 2) == "c");
}
