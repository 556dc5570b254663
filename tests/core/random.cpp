#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

#include <resnet/core/random.hpp>

using namespace resnet;

// Random123 1.14, tests/kat_vectors: philox4x32 10. The third line's numbers are digits of pi.
static_assert(philox({0, 0, 0, 0}, {0, 0}) ==
              std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
static_assert(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
              std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
static_assert(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
              std::array<std::uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});

TEST_CASE("random: a number depends on seed, purpose, epoch and position, all bits of each, and on nothing else") {
    const Random random{Seed{1}, Purpose::shuffle, 3};
    CHECK(random.bits(5) == Random{Seed{1}, Purpose::shuffle, 3}.bits(5));
    std::set<std::uint64_t> seen{random.bits(5)};
    for (const Random& other :
         {Random{Seed{2}, Purpose::shuffle, 3}, Random{Seed{1 | std::uint64_t{1} << 40}, Purpose::shuffle, 3},
          Random{Seed{1}, Purpose::augment, 3}, Random{Seed{1}, Purpose::shuffle, 4}})
        seen.insert(other.bits(5));
    seen.insert(random.bits(6));
    seen.insert(random.bits(5 + (std::uint64_t{1} << 32)));
    CHECK(seen.size() == 7);
}

TEST_CASE("random: uniform numbers lie in [0, 1) with mean 1/2 and variance 1/12") {
    const Random random{Seed{1}, Purpose::user};
    constexpr std::uint64_t count = 100'000;
    double sum = 0, squares = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const double u = random.uniform(i);
        REQUIRE(u >= 0);
        REQUIRE(u < 1);
        sum += u;
        squares += u * u;
    }
    CHECK(sum / count == doctest::Approx(0.5).epsilon(0.01));
    CHECK(squares / count == doctest::Approx(1.0 / 3).epsilon(0.01));
}

TEST_CASE("random: normal numbers have mean 0, variance 1 and a normal's tails") {
    const Random random{Seed{1}, Purpose::user};
    constexpr std::uint64_t count = 100'000;
    double sum = 0, squares = 0;
    int beyond_two = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const double x = random.normal(i);
        REQUIRE(std::isfinite(x));
        sum += x;
        squares += x * x;
        beyond_two += std::abs(x) > 2 ? 1 : 0;
    }
    CHECK(std::abs(sum / count) < 0.015);
    CHECK(squares / count == doctest::Approx(1).epsilon(0.02));
    CHECK(beyond_two / static_cast<double>(count) == doctest::Approx(0.0455).epsilon(0.05));
}

TEST_CASE("random: below(count) reaches every value about as often") {
    const Random random{Seed{3}, Purpose::user};
    std::vector<int> counts(7, 0);
    for (std::uint64_t i = 0; i < 70'000; ++i) {
        const std::uint64_t value = random.below(7, i);
        REQUIRE(value < 7);
        ++counts[value];
    }
    for (const int n : counts) CHECK(n == doctest::Approx(10'000).epsilon(0.05));
    CHECK(random.below(1, 0) == 0);
}

TEST_CASE(
    "shuffle: a permutation, the same for the same key, another for another epoch, and unbiased in the first place") {
    std::vector<std::uint32_t> order(1000), again(1000), other(1000);
    for (auto* list : {&order, &again, &other}) std::iota(list->begin(), list->end(), 0u);
    shuffle(order, Random{Seed{1}, Purpose::shuffle, 0});
    shuffle(again, Random{Seed{1}, Purpose::shuffle, 0});
    shuffle(other, Random{Seed{1}, Purpose::shuffle, 1});
    CHECK(order == again);
    CHECK_FALSE(order == other);
    std::vector<std::uint32_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (std::uint32_t i = 0; i < 1000; ++i) CHECK(sorted[i] == i);

    std::vector<int> first(5, 0);
    for (std::uint32_t epoch = 0; epoch < 5000; ++epoch) {
        std::vector<std::uint32_t> few{0, 1, 2, 3, 4};
        shuffle(few, Random{Seed{1}, Purpose::shuffle, epoch});
        ++first[few[0]];
    }
    for (const int n : first) CHECK(n == doctest::Approx(1000).epsilon(0.12));
}

TEST_CASE("shuffle: nothing and one element stay as they are") {
    std::vector<std::uint32_t> none, one{7};
    shuffle(none, Random{Seed{1}, Purpose::shuffle});
    shuffle(one, Random{Seed{1}, Purpose::shuffle});
    CHECK(none.empty());
    CHECK(one == std::vector<std::uint32_t>{7});
}
