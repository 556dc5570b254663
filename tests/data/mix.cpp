#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <resnet/data/loader.hpp>
#include <resnet/predictions.hpp>

#include "../support/engine.hpp"

using namespace resnet;

namespace {

/// `count` images of 4 x 4 pixels whose bytes are ten times their label, which is their index.
Dataset tens(int count) {
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    for (int i = 0; i < count; ++i) {
        pixels.insert(pixels.end(), 48, static_cast<std::uint8_t>(10 * i));
        labels.push_back(i);
    }
    return {{4, 4}, pixels, labels, std::vector<std::string>(static_cast<std::size_t>(count), "a class")};
}

struct Mean {
    static constexpr Extent image{4, 4};
    Linear<3, 10> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(x)); }
    RESNET_MEMBERS(fc)
};

}  // namespace

TEST_CASE("mix: mixup blends each image with the one before it in the proportion that its target says") {
    const Dataset data = tens(20);
    const Loader loader{data, {.batch = 5, .seed = Seed{3}, .mix = {.mixup = 0.8}}};
    int blends = 0;
    for (std::uint32_t epoch = 0; epoch < 3; ++epoch)
        for (const Batch& batch : loader.epoch(epoch)) {
            const auto* pixel = static_cast<const std::uint8_t*>(batch.images.data);
            REQUIRE(batch.targets.second_labels.size() == 5);
            for (std::size_t n = 0; n < 5; ++n, pixel += 48) {
                REQUIRE(batch.targets.second_labels[n] == batch.targets.labels[(n + 4) % 5]);
                const float weight = batch.targets.weights[n];
                REQUIRE((weight >= 0 && weight <= 1));
                blends += weight > 0.05f && weight < 0.95f ? 1 : 0;
                const double expected = 10 * (double{weight} * batch.targets.labels[n] +
                                              (1 - double{weight}) * batch.targets.second_labels[n]);
                for (int i = 0; i < 48; ++i) REQUIRE(std::abs(pixel[i] - expected) <= 0.51);
            }
        }
    CHECK(blends > 20);  // of 60
}

TEST_CASE("mix: cutmix takes a rectangle of the image before, whose share is what its target says") {
    const Dataset data = tens(20);
    const Loader loader{data, {.batch = 5, .seed = Seed{3}, .mix = {.cutmix = 1}}};
    int parts = 0;
    for (std::uint32_t epoch = 0; epoch < 10; ++epoch)
        for (const Batch& batch : loader.epoch(epoch)) {
            const auto* pixel = static_cast<const std::uint8_t*>(batch.images.data);
            for (std::size_t n = 0; n < 5; ++n, pixel += 48) {
                int own = 0;
                for (int i = 0; i < 48; ++i) {
                    const bool is_own = pixel[i] == 10 * batch.targets.labels[n];
                    REQUIRE((is_own || pixel[i] == 10 * batch.targets.second_labels[n]));
                    own += is_own ? 1 : 0;
                }
                REQUIRE(batch.targets.weights[n] == doctest::Approx(own / 48.0));
                parts += own > 0 && own < 48 ? 1 : 0;
            }
        }
    CHECK(parts > 20);
}

TEST_CASE("mix: the same seed mixes alike, whatever batch an epoch starts at; another seed or epoch does not") {
    const Dataset data = tens(20);
    const auto weights_from = [&](std::uint64_t seed, std::uint32_t epoch, Index first, double cutmix = 0) {
        const Loader loader{data, {.batch = 5, .seed = Seed{seed}, .mix = {.mixup = 1, .cutmix = cutmix}}};
        std::vector<float> weights;
        for (const Batch& batch : loader.epoch(epoch, first)) weights.push_back(batch.targets.weights[0]);
        return weights;
    };
    const auto whole = weights_from(3, 4, 0), other_epoch = weights_from(3, 5, 0), other_seed = weights_from(2, 4, 0);
    CHECK(weights_from(3, 4, 2) == std::vector(whole.begin() + 2, whole.end()));
    CHECK(whole[0] != whole[1]);
    const auto of_both = weights_from(3, 4, 0, 1);
    CHECK(weights_from(3, 4, 2, 1) == std::vector(of_both.begin() + 2, of_both.end()));
    CHECK(of_both[0] != of_both[1]);
    for (std::size_t i = 0; i < whole.size(); ++i) CHECK((whole[i] != other_epoch[i] && whole[i] != other_seed[i]));
}

TEST_CASE("mix: of mixup and cutmix each batch takes one or the other") {
    const Dataset data = tens(20);
    const Loader loader{data, {.batch = 5, .seed = Seed{3}, .mix = {.mixup = 3, .cutmix = 3}}};
    int blended = 0, cut = 0;
    for (std::uint32_t epoch = 0; epoch < 25; ++epoch)
        for (const Batch& batch : loader.epoch(epoch)) {
            const auto* const pixel = static_cast<const std::uint8_t*>(batch.images.data);
            const auto is_of = [&](int label) { return std::count(pixel, pixel + 48, 10 * label); };
            const auto whole = is_of(batch.targets.labels[0]) + is_of(batch.targets.second_labels[0]);
            (whole == 48 ? cut : blended) += 1;
        }
    CHECK((blended > 30 && cut > 30));  // of 100
}

TEST_CASE("mix: cutmix's box has the share of the image that is not kept, anywhere on it") {
    const Random random{Seed{1}, Purpose::mix};
    int top = 1000, bottom = 0, left = 2000, right = 0;  // of the middles
    for (std::uint64_t i = 0; i < 1000; ++i) {
        std::uint64_t position = i << 32;
        const detail::Box box = detail::random_box({1000, 2000}, 0.96, random, position);  // 0.2 of each side
        REQUIRE((box.top >= 0 && box.bottom <= 1000 && box.left >= 0 && box.right <= 2000));
        if (box.top > 0 && box.bottom < 1000) {
            REQUIRE(box.bottom - box.top == doctest::Approx(200).epsilon(0.01));
            top = std::min(top, box.top + 100), bottom = std::max(bottom, box.top + 100);
        }
        if (box.left > 0 && box.right < 2000) {
            REQUIRE(box.right - box.left == doctest::Approx(400).epsilon(0.01));
            left = std::min(left, box.left + 200), right = std::max(right, box.left + 200);
        }
    }
    CHECK((top < 120 && bottom > 880 && left < 240 && right > 1760));  // a box that is not cut off
}

TEST_CASE("mix: proportions have the mean and the variance of a Beta distribution") {
    for (const double alpha : {1e-5, 1e-3, 0.2, 1.0, 3.0}) {
        CAPTURE(alpha);
        const Random random{Seed{1}, Purpose::mix};
        double sum = 0, squares = 0;
        constexpr int draws = 20'000;
        for (int i = 0; i < draws; ++i) {
            std::uint64_t position = static_cast<std::uint64_t>(i) << 32;
            const double x = detail::random_beta(alpha, random, position);
            REQUIRE((x >= 0 && x <= 1));
            sum += x;
            squares += x * x;
        }
        const double mean = sum / draws;
        CHECK(mean == doctest::Approx(0.5).epsilon(0.03));
        const double variance = squares / draws - mean * mean;
        CHECK(std::abs(variance * 4 * (2 * alpha + 1) - 1) < 0.05);
    }
}

TEST_CASE("mix: a batch has labels or mixed targets, never labels that are half the truth") {
    const Dataset data = tens(10);
    const Loader mixed{data, {.batch = 5, .mix = {.mixup = 1}}};
    for (const Batch& batch : mixed.epoch(0)) CHECK(batch.labels.empty());
    const Loader plain{data, {.batch = 5}};
    for (const Batch& batch : plain.epoch(0)) {
        CHECK(batch.targets.labels.data() == batch.labels.data());
        CHECK(batch.targets.labels.size() == batch.labels.size());
        CHECK((batch.targets.second_labels.empty() && batch.targets.weights.empty()));
    }
}

TEST_CASE("mix: a step takes the targets of a mixed batch, and says so where it is given labels") {
    const Dataset data = tens(8);
    Model<Mean> model{Seed{1}};
    Trainer trainer{model, SGD{}};
    const Loader loader{data, {.batch = 5, .mix = {.mixup = 1}}};
    for (const Batch& batch : loader.epoch(0)) {  // the second has three images
        const std::string expected =
            "targets: expected " + std::to_string(batch.size()) +
            " labels, one an image, found 0 (a batch that a Loader mixed has targets, and no labels)";
        CHECK_THROWS_WITH_AS(trainer.step(batch.images, batch.labels), expected.c_str(), Error);
        const auto& [labels, second_labels, weights] = batch.targets;
        const auto step = trainer.step(batch.images, batch.targets);
        double loss = 0;
        for (std::size_t n = 0; n < labels.size(); ++n) {
            const auto probabilities = softmax(step.logits[static_cast<Index>(n)]);
            const auto loss_of = [&](int label) { return -std::log(probabilities[static_cast<std::size_t>(label)]); };
            const double weight = weights[n];
            loss += weight * loss_of(labels[n]) + (1 - weight) * loss_of(second_labels[n]);
        }
        CHECK(step.loss == doctest::Approx(loss / static_cast<double>(labels.size())).epsilon(1e-4));
    }
}

TEST_CASE("mix: alphas below 0 are refused") {
    const Dataset data = tens(10);
    CHECK_THROWS_AS((Loader{data, {.mix = {.mixup = -1}}}), Error);
}
