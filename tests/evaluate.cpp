#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <resnet/evaluate.hpp>

#include "support/engine.hpp"
#include "support/networks.hpp"
#include "support/values.hpp"

using namespace resnet;

namespace {
/// The pixels are the logits.
struct Straight {
    static constexpr Extent image{1, 1};
    Linear<3, 3> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<3>(x)); }
    RESNET_MEMBERS(fc)
};

Model<Straight, double> identity() {
    Model<Straight, double> model{Seed{1}};
    model.set_parameter("fc.weight", std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
    model.set_parameter("fc.bias", std::vector<double>{0, 0, 0});
    return model;
}
}  // namespace

TEST_CASE("evaluate: mean loss, accuracy and confusion of a labelled set, in batches of any size") {
    const Classifier<Straight, double> classify{identity()};
    const std::vector<double> pixels{5, 1, 0, 0, 2, 1, 0, 3, 3, 1, 0, 4, 2, 1, 0};
    const std::vector<int> labels{0, 1, 2, 2, 1};
    double loss = 0;
    for (std::size_t n = 0; n < 5; ++n) {
        double sum = 0;
        for (std::size_t c = 0; c < 3; ++c) sum += std::exp(pixels[n * 3 + c]);
        loss += (std::log(sum) - pixels[n * 3 + static_cast<std::size_t>(labels[n])]) / 5;
    }
    for (const Index batch : {1, 2, 5, 100}) {
        const Evaluation result = evaluate(classify, nhwc(pixels.data(), 5, {1, 1}), labels, batch);
        CHECK(result.images == 5);
        CHECK(result.classes == 3);
        CHECK(result.loss == doctest::Approx(loss).epsilon(1e-14));
        CHECK(result.accuracy == 3.0 / 5);  // of equal logits the first is said: image 2 is a miss
        CHECK(result.confusion == std::vector<Index>{1, 0, 0, 1, 1, 0, 0, 1, 1});
        CHECK(result.count(2, 1) == 1);
        CHECK(result.count(1, 0) == 1);
        CHECK(result.predicted == std::vector<int>{0, 1, 1, 2, 0});
        CHECK(result.losses[1] == doctest::Approx(std::log(std::exp(-2) + 1 + std::exp(-1))).epsilon(1e-14));
        CHECK(worst_mistakes(result, labels, 10) == std::vector<Index>{4, 2});
        CHECK(worst_mistakes(result, labels, 1) == std::vector<Index>{4});
    }
}

TEST_CASE("evaluate: rows of one's own are judged as a classifier's, and what is no class has no count") {
    const Classifier<Straight, double> classify{identity()};
    const std::vector<double> pixels{5, 1, 0, 0, 2, 1};
    const std::vector<int> labels{0, 2};
    const Evaluation whole = evaluate(classify, nhwc(pixels.data(), 2, {1, 1}), labels);
    Evaluation rows;
    rows.add(RowView<double>{pixels, 3}, labels);  // the pixels are the logits
    CHECK(rows.confusion == whole.confusion);
    CHECK(rows.loss == whole.loss);
    CHECK_THROWS_WITH_AS(rows.add(RowView<double>{std::span{pixels}.first(5), 3}, std::span{labels}.first(1)),
                         "Evaluation: expected rows of 3 logits, found 5 numbers", Error);
    for (const auto& [label, prediction] : {std::pair{3, 0}, {0, 3}, {-1, 0}})
        CHECK_THROWS_WITH_AS(rows.count(label, prediction),
                             ("Evaluation::count: expected one of 3 classes, from 0, found " +
                              std::to_string(label == 0 ? prediction : label))
                                 .c_str(),
                             Error);
}

TEST_CASE("evaluate: large logits do not overflow the loss") {
    const Classifier<Straight, double> classify{identity()};
    const std::vector<double> pixels{2000, 0, 0};
    CHECK(evaluate(classify, nhwc(pixels.data(), 1, {1, 1}), std::vector<int>{1}).loss == 2000);
}

TEST_CASE("evaluate: an infinite loss makes the mean infinite, in batches of any size") {
    const double infinity = std::numeric_limits<double>::infinity();
    auto model = identity();
    model.set_parameter("fc.bias", std::vector<double>{-infinity, 0, 0});  // a class that is left out
    const Classifier<Straight, double> classify{model};
    const std::vector<double> pixels(9, 0.0);
    const std::vector<int> labels{0, 1, 2};
    for (const Index batch : {1, 2, 3}) {
        const Evaluation result = evaluate(classify, nhwc(pixels.data(), 3, {1, 1}), labels, batch);
        CHECK(result.loss == infinity);
        CHECK(result.losses[1] == doctest::Approx(std::log(2)));
    }
}

TEST_CASE("evaluate: in a loop of one's own, labels that do not fit are errors and nothing is taken in") {
    const Classifier<Straight, double> classify{identity()};
    const std::vector<double> pixels(6, 0.0);
    const auto logits = classify(nhwc(pixels.data(), 2, {1, 1}));
    Evaluation evaluation;
    CHECK_THROWS_AS(evaluation.add(logits, std::vector<int>{0}), Error);
    CHECK_THROWS_AS(evaluation.add(logits, std::vector<int>{0, 3}), Error);
    CHECK(evaluation.images == 0);
    evaluation.add(logits, std::vector<int>{0, 1});
    CHECK(evaluation.accuracy == 0.5);
    CHECK_THROWS_AS(worst_mistakes(evaluation, std::vector<int>{0}, 1), Error);
    CHECK_THROWS_WITH_AS(worst_mistakes(evaluation, std::vector<int>{0, 1}, -1),
                         "worst_mistakes: expected a count of at least 0, found -1", Error);
    Evaluation of_others{.classes = 2};
    CHECK_THROWS_WITH_AS(of_others.add(logits, std::vector<int>{0, 1}), "Evaluation: expected 2 classes, found 3",
                         Error);
}

TEST_CASE("evaluate: a loss that is not a number is the worst mistake") {
    const Evaluation evaluation{
        .images = 3, .classes = 2, .predicted = {1, 1, 1}, .losses = {1, std::numeric_limits<double>::quiet_NaN(), 3}};
    CHECK(worst_mistakes(evaluation, std::vector<int>{0, 0, 0}, 3) == std::vector<Index>{1, 2, 0});
}

TEST_CASE("evaluate: no images, labels that do not fit and a batch of none are errors") {
    const Classifier<Straight, double> classify{identity()};
    const std::vector<double> pixels(6, 0.0);
    const ImageView images = nhwc(pixels.data(), 2, {1, 1});
    const std::vector<int> one{0}, two{0, 1}, high{0, 3}, none;
    CHECK_THROWS_WITH_AS(evaluate(classify, images, one), "targets: expected 2 labels, one an image, found 1", Error);
    CHECK_THROWS_WITH_AS(evaluate(classify, images, high), "targets: expected labels of 0 to 2, found 3 for image 1",
                         Error);
    CHECK_THROWS_WITH_AS(evaluate(classify, images, two, 0),
                         "evaluate: expected a batch of at least one image, found 0", Error);
    CHECK_THROWS_WITH_AS(evaluate(classify, images.slice(0, 0), none), "images: expected at least one image, found 0",
                         Error);
}
