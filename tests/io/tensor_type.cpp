#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <resnet/io/tensor_type.hpp>

using namespace resnet;

namespace {

template <class Stored>
std::span<const std::byte> bytes_of(const std::vector<Stored>& stored) {
    return std::as_bytes(std::span{stored});
}

/// What `convert` makes of `stored`, or nothing.
template <class T, class Stored>
std::vector<T> converted(const std::vector<Stored>& stored) {
    std::vector<T> values(stored.size());
    if (!convert(tensor_type_of<Stored>(), bytes_of(stored), std::span{values})) return {};
    return values;
}

}  // namespace

static_assert(tensor_type_of<double>() == TensorType::f64 && tensor_type_of<float>() == TensorType::f32);
static_assert(tensor_type_of<std::int64_t>() == TensorType::i64 && tensor_type_of<std::int8_t>() == TensorType::i8);
static_assert(tensor_type_of<std::uint16_t>() == TensorType::u16 && tensor_type_of<std::uint32_t>() == TensorType::u32);
static_assert(tensor_type_of<std::int16_t>() == TensorType::i16 && tensor_type_of<std::int32_t>() == TensorType::i32);
static_assert(tensor_type_of<std::uint64_t>() == TensorType::u64 && tensor_type_of<std::uint8_t>() == TensorType::u8);

TEST_CASE("tensor type: each has the name of safetensors and is found by it") {
    const std::vector<std::string> names{"F64", "F32", "F16", "BF16", "I64", "I32",
                                         "I16", "I8",  "U64", "U32",  "U16", "U8"};
    const std::vector<Index> bytes{8, 4, 2, 2, 8, 4, 2, 1, 8, 4, 2, 1};
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto type = static_cast<TensorType>(i);
        CHECK(name(type) == names[i]);
        CHECK(tensor_type(names[i]) == type);
        CHECK(element_bytes(type) == bytes[i]);
        CHECK(is_floating_point(type) == (names[i].find('F') != std::string::npos));
    }
    for (const char* const unknown : {"", "F8", "f32", "F32 ", "BOOL"}) CHECK_FALSE(tensor_type(unknown).has_value());
}

TEST_CASE("tensor type: all 65536 values of F16 and of BF16 are converted exactly") {
    for (std::uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        // sign, exponent and fraction of each format, taken apart and put together by arithmetic
        const auto expected = [bits](int fraction_bits, int exponent_bits) {
            const int fraction = bits & ((1 << fraction_bits) - 1);
            const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1),
                      bias = (1 << (exponent_bits - 1)) - 1;
            const double sign = bits >> 15 ? -1 : 1;
            if (exponent == (1 << exponent_bits) - 1) {
                return fraction ? std::numeric_limits<double>::quiet_NaN()
                                : sign * std::numeric_limits<double>::infinity();
            }
            const int leading = exponent ? 1 << fraction_bits : 0;
            return sign * std::ldexp(leading + fraction, std::max(exponent, 1) - bias - fraction_bits);
        };
        for (const auto& [value, wanted] : {std::pair{float_of_f16(bits), expected(10, 5)},  //
                                            std::pair{float_of_bf16(bits), expected(7, 8)}}) {
            CAPTURE(bits);
            CHECK(std::signbit(value) == static_cast<bool>(bits >> 15));
            if (std::isnan(wanted)) CHECK(std::isnan(value));
            else CHECK(static_cast<double>(value) == wanted);
        }
    }
}

TEST_CASE("tensor type: floating-point elements are rounded to the type asked for") {
    CHECK(converted<float>(std::vector{0.1, -1e300, 2.0}) ==
          std::vector{0.1f, -std::numeric_limits<float>::infinity(), 2.0f});
    CHECK(converted<double>(std::vector{0.1f, -2.5f}) == std::vector{double{0.1f}, -2.5});
    CHECK(converted<float>(std::vector{0.1f, -2.5f}) == std::vector{0.1f, -2.5f});
    CHECK(std::isnan(converted<double>(std::vector{std::numeric_limits<float>::quiet_NaN()})[0]));
}

TEST_CASE("tensor type: integers of every width become floating-point numbers") {
    CHECK(converted<float>(std::vector<std::int64_t>{-3, 1 << 24}) == std::vector{-3.0f, 16777216.0f});
    CHECK(converted<double>(std::vector<std::int32_t>{-3}) == std::vector{-3.0});
    CHECK(converted<float>(std::vector<std::int16_t>{-3}) == std::vector{-3.0f});
    CHECK(converted<float>(std::vector<std::int8_t>{-3}) == std::vector{-3.0f});
    CHECK(converted<double>(std::vector<std::uint64_t>{1ull << 63}) == std::vector{0x1p63});
    CHECK(converted<float>(std::vector<std::uint32_t>{3}) == std::vector{3.0f});
    CHECK(converted<float>(std::vector<std::uint16_t>{3}) == std::vector{3.0f});
    CHECK(converted<float>(std::vector<std::uint8_t>{255}) == std::vector{255.0f});
}

TEST_CASE("tensor type: an integer type takes integers that it can hold, and nothing else") {
    CHECK(converted<std::int64_t>(std::vector<std::int32_t>{-3}) == std::vector<std::int64_t>{-3});
    CHECK(converted<std::int64_t>(std::vector<std::uint64_t>{3}) == std::vector<std::int64_t>{3});
    CHECK(converted<std::int64_t>(std::vector<std::uint64_t>{1ull << 63}).empty());
    CHECK(converted<std::uint8_t>(std::vector<std::int64_t>{256}).empty());
    CHECK(converted<std::uint64_t>(std::vector<std::int8_t>{-1}).empty());
    CHECK(converted<std::int64_t>(std::vector{1.0f}).empty());
}

TEST_CASE("tensor type: elements need not be aligned") {
    const std::vector<double> stored{1.5, -2.5};
    std::vector<std::byte> shifted(1);
    const auto bytes = bytes_of(stored);
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    std::vector<float> values(2);
    CHECK(convert(TensorType::f64, std::span<const std::byte>{shifted}.subspan(1), std::span{values}));
    CHECK(values == std::vector{1.5f, -2.5f});
}
