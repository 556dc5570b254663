// Photos: PNG and JPEG files read to RGB pixels, and resized and cropped as torchvision's transforms do it.
// One source file of the program defines RESNET_IMAGE_IMPLEMENTATION before it includes this header: there the decoder,
// stb_image, is compiled (as static functions: it disturbs no other copy of stb_image in the program).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_limits.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/input_file.hpp>
#include <resnet/core/text.hpp>
#include <resnet/data/resize.hpp>

namespace resnet::inline v0 {

/// An image that owns its pixels: [H][W][3], RGB, 8 bits.
struct Image {
    Extent extent;
    std::vector<std::uint8_t> pixels;

    /// Valid as long as the image lives.
    ImageView view() const { return nhwc(pixels.data(), 1, extent); }
};

/// Reads a PNG or JPEG file. Grey becomes RGB, transparency is dropped, 16 bits are cut to 8, and the EXIF orientation
/// is left to the caller, all as with Pillow's convert("RGB"); but for grey of 16 bits, which Pillow clips at 255.
/// Throws FileError if it can't be read. FormatError, naming it, where it is neither of the two, is cut off or damaged,
/// is larger than `longest_image_side` or `largest_image_area` (found before it is decoded), or is a JPEG file of four
/// components that does not say what they are. Every flipped bit of a PNG file is found; a JPEG file has no checksum,
/// and damage that leaves it decodable gives other pixels.
Image read_image(const std::filesystem::path& path);

/// The same for a file's bytes; `name` stands for the file in errors.
/// The first is defined where RESNET_IMAGE_IMPLEMENTATION is.
Image decode_image(std::span<const std::byte> bytes, const std::string& name);
inline Image decode_image(std::span<const std::uint8_t> bytes, const std::string& name) {
    return decode_image(std::as_bytes(bytes), name);
}

/// Bilinear with antialiasing, as torchvision's Resize((height, width)). Throws Error if the extent is empty or too
/// large.
Image resize(const Image& image, Extent extent);

/// The same for a shorter side; the longer keeps the proportions, rounded down: torchvision's Resize(side). Throws
/// Error if the image is empty, too.
Image resize_shorter_side(const Image& image, int side);

/// The middle of the image, or the image on black where it is the smaller one: torchvision's CenterCrop.
Image center_crop(const Image& image, Extent extent);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

/// Throws Error if the image is empty or has not its extent's pixels.
inline void check_image(const Image& image) {
    const auto [height, width] = image.extent;
    if (height < 1 || width < 1) throw Error("image", "sides of at least 1", describe(image.extent));
    const Index bytes = image.extent.area() * 3;
    if (std::ssize(image.pixels) != bytes) {
        throw Error("image", text(bytes, " bytes of pixels for an image of ", describe(image.extent)),
                    std::to_string(image.pixels.size()));
    }
}

/// A black image of that extent, for what `where` makes of `source`.
inline Image new_image(const char* where, Extent extent, const Image& source) {
    if (!is_image_extent(extent)) {
        throw Error(where, image_limits(), describe(extent));
    }
    check_image(source);
    return {extent, std::vector<std::uint8_t>(static_cast<std::size_t>(extent.area() * 3))};
}

/// Where the middle part of `output` pixels begins in a row of `input`: half the difference, halves to even as Python
/// rounds them; and where the output is the longer one, less the black pixels before the input, rounded down.
constexpr int crop_begin(int input, int output) {
    const int rest = input - output;
    return rest >= 0 ? rest / 2 + (rest % 4 == 3 ? 1 : 0) : -(-rest / 2);
}

}  // namespace detail

inline Image read_image(const std::filesystem::path& path) {
    constexpr std::uint64_t longest_file = 1 << 30;  // bytes; 64 megapixels of 16 bits and 4 channels are half of it
    detail::InputFile file{path, "a PNG or JPEG image"};
    const std::uint64_t size = file.size();
    if (size > longest_file) {
        throw FormatError(path.string(), "an image of at most 1 GiB", std::to_string(size) + " bytes");
    }
    std::vector<std::uint8_t> bytes(size);
    bytes.resize(file.read(bytes));
    return decode_image(std::as_bytes(std::span{bytes}), path.string());
}

inline Image resize(const Image& image, Extent extent) {
    Image result = detail::new_image("resize", extent, image);
    resize(image.view(), extent, result.pixels);
    return result;
}

inline Image resize_shorter_side(const Image& image, int side) {
    detail::check_image(image);
    const auto [height, width] = image.extent;
    const auto longer = [side](int is_short, int is_long) {  // in double and truncated, as in Python
        const double length = static_cast<double>(side) * is_long / is_short;
        return static_cast<int>(std::min(length, double{std::numeric_limits<int>::max()}));
    };
    return resize(image, height <= width ? Extent{side, longer(height, width)} : Extent{longer(width, height), side});
}

inline Image center_crop(const Image& image, Extent extent) {
    Image result = detail::new_image("center_crop", extent, image);
    const int top = detail::crop_begin(image.extent.height, extent.height);
    const int left = detail::crop_begin(image.extent.width, extent.width);
    const int x = std::max(0, -left);  // the first column that the image reaches
    const int columns = std::min(extent.width, image.extent.width - left) - x;
    for (int y = std::max(0, -top); y < std::min(extent.height, image.extent.height - top); ++y) {
        std::copy_n(image.pixels.begin() + (Index{y + top} * image.extent.width + x + left) * 3, columns * 3,
                    result.pixels.begin() + (Index{y} * extent.width + x) * 3);
    }
    return result;
}

}  // namespace resnet::inline v0

#ifdef RESNET_IMAGE_IMPLEMENTATION

#ifdef STBI_INCLUDE_STB_IMAGE_H
#error "resnet: define RESNET_IMAGE_IMPLEMENTATION in a source file that does not include stb_image.h itself"
#endif
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
// stb_image 2.27 reads Huffman tables that a damaged file never defined: zeros do no harm, what malloc leaves does.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(memory, size) resnet::detail::grow_decoded(memory, size)
#define STBI_FREE(memory) std::free(memory)
#define STBI_ASSERT(condition) static_cast<void>(0)  // a damaged file is an error, not the end of the program

#include <array>
#include <cstdlib>  // std::calloc
#include <memory>
#include <new>

namespace resnet::inline v0::detail {

/// How far this thread's decoder may let memory grow: deflate can hold a thousand times its own length, and stb_image
/// unpacks all of it before it looks how much the image takes.
struct DecodingLimit {
    std::size_t bytes = 0;
    bool was_reached = false;
};
inline thread_local DecodingLimit decoding_limit;

inline void* grow_decoded(void* memory, std::size_t bytes) {
    decoding_limit.was_reached = decoding_limit.was_reached || bytes > decoding_limit.bytes;
    return decoding_limit.was_reached ? nullptr : std::realloc(memory, bytes);
}

}  // namespace resnet::inline v0::detail

#include <stb/stb_image.h>

namespace resnet::inline v0 {

namespace detail {

/// Twice what the rows of a PNG image take with 8 bytes a pixel and a byte before each row of its seven passes, or
/// twice the file: memory is doubled as it fills, from 4 KiB at least.
inline DecodingLimit limit_of(Extent extent, std::size_t file_bytes) {
    const auto rows = static_cast<std::size_t>(8 * extent.area() + 7 * Index{extent.height});
    return {2 * std::max(rows, file_bytes) + (std::size_t{8} << 10)};
}

inline void check_image_extent(Extent extent, const std::string& name) {
    if (!is_image_extent(extent)) throw FormatError(name, image_limits(), describe(extent));
}

/// What stb_image 2.27 does not check in a JPEG file: it writes past the end of a Huffman table of more than 256 codes
/// (github.com/nothings/stb/issues/1289), and decodes as many scans of a progressive file as there are, each of which
/// costs time for the whole image. This walks as stb_image does, to the next FF with a code and over the segment that
/// it begins, and so it meets all that will be read. Throws FormatError if a table or the number of scans is too large,
/// and where four components have no Adobe segment that says whether they are CMYK or YCCK: stb_image would drop the
/// fourth.
inline void check_jpeg(std::span<const std::byte> bytes, const std::string& name) {
    const auto at = [bytes](std::size_t i) { return i < bytes.size() ? std::to_integer<std::size_t>(bytes[i]) : 0; };
    constexpr std::size_t first_frame = 0xC0, last_frame = 0xC2, adobe = 0xEE;  // frames that stb_image knows
    constexpr std::size_t huffman_tables = 0xC4, restart = 0xD0, end_of_image = 0xD9, scan = 0xDA;
    constexpr int most_scans = 500;  // some ten are usual; libjpeg-turbo's own fuzzers draw the line here
    int scans = 0;
    bool four_components = false, says_what = false;
    for (std::size_t i = 2; i < bytes.size();) {  // 2: after the start of the image
        const std::size_t code = at(i + 1);
        const bool is_marker = at(i) == 0xFF && code != 0 && code != 0xFF && (code & ~std::size_t{7}) != restart;
        if (!is_marker) {
            ++i;
            continue;
        }
        if (code == end_of_image) break;
        if (code == scan && ++scans > most_scans) throw FormatError(name, "a JPEG file of at most 500 scans", "more");
        const std::size_t segment = i + 2, size = at(segment) << 8 | at(segment + 1), end = segment + size;
        if (code >= first_frame && code <= last_frame) four_components = at(segment + 7) == 4;
        constexpr std::array<std::size_t, 6> name_of_adobe{'A', 'd', 'o', 'b', 'e', 0};
        bool is_adobe = code == adobe && size >= 14;
        for (std::size_t c = 0; c < name_of_adobe.size(); ++c)
            is_adobe = is_adobe && at(segment + 2 + c) == name_of_adobe[c];
        if (is_adobe) says_what = at(segment + 13) == 0 || at(segment + 13) == 2;  // CMYK, YCCK
        for (std::size_t table = segment + 2; code == huffman_tables && table < end;) {
            std::size_t codes = 0;
            for (std::size_t length = 1; length <= 16; ++length) codes += at(table + length);
            if (codes > 256) throw FormatError(name, "a Huffman table of at most 256 codes", std::to_string(codes));
            table += 17 + codes;
        }
        i = std::max(end, segment);
    }
    if (four_components && !says_what) {
        throw FormatError(name, "an Adobe segment that says what the four components of a JPEG file are", "none");
    }
}

/// The checksum of a PNG file's chunks: CRC-32 (ISO 3309), which the PNG specification gives in its annex D.
inline std::uint32_t png_checksum(std::span<const std::byte> bytes) {
    static constexpr auto table = [] {
        std::array<std::uint32_t, 256> effects{};
        for (std::uint32_t byte = 0; byte < 256; ++byte) {
            std::uint32_t state = byte;
            for (int bit = 0; bit < 8; ++bit) state = state >> 1 ^ (state & 1 ? 0xEDB88320u : 0);
            effects[byte] = state;
        }
        return effects;
    }();
    std::uint32_t state = ~std::uint32_t{0};
    for (const std::byte byte : bytes) state = state >> 8 ^ table[(state ^ std::to_integer<std::uint32_t>(byte)) & 255];
    return ~state;
}

/// A chunk's kind: four letters, the first a capital where a decoder has to know it.
enum class PngKind : std::uint32_t { header = 0x49484452, palette = 0x504C5445, data = 0x49444154, end = 0x49454E44 };

inline constexpr std::size_t png_palette_bytes = 768;  // of 256 colours

inline std::string letters(PngKind kind) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const auto letter = static_cast<unsigned char>(static_cast<std::uint32_t>(kind) >> shift);
        text += letter >= ' ' && letter <= '~' ? static_cast<char>(letter) : '?';
    }
    return text;
}

/// What stb_image 2.27 does not check in a PNG file: the checksums. Throws FormatError if one is wrong or the file is
/// cut off, where there is a critical chunk that it does not know (its message for it is one for all threads), and
/// before that where its sides are too large, since stb_image has other limits. Returns the palette where it lacks
/// colours, else nothing.
inline std::span<const std::byte> check_png(std::span<const std::byte> bytes, const std::string& name) {
    constexpr std::size_t signature = 8, around = 12;  // bytes; of a chunk: length, kind and checksum
    const auto number = [bytes](std::size_t i) {
        std::uint32_t value = 0;
        for (const std::byte byte : bytes.subspan(i, 4)) value = value << 8 | std::to_integer<std::uint32_t>(byte);
        return value;
    };
    const auto kind_at = [&](std::size_t chunk) { return static_cast<PngKind>(number(chunk + 4)); };
    const auto side = [&](std::size_t i) {
        return static_cast<int>(std::min<std::uint32_t>(number(i), std::numeric_limits<int>::max()));
    };
    if (bytes.size() >= 24) {
        if (kind_at(signature) != PngKind::header)
            throw FormatError(name, "IHDR as a PNG file's first chunk", letters(kind_at(signature)));
        check_image_extent({side(20), side(16)}, name);
    }
    std::span<const std::byte> palette;
    for (std::size_t chunk = signature;;) {
        const std::size_t rest = bytes.size() - std::min(chunk, bytes.size());
        if (rest < around || rest - around < number(chunk)) {
            throw FormatError(name, "a PNG file with an end", "none", "the file is cut off");
        }
        const std::size_t length = number(chunk), end = chunk + around + length;
        if (png_checksum(bytes.subspan(chunk + 4, length + 4)) != number(end - 4)) {
            throw FormatError(name, text("the checksum of the PNG chunk at byte ", chunk), "another",
                              "the file is damaged");
        }
        const PngKind kind = kind_at(chunk);
        if (kind == PngKind::end) return palette;
        if (kind == PngKind::palette && length > 0 && length < png_palette_bytes && length % 3 == 0)
            palette = bytes.subspan(chunk + 8, length);
        const bool is_critical = (static_cast<std::uint32_t>(kind) & 0x20000000) == 0;  // a capital
        if (is_critical && kind != PngKind::header && kind != PngKind::palette && kind != PngKind::data)
            throw FormatError(name, "no critical chunks but IHDR, PLTE, IDAT and IEND in a PNG file", letters(kind));
        chunk = end;
    }
}

/// A PNG file with all 256 colours in its palette, the further ones black: for a pixel whose colour is none of them
/// stb_image 2.27 takes what lies on its stack.
inline std::vector<std::byte> with_whole_palette(std::span<const std::byte> bytes, std::span<const std::byte> palette) {
    const std::ptrdiff_t begin = palette.data() - bytes.data(), end = begin + std::ssize(palette);
    std::vector<std::byte> file;
    file.reserve(bytes.size() + png_palette_bytes);
    file.assign(bytes.begin(), bytes.begin() + end);
    file.resize(static_cast<std::size_t>(begin) + png_palette_bytes);
    const auto length = file.begin() + begin - 8;  // of the chunk: four bytes, the highest first; then its kind
    length[2] = std::byte{png_palette_bytes >> 8};
    length[3] = std::byte{png_palette_bytes & 255};
    file.insert(file.end(), bytes.begin() + end, bytes.end());  // its checksum first, which stb_image does not look at
    return file;
}

/// Throws FormatError if stb_image must not see these bytes. Returns what it is to see in their place; empty where they
/// are as they should be.
inline std::vector<std::byte> check_encoded_image(std::span<const std::byte> bytes, const std::string& name) {
    const auto starts_with = [&](std::initializer_list<int> start) {
        return std::ranges::equal(bytes.first(std::min(bytes.size(), start.size())), start, {},
                                  [](std::byte byte) { return std::to_integer<int>(byte); });
    };
    if (starts_with({0x89, 'P', 'N', 'G'})) {
        const auto palette = check_png(bytes, name);
        return palette.data() != nullptr ? with_whole_palette(bytes, palette) : std::vector<std::byte>{};
    }
    if (!starts_with({0xFF, 0xD8})) throw FormatError(name, "a PNG or JPEG image", "another file");
    check_jpeg(bytes, name);
    return {};
}

}  // namespace detail

Image decode_image(std::span<const std::byte> bytes, const std::string& name) {
    const std::vector<std::byte> changed = detail::check_encoded_image(bytes, name);
    const std::span<const std::byte> safe = changed.empty() ? bytes : changed;
    if (!std::in_range<int>(safe.size())) {
        throw FormatError(name, "an image of less than 2 GiB", std::to_string(bytes.size()) + " bytes");
    }
    const auto* const data = reinterpret_cast<const stbi_uc*>(safe.data());
    const int size = static_cast<int>(safe.size());
    const auto reason = [] { return std::string{stbi_failure_reason() ? stbi_failure_reason() : "nothing known"}; };
    Extent extent;
    int channels = 0;
    if (!stbi_info_from_memory(data, size, &extent.width, &extent.height, &channels)) {
        throw FormatError(name, "a PNG or JPEG image", reason());
    }
    detail::check_image_extent(extent, name);
    detail::decoding_limit = detail::limit_of(extent, bytes.size());
    const std::unique_ptr<stbi_uc, decltype([](stbi_uc* pixels) { stbi_image_free(pixels); })> pixels{
        stbi_load_from_memory(data, size, &extent.width, &extent.height, &channels, STBI_rgb)};
    if (!pixels) {
        if (detail::decoding_limit.was_reached)
            throw FormatError(name, "the pixels of " + detail::describe(extent), "more", "the file is damaged");
        if (reason() == "outofmem") throw std::bad_alloc{};
        throw FormatError(name, "an undamaged PNG or JPEG image", reason());
    }
    return {extent, {pixels.get(), pixels.get() + extent.area() * 3}};
}

}  // namespace resnet::inline v0

#endif
