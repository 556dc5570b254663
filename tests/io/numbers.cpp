#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include <resnet/io/numbers.hpp>

using namespace resnet;
using detail::number_of_text;
using detail::number_text;

TEST_CASE("numbers: every bit of a float comes back from its text") {
    std::uint32_t bits = 0;
    for (int i = 0; i < 100'000; ++i, bits += 42'949) {  // from the first to the last, over and over, both signs
        const auto number = std::bit_cast<float>(bits * 2'654'435'761u);
        if (number != number) continue;  // of a NaN only its sign
        const auto again = number_of_text<float>(number_text(number));
        REQUIRE(again.has_value());
        REQUIRE(std::bit_cast<std::uint32_t>(*again) == std::bit_cast<std::uint32_t>(number));
    }
    for (const float number :
         {0.0f, -0.0f, 1e-45f, std::numeric_limits<float>::max(), -std::numeric_limits<float>::infinity()})
        CHECK(std::bit_cast<std::uint32_t>(*number_of_text<float>(number_text(number))) ==
              std::bit_cast<std::uint32_t>(number));
    CHECK(number_of_text<float>("nan").has_value());
}

TEST_CASE("numbers: texts are the shortest") {
    CHECK(number_text(0.001f) == "0.001");
    CHECK(number_text(1e-8f) == "1e-08");
    CHECK(number_text(std::uint64_t{18446744073709551615u}) == "18446744073709551615");
    CHECK(number_text(-5) == "-5");
    CHECK(number_text(true) == "true");
    CHECK(number_of_text<bool>("false") == false);
}

TEST_CASE("numbers: another spelling is none") {
    for (const char* const text : {"", " 1", "1 ", "+1", "01", "1.0", "0x1", "1e", "one", "1,5"}) {
        CAPTURE(text);
        CHECK_FALSE(number_of_text<float>(text).has_value());
        CHECK_FALSE(number_of_text<int>(text).has_value());
        CHECK_FALSE(number_of_text<bool>(text).has_value());
    }
    CHECK_FALSE(number_of_text<std::uint32_t>("4294967296").has_value());
    CHECK_FALSE(number_of_text<std::uint32_t>("-1").has_value());
    CHECK_FALSE(number_of_text<float>("1e999").has_value());
    CHECK_FALSE(number_of_text<bool>("True").has_value());
}
