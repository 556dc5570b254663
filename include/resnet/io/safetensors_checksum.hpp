// The checksum of a safetensors file: CRC-32C of all its bytes, with zeros for its own digits, as the metadata's value
// `"checksum":"crc32c:0123abcd"`. A convention of this library's: the format has none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>  // std::snprintf
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <resnet/core/error.hpp>
#include <resnet/core/text.hpp>
#include <resnet/io/crc32c.hpp>

namespace resnet::inline v0::detail {

/// Parts of a safetensors file before its data: the length of the header in 8 bytes, and the header.
struct SafetensorsPrefix {
    explicit SafetensorsPrefix(std::string text) : header{std::move(text)} {
        const std::uint64_t bytes = header.size();
        std::memcpy(length.data(), &bytes, sizeof bytes);
    }
    SafetensorsPrefix() = default;

    std::uint64_t header_bytes() const {
        std::uint64_t bytes;
        std::memcpy(&bytes, length.data(), sizeof bytes);
        return bytes;
    }

    std::array<std::byte, 8> length{};
    std::string header;
};

inline constexpr std::string_view checksum_kind = "crc32c:";
inline constexpr std::string_view checksum_zero = "crc32c:00000000";

inline std::string checksum_text(std::uint32_t value) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "crc32c:%08x", value);
    return text.data();
}

/// Where in a valid header the value of the key `checksum` begins, which is known to be `checksum`; npos where key or
/// value are spelled with escapes. Other keys and values may be the same text.
inline std::size_t find_checksum(std::string_view header, std::string_view checksum) {
    constexpr std::string_view key = R"("checksum")", space = " \t\n\r";
    const std::string quoted = text("\"", checksum, "\"");
    for (auto place = header.find(key); place != header.npos; place = header.find(key, place + 1)) {
        if (place > 0 && header[place - 1] == '\\') continue;  // a quote in a string, not the begin of one
        const auto colon = header.find_first_not_of(space, place + key.size());
        if (colon == header.npos || header[colon] != ':') continue;
        const auto value = header.find_first_not_of(space, colon + 1);
        if (value != header.npos && header.substr(value).starts_with(quoted)) return value + 1;
    }
    return header.npos;
}

/// The checksum so far, of what precedes the data; `checksum` is the value that the header holds.
inline Crc32c begin_checksum(const SafetensorsPrefix& prefix, std::string_view checksum, const std::string& file) {
    std::string header = prefix.header;
    const auto place = find_checksum(header, checksum);
    if (place == header.npos) throw FormatError(file, "its checksum in the header without escapes", "another spelling");
    header.replace(place, checksum.size(), checksum_zero);
    Crc32c sum;
    sum.add(prefix.length);
    sum.add(std::as_bytes(std::span{header}));
    return sum;
}

}  // namespace resnet::inline v0::detail
