#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include <resnet/io/protobuf.hpp>

#include "../support/protobuf.hpp"

using namespace resnet;
using detail::ProtobufWriter;
using tests::ProtobufMessage;

namespace {

/// "08 96 01"
std::string hex(const ProtobufWriter& message) {
    std::string text;
    for (const std::byte byte : message.content()) {
        constexpr auto digits = "0123456789abcdef";
        if (!text.empty()) text += ' ';
        text += digits[std::to_integer<int>(byte) >> 4];
        text += digits[std::to_integer<int>(byte) & 15];
    }
    return text;
}

std::string integer(std::int64_t value) {
    ProtobufWriter message;
    message.integer(1, value);
    return hex(message);
}

}  // namespace

TEST_CASE("protobuf: the encodings of protobuf.dev's guide") {
    CHECK(integer(150) == "08 96 01");
    ProtobufWriter text;
    text.text(2, "testing");
    CHECK(hex(text) == "12 07 74 65 73 74 69 6e 67");
    ProtobufWriter nested;
    nested.message(3, [](ProtobufWriter& inner) { inner.integer(1, 150); });
    CHECK(hex(nested) == "1a 03 08 96 01");
}

TEST_CASE("protobuf: integers at the edges of a byte and of the type") {
    CHECK(integer(0) == "08 00");
    CHECK(integer(127) == "08 7f");
    CHECK(integer(128) == "08 80 01");
    CHECK(integer(std::numeric_limits<std::int64_t>::max()) == "08 ff ff ff ff ff ff ff ff 7f");
    CHECK(integer(-1) == "08 ff ff ff ff ff ff ff ff ff 01");
    CHECK(integer(std::numeric_limits<std::int64_t>::min()) == "08 80 80 80 80 80 80 80 80 80 01");
}

TEST_CASE("protobuf: a field number above 15 takes a second byte") {
    ProtobufWriter message;
    message.integer(15, 1);
    message.integer(16, 1);
    CHECK(hex(message) == "78 01 80 01 01");
}

TEST_CASE("protobuf: floats and doubles are little-endian, alone and packed") {
    ProtobufWriter message;
    message.number(4, 1.0f);
    message.number(5, -2.0);
    message.numbers<float>(6, std::array{1.0f, -1.0f});
    CHECK(hex(message) == "25 00 00 80 3f 29 00 00 00 00 00 00 00 c0 32 08 00 00 80 3f 00 00 80 bf");
    const ProtobufMessage read{message.content()};
    CHECK(read.numbers<float>(4) == std::vector{1.0f});
    CHECK(read.numbers<double>(5) == std::vector{-2.0});
    CHECK(read.numbers<float>(6) == std::vector{1.0f, -1.0f});
}

TEST_CASE("protobuf: messages nest, whatever their length, and go on behind a nested one") {
    ProtobufWriter message;
    for (const std::size_t length : std::vector<std::size_t>{0, 1, 123, 124, 125, 126, 127, 128, 20'000, 3'000'000})
        message.message(1, [&](ProtobufWriter& outer) {
            outer.integer(1, 7);
            outer.message(2, [&](ProtobufWriter& inner) { inner.text(3, std::string(length, 'x')); });
            outer.message(4, [](ProtobufWriter&) {});
            outer.text(5, "behind");
        });
    message.integer(2, 9);
    const ProtobufMessage read{message.content()};
    CHECK(read.integer(2) == 9);
    std::vector<std::size_t> lengths;
    for (const ProtobufMessage& outer : read.messages(1)) {
        CHECK(outer.integer(1) == 7);
        lengths.push_back(outer.message(2).text(3).size());
        CHECK(outer.text(4).empty());
        CHECK(outer.text(5) == "behind");
    }
    CHECK(lengths == std::vector<std::size_t>{0, 1, 123, 124, 125, 126, 127, 128, 20'000, 3'000'000});
}
