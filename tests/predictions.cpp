#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include <resnet/predictions.hpp>

using namespace resnet;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity(),
                not_a_number = std::numeric_limits<float>::quiet_NaN();

bool all_nan(const std::vector<float>& values) {
    return std::ranges::all_of(values, [](float x) { return std::isnan(x); });
}
}  // namespace

TEST_CASE("softmax: exp(x) over the sum of exp(x)") {
    const std::vector<double> logits{0, std::log(2.0), std::log(5.0)};
    const std::vector<double> found = softmax(logits);
    REQUIRE(found.size() == 3);
    CHECK(found[0] == doctest::Approx(0.125).epsilon(1e-15));
    CHECK(found[1] == doctest::Approx(0.25).epsilon(1e-15));
    CHECK(found[2] == doctest::Approx(0.625).epsilon(1e-15));
    CHECK(softmax(std::vector<float>{}).empty());
    CHECK(softmax(std::vector{-7.0f}) == std::vector{1.0f});
}

TEST_CASE("softmax: large logits neither overflow nor all become zero") {
    CHECK(softmax(std::vector{3e38f, 3e38f, -3e38f}) == std::vector{0.5f, 0.5f, 0.0f});
    CHECK(softmax(std::vector{-3e38f, -3e38f}) == std::vector{0.5f, 0.5f});
}

TEST_CASE("softmax: a million classes sum to one, in float") {
    std::vector<float> logits(1'000'000);
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 7) / 4;
    const auto found = softmax(logits);
    CHECK(std::abs(std::accumulate(found.begin(), found.end(), 0.0) - 1) < 1e-6);
}

TEST_CASE("softmax: NaN and infinities give what PyTorch gives") {
    CHECK(all_nan(softmax(std::vector{1.0f, not_a_number, 2.0f})));
    CHECK(all_nan(softmax(std::vector{not_a_number, 1.0f})));
    CHECK(all_nan(softmax(std::vector{1.0f, infinity})));
    CHECK(all_nan(softmax(std::vector{-infinity, -infinity})));
    CHECK(softmax(std::vector{-infinity, 1.0f, 1.0f}) == std::vector{0.0f, 0.5f, 0.5f});
}

TEST_CASE("top_k: the largest first, and of equals the class that comes first") {
    const std::vector<float> logits{1, 4, -1, 4, 2, 4};
    using Ranked = std::vector<ClassValue<float>>;
    CHECK(top_k(logits, 0) == Ranked{});
    CHECK(top_k(logits, 1) == Ranked{{1, 4}});
    CHECK(top_k(logits, 4) == Ranked{{1, 4}, {3, 4}, {5, 4}, {4, 2}});
    CHECK(top_k(logits, 6) == Ranked{{1, 4}, {3, 4}, {5, 4}, {4, 2}, {0, 1}, {2, -1}});
    CHECK(top_k(std::span{logits}.subspan(2), 2) == Ranked{{1, 4}, {3, 4}});
    const std::vector<float> zeros{-0.0f, 0.0f};  // equal
    CHECK(top_k(zeros, 1)[0].index == 0);
}

TEST_CASE("top_k: a NaN comes before every number, as in PyTorch, and the first of two before the second") {
    const std::vector<float> logits{infinity, not_a_number, 3, not_a_number};
    const auto found = top_k(logits, 4);
    CHECK(std::isnan(found[0].value));
    std::vector<int> order;
    for (const auto [index, value] : found) order.push_back(index);
    CHECK(order == std::vector{1, 3, 0, 2});
}

TEST_CASE("top_k: more classes than there are, or fewer than none, are an error") {
    const std::vector<float> logits{1, 2, 3};
    CHECK_THROWS_WITH_AS(top_k(logits, 4), "top_k: expected 0 to 3 classes, found 4", Error);
    CHECK_THROWS_WITH_AS(top_k(logits, -1), "top_k: expected 0 to 3 classes, found -1", Error);
}

TEST_CASE("predicted_class: the first of top_k") {
    for (const std::vector<float>& logits : std::vector<std::vector<float>>{{1, 4, 4, 2},
                                                                            {3},
                                                                            {not_a_number, 5},
                                                                            {5, not_a_number, not_a_number},
                                                                            {-infinity, -3},
                                                                            {infinity, not_a_number, infinity}}) {
        CAPTURE(logits);
        CHECK(predicted_class(logits) == top_k(logits, 1)[0].index);
    }
    CHECK(predicted_class(std::vector{1.0f, 4.0f, 4.0f, 2.0f}) == 1);
    CHECK_THROWS_WITH_AS(predicted_class(std::vector<float>{}),
                         "predicted_class: expected at least 1 class, found none", Error);
}
