#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <resnet/evaluate.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/bits.hpp"
#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::SmallResNet;

namespace {

/// Logits are the image's pixels themselves: 3 classes, one position, and a weight of one to begin with.
struct Straight {
    static constexpr Extent image{1, 1};
    static constexpr int classes = 3;
    Linear<3, 3> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<3>(x)); }
    RESNET_MEMBERS(fc)
};

struct ThousandClasses {
    static constexpr Extent image{1, 1};
    Linear<3, 1000> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<3>(x)); }
    RESNET_MEMBERS(fc)
};

Model<Straight, double> identity() {
    Model<Straight, double> model{Seed{1}};
    model.set_parameter("fc.weight", std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
    model.set_parameter("fc.bias", std::vector<double>{0, 0, 0});
    return model;
}

/// One batch norm on the image, so that statistics are easy to say.
struct Normed {
    static constexpr Extent image{2, 2};
    static constexpr int classes = 2;
    BatchNorm2d<3, NormOptions{.momentum = 0.25f}> norm;
    Linear<3, 2> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(norm(x))); }
    RESNET_MEMBERS(norm, fc)
};

/// The second batch norm works on a single position.
struct Narrow {
    static constexpr Extent image{4, 4};
    static constexpr int classes = 2;
    Sequential<Conv2d<3, 8, k3, 2>, BatchNorm2d<8>> first;
    Sequential<Conv2d<8, 8, k3, 2>, BatchNorm2d<8>> second;
    Linear<8, 2> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(second(relu(first(x)))))); }
    RESNET_MEMBERS(first, second, fc)
};

/// A batch norm beside a linear layer of the image itself, whose weights a test sets to zero.
struct TwoHeads {
    static constexpr Extent image{2, 2};
    static constexpr int classes = 2;
    BatchNorm2d<3> norm;
    Linear<3, 2> fc1, fc2;
    constexpr auto operator()(Value<3> x) const {
        return fc1(adaptive_avg_pool2d(norm(x))) + fc2(adaptive_avg_pool2d(x));
    }
    RESNET_MEMBERS(norm, fc1, fc2)
};

template <class Scalar>
struct Batch {
    std::vector<Scalar> pixels;
    std::vector<int> labels;
    ImageView images;

    template <class Net>
    static Batch of(Index count, std::uint64_t seed) {
        Batch batch;
        batch.pixels = tests::uniform<Scalar>(static_cast<std::size_t>(count * 3 * Net::image.area()), seed);
        batch.labels = tests::labels(static_cast<std::size_t>(count), Net::classes, seed);
        batch.images = nchw(batch.pixels.data(), count, Net::image);
        return batch;
    }
};

double softmax_loss(std::span<const double> logits, std::span<const double> target) {
    double sum = 0, loss = 0;
    for (const double x : logits) sum += std::exp(x);
    for (std::size_t c = 0; c < logits.size(); ++c) loss -= target[c] * (logits[c] - std::log(sum));
    return loss;
}

}  // namespace

TEST_CASE(
    "training: the loss is the mean cross entropy, with label smoothing and mixed targets as the formula has them") {
    const std::vector<double> pixels{0.5, -1, 2, 1, 0, 3};  // [N][H][W][C]: the logits of two images
    const ImageView images = nhwc(pixels.data(), 2, {1, 1});
    const std::vector<int> labels{0, 2}, second{1, 1};
    const std::vector<float> weights{0.75f, 0.5f};
    for (const double smoothing : {0.0, 0.25}) {
        auto model = identity();
        Trainer<Straight, double> trainer{model, SGD{}, {.label_smoothing = static_cast<float>(smoothing)}};
        const double even = smoothing / 3, rest = 1 - smoothing;
        const std::vector<double> hard{rest + even, even, even, even, even, rest + even},
            mixed{0.75 * rest + even, 0.25 * rest + even, even, even, 0.5 * rest + even, 0.5 * rest + even};
        const std::span<const double> all{pixels};
        const auto mean = [&](const std::vector<double>& target) {
            const std::span<const double> t{target};
            return (softmax_loss(all.first(3), t.first(3)) + softmax_loss(all.last(3), t.last(3))) / 2;
        };
        CHECK(trainer.forward(images, labels) == doctest::Approx(mean(hard)).epsilon(1e-14));
        CHECK(trainer.forward(images, Targets{labels, second, weights}) == doctest::Approx(mean(mixed)).epsilon(1e-14));
        // The gradient of the bias is the mean of softmax - target.
        trainer.backward();
        for (std::size_t c = 0; c < 3; ++c) {
            double expected = 0;
            for (std::size_t n = 0; n < 2; ++n) {
                double sum = 0;
                for (std::size_t i = 0; i < 3; ++i) sum += std::exp(pixels[n * 3 + i]);
                expected += (std::exp(pixels[n * 3 + c]) / sum - mixed[n * 3 + c]) / 2;
            }
            CHECK(trainer.gradient("fc.bias")[c] == doctest::Approx(expected).epsilon(1e-13));
        }
    }
}

TEST_CASE("training: large logits neither overflow nor lose the loss") {
    auto model = identity();
    Trainer<Straight, double> trainer{model, SGD{}};
    const std::vector<double> pixels{1000, 0, -1000};
    CHECK(trainer.forward(nhwc(pixels.data(), 1, {1, 1}), std::vector<int>{0}) == 0);
    CHECK(trainer.forward(nhwc(pixels.data(), 1, {1, 1}), std::vector<int>{2}) == 2000);
}

TEST_CASE("training: a network of a thousand classes learns the last of them") {
    Model<ThousandClasses> model{Seed{1}};
    Trainer trainer{model, SGD{.learning_rate = 0.5f}};
    const std::vector<float> pixels{1, 2, 3};
    const std::vector<int> label{999};
    const ImageView image = nhwc(pixels.data(), 1, {1, 1});
    for (int step = 0; step < 10; ++step) trainer.step(image, label);
    const Evaluation result = evaluate(Classifier{model}, image, label);
    CHECK(result.accuracy == 1);
    CHECK(result.count(999, 999) == 1);
}

TEST_CASE("training: targets that do not fit are an error, and change nothing") {
    auto model = identity();
    const auto copy = model;
    Trainer<Straight, double> trainer{model, SGD{}};
    const std::vector<double> pixels(6, 0.5);
    const ImageView images = nhwc(pixels.data(), 2, {1, 1});
    const std::vector<int> one{0}, two{0, 1}, high{0, 3}, low{-1, 0};
    const std::vector<float> weight{0.5f}, weights{0.5f, 0.5f};
    CHECK_THROWS_WITH_AS(trainer.step(images, one), "targets: expected 2 labels, one an image, found 1", Error);
    CHECK_THROWS_WITH_AS(trainer.step(images, high), "targets: expected labels of 0 to 2, found 3 for image 1", Error);
    CHECK_THROWS_WITH_AS(trainer.step(images, low), "targets: expected labels of 0 to 2, found -1 for image 0", Error);
    CHECK_THROWS_WITH_AS(trainer.step(images, Targets{two, high, weights}),
                         "targets: expected labels of 0 to 2, found 3 for image 1", Error);
    CHECK_THROWS_WITH_AS(trainer.step(images, Targets{two, two, weight}),
                         "targets: expected as many second labels and weights as labels, found 2 and 1", Error);
    CHECK_THROWS_WITH_AS(trainer.step(images.slice(0, 0), {}), "images: expected at least one image, found 0", Error);
    CHECK(model == copy);
}

TEST_CASE("training: partial batches take the statistics of their own images, whatever batch came before") {
    const auto full = Batch<float>::of<SmallResNet>(20, 1), part = Batch<float>::of<SmallResNet>(7, 2);
    Model<SmallResNet> fresh{Seed{1}}, used{Seed{1}};
    Trainer first{fresh, SGD{}}, second{used, SGD{}};
    const double expected = first.forward(part.images, part.labels);
    const auto values = first.logits().values();
    const std::vector<float> logits(values.begin(), values.end());
    second.forward(full.images, full.labels);
    CHECK(second.forward(part.images, part.labels) == expected);
    CHECK(tests::same_bits(second.logits().values(), logits));
    CHECK(logits.size() == 7 * 5);
}

TEST_CASE("training: one image on a 1x1 map is an error that names the batch norm, asked before or met") {
    Model<Narrow> model{Seed{1}};
    const Model<Narrow> copy = model;
    Trainer trainer{model, Adam{}};
    const auto one = Batch<float>::of<Narrow>(1, 1), two = Batch<float>::of<Narrow>(2, 1);
    const char* message =
        "second.1: expected more than one value a channel to train batch norm on, found one (a batch of 1 image on a "
        "1x1 map) "
        "(drop the last batch or change the batch size)";
    // 4x4, 2x2, 1x1
    CHECK_THROWS_WITH_AS(trainer.check_batch(1), message, Error);
    CHECK_THROWS_WITH_AS(trainer.step(one.images, one.labels), message, Error);
    CHECK(model == copy);
    CHECK_NOTHROW(trainer.check_batch(1, {16, 16}));
    CHECK_NOTHROW(trainer.step(two.images, two.labels));
}

TEST_CASE(
    "training: running statistics move by the momentum, with the unbiased variance, and only when the step is "
    "applied") {
    Model<Normed, double> model{Seed{1}};
    Trainer<Normed, double> trainer{model, SGD{}};
    const auto batch = Batch<double>::of<Normed>(3, 1);
    for (int step = 1; step <= 2; ++step) {
        const auto mean = model.parameter("norm.running_mean"), variance = model.parameter("norm.running_var");
        trainer.forward(batch.images, batch.labels);
        trainer.backward();
        CHECK(model.parameter("norm.running_mean") == mean);
        trainer.apply();
        for (std::size_t c = 0; c < 3; ++c) {
            double m = 0, v = 0;
            for (std::size_t n = 0; n < 3; ++n)
                for (std::size_t i = 0; i < 4; ++i) m += batch.pixels[(n * 3 + c) * 4 + i] / 12;
            for (std::size_t n = 0; n < 3; ++n)
                for (std::size_t i = 0; i < 4; ++i) v += std::pow(batch.pixels[(n * 3 + c) * 4 + i] - m, 2) / 11;
            CHECK(model.parameter("norm.running_mean")[c] == doctest::Approx(0.75 * mean[c] + 0.25 * m).epsilon(1e-13));
            CHECK(model.parameter("norm.running_var")[c] ==
                  doctest::Approx(0.75 * variance[c] + 0.25 * v).epsilon(1e-13));
        }
        CHECK(model.parameter("norm.num_batches_tracked")[0] == step);
    }
}

TEST_CASE("training: a loss that is not finite throws and leaves every bit of the model, and training goes on") {
    Model<SmallResNet> model{Seed{1}}, twin{Seed{1}};
    const Model<SmallResNet> copy = model;
    Trainer trainer{model, Adam{}}, untouched{twin, Adam{}};
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    auto bad = batch;
    bad.pixels[100] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(trainer.step(nchw(bad.pixels.data(), 4, SmallResNet::image), bad.labels), NotFiniteError);
    bad.pixels[100] = std::numeric_limits<float>::infinity();
    CHECK_THROWS_AS(trainer.step(nchw(bad.pixels.data(), 4, SmallResNet::image), bad.labels), NotFiniteError);
    CHECK(model == copy);
    CHECK(trainer.optimizer().steps() == 0);
    trainer.step(batch.images, batch.labels);
    untouched.step(batch.images, batch.labels);
    CHECK(model == twin);
}

TEST_CASE(
    "training: a gradient norm that is not finite throws and leaves every bit of the model, with and without "
    "clipping") {
    for (const float clip : {0.0f, 1.0f}) {
        Model<Straight> model{Seed{1}};
        // Logits stay finite; their gradient times a pixel of 1e38, squared, does not.
        model.set_parameter("fc.weight", std::vector<float>(9, 0.0f));
        const Model<Straight> copy = model;
        Trainer trainer{model, Adam{}, {.clip_norm = clip}};
        const std::vector<float> pixels{1e38f, -1e38f, 1e38f};
        const std::vector<int> labels{1};
        CHECK_THROWS_AS(trainer.step(nhwc(pixels.data(), 1, {1, 1}), labels), NotFiniteError);
        CHECK(model == copy);
        CHECK(trainer.optimizer().steps() == 0);
    }
}

TEST_CASE("training: after a step that threw, statistics and weights go on as if it had not been") {
    Model<TwoHeads> model{Seed{1}};
    model.set_parameter("fc2.weight", std::vector<float>(6, 0.0f));
    Model<TwoHeads> twin = model;
    Trainer trainer{model, Adam{}}, untouched{twin, Adam{}};
    const auto batch = Batch<float>::of<TwoHeads>(3, 1);
    auto huge = batch.pixels;  // loss and statistics are finite, the gradient of fc2 is not
    for (float& pixel : huge) pixel = 1e35f;
    CHECK_THROWS_WITH_AS(trainer.step(nchw(huge.data(), 3, {2, 2}), batch.labels), doctest::Contains("gradient norm"),
                         NotFiniteError);
    huge[0] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH_AS(trainer.step(nchw(huge.data(), 3, {2, 2}), batch.labels), doctest::Contains("loss"),
                         NotFiniteError);
    for (int i = 0; i < 2; ++i) {
        trainer.forward(batch.images, batch.labels);
        trainer.backward(true);  // not added to the gradients that were not finite
        trainer.apply();
        untouched.step(batch.images, batch.labels);
        CHECK(model == twin);
    }
}

TEST_CASE("training: gradients are clipped to the norm, as by PyTorch's clip_grad_norm_") {
    const auto batch = Batch<double>::of<Normed>(4, 3);
    Model<Normed, double> plain{Seed{1}}, clipped{Seed{1}}, loose{Seed{1}};
    const Model<Normed, double> before = plain;
    Trainer<Normed, double> a{plain, SGD{.learning_rate = 1}},
        b{clipped, SGD{.learning_rate = 1}, {.clip_norm = 0.125f}},
        c{loose, SGD{.learning_rate = 1}, {.clip_norm = 100.0f}};
    const double norm = a.step(batch.images, batch.labels).gradient_norm;
    CHECK(b.step(batch.images, batch.labels).gradient_norm == norm);  // before clipping
    c.step(batch.images, batch.labels);
    CHECK(plain == loose);
    double squares = 0;
    for (const ParameterInfo& parameter : plain.parameters()) {
        const auto start = before.parameter(parameter.name), end = plain.parameter(parameter.name),
                   cut = clipped.parameter(parameter.name);
        for (std::size_t i = 0; i < start.size(); ++i) {
            squares += std::pow(end[i] - start[i], 2);
            CHECK(cut[i] - start[i] == doctest::Approx((end[i] - start[i]) * 0.125 / (norm + 1e-6)).epsilon(1e-10));
        }
    }
    CHECK(std::sqrt(squares) == doctest::Approx(norm).epsilon(1e-12));
    CHECK(norm > 0.125);
}

TEST_CASE("training: gradients of several batches accumulate to those of the sum, and the next batch starts anew") {
    const auto first = Batch<double>::of<Straight>(3, 1), second = Batch<double>::of<Straight>(3, 2);
    auto model = identity();
    Trainer<Straight, double> trainer{model, SGD{}};
    const auto gradient_of = [&](const Batch<double>& batch, bool accumulate) {
        trainer.forward(batch.images, batch.labels);
        trainer.backward(accumulate);
        return trainer.gradient("fc.weight");
    };
    const auto one = gradient_of(first, false), two = gradient_of(second, false);
    gradient_of(first, false);
    const auto both = gradient_of(second, true);
    for (std::size_t i = 0; i < both.size(); ++i) CHECK(both[i] == doctest::Approx(one[i] + two[i]).epsilon(1e-14));
    CHECK(gradient_of(first, false) == one);
}

TEST_CASE("training: accumulation holds for every node") {
    Model<tests::EveryNode, double> model{Seed{1}};
    Trainer<tests::EveryNode, double> trainer{model, SGD{}};
    const auto batch = Batch<double>::of<tests::EveryNode>(5, 1);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    std::vector<std::vector<double>> once;
    for (const auto& parameter : model.parameters()) once.push_back(trainer.gradient(parameter.name));
    trainer.forward(batch.images, batch.labels);
    trainer.backward(true);
    std::size_t p = 0;
    for (const auto& parameter : model.parameters()) {
        const auto twice = trainer.gradient(parameter.name);
        for (std::size_t i = 0; i < twice.size(); ++i)
            CHECK(twice[i] == doctest::Approx(2 * once[p][i]).epsilon(1e-12));
        ++p;
    }
}

TEST_CASE("training: backward without a forward of its own is an error") {
    auto model = identity();
    Trainer<Straight, double> trainer{model, SGD{}};
    const char* message = "backward: expected a forward before each backward, found none";
    CHECK(trainer.logits().images() == 0);
    CHECK_THROWS_WITH_AS(trainer.backward(), message, Error);
    const auto batch = Batch<double>::of<Straight>(3, 1);
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    CHECK_THROWS_WITH_AS(trainer.backward(true), message, Error);
    trainer.forward(batch.images, batch.labels);
    CHECK_THROWS_AS(trainer.forward(batch.images.slice(0, 2), batch.labels), Error);
    CHECK_THROWS_WITH_AS(trainer.backward(), message, Error);
}

TEST_CASE("training: step is forward, backward and apply") {
    const auto batch = Batch<float>::of<SmallResNet>(6, 1);
    Model<SmallResNet> a{Seed{1}}, b{Seed{1}};
    Trainer whole{a, AdamW{}}, apart{b, AdamW{}};
    for (int i = 0; i < 3; ++i) {
        const auto result = whole.step(batch.images, batch.labels);
        CHECK(apart.forward(batch.images, batch.labels) == result.loss);
        apart.backward();
        CHECK(apart.apply() == result.gradient_norm);
        CHECK(tests::same_bits(apart.logits().values(), result.logits.values()));
        CHECK(result.logits.images() == 6);
        CHECK(result.logits[5].data() == result.logits.values().data() + 5 * SmallResNet::classes);
    }
    CHECK(a == b);
}

TEST_CASE("training: the learning rate is set from step to step") {
    auto model = identity();
    Trainer<Straight, double> trainer{model, SGD{.learning_rate = 0.5f}};
    const auto batch = Batch<double>::of<Straight>(3, 1);
    CHECK(trainer.learning_rate() == 0.5f);
    trainer.set_learning_rate(0);
    const auto copy = model;
    trainer.step(batch.images, batch.labels);
    CHECK(model == copy);
}

TEST_CASE("training: frozen parameters keep their bits, the others train, and batch norm still takes statistics") {
    Model<SmallResNet> model{Seed{1}};
    model.freeze("*conv?.weight");
    model.freeze("bn1.*");
    const Model<SmallResNet> before = model;
    Trainer trainer{model, AdamW{.weight_decay = 0.1f}};
    const auto batch = Batch<float>::of<SmallResNet>(8, 1);
    for (int i = 0; i < 3; ++i) trainer.step(batch.images, batch.labels);
    int frozen = 0;
    for (const ParameterInfo& parameter : model.parameters()) {
        INFO(parameter.name);
        const bool matches = parameter.name.ends_with("conv1.weight") || parameter.name.ends_with("conv2.weight") ||
                             parameter.name.starts_with("bn1.");
        CHECK(parameter.frozen == matches);
        CHECK(tests::same_bits(model.parameter(parameter.name), before.parameter(parameter.name)) == matches);
        frozen += matches ? 1 : 0;
    }
    CHECK(frozen == 7);
    CHECK_FALSE(model.parameter("bn1.running_mean") == before.parameter("bn1.running_mean"));
    CHECK_FALSE(model.parameter("block1.bn1.running_var") == before.parameter("block1.bn1.running_var"));
}

TEST_CASE("training: thawed parameters train again, and freezing all but the last layer gives its gradient unchanged") {
    const auto batch = Batch<float>::of<SmallResNet>(8, 1);
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{.learning_rate = 0}};
    trainer.step(batch.images, batch.labels);
    const auto whole = trainer.gradient("fc.weight"), stem = trainer.gradient("conv1.weight");
    model.freeze("*");
    model.unfreeze("fc.*");
    trainer.step(batch.images, batch.labels);
    CHECK(trainer.gradient("fc.weight") == whole);
    CHECK(trainer.gradient("conv1.weight") == std::vector<float>(stem.size(), 0.0f));
    for (const Step& step : trainer.plan().program().steps)
        if (step.backward()) CHECK(trainer.plan().graph().layer_name(step.layer) == "fc");
    model.unfreeze("*");
    trainer.step(batch.images, batch.labels);
    CHECK(trainer.gradient("conv1.weight") == stem);
}

TEST_CASE("training: where everything is frozen a step computes the loss and moves the statistics only") {
    Model<SmallResNet> model{Seed{1}};
    model.freeze("*");
    Trainer trainer{model, Adam{}};
    const auto batch = Batch<float>::of<SmallResNet>(8, 1);
    const auto before = model;
    const auto result = trainer.step(batch.images, batch.labels);
    CHECK(result.loss > 0);
    CHECK(result.gradient_norm == 0);
    for (const auto& parameter : model.parameters())
        CHECK(model.parameter(parameter.name) == before.parameter(parameter.name));
    CHECK_FALSE(model == before);
}

TEST_CASE("training: learning rate and weight decay go by role where factors say so") {
    Model<SmallResNet> model{Seed{1}}, plain = model;
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    const SGD sgd{.learning_rate = 0.125f, .weight_decay = 0.5f};
    Trainer factored{
        model, sgd, {.learning_rate_factors = {.norm_bias = 4}, .weight_decay_factors = {.bias = 0, .norm_weight = 0}}};
    Trainer same{plain, sgd};
    factored.forward(batch.images, batch.labels);
    factored.backward();
    const auto value_after = [&](const char* name, float rate, float decay) {
        auto values = model.parameter(name);
        const auto gradient = factored.gradient(name);
        for (std::size_t i = 0; i < values.size(); ++i) values[i] -= rate * (gradient[i] + decay * values[i]);
        return values;
    };
    const auto weight = value_after("conv1.weight", 0.125f, 0.5f), bias = value_after("fc.bias", 0.125f, 0),
               norm_weight = value_after("bn1.weight", 0.125f, 0), norm_bias = value_after("bn1.bias", 0.5f, 0.5f);
    factored.apply();
    same.step(batch.images, batch.labels);
    const auto check = [&](const char* name, const std::vector<float>& expected) {
        CAPTURE(name);
        const auto found = model.parameter(name);
        for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == doctest::Approx(expected[i]).epsilon(1e-5));
    };
    check("conv1.weight", weight);
    check("fc.bias", bias);
    check("bn1.weight", norm_weight);
    check("bn1.bias", norm_bias);
    CHECK(model.parameter("conv1.weight") == plain.parameter("conv1.weight"));
    CHECK(model.parameter("bn1.weight") != plain.parameter("bn1.weight"));
    CHECK_THROWS_AS((Trainer{model, sgd, {.weight_decay_factors = {.bias = -1}}}), Error);
}

TEST_CASE("training: weights that are set between steps are those that train") {
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    Model<SmallResNet> model{Seed{1}}, other{Seed{2}};
    Trainer trainer{model, SGD{}}, expected{other, SGD{}};
    trainer.step(batch.images, batch.labels);
    for (const auto& entry : model.state()) model.set_parameter(entry.name, other.parameter(entry.name));
    CHECK(trainer.forward(batch.images, batch.labels) == expected.forward(batch.images, batch.labels));
    model = Model<SmallResNet>{Seed{2}};
    CHECK(trainer.forward(batch.images, batch.labels) == expected.forward(batch.images, batch.labels));
}

TEST_CASE("training: a model that is assigned to between two forwards is packed anew") {
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    Model<SmallResNet> model{Seed{1}}, other{Seed{2}};
    Trainer trainer{model, SGD{}}, expected{other, SGD{}};
    trainer.forward(batch.images, batch.labels);
    model = Model<SmallResNet>{Seed{2}};
    CHECK(trainer.forward(batch.images, batch.labels) == expected.forward(batch.images, batch.labels));
    model = Model<SmallResNet>{Seed{1}};
    model = other;
    CHECK(trainer.forward(batch.images, batch.labels) == expected.forward(batch.images, batch.labels));
}

TEST_CASE("training: backward refuses weights that changed since its forward, and goes on after another forward") {
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    trainer.forward(batch.images, batch.labels);
    model = Model<SmallResNet>{Seed{2}};
    CHECK(message_of<Error>([&] { trainer.backward(); }) ==
          "backward: expected the weights of its forward, found changed ones");
    trainer.forward(batch.images, batch.labels);
    trainer.backward();
    CHECK(trainer.apply() > 0);
}

TEST_CASE("training: two trainers of one model see each other's steps") {
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    Model<SmallResNet> model{Seed{1}};
    Trainer first{model, SGD{.learning_rate = 0.1f}}, second{model, SGD{}};
    second.forward(batch.images, batch.labels);
    first.step(batch.images, batch.labels);
    CHECK(second.forward(batch.images, batch.labels) == first.forward(batch.images, batch.labels));
}

TEST_CASE("training: images of another extent train, too, and going back gives the same loss") {
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, SGD{.learning_rate = 0}};
    const auto batch = Batch<float>::of<SmallResNet>(4, 1);
    const double loss = trainer.forward(batch.images, batch.labels);
    const auto pixels = tests::uniform<float>(4 * 3 * 9 * 21, 2);
    CHECK(std::isfinite(trainer.step(nchw(pixels.data(), 4, {9, 21}), batch.labels).loss));
    CHECK(trainer.forward(batch.images, batch.labels) == loss);
}

#if defined(__SSE2__)
TEST_CASE("training: the caller's floating-point mode is as it was, after a step and after one that threw") {
    const unsigned before = _mm_getcsr() & 0xFFC0U;  // control bits
    Model<SmallResNet> model{Seed{1}};
    Trainer trainer{model, Adam{}};
    auto batch = Batch<float>::of<SmallResNet>(4, 1);
    trainer.step(batch.images, batch.labels);
    CHECK((_mm_getcsr() & 0xFFC0U) == before);
    const Classifier<SmallResNet> classify{model};
    classify(batch.images);
    CHECK((_mm_getcsr() & 0xFFC0U) == before);
    batch.pixels[0] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_AS(trainer.step(nchw(batch.pixels.data(), 4, SmallResNet::image), batch.labels), NotFiniteError);
    CHECK((_mm_getcsr() & 0xFFC0U) == before);
}
#endif

TEST_CASE("training: a network learns its batch, by every optimizer") {
    const auto batch = Batch<float>::of<SmallResNet>(16, 1);
    for (const OptimizerSettings& optimizer :
         {OptimizerSettings{Adam{.learning_rate = 3e-3f}}, OptimizerSettings{AdamW{.learning_rate = 3e-3f}},
          OptimizerSettings{SGD{.learning_rate = 0.05f, .momentum = 0.9f, .nesterov = true}}}) {
        Model<SmallResNet> model{Seed{1}};
        Trainer trainer{model, optimizer};
        const double first = trainer.step(batch.images, batch.labels).loss;
        double last = first;
        for (int i = 0; i < 25; ++i) last = trainer.step(batch.images, batch.labels).loss;
        CHECK(first > 1);
        CHECK(last < 0.1 * first);
    }
}

TEST_CASE("training: a custom operation with a parameter of its own learns it") {
    Model<tests::EveryNode> model{Seed{1}};
    const auto before = model.parameter("swish.beta");
    CHECK(before == std::vector<float>(12, 1.0f));  // what its ParameterSpec says
    Trainer trainer{model, Adam{.learning_rate = 1e-2f}};
    const auto batch = Batch<float>::of<tests::EveryNode>(12, 1);
    const double first = trainer.step(batch.images, batch.labels).loss;
    double last = first;
    for (int i = 0; i < 60; ++i) last = trainer.step(batch.images, batch.labels).loss;
    CHECK(last < 0.5 * first);
    const auto after = model.parameter("swish.beta");
    for (std::size_t c = 0; c < after.size(); ++c) CHECK(after[c] != before[c]);
}
