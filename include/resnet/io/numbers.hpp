// Numbers as texts in a file's metadata: the shortest that are read as the same bits.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <resnet/core/error.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/safetensors.hpp>

namespace resnet::inline v0::detail {

template <class T>
requires std::is_arithmetic_v<T> std::string number_text(T number) {
    if constexpr (std::same_as<T, bool>) return number ? "true" : "false";
    else {
        std::array<char, 64> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        return {digits.data(), end};
    }
}

/// Nothing for what `number_text` does not write.
template <class T>
requires std::is_arithmetic_v<T> std::optional<T> number_of_text(std::string_view text) {
    T number{};
    if constexpr (std::same_as<T, bool>) number = text == "true";
    else std::from_chars(text.data(), text.data() + text.size(), number);
    if (number_text(number) != text) return {};
    return number;
}

/// The text under a key. Throws FormatError if there is none.
inline const std::string& text_in(const TensorFile& file, const std::string& key) {
    const auto found = file.metadata().find(key);
    if (found == file.metadata().end()) throw FormatError(file.name(), text("metadata with the key ", key), "none");
    return found->second;
}

/// The number under a key. Throws FormatError if there is none, or another text.
template <class T>
T number_in(const TensorFile& file, const std::string& key) {
    const std::string& found = text_in(file, key);
    const auto number = number_of_text<T>(found);
    if (!number) throw FormatError(text(file.name(), ": ", key), "a number of its type", printable(found));
    return *number;
}

}  // namespace resnet::inline v0::detail
