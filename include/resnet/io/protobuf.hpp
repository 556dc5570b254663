// Writes Protocol Buffers' wire format (protobuf.dev/programming-guides/encoding): what ONNX files and TensorBoard's
// event files are made of. Writing it takes a page; the library that also reads it would be a dependency for every
// user.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace resnet::inline v0::detail {

/// A message, field by field. A field's number and type are the .proto file's; those that are absent have their default
/// value for the reader, and a repeated field is written once for each element.
///
///     ProtobufWriter event;
///     event.number(1, seconds);                                          // double wall_time = 1;
///     event.integer(2, step);                                            // int64 step = 2;
///     event.message(5, [&](ProtobufWriter& summary) { ... });            // Summary summary = 5;
class ProtobufWriter {
public:
    /// int32, int64, uint32, uint64, bool, enum: negative numbers take ten bytes. (Not sint32 and sint64.)
    void integer(int field, std::int64_t value) {
        tag(field, WireType::varint);
        varint(static_cast<std::uint64_t>(value));
    }
    /// float or double.
    template <std::floating_point Scalar>
    void number(int field, Scalar value) {
        tag(field, sizeof(Scalar) == 4 ? WireType::fixed32 : WireType::fixed64);
        append(std::as_bytes(std::span{&value, 1}));
    }
    /// bytes or string.
    void bytes(int field, std::span<const std::byte> value) {
        tag(field, WireType::length_delimited);
        varint(value.size());
        append(value);
    }
    void text(int field, std::string_view value) { bytes(field, std::as_bytes(std::span{value})); }
    /// repeated float or double, packed.
    template <std::floating_point Scalar>
    void numbers(int field, std::span<const Scalar> values) {
        bytes(field, std::as_bytes(values));
    }
    /// A nested message, written by `fill(*this)` into the same memory.
    void message(int field, const auto& fill) {
        tag(field, WireType::length_delimited);
        const std::size_t start = bytes_.size();
        fill(*this);
        // Its length is known only now. Moving the content costs less than a buffer of its own for each message.
        const Varint length{bytes_.size() - start};
        const auto digits = length.bytes();
        bytes_.insert(bytes_.begin() + static_cast<std::ptrdiff_t>(start), digits.begin(), digits.end());
    }

    std::span<const std::byte> content() const noexcept { return bytes_; }

private:
    static_assert(std::endian::native == std::endian::little, "the format is little-endian, as every number here");

    enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, length_delimited = 2, fixed32 = 5 };

    /// Seven bits a byte, the lowest first; the eighth says that more follow.
    class Varint {
    public:
        explicit Varint(std::uint64_t value) {
            for (; value >= 0x80; value >>= 7) digits_[count_++] = static_cast<std::byte>(value | 0x80);
            digits_[count_++] = static_cast<std::byte>(value);
        }
        std::span<const std::byte> bytes() const noexcept { return std::span{digits_}.first(count_); }

    private:
        std::array<std::byte, 10> digits_{};
        std::size_t count_ = 0;
    };

    void append(std::span<const std::byte> value) {
        const std::size_t end = bytes_.size();
        bytes_.resize(end + value.size());  // g++ 12 warns of insert(), wrongly
        std::ranges::copy(value, bytes_.begin() + static_cast<std::ptrdiff_t>(end));
    }
    void varint(std::uint64_t value) { append(Varint{value}.bytes()); }
    void tag(int field, WireType type) {
        varint(static_cast<std::uint64_t>(field) << 3 | static_cast<std::uint64_t>(type));
    }

    std::vector<std::byte> bytes_;
};

}  // namespace resnet::inline v0::detail
