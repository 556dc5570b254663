#include <doctest/doctest.h>

#include <string_view>
#include <vector>

#include <resnet/core/random.hpp>
#include <resnet/io/crc32c.hpp>

using namespace resnet;

namespace {

std::uint32_t crc32c(std::span<const std::byte> bytes) {
    Crc32c sum;
    sum.add(bytes);
    return sum.value();
}

std::vector<std::byte> random_bytes(std::size_t count) {
    const Random random{Seed{1}, Purpose::user};
    std::vector<std::byte> bytes(count);
    for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(random.bits(i) & 255);
    return bytes;
}

}  // namespace

TEST_CASE("crc32c: gives the published values") {
    const std::string_view digits = "123456789";  // the check value of the CRC catalogue
    CHECK(crc32c(std::as_bytes(std::span{digits})) == 0xE3069283);
    CHECK(crc32c({}) == 0);
    CHECK(crc32c(std::vector<std::byte>(32)) == 0x8A9136AA);                  // RFC 3720, B.4: 32 zeros
    CHECK(crc32c(std::vector<std::byte>(32, std::byte{255})) == 0x62A8AB43);  // 32 ones
}

TEST_CASE("crc32c: the portable code and the processor's instruction agree for every length and alignment") {
    const auto bytes = random_bytes(100);
    for (std::size_t begin = 0; begin < 9; ++begin) {
        for (std::size_t count = 0; begin + count <= bytes.size(); ++count) {
            const auto part = std::span{bytes}.subspan(begin, count);
            CHECK(crc32c(part) == ~detail::crc32c_portable(~0u, part));
        }
    }
}

TEST_CASE("crc32c: the portable code and the processor's instruction agree where three lanes are summed side by side") {
    const auto bytes = random_bytes(50'000);
    for (const std::size_t count : {12'287u, 12'288u, 12'289u, 24'575u, 24'576u, 24'584u, 36'871u, 50'000u}) {
        const auto part = std::span{bytes}.first(count);
        CHECK(crc32c(part) == ~detail::crc32c_portable(~0u, part));
    }
}

TEST_CASE("crc32c: bytes may be added in pieces") {
    const auto bytes = random_bytes(100);
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        Crc32c sum;
        sum.add(std::span{bytes}.first(cut));
        sum.add(std::span{bytes}.subspan(cut));
        CHECK(sum.value() == crc32c(bytes));
    }
}

TEST_CASE("crc32c: every flip of one bit, and of two in a burst of up to 32, changes it") {
    const auto bytes = random_bytes(16);
    const std::uint32_t sum = crc32c(bytes);
    for (std::size_t begin = 0; begin < 8 * bytes.size(); ++begin) {
        for (std::size_t end = begin; end < std::min(begin + 32, 8 * bytes.size()); ++end) {  // first and last bit
            auto changed = bytes;
            changed[begin / 8] ^= static_cast<std::byte>(1 << begin % 8);
            if (end != begin) changed[end / 8] ^= static_cast<std::byte>(1 << end % 8);
            CHECK(crc32c(changed) != sum);
        }
    }
}
