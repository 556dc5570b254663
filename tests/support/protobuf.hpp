// Reads Protocol Buffers' wire format, for tests of what writes it. What is no valid message is a std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tests {

class ProtobufMessage {
public:
    explicit ProtobufMessage(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const std::uint64_t tag = varint(bytes);
            Field field{static_cast<int>(tag >> 3), static_cast<int>(tag & 7), 0, {}};
            if (field.type == 0) field.value = varint(bytes);
            else field.bytes = take(bytes, field.type == 1 ? 8 : field.type == 5 ? 4 : length(field.type, bytes));
            fields_.push_back(field);
        }
    }

    int count(int number) const { return static_cast<int>(all(number).size()); }

    std::vector<ProtobufMessage> messages(int number) const {
        std::vector<ProtobufMessage> result;
        for (const Field& field : all(number, 2)) result.emplace_back(field.bytes);
        return result;
    }
    ProtobufMessage message(int number) const { return only(messages(number)); }

    std::vector<std::int64_t> integers(int number) const {
        std::vector<std::int64_t> result;
        for (const Field& field : all(number, 0)) result.push_back(static_cast<std::int64_t>(field.value));
        return result;
    }
    std::int64_t integer(int number) const { return only(integers(number)); }

    std::vector<std::string> texts(int number) const {
        std::vector<std::string> result;
        for (const Field& field : all(number, 2))
            result.emplace_back(reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size());
        return result;
    }
    std::string text(int number) const { return only(texts(number)); }

    /// A float or double, or the elements of a packed field.
    template <class Scalar>
    std::vector<Scalar> numbers(int number) const {
        const Field field = only(all(number));
        std::vector<Scalar> values(field.bytes.size() / sizeof(Scalar));
        if (values.size() * sizeof(Scalar) != field.bytes.size()) throw std::runtime_error("part of a number");
        std::memcpy(values.data(), field.bytes.data(), field.bytes.size());
        return values;
    }

private:
    struct Field {
        int number, type;
        std::uint64_t value;
        std::span<const std::byte> bytes;
    };

    std::vector<Field> all(int number) const {
        std::vector<Field> result;
        for (const Field& field : fields_)
            if (field.number == number) result.push_back(field);
        return result;
    }
    std::vector<Field> all(int number, int type) const {
        std::vector<Field> result = all(number);
        for (const Field& field : result)
            if (field.type != type) throw std::runtime_error("a field of another type");
        return result;
    }
    template <class T>
    static T only(const std::vector<T>& values) {
        if (values.size() != 1)
            throw std::runtime_error("a field that is there " + std::to_string(values.size()) + " times");
        return values.front();
    }
    static std::span<const std::byte> take(std::span<const std::byte>& bytes, std::uint64_t count) {
        if (count > bytes.size()) throw std::runtime_error("a field that is cut off");
        const auto taken = bytes.first(count);
        bytes = bytes.subspan(count);
        return taken;
    }
    static std::uint64_t length(int type, std::span<const std::byte>& bytes) {
        if (type != 2) throw std::runtime_error("no wire type");
        return varint(bytes);
    }
    static std::uint64_t varint(std::span<const std::byte>& bytes) {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 70; shift += 7) {
            const auto digit = std::to_integer<std::uint64_t>(take(bytes, 1).front());
            value |= (digit & 0x7f) << shift;
            if (digit < 0x80) return value;
        }
        throw std::runtime_error("a number of more than ten bytes");
    }

    std::vector<Field> fields_;
};

}  // namespace tests
