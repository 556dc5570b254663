#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#include <resnet/core/error.hpp>

using namespace resnet;

TEST_CASE("error: the message says where, what was expected, what was found, and the hint if there is one") {
    const Error plain{"blk2.conv1", "64 input channels", "128"}, hinted{"a", "b", "c", "d"};
    CHECK(std::string{plain.what()} == "blk2.conv1: expected 64 input channels, found 128");
    CHECK(std::string{hinted.what()} == "a: expected b, found c (d)");
    CHECK(plain.where() == "blk2.conv1");
    CHECK(plain.expected() == "64 input channels");
    CHECK(plain.found() == "128");
}

TEST_CASE("error: every kind is an Error and a std::runtime_error") {
    CHECK_THROWS_AS(throw FormatError("a", "b", "c"), Error);
    CHECK_THROWS_AS(throw FileError("a", "b", "c"), Error);
    CHECK_THROWS_AS(throw NotFiniteError("a", "b", "c"), Error);
    CHECK_THROWS_AS(throw NotFiniteError("a", "b", "c"), std::runtime_error);
}
