// What may come between the calls of a Trainer: other batch sizes and extents, freezing, rejected batches.
#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/bits.hpp"
#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::SmallResNet;

namespace {

/// Images of any extent with labels.
struct Batch {
    std::vector<float> pixels;
    std::vector<int> labels;
    ImageView images;

    Batch(Index count, std::uint64_t seed, Extent extent = SmallResNet::image)
        : pixels(tests::uniform<float>(static_cast<std::size_t>(count * 3 * extent.area()), seed)),
          labels(tests::labels(static_cast<std::size_t>(count), SmallResNet::classes, seed)),
          images(nhwc(pixels.data(), count, extent)) {}
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;
};

/// Few weights a tap and a wide batch norm: what a step needs does not grow with the batch everywhere.
struct Wide {
    static constexpr Extent image{1, 1};
    static constexpr int classes = 5;
    Conv2d<3, 512, k1> conv1, conv2;
    BatchNorm2d<512> bn1, bn2;
    Linear<512, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(bn1(conv1(x)) + bn2(conv2(x))))); }
    RESNET_MEMBERS(conv1, conv2, bn1, bn2, fc)
};

/// Has a layer that it does not use, and one whose output nothing reads.
struct Spare {
    static constexpr Extent image{4, 4};
    static constexpr int classes = SmallResNet::classes;
    Linear<3, classes> fc, spare;
    Conv2d<3, 4, k3> dead_end;
    constexpr auto operator()(Value<3> x) const {
        static_cast<void>(dead_end(x));
        return fc(adaptive_avg_pool2d(x));
    }
    RESNET_MEMBERS(fc, spare, dead_end)
};

/// Its gradient of a batch is the mean of those of the batch's parts.
struct NoNorm {
    static constexpr Extent image{8, 8};
    static constexpr int classes = SmallResNet::classes;
    Conv2d<3, 8, k3> conv;
    Linear<8, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(conv(x)))); }
    RESNET_MEMBERS(conv, fc)
};

/// A map of one position, of whose taps one alone touches data; of larger images all do.
struct Shrinking {
    static constexpr Extent image{4, 4};
    static constexpr int classes = SmallResNet::classes;
    Conv2d<3, 16, k3, 4> conv1;
    Conv2d<16, 16, k3> conv2;
    Linear<16, classes> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(conv2(relu(conv1(x))))); }
    RESNET_MEMBERS(conv1, conv2, fc)
};

/// A linear layer reads a flattened map of the usual image; another extent's channels go to it, too, or to one apart.
template <bool apart>
struct ByExtent {
    static constexpr Extent image{4, 4};
    static constexpr int classes = SmallResNet::classes;
    Conv2d<3, 4, k2, 2, 0> narrow;
    Conv2d<3, 16, k1> wide;
    Linear<16, classes> fc, other;
    constexpr auto operator()(Value<3> x) const {
        if (x.extent() == image) return fc(flatten<16>(narrow(x)));
        return (apart ? other : fc)(adaptive_avg_pool2d(wide(x)));
    }
    RESNET_MEMBERS(narrow, wide, fc, other)
};

/// Gradients wait for an apply, and the model has other weights since.
struct Outdated {
    Batch batch{4, 1};
    Model<SmallResNet> model{Seed{1}};
    Trainer<SmallResNet> trainer{model, SGD{}};

    Outdated() {
        trainer.forward(batch.images, batch.labels);
        trainer.backward();
        model = Model<SmallResNet>{Seed{2}};
    }

    void check_refuses_to_apply() {
        const auto before = model;
        CHECK_THROWS_WITH_AS(trainer.apply(), "apply: expected the weights of its forward, found changed ones", Error);
        CHECK(model == before);
    }
};

/// The next step of a trainer with SGD{} is that of a new one, from the weights that its model has.
void check_steps_like_a_new_one(Trainer<SmallResNet>& trainer, const Batch& batch) {
    auto expected = trainer.model();
    Trainer fresh{expected, SGD{}};
    trainer.step(batch.images, batch.labels);
    fresh.step(batch.images, batch.labels);
    CHECK(trainer.model() == expected);
}

constexpr Extent larger{24, 24};

}  // namespace

TEST_CASE("order of calls: memory is enough for a batch that is smaller than the one before, for every pair of sizes") {
    const auto check = [](const auto& untrained, Index first, Index second) {
        using Net = typename std::decay_t<decltype(untrained)>::Network;
        const Batch a(first, 1, Net::image), b(second, 2, Net::image);
        auto model = untrained, fresh_model = untrained;
        Trainer trainer{model, SGD{}}, fresh{fresh_model, SGD{}};
        trainer.forward(a.images, a.labels);
        trainer.backward();
        for (auto* const either : {&trainer, &fresh}) {
            either->forward(b.images, b.labels);
            either->backward();
        }
        for (const ParameterInfo& parameter : model.parameters())
            REQUIRE(tests::same_bits(trainer.gradient(parameter.name), fresh.gradient(parameter.name)));
    };
    const Model<SmallResNet> small{Seed{1}};
    for (const Index first : {272, 145, 129, 97, 33})
        for (const Index second : {256, 128, 96, 17, 2}) check(small, first, second);

    // Where a buffer has to grow for a batch that is smaller.
    const Model<Wide> wide{Seed{1}};
    const auto check_falls = [&](const auto& model, auto needed) {
        auto copy = model;
        Trainer trainer{copy, SGD{}};
        const Plan& plan = trainer.plan();
        int falls = 0;
        for (Index images = 2; images <= 2100 && falls < 2; ++images)
            if (needed(plan, images) < needed(plan, images - 1)) {
                check(model, images, images - 1);
                ++falls;
            }
        CHECK(falls > 0);
    };
    check_falls(wide, partial_weights_needed);
    check_falls(small, winograd_needed);
}

TEST_CASE("order of calls: a look at another extent's plan drops the forward, and backward says so") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    trainer.forward(batch.images, batch.labels);
    trainer.check_batch(4, larger);
    CHECK_THROWS_WITH_AS(trainer.backward(), "backward: expected a forward before each backward, found none", Error);
    trainer.forward(batch.images, batch.labels);
    trainer.check_batch(7);  // the same extent: nothing is dropped
    CHECK_NOTHROW(trainer.backward());
}

TEST_CASE("order of calls: a question about another extent changes nothing of the training that follows") {
    const Model<Shrinking> initial{Seed{1}};
    const Batch batch(4, 1, Shrinking::image);
    const auto trained = [&](bool ask) {
        auto model = initial;
        Trainer trainer{model, Adam{}, {.clip_norm = 0.1f}};
        if (ask) trainer.check_batch(4, {8, 8});
        const double norm = trainer.step(batch.images, batch.labels).gradient_norm;
        return std::tuple{std::move(model), norm, trainer.engine().live()};
    };
    CHECK(trained(true) == trained(false));
}

TEST_CASE("order of calls: images of an extent that would read a linear layer's weights in another order are refused") {
    const std::string message =
        "linear: expected the same flattened map for all uses of the layer, whatever the extent of the images, found "
        "two";
    Model<ByExtent<false>> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch usual(2, 1, ByExtent<false>::image), others(2, 1, {8, 8});
    trainer.step(usual.images, usual.labels);
    CHECK_THROWS_WITH_AS(trainer.step(others.images, others.labels), message.c_str(), Error);
    CHECK_THROWS_WITH_AS((Classifier{model, {.image = {8, 8}}}), message.c_str(), Error);
    trainer.step(usual.images, usual.labels);
    Model<ByExtent<true>> apart{Seed{1}};
    Trainer other{apart, SGD{}};
    other.step(usual.images, usual.labels);
    other.step(others.images, others.labels);
}

TEST_CASE("order of calls: images of more positions than tables can count are refused before memory is asked for") {
    Model<Spare> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    CHECK_THROWS_WITH_AS(trainer.check_batch(2, {50'000, 50'000}),
                         "plan: expected maps of at most 2^30 positions, found 50000x50000", Error);
}

TEST_CASE("order of calls: gradients of batches of several extents accumulate") {
    Model<SmallResNet> model{Seed{1}};
    Trainer both{model, SGD{}}, one{model, SGD{}};
    const Batch first(4, 1), second(4, 2, larger);
    const auto gradient_of = [&](const Batch& batch) {
        one.forward(batch.images, batch.labels);
        one.backward();
        return one.gradient("fc.weight");
    };
    const auto a = gradient_of(first), b = gradient_of(second);
    both.forward(first.images, first.labels);
    both.backward();
    both.forward(second.images, second.labels);
    both.backward(true);
    const auto sum = both.gradient("fc.weight");
    for (std::size_t i = 0; i < sum.size(); ++i) REQUIRE(sum[i] == doctest::Approx(a[i] + b[i]).epsilon(1e-5));
    both.forward(first.images, first.labels);
    both.backward();  // not accumulating: nothing of the other extent is left
    CHECK(tests::same_bits(both.gradient("fc.weight"), a));
}

TEST_CASE("order of calls: freezing a layer keeps the others' accumulated gradients") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    const auto once = trainer.gradient("fc.weight");
    model.freeze("fc.bias");
    trainer.forward(batch.images, batch.labels);
    trainer.backward(true);
    const auto twice = trainer.gradient("fc.weight");
    for (std::size_t i = 0; i < once.size(); ++i) REQUIRE(twice[i] == doctest::Approx(2 * once[i]).epsilon(1e-6));
}

TEST_CASE("order of calls: what is frozen between backward and apply keeps its bits") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, Adam{}};
    const Batch batch(4, 1);
    trainer.step(batch.images, batch.labels);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    const auto fc = model.parameter("fc.weight"), bias = model.parameter("fc.bias");
    model.freeze("fc.weight");
    auto frozen_before = model;  // one that was frozen all the time has the same gradient norm
    Trainer other{frozen_before, Adam{}};
    other.forward(batch.images, batch.labels);
    other.backward();
    CHECK(trainer.apply() == doctest::Approx(other.apply()).epsilon(1e-6));
    CHECK(tests::same_bits(model.parameter("fc.weight"), fc));
    CHECK_FALSE(tests::same_bits(model.parameter("fc.bias"), bias));
    model.unfreeze("fc.weight");
    trainer.step(batch.images, batch.labels);
    CHECK_FALSE(tests::same_bits(model.parameter("fc.weight"), fc));
}

TEST_CASE("order of calls: what is unfrozen between backward and apply keeps its bits, whatever is asked between") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, AdamW{}};
    const Batch batch(4, 1);
    trainer.step(batch.images, batch.labels);  // moments, which would move it
    const auto fc = model.parameter("fc.weight"), bias = model.parameter("fc.bias");
    model.freeze("fc.weight");
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    model.unfreeze("fc.weight");
    trainer.check_batch(8);
    trainer.apply();
    CHECK(tests::same_bits(model.parameter("fc.weight"), fc));
    CHECK_FALSE(tests::same_bits(model.parameter("fc.bias"), bias));
}

TEST_CASE("order of calls: gradients that wait for their apply survive a question about an extent that is refused") {
    Model<SmallResNet> model{Seed{1}}, expected{Seed{1}};
    Trainer trainer{model, Adam{}}, other{expected, Adam{}};
    const Batch batch(4, 1);
    other.step(batch.images, batch.labels);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    CHECK_THROWS_AS(trainer.check_batch(2, {50'000, 50'000}), Error);
    trainer.apply();
    CHECK(model == expected);
}

TEST_CASE("order of calls: gradients are not scaled by what is no number in their type, and can still be applied") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    const auto copy = model;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    for (const double scale : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN(), 1e39}) {
        CHECK_THROWS_AS(trainer.apply(scale), Error);
        CHECK(model == copy);
    }
    trainer.apply(0.5);
    CHECK_FALSE(model == copy);
}

TEST_CASE("order of calls: apply moves the weights by what the caller has made of the gradients") {
    Model<SmallResNet> summed{Seed{1}}, halved{Seed{1}}, still{Seed{1}};
    Trainer whole{summed, SGD{}}, twice{halved, SGD{}}, nothing{still, SGD{}};
    const Batch batch(4, 1);
    const auto weight = still.parameter("fc.weight");
    for (auto* const trainer : {&whole, &twice, &nothing}) {
        trainer->forward(batch.images, batch.labels);
        trainer->backward();
    }
    for (float& gradient : twice.gradients()) gradient *= 2;
    std::ranges::fill(nothing.gradients(), 0.0f);
    whole.apply();
    twice.apply(0.5);
    CHECK(nothing.apply() == 0);
    CHECK(summed == halved);
    CHECK(tests::same_bits(still.parameter("fc.weight"), weight));
    // Nothing of it is left to later steps, whatever the caller wrote and wherever.
    std::ranges::fill(twice.gradients(), 5.0f);
    twice.step(batch.images, batch.labels);
    whole.step(batch.images, batch.labels);
    CHECK(summed == halved);
}

TEST_CASE("order of calls: apply without a backward is an error and moves nothing") {
    Model<SmallResNet> model{Seed{1}};
    const auto copy = model;
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    CHECK_THROWS_WITH_AS(trainer.apply(), "apply: expected a backward before each apply, found none", Error);
    trainer.forward(batch.images, batch.labels);
    CHECK_THROWS_AS(trainer.apply(), Error);
    CHECK(model == copy);
    trainer.backward();
    trainer.apply();
    CHECK_THROWS_AS(trainer.apply(), Error);
}

TEST_CASE(
    "order of calls: running statistics that the model was given after a forward are those that a step goes on from") {
    Model<SmallResNet> model{Seed{1}};
    auto other = model;
    other.set_parameter("bn1.running_mean", std::vector<float>(32, 5));
    const Batch batch(4, 1);
    Trainer trainer{model, SGD{}};
    trainer.forward(batch.images, batch.labels);  // a look at the loss
    model = other;
    check_steps_like_a_new_one(trainer, batch);
}

TEST_CASE("order of calls: apply to weights that have changed since the forward is an error and moves nothing") {
    Outdated run;
    run.check_refuses_to_apply();
    check_steps_like_a_new_one(run.trainer, run.batch);
}

TEST_CASE("order of calls: backward asks for a forward since parameters were frozen") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    trainer.forward(batch.images, batch.labels);
    model.freeze("fc.weight");
    CHECK_THROWS_WITH_AS(trainer.backward(), "backward: expected the frozen parameters of its forward, found others",
                         Error);
}

TEST_CASE("order of calls: what was frozen between backward and apply has left no gradient to later steps") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    const auto gradients = [&](bool accumulate) {
        trainer.forward(batch.images, batch.labels);
        trainer.backward(accumulate);
    };
    gradients(false);
    model.freeze("fc.weight");
    const std::vector<float> zeros(5 * 48);
    CHECK(trainer.gradient("fc.weight") == zeros);
    trainer.apply();
    gradients(false);
    model.unfreeze("fc.weight");
    CHECK(trainer.gradient("fc.weight") == zeros);
    gradients(true);
    const auto accumulated = trainer.gradient("fc.weight");
    gradients(false);
    CHECK(tests::same_bits(accumulated, trainer.gradient("fc.weight")));
}

TEST_CASE(
    "order of calls: a backward that was broken off leaves nothing to apply, and the next step is like any other") {
    Model<SmallResNet> model{Seed{1}};
    auto expected = model;
    Trainer trainer{model, SGD{}}, fresh{expected, SGD{}};
    const Batch batch(4, 1);
    for (int last = 0; last < trainer.plan().size(); ++last) {
        CAPTURE(last);
        const auto break_off = [&](int step) {
            if (step == last) throw std::runtime_error{"broken off"};
        };
        CHECK_THROWS_AS(trainer.profile(batch.images, batch.labels, break_off), std::runtime_error);
        CHECK_THROWS_WITH_AS(trainer.apply(), "apply: expected a backward before each apply, found none", Error);
        trainer.forward(batch.images, batch.labels);
        trainer.backward(true);
        trainer.apply();
        fresh.step(batch.images, batch.labels);
        CHECK(model == expected);  // the running statistics as well
    }
}

TEST_CASE("order of calls: what was applied, or refused, is not added to") {
    Model<SmallResNet> model{Seed{1}};
    auto expected = model;
    Trainer trainer{model, SGD{}}, fresh{expected, SGD{}};
    const Batch batch(4, 1);
    for (int step = 0; step < 3; ++step) {
        trainer.forward(batch.images, batch.labels);
        trainer.backward(true);
        trainer.apply();
        fresh.step(batch.images, batch.labels);
        CHECK(model == expected);
    }

    Outdated run;
    run.check_refuses_to_apply();
    auto other = run.model;
    Trainer new_one{other, SGD{}};
    new_one.step(run.batch.images, run.batch.labels);
    run.trainer.forward(run.batch.images, run.batch.labels);
    run.trainer.backward(true);
    run.trainer.apply();
    CHECK(run.model == other);
}

TEST_CASE("order of calls: a layer that the body does not use keeps its weights, whatever their decay") {
    Model<Spare> model{Seed{1}};
    const auto before = model;
    Trainer trainer{model, AdamW{.weight_decay = 0.1f}};
    const Batch batch(4, 1, Spare::image);
    for (int step = 0; step < 3; ++step) trainer.step(batch.images, batch.labels);
    for (const char* const name : {"spare.weight", "spare.bias", "dead_end.weight"})
        CHECK(model.parameter(name) == before.parameter(name));
    CHECK(model.parameter("fc.weight") != before.parameter("fc.weight"));
}

TEST_CASE("order of calls: gradients of weights that have changed since are refused, whatever forward came between") {
    Outdated run;
    run.trainer.forward(run.batch.images, run.batch.labels);
    run.check_refuses_to_apply();
    CHECK_THROWS_WITH_AS(run.trainer.backward(), "backward: expected a forward before each backward, found none",
                         Error);
    check_steps_like_a_new_one(run.trainer, run.batch);
}

TEST_CASE("order of calls: gradients that wait are not added to those of other weights") {
    Outdated run;
    auto expected = run.model;
    Trainer fresh{expected, SGD{}};
    fresh.step(run.batch.images, run.batch.labels);
    run.trainer.forward(run.batch.images, run.batch.labels);
    CHECK_THROWS_WITH_AS(run.trainer.backward(true),
                         "backward: expected gradients of the same weights to add to, found those of others", Error);
    run.trainer.backward();
    run.trainer.apply();
    CHECK(run.model == expected);
}

TEST_CASE("order of calls: four batches that were accumulated, a fourth of each, are the step of one large batch") {
    Model<NoNorm> model{Seed{1}};
    auto expected = model;
    const TrainerOptions options{.clip_norm = 0.1f};
    Trainer trainer{model, Adam{.weight_decay = 0.1f}, options}, large{expected, Adam{.weight_decay = 0.1f}, options};
    const Batch batch(16, 1, NoNorm::image);
    for (Index first = 0; first < 16; first += 4) {
        trainer.forward(batch.images.slice(first, 4),
                        std::span(batch.labels).subspan(static_cast<std::size_t>(first), 4));
        trainer.backward(first > 0);
    }
    const double norm = trainer.apply(1.0 / 4);
    CHECK(norm == doctest::Approx(large.step(batch.images, batch.labels).gradient_norm).epsilon(1e-5));
    CHECK(norm > 0.1);  // so that it is clipped
    for (const ParameterInfo& parameter : model.parameters()) {
        const auto found = model.parameter(parameter.name), wanted = expected.parameter(parameter.name);
        for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == doctest::Approx(wanted[i]).epsilon(1e-4));
    }
}

TEST_CASE("order of calls: a batch of no images says so, and a batch that does not fit keeps the plan") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Batch batch(4, 1);
    CHECK_THROWS_WITH_AS(trainer.step(batch.images.slice(0, 0), {}), "images: expected at least one image, found 0",
                         Error);
    CHECK_THROWS_WITH_AS(trainer.check_batch(0), "images: expected at least one image, found 0", Error);
    const Plan* plan = &trainer.plan();
    ImageView grey = batch.images;
    grey.channels = 1;
    grey.extent = larger;
    CHECK_THROWS_WITH_AS(trainer.step(grey, batch.labels),
                         "images: expected 3 channels, found 1 (grey images have three in a view with channels = 3 and "
                         "channel_stride = 0)",
                         Error);
    CHECK(plan->tensor(plan->program().input).extent == SmallResNet::image);
}

TEST_CASE("order of calls: statistics that overflow are an error that names the batch norm and changes nothing") {
    Model<SmallResNet> model{Seed{1}};
    const auto copy = model;
    Trainer trainer{model, SGD{}};
    Batch batch(4, 1);
    for (float& pixel : batch.pixels) pixel *= 1e25f;
    std::string message;
    try {
        trainer.step(batch.images, batch.labels);
    } catch (const NotFiniteError& error) {
        message = error.what();
    }
    CHECK(message.find("mean and variance that are finite") != std::string::npos);
    CHECK(model == copy);
}

TEST_CASE("order of calls: settings outside their range are refused by name") {
    Model<SmallResNet> model{Seed{1}};
    const float nan = std::numeric_limits<float>::quiet_NaN();
    using T = Trainer<SmallResNet>;
    CHECK_THROWS_WITH_AS((T{model, Adam{.learning_rate = -1}}),
                         "learning_rate: expected a finite number of at least 0, found -1.000000", Error);
    CHECK_THROWS_AS((T{model, SGD{.learning_rate = nan}}), Error);
    CHECK_THROWS_AS((T{model, Adam{.beta1 = 1}}), Error);
    CHECK_THROWS_AS((T{model, AdamW{.weight_decay = -1}}), Error);
    CHECK_THROWS_WITH_AS((T{model, Adam{.epsilon = 0}}), "epsilon: expected above 0 and not denormal, found 0.000000",
                         Error);
    CHECK_THROWS_AS((T{model, Adam{.epsilon = 1e-39f}}), Error);
    CHECK_THROWS_WITH_AS((T{model, SGD{}, {.label_smoothing = 2}}), "label_smoothing: expected 0 ... 1, found 2.000000",
                         Error);
    CHECK_THROWS_AS((T{model, SGD{}, {.clip_norm = nan}}), Error);
    T trainer{model, SGD{.learning_rate = 0.5f}};
    CHECK_THROWS_AS(trainer.set_learning_rate(std::numeric_limits<float>::infinity()), Error);
    CHECK(trainer.learning_rate() == 0.5f);
    const Batch batch(2, 1);
    const std::vector<float> weights{0.5f, 5};
    CHECK_THROWS_WITH_AS(trainer.step(batch.images, Targets{batch.labels, batch.labels, weights}),
                         "targets: expected weights of 0 ... 1, found 5.000000 for image 1", Error);
    CHECK_THROWS_WITH_AS((Classifier<SmallResNet>{model, {.batch = 0}}),
                         "Classifier: expected a batch of at least 1 image, found 0", Error);
    CHECK_THROWS_WITH_AS(trainer.gradient("bn1.running_mean"),
                         "gradient: expected the name of a parameter, found bn1.running_mean", Error);
}
