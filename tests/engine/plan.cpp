#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>

#include "../support/engine.hpp"
#include "../support/isas.hpp"
#include "../support/networks.hpp"

using namespace resnet;

namespace {

template <int Channels, Kernel kernel = k7>
struct Stem {
    static constexpr Extent image{32, 32};
    Conv2dNoBias<3, Channels, kernel, 2> conv;
    Linear<Channels, 10> linear;

    constexpr auto operator()(Value<3> x) const { return linear(adaptive_avg_pool2d(conv(x))); }
    RESNET_MEMBERS(conv, linear)
};

using PointwiseStem = Stem<64, k1>;

template <class Net>
Plan plan_of(Mode mode, const std::vector<char>& frozen = {}) {
    const Graph graph = trace<Net>(Net::image);
    Program program = fuse(graph, mode);
    if (mode == Mode::training) program = differentiate(graph, std::move(program), frozen);
    return {graph, program, {}, kernels<float>(current_isa()).panels(0)};
}

/// Two tensors that are alive in the same step lie apart, but for a result that takes an operand's place.
void check_places(const Plan& plan) {
    const auto lives = lifetimes(plan.program());
    const auto tensors = static_cast<int>(lives.size());
    for (int a = 0; a < tensors; ++a) {
        if (at(lives, a).last < 0) continue;
        CHECK(plan.offset(a, 1) >= 0);
        CHECK(plan.offset(a, 1) + plan.tensor(a).elements() <= plan.arena_elements(1));
        CHECK(plan.offset(a, 1) % 16 == 0);  // on a 64-byte line
        for (int b = 0; b < a; ++b) {
            if (at(lives, b).last < 0 || !at(lives, a).meets(at(lives, b))) continue;
            const Index first = std::max(plan.offset(a, 1), plan.offset(b, 1)),
                        last = std::min(plan.offset(a, 1) + plan.tensor(a).elements(),
                                        plan.offset(b, 1) + plan.tensor(b).elements());
            if (first >= last) continue;
            const bool hand_over = (at(lives, a).takes_over == b && at(lives, b).last == at(lives, a).first) ||
                                   (at(lives, b).takes_over == a && at(lives, a).last == at(lives, b).first);
            CHECK(hand_over);
            CHECK(plan.offset(a, 1) == plan.offset(b, 1));
        }
    }
}

template <class Net>
void check_network() {
    for (const Mode mode : {Mode::training, Mode::inference}) {
        const Plan plan = plan_of<Net>(mode);
        check_places(plan);
        const Index peak = peak_elements(plan.program());
        CHECK(plan.arena_elements(1) >= peak);
        CHECK(static_cast<double>(plan.arena_elements(1)) <
              1.25 * static_cast<double>(peak) + 1000);  // first fit wastes little
        CHECK(plan.arena_elements(7) == 7 * plan.arena_elements(1));
    }
}

/// The longest row of output positions that read through the same taps, each a stride behind the one before.
Index longest_run(const ConvolutionShape& shape) {
    const Window& w = shape.window;
    std::vector<std::vector<int>> reads;  // of each position: the input behind each tap, or -1
    for (int y = 0; y < shape.output.height; ++y)
        for (int x = 0; x < shape.output.width; ++x) {
            reads.emplace_back();
            for (int tap = 0; tap < w.taps(); ++tap) {
                const int from_y = y * w.stride + tap / w.width - w.padding,
                          from_x = x * w.stride + tap % w.width - w.padding;
                const bool live =
                    from_y >= 0 && from_y < shape.input.height && from_x >= 0 && from_x < shape.input.width;
                reads.back().push_back(live ? from_y * shape.input.width + from_x : -1);
            }
        }
    Index longest = 1, run = 1;
    for (std::size_t p = 1; p < reads.size(); ++p) {
        const bool continues = std::equal(reads[p].begin(), reads[p].end(), reads[p - 1].begin(),
                                          [&](int to, int from) { return from < 0 ? to < 0 : to == from + w.stride; });
        run = continues ? run + 1 : 1;
        longest = std::max(longest, run);
    }
    return longest;
}

/// Images of one position, and a convolution of many channels.
struct OnePosition {
    static constexpr Extent image{1, 1};
    Conv2d<3, 512, k1> feed;
    Conv2d<512, 512, k3> layer;
    Linear<512, 10> head;
    constexpr auto operator()(Value<3> x) const { return head(adaptive_avg_pool2d(layer(feed(x)))); }
    RESNET_MEMBERS(feed, layer, head)
};

}  // namespace

TEST_CASE("plan: tensors that are alive at the same time never overlap, and the arena is near its lower bound") {
    check_network<ResNet18<10>>();
    check_network<CifarResNet18<10>>();
    check_network<ImageNetResNet34<10>>();
    check_network<tests::EveryNode>();
    check_network<tests::SmallResNet>();
}

TEST_CASE("plan: tensors that are alive at the same time never overlap with half of the parameters frozen") {
    const std::size_t parameters = trace<tests::EveryNode>(tests::EveryNode::image).parameters.size();
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const Random random{Seed{seed}, Purpose::user};
        std::vector<char> frozen(parameters);
        for (std::size_t p = 0; p < parameters; ++p) frozen[p] = static_cast<char>(random.below(2, p));
        check_places(plan_of<tests::EveryNode>(Mode::training, frozen));
    }
}

TEST_CASE("plan: prints each step with its kernel, and why the kernels before it declined") {
    const std::string cifar = plan_of<CifarResNet18<10>>(Mode::training).print();
    CHECK(cifar.find("instruction set " + std::string{name_of(current_isa())}) == 0);
    CHECK(cifar.find("convolution_grad_weight") != std::string::npos);
    CHECK(cifar.find("layer2.0.conv1  ") != std::string::npos);
    CHECK(cifar.find("(not Winograd: not a 3x3 kernel with stride 1 and padding 1) direct, live taps") !=
          std::string::npos);
    CHECK(cifar.find("packed weights, Winograd F(4x4, 3x3)\n") != std::string::npos);
    CHECK(cifar.find("direct, live taps, all taps at once\n") != std::string::npos);  // the stem's gradient
    CHECK(cifar.find("direct, live taps, tap by tap\n") != std::string::npos);
    CHECK(cifar.find("direct, live taps\n") != std::string::npos);
    CHECK(plan_of<ResNet18<10>>(Mode::inference).print().find("live taps, tap by tap for few images\n") !=
          std::string::npos);
    CHECK(std::count(cifar.begin(), cifar.end(), '\n') == 100 + 2);

    const Graph graph = trace<ResNet18<10>>({32, 32});
    const Plan plan{graph,
                    fuse(graph, Mode::inference),
                    {.choice = {.allow_winograd = false, .allow_direct = false}, .block = 3},
                    kernels<float>(current_isa()).panels(0)};
    CHECK(plan.block() == 3);
    CHECK(plan.print().find("blocks of 3 images") != std::string::npos);
    CHECK(plan.print().find("(not direct, live taps: turned off by an option) im2col + Eigen's product") !=
          std::string::npos);
}

TEST_CASE("plan: a trainer's and a classifier's are at hand, for the instruction set that was asked for") {
    Model<tests::SmallResNet> model{Seed{1}};
    for (const Isa isa : tests::available_isas()) {
        Trainer trainer{model, SGD{}, {.plan = {.isa = isa}}};
        CHECK(trainer.plan().options().isa == isa);
        CHECK(trainer.plan().program().mode == Mode::training);
        const Classifier<tests::SmallResNet> classify{model, {.plan = {.isa = isa}}};
        CHECK(classify.plan().options().isa == isa);
        CHECK(classify.plan().program().mode == Mode::inference);
        CHECK(classify.bytes() > 0);
    }
}

TEST_CASE("panels: cover every channel once, in whole vectors but for the last") {
    for (const int lanes : {2, 4, 8, 16})
        for (const int widest : {2, 4})
            for (int channels = 1; channels < 150; ++channels) {
                const Panels panels{channels, lanes, widest};
                int next = 0;
                for (int p = 0; p < panels.count(); ++p) {
                    REQUIRE(panels[p].first == next);
                    REQUIRE(panels[p].valid >= 1);
                    REQUIRE((panels[p].valid == panels[p].vectors * lanes || p == panels.count() - 1));
                    REQUIRE(panels[p].vectors <= widest);
                    next += panels[p].valid;
                }
                REQUIRE(next == channels);
                REQUIRE(panels.padded() >= channels);
                REQUIRE(panels.padded() < channels + lanes);
            }
}

TEST_CASE_TEMPLATE("plan: the gradient of a stem's weights has work for several threads, few weights or many", Net,
                   Stem<64>, Stem<1024>, PointwiseStem) {
    const Plan plan = plan_of<Net>(Mode::training);
    int stems = 0;
    for (int i = 0; i < plan.size(); ++i) {
        if (at(plan.program().steps, i).kind != StepKind::convolution_grad_weight || plan[i].shape.in != 3) continue;
        CHECK(weight_gradient_chunks(plan, plan[i], 2).count() >= 8);
        ++stems;
    }
    CHECK(stems == 1);
}

TEST_CASE("plan: the gradient of a few channels' weights goes by all taps at once on large maps alone") {
    const Window k3_window{3, 3, 1, 1};
    for (const int in : {1, 3, 4, 24, 31, 32})
        for (const int side : {1, 8, 16, 31}) {
            const ConvolutionShape shape{
                .in = in, .out = 64, .window = k3_window, .input = {side, side}, .output = {side, side}};
            CHECK(takes_all_taps_at_once(shape) == (in < 4 || (in < 32 && side == 31)));
        }
    // A linear layer's window is its map: each tap has activations of its own.
    CHECK_FALSE(
        takes_all_taps_at_once({.in = 16, .out = 120, .window = {5, 5, 1, 0}, .input = {5, 5}, .output = {1, 1}}));
}

TEST_CASE_TEMPLATE("plan: by tap go runs of up to three rows, or six of distant weights, but no map of one run", Net,
                   ResNet18<10>, CifarResNet18<10>) {
    const Plan plan = plan_of<Net>(Mode::inference);
    int by_tap = 0, otherwise = 0;
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (step.kind != StepKind::convolution || plan[i].kernel != ConvolutionKernel::direct) continue;
        CAPTURE(i);
        const Index longest = longest_run(plan[i].shape);
        const bool one_run = longest == plan[i].shape.output.area();
        for (int images = 1; images <= 7; ++images) {
            CAPTURE(images);
            const bool few = !one_run && longest * images <= (has_distant_weights(plan[i].shape) ? 6 : 3);
            CHECK(goes_by_tap(plan[i], images) == few);
            // Rows that share a weight are not parted.
            if (few) CHECK(convolution_chunks(plan, plan[i], images, {plan[i].shape.out, 8, 2}).bands == 1);
            ++(few ? by_tap : otherwise);
        }
    }
    CHECK(by_tap > 0);
    CHECK(otherwise > 0);
}

TEST_CASE("plan: narrow panels that share a tile are handed out together, wide ones alone") {
    const Plan plan = plan_of<OnePosition>(Mode::inference);
    for (int i = 0; i < plan.size(); ++i) {
        const Step& step = at(plan.program().steps, i);
        if (step.layer < 0 || plan.graph().layer_name(step.layer) != "layer") continue;
        CHECK(convolution_chunks(plan, plan[i], 1, {512, 8, 2}).panel_groups == 8);   // 32 of 16 channels: AVX2
        CHECK(convolution_chunks(plan, plan[i], 1, {512, 16, 4}).panel_groups == 8);  // 8 of 64: AVX-512
        CHECK(convolution_chunks(plan, plan[i], 1, {512, 4, 2}).panel_groups == 16);  // 64 of 8: SSE2
    }
}
