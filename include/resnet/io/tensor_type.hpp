// The element types that tensors have in files, and their conversion to the types of C++.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <resnet/core/extent.hpp>

namespace resnet::inline v0 {

/// Floating-point types first, then signed, then unsigned integers; the longest of each kind first.
enum class TensorType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8 };

/// As safetensors spells it: "F32".
constexpr std::string_view name(TensorType type);
/// The type of that name; none where no type has it.
constexpr std::optional<TensorType> tensor_type(std::string_view name);
constexpr Index element_bytes(TensorType type);
constexpr bool is_floating_point(TensorType type) { return type <= TensorType::bf16; }

/// The type that holds a C++ type's values as they are.
template <class T>
requires std::is_arithmetic_v<T>
constexpr TensorType tensor_type_of();

/// IEEE 754 binary16, and bfloat16 (the upper half of a float): exact, infinities and NaN included.
constexpr float float_of_f16(std::uint16_t bits);
constexpr float float_of_bf16(std::uint16_t bits) { return std::bit_cast<float>(std::uint32_t{bits} << 16); }

/// Converts stored elements to `values`; `bytes` holds exactly that many, aligned or not. To a floating-point type it
/// rounds as a cast does. False where an element is no value of an integer type, as is every floating-point one.
template <class T>
requires std::is_arithmetic_v<T>
bool convert(TensorType type, std::span<const std::byte> bytes, std::span<T> values);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// Name and bytes of each, in the order of TensorType.
inline constexpr std::array<std::pair<std::string_view, int>, 12> tensor_types{{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},  //
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},  //
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
}};

template <class Stored, class T, class Convert>
bool convert_each(std::span<const std::byte> bytes, std::span<T> values, Convert convert) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        Stored stored;
        std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
        const auto value = convert(stored);
        if constexpr (std::integral<T>) {
            if constexpr (std::integral<decltype(value)>) {
                if (!std::in_range<T>(value)) return false;
            } else {
                return false;
            }
        }
        values[i] = static_cast<T>(value);
    }
    return true;
}

}  // namespace detail

constexpr std::string_view name(TensorType type) { return detail::tensor_types[static_cast<std::size_t>(type)].first; }

constexpr std::optional<TensorType> tensor_type(std::string_view name) {
    for (std::size_t i = 0; i < detail::tensor_types.size(); ++i) {
        if (detail::tensor_types[i].first == name) return static_cast<TensorType>(i);
    }
    return {};
}

constexpr Index element_bytes(TensorType type) { return detail::tensor_types[static_cast<std::size_t>(type)].second; }

template <class T>
requires std::is_arithmetic_v<T>
constexpr TensorType tensor_type_of() {
    static_assert(sizeof(T) <= 8, "files hold no element that is longer");
    // Each kind's types are listed from 8 bytes down.
    constexpr int shorter = 3 - (std::bit_width(sizeof(T)) - 1);
    constexpr TensorType longest = std::floating_point<T> ? TensorType::f64
                                   : std::is_signed_v<T>  ? TensorType::i64
                                                          : TensorType::u64;
    return static_cast<TensorType>(static_cast<int>(longest) + shorter);
}

constexpr float float_of_f16(std::uint16_t bits) {
    const std::uint32_t sign = std::uint32_t{bits} >> 15 << 31, exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 0) {  // zero or subnormal: fraction * 2^-24, which a float holds as a normal number
        const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
        return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
    }
    const std::uint32_t wide = exponent == 31 ? 255 : exponent - 15 + 127;
    return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

template <class T>
requires std::is_arithmetic_v<T>
bool convert(TensorType type, std::span<const std::byte> bytes, std::span<T> values) {
    if (type == tensor_type_of<T>()) {
        if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
        return true;
    }
    constexpr auto same = [](auto value) { return value; };
    switch (type) {
        case TensorType::f64:
            return detail::convert_each<double>(bytes, values, same);
        case TensorType::f32:
            return detail::convert_each<float>(bytes, values, same);
        case TensorType::f16:
            return detail::convert_each<std::uint16_t>(bytes, values, float_of_f16);
        case TensorType::bf16:
            return detail::convert_each<std::uint16_t>(bytes, values, float_of_bf16);
        case TensorType::i64:
            return detail::convert_each<std::int64_t>(bytes, values, same);
        case TensorType::i32:
            return detail::convert_each<std::int32_t>(bytes, values, same);
        case TensorType::i16:
            return detail::convert_each<std::int16_t>(bytes, values, same);
        case TensorType::i8:
            return detail::convert_each<std::int8_t>(bytes, values, same);
        case TensorType::u64:
            return detail::convert_each<std::uint64_t>(bytes, values, same);
        case TensorType::u32:
            return detail::convert_each<std::uint32_t>(bytes, values, same);
        case TensorType::u16:
            return detail::convert_each<std::uint16_t>(bytes, values, same);
        case TensorType::u8:
            return detail::convert_each<std::uint8_t>(bytes, values, same);
    }
    return false;
}

}  // namespace resnet::inline v0
