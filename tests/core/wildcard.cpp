#include <doctest/doctest.h>

#include <string>

#include <resnet/core/wildcard.hpp>

using namespace resnet;

TEST_CASE("wildcards: match whole names") {
    using detail::matches;
    CHECK(matches("*", ""));
    CHECK(matches("*", "a.b"));
    CHECK(matches("a*b", "ab"));
    CHECK(matches("a*b", "axxb"));
    CHECK(matches("a*b*", "axxbyy"));
    CHECK_FALSE(matches("a*b", "axxc"));
    CHECK_FALSE(matches("a", "ab"));
    CHECK_FALSE(matches("?", ""));
    CHECK(matches("??", "ab"));
    CHECK_FALSE(matches("", "a"));
    CHECK(matches("*a*b?d*e", "xaab.aabcdbbbde"));
    CHECK_FALSE(matches("*a*b?d*e", "xaab.aabcdbbbdef"));
    CHECK(matches("a**", "a"));
    CHECK(matches("a*?", "a*"));
    CHECK_FALSE(matches("a*?", "a"));
}

TEST_CASE("wildcards: neither a long name nor many stars take deep recursion or long") {
    std::string stars;
    for (int i = 0; i < 100; ++i) stars += "*a";
    const std::string name(200'000, 'a');
    CHECK(detail::matches("*/*", name + '/'));
    CHECK_FALSE(detail::matches("*/*", name));
    CHECK(detail::matches(stars, name));
    CHECK_FALSE(detail::matches(stars + "*b", name));
}
