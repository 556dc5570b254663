#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/resnet18.hpp>

#include "../support/engine.hpp"
#include "../support/networks.hpp"

using namespace resnet;

namespace {

template <class Net, class Scalar>
Plan plan_of(Mode mode, const ChoiceOptions& choice = {}) {
    const Graph graph = trace<Net>(Net::image);
    Program program = fuse(graph, mode);
    if (mode == Mode::training) program = differentiate(graph, std::move(program));
    return {graph, program, {.choice = choice}, kernels<Scalar>(current_isa()).panels(0)};
}

/// A workspace and packs that have served one batch hold what the plan said.
template <class Net, class Scalar = float>
void check_bytes(Mode mode, const ChoiceOptions& choice = {}) {
    const Plan plan = plan_of<Net, Scalar>(mode, choice);
    const Weights<Scalar> weights{trace<Net>(Net::image)};
    for (const int threads : {1, 2})
        for (const Index images : {2, 5, 33}) {
            CAPTURE(threads);
            CAPTURE(images);
            tbb::task_arena{threads}.execute([&] {
                Workspace<Scalar> workspace{plan};
                workspace.reserve(images);
                Packs<Scalar> packs{plan, kernels<Scalar>(current_isa())};
                if (mode == Mode::inference) packs.fold(weights);
                for (int i = 0; mode == Mode::training && i < plan.size(); ++i) packs.pack(i, weights);
                CHECK(workspace.bytes() + packs.bytes() == plan.bytes<Scalar>(images, threads));
            });
        }
}

struct WideMap {
    static constexpr Extent image{256, 256};
    Conv2d<3, 256, k3> conv1;
    Conv2d<256, 256, k3> conv2;
    Linear<256, 2> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(conv2(relu(conv1(x))))); }
    RESNET_MEMBERS(conv1, conv2, fc)
};

struct Pixels {
    Pixels(Index images, Extent extent)
        : bytes(static_cast<std::size_t>(images * extent.area() * 3), 100),
          labels(static_cast<std::size_t>(images), 1),
          view{nhwc(bytes.data(), images, extent)} {}
    std::vector<std::uint8_t> bytes;
    std::vector<int> labels;
    ImageView view;
};

}  // namespace

TEST_CASE("memory: the plan says to the byte what workspace and packs hold after a batch") {
    for (const Mode mode : {Mode::training, Mode::inference}) {
        check_bytes<ResNet18<10>>(mode);
        check_bytes<tests::EveryNode>(mode);
        check_bytes<tests::EveryNode, double>(mode);
        check_bytes<tests::SmallResNet>(mode, {.allow_winograd = false});
        check_bytes<tests::SmallResNet>(mode, {.allow_winograd = false, .allow_direct = false});
    }
    check_bytes<CifarResNet18<10>>(Mode::training);
}

TEST_CASE("memory: large maps are not transformed as a whole") {
    const auto plan_of = [](Graph graph, Index images) {
        return Plan{graph,
                    fuse(graph, Mode::inference),
                    {.choice = {.images = images}},
                    kernels<float>(current_isa()).panels(0)};
    };
    const Plan cifar = plan_of(trace<CifarResNet18<10>>({512, 512}), 1);
    CHECK(winograd_needed(cifar, 1) < cifar.arena_elements(1));
    const Plan wide = plan_of(trace<WideMap>(WideMap::image), 4);
    CHECK(winograd_needed(wide, 4) > 0);
    CHECK(winograd_needed(wide, 4) < wide.arena_elements(4) / 2);
}

TEST_CASE("memory: no images have no size") {
    const Plan plan = plan_of<tests::SmallResNet, float>(Mode::training);
    CHECK_THROWS_WITH_AS(static_cast<void>(plan.bytes(0, 1)), "Plan::bytes: expected at least one image, found 0",
                         Error);
}

TEST_CASE("memory: a trainer holds its flat buffers, and from the first step on what the plan says") {
    tbb::task_arena{2}.execute([] {
        Model<tests::SmallResNet> model{Seed{1}};
        const Pixels pixels{6, tests::SmallResNet::image};
        for (const OptimizerSettings& settings : {OptimizerSettings{Adam{}}, OptimizerSettings{SGD{}}}) {
            Trainer trainer{model, settings};
            const Index flat = trainer.bytes(), parameters = model.weights().parameters().bytes();
            // Gradients; one array or two of the optimizer; staged statistics.
            CHECK(flat ==
                  parameters * (std::holds_alternative<SGD>(settings) ? 2 : 3) + model.weights().statistics().bytes());
            for (int step = 0; step < 2; ++step) {
                trainer.step(pixels.view, pixels.labels);
                CHECK(trainer.bytes() == flat + trainer.plan().bytes(6, 2));
            }
        }
    });
}

TEST_CASE("memory: a classifier holds its snapshot, what the plan says and a batch of logits") {
    tbb::task_arena{2}.execute([] {
        const Model<tests::SmallResNet> model{Seed{1}};
        const Pixels pixels{6, tests::SmallResNet::image};
        const Classifier<tests::SmallResNet> classify{model, {.batch = 6}};
        const Index expected = model.weights().parameters().bytes() + model.weights().statistics().bytes() +
                               classify.plan().bytes(6, 2) +
                               Buffer<float>::bytes(Index{6} * tests::SmallResNet::classes);
        CHECK(classify.bytes() == expected);
        static_cast<void>(classify(pixels.view));
        CHECK(classify.bytes() == expected);
    });
}
