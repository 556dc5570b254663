#include <sys/stat.h>  // mkfifo

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#define RESNET_IMAGE_IMPLEMENTATION
#include <resnet/image.hpp>

#include "data/temporary_folder.hpp"
#include "support/file_content.hpp"

using namespace resnet;

namespace {

using Bytes = std::vector<std::uint8_t>;

const std::filesystem::path fixtures = std::filesystem::path{__FILE__}.parent_path() / "fixtures" / "images";

/// The message for a file of these bytes; empty where it is read.
std::string defect(std::span<const std::uint8_t> bytes) {
    return message_of<FormatError>([&] { decode_image(std::as_bytes(bytes), "photo"); });
}

void append_number(Bytes& bytes, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(value >> shift));
}

/// Of a PNG file: length, kind, data and checksum.
Bytes chunk(const std::string& kind, const Bytes& data) {
    Bytes bytes;
    bytes.reserve(data.size() + 12);
    append_number(bytes, static_cast<std::uint32_t>(data.size()));
    bytes.insert(bytes.end(), kind.begin(), kind.end());
    bytes.insert(bytes.end(), data.begin(), data.end());
    append_number(bytes, detail::png_checksum(std::as_bytes(std::span{bytes}.subspan(4))));
    return bytes;
}

/// IHDR of so many pixels of 8 bits: RGB, or of a palette.
Bytes header_chunk(std::uint32_t width, std::uint32_t height, bool palette = false) {
    Bytes data;
    append_number(data, width);
    append_number(data, height);
    data.insert(data.end(), {8, static_cast<std::uint8_t>(palette ? 3 : 2), 0, 0, 0});
    return chunk("IHDR", data);
}

Bytes png(const std::vector<Bytes>& chunks) {
    Bytes file{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    for (const Bytes& bytes : chunks) file.insert(file.end(), bytes.begin(), bytes.end());
    return file;
}

/// Less than 256 bytes as zlib stores them (RFC 1950), with a checksum that stb_image does not look at.
Bytes stored(const Bytes& content) {
    const auto length = static_cast<std::uint8_t>(content.size()), inverse = static_cast<std::uint8_t>(~length);
    Bytes data;
    data.reserve(content.size() + 11);
    for (const int byte : {0x78, 0x01, 1, int{length}, 0, int{inverse}, 0xff})
        data.push_back(static_cast<std::uint8_t>(byte));
    data.insert(data.end(), content.begin(), content.end());
    data.insert(data.end(), 4, 0);
    return data;
}

/// A PNG file that says it is one pixel, and whose data unpacks to so many zeros: deflate's runs of 258 (RFC 1951,
/// fixed codes).
Bytes png_bomb(std::size_t zeros) {
    Bytes data{0x78, 0x01};  // zlib's header
    std::uint32_t waiting = 0;
    int bits = 0;
    const auto put = [&](std::uint32_t value, int count) {  // its lowest bit first
        waiting |= value << bits;
        for (bits += count; bits >= 8; bits -= 8, waiting >>= 8) data.push_back(static_cast<std::uint8_t>(waiting));
    };
    put(0b011, 3);                                                     // the last block, of fixed codes
    for (std::size_t n = 0; n < zeros % 258; ++n) put(0b00001100, 8);  // a zero; codes have their highest bit first
    for (std::size_t n = 0; n < zeros / 258; ++n) {
        put(0b10100011, 8);  // 258 times
        put(0, 5);           // what is one byte before
    }
    put(0, 7);                      // the end of the block
    put(0, 7);                      // whole bytes
    data.insert(data.end(), 4, 0);  // zlib's checksum, which stb_image does not look at
    return png({header_chunk(1, 1), chunk("IDAT", data), chunk("IEND", {})});
}

/// Where the first segment with that code begins in a JPEG file.
Bytes::iterator segment(Bytes& bytes, std::uint8_t code) {
    const std::array<std::uint8_t, 2> marker{0xff, code};
    const auto at = std::search(bytes.begin(), bytes.end(), marker.begin(), marker.end());
    REQUIRE(at != bytes.end());
    return at;
}

struct Difference {
    double mean = 0;
    int largest = 0;
};

Difference difference(const Bytes& a, const Bytes& b) {
    REQUIRE(a.size() == b.size());
    Difference result;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const int d = std::abs(a[i] - b[i]);
        result.mean += static_cast<double>(d) / static_cast<double>(a.size());
        result.largest = std::max(result.largest, d);
    }
    return result;
}

}  // namespace

TEST_CASE("image: PNG files of every kind are read to the pixels of Pillow") {
    for (const char* const name : {"rgb.png", "grey.png", "rgba.png", "grey_alpha.png", "palette.png", "one_bit.png",
                                   "rgb16.png", "interlaced.png"}) {
        CAPTURE(name);
        const Image image = read_image(fixtures / name);
        CHECK(image.extent == Extent{29, 37});
        CHECK(image.pixels == file_content(fixtures / (std::string{name} + ".rgb")));
    }
}

TEST_CASE("image: JPEG files of every kind are read to the pixels of Pillow, but for rounding") {
    for (const char* const name :
         {"baseline.jpg", "full_chroma.jpg", "progressive.jpg", "restarts.jpg", "grey.jpg", "cmyk.jpg"}) {
        CAPTURE(name);
        const Image image = read_image(fixtures / name);
        CHECK(image.extent == Extent{29, 37});
        const auto [mean, largest] = difference(image.pixels, file_content(fixtures / (std::string{name} + ".rgb")));
        CHECK(mean < 1);
        CHECK(largest <= 5);
    }
}

TEST_CASE("image: a PNG file that would unpack to more than its pixels is refused before it does") {
    const Bytes pixel = png_bomb(4);
    CHECK(decode_image(pixel, "photo").pixels == Bytes{0, 0, 0});
    const Bytes bomb = png_bomb(std::size_t{8} << 20);
    CHECK(bomb.size() < 60'000);
    CHECK(defect(bomb) == "photo: expected the pixels of 1 x 1, found more (the file is damaged)");
}

TEST_CASE("image: a pixel whose colour the palette lacks is black, whatever the stack holds") {
    const Bytes red{255, 0, 0}, row{0, 0, 1, 200, 255};  // no filter, then four pixels
    const Bytes file =
        png({header_chunk(4, 1, true), chunk("PLTE", red), chunk("IDAT", stored(row)), chunk("IEND", {})});
    CHECK(decode_image(std::as_bytes(std::span{file}), "photo").pixels == Bytes{255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
    const Bytes none =
        png({header_chunk(4, 1, true), chunk("PLTE", {}), chunk("IDAT", stored(row)), chunk("IEND", {})});
    CHECK(defect(none).starts_with("photo: expected a PNG or JPEG image, found "));
    const Bytes half =
        png({header_chunk(4, 1, true), chunk("PLTE", {255, 0}), chunk("IDAT", stored(row)), chunk("IEND", {})});
    CHECK(defect(half).starts_with("photo: expected a PNG or JPEG image, found "));
}

TEST_CASE("image: a PNG file with a critical chunk that is not known is refused by its name") {
    const Bytes data = chunk("IDAT", stored({0, 1, 2, 3})), end = chunk("IEND", {});
    CHECK(defect(png({header_chunk(1, 1), data, end})).empty());
    CHECK(defect(png({header_chunk(1, 1), chunk("abCd", {7}), data, end})).empty());
    CHECK(defect(png({header_chunk(1, 1), chunk("ABCD", {7}), data, end})) ==
          "photo: expected no critical chunks but IHDR, PLTE, IDAT and IEND in a PNG file, found ABCD");
    CHECK(defect(png({chunk("CgBI", {0, 0, 0, 0}), header_chunk(1, 1), data, end})) ==  // an iOS program's
          "photo: expected IHDR as a PNG file's first chunk, found CgBI");
    CHECK(defect(png({chunk({1, 'b', 'c', 'd'}, {}), header_chunk(1, 1), end})).ends_with("found ?bcd"));
}

TEST_CASE("image: a view of it is one RGB image") {
    const Image image = read_image(fixtures / "rgb.png");
    const ImageView view = image.view();
    CHECK(view.images == 1);
    CHECK(view.extent == image.extent);
    CHECK(view.data == image.pixels.data());
    CHECK(view.row_stride == 37 * 3);
}

TEST_CASE("image: resize and centre crop give the pixels of torchvision's transforms") {
    const Image photo = read_image(fixtures / "rgb.png");
    const auto expected = [](const char* name) { return read_image(fixtures / name).pixels; };
    CHECK(center_crop(resize_shorter_side(photo, 20), {16, 16}).pixels == expected("resize_20_crop_16.png"));
    CHECK(center_crop(resize_shorter_side(photo, 45), {52, 71}).pixels == expected("resize_45_crop_52_71.png"));
    CHECK(center_crop(photo, {24, 40}).pixels == expected("crop_24_40.png"));
}

TEST_CASE("image: where one side grows and one shrinks, Pillow rounds in another order and pixels differ by one") {
    const Image photo = read_image(fixtures / "rgb.png");
    const auto [mean, largest] =
        difference(resize(photo, {11, 40}).pixels, read_image(fixtures / "resize_11_40.png").pixels);
    CHECK(mean < 0.1);
    CHECK(largest <= 1);
}

// torchvision 0.29: Resize(side)(Image.new("RGB", (width, height))).size
TEST_CASE("image: the longer side is that of torchvision's Resize") {
    struct Case {
        Extent input;
        int side;
        Extent output;
    };
    for (const auto& [input, side, output] :
         {Case{{29, 37}, 20, {20, 25}}, Case{{37, 29}, 20, {25, 20}}, Case{{375, 500}, 256, {256, 341}},
          Case{{427, 640}, 256, {256, 383}}, Case{{500, 333}, 224, {336, 224}}, Case{{1, 1}, 7, {7, 7}},
          Case{{99, 100}, 33, {33, 33}}, Case{{256, 256}, 256, {256, 256}}, Case{{3, 7}, 5, {5, 11}},
          Case{{3, 1000}, 2, {2, 666}}, Case{{481, 321}, 160, {239, 160}}}) {
        const Image image{input, Bytes(static_cast<std::size_t>(input.area() * 3))};
        CHECK(resize_shorter_side(image, side).extent == output);
    }
}

// Python: round((input - output) / 2), and -((output - input) // 2) where the output is the longer one
TEST_CASE("image: a crop begins where torchvision's CenterCrop begins") {
    constexpr std::array<int, 10> begins{0, 0, 1, 2, 2, 2, 3, 4, 4, 4};
    for (int rest = 0; rest < std::ssize(begins); ++rest) {
        CHECK(detail::crop_begin(20 + rest, 20) == begins[static_cast<std::size_t>(rest)]);
    }
    CHECK(detail::crop_begin(20, 21) == 0);
    CHECK(detail::crop_begin(20, 22) == -1);
    CHECK(detail::crop_begin(20, 23) == -1);
}

TEST_CASE("image: a crop of the same extent is the image") {
    const Image photo = read_image(fixtures / "rgb.png");
    CHECK(center_crop(photo, photo.extent).pixels == photo.pixels);
}

TEST_CASE("image: every truncation of a PNG or JPEG file is found") {
    for (const char* const name : {"rgb.png", "palette.png", "baseline.jpg", "progressive.jpg", "restarts.jpg"}) {
        CAPTURE(name);
        Bytes bytes = file_content(fixtures / name);
        REQUIRE(defect(bytes).empty());
        while (!bytes.empty()) {
            bytes.pop_back();
            CAPTURE(bytes.size());
            CHECK(defect(bytes).starts_with("photo: expected "));
        }
    }
}

TEST_CASE("image: every flipped bit of a PNG file is found") {
    for (const char* const name : {"rgb.png", "palette.png"}) {
        CAPTURE(name);
        Bytes bytes = file_content(fixtures / name);
        for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
            const auto flip = static_cast<std::uint8_t>(1 << bit % 8);
            bytes[bit / 8] ^= flip;
            CAPTURE(bit);
            CHECK(defect(bytes).starts_with("photo: expected "));
            bytes[bit / 8] ^= flip;
        }
    }
    Bytes bytes = file_content(fixtures / "rgb.png");
    bytes[bytes.size() - 20] ^= 1;
    CHECK(defect(bytes).starts_with("photo: expected the checksum of the PNG chunk at byte "));
}

TEST_CASE("image: a JPEG file of four components that does not say what they are is refused") {
    const std::string expected =
        "photo: expected an Adobe segment that says what the four components of a JPEG file are, found none";
    const Bytes cmyk = file_content(fixtures / "cmyk.jpg");
    Bytes without = cmyk, unknown = cmyk, of_another = cmyk;
    segment(without, 0xee)[1] = 0xfe;  // a comment
    CHECK(defect(without) == expected);
    segment(unknown, 0xee)[15] = 1;  // YCbCr, which has three
    CHECK(defect(unknown) == expected);
    segment(of_another, 0xee)[4] = 'a';
    CHECK(defect(of_another) == expected);
}

TEST_CASE("image: what is neither PNG nor JPEG is refused by its name") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "photo.png";
    for (const Bytes& bytes : {Bytes{}, Bytes{'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0, 0, 0}, Bytes(1000, 7)}) {
        write_file(path, bytes);
        CHECK(message_of<FormatError>([&] {
                  read_image(path);
              }).starts_with(path.string() + ": expected a PNG or JPEG image, found "));
    }
    CHECK(message_of<FileError>([&] { read_image(folder.path() / "none.png"); }) ==
          (folder.path() / "none.png").string() + ": expected a PNG or JPEG image, found No such file or directory");
    CHECK(message_of<FileError>([&] { read_image(folder.path()); }) ==
          folder.path().string() + ": expected a PNG or JPEG image, found Is a directory");
    const auto pipe = folder.path() / "pipe.png";
    REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
    CHECK(message_of<FileError>([&] { read_image(pipe); }) ==
          pipe.string() + ": expected a PNG or JPEG image, found no regular file");
}

TEST_CASE("image: one that is too large is refused before it is decoded") {
    const auto png_header = [](std::uint32_t width, std::uint32_t height) {  // and no pixels
        return png({header_chunk(width, height)});
    };
    const std::string expected = "photo: expected sides of 1 to 16384 and at most 64 megapixels, found ";
    CHECK(defect(png_header(16384, 3907)) == expected + "3907 x 16384");  // 64,012,288 pixels
    CHECK(defect(png_header(16384, 3906)).starts_with("photo: expected a PNG file with an end, found none"));
    CHECK(defect(png_header(16385, 1)) == expected + "1 x 16385");
    CHECK(defect(png_header(40000, 40000)) == expected + "40000 x 40000");
    CHECK(defect(png_header(1, (1u << 31) - 1)) == expected + "2147483647 x 1");
    CHECK(defect(png_header(0, 5)) == expected + "5 x 0");
    Bytes jpeg = file_content(fixtures / "baseline.jpg");
    std::ranges::copy(Bytes{0x40, 0x00, 0x40, 0x00}, segment(jpeg, 0xc0) + 5);  // 16384 x 16384
    CHECK(defect(jpeg) == expected + "16384 x 16384");
    std::ranges::copy(Bytes{0xff, 0xff, 0x00, 0x01}, segment(jpeg, 0xc0) + 5);
    CHECK(defect(jpeg) == expected + "65535 x 1");
}

TEST_CASE("image: one whose pixels are not of its extent is refused") {
    const Image image{{2, 3}, Bytes(17)};
    for (const std::string& message : {message_of<Error>([&] {
                                           resize(image, {2, 2});
                                       }),
                                       message_of<Error>([&] {
                                           center_crop(image, {2, 2});
                                       })}) {
        CHECK(message.ends_with("image: expected 18 bytes of pixels for an image of 2 x 3, found 17"));
    }
}

TEST_CASE("image: a JPEG file with a Huffman table of more than 256 codes is refused") {
    const std::string expected = "photo: expected a Huffman table of at most 256 codes, found ";
    for (const char* const name : {"baseline.jpg", "progressive.jpg"}) {
        Bytes bytes = file_content(fixtures / name);
        const auto table = segment(bytes, 0xc4);  // FF C4, length, class and number, 16 counts
        std::ranges::copy(Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 2}, table + 5);
        CHECK(defect(bytes) == expected + "257");
        std::ranges::copy(Bytes(16, 255), table + 5);
        CHECK(defect(bytes) == expected + "4080");
    }
    Bytes shifted = file_content(fixtures / "baseline.jpg");  // where another program might find the start of the image
    shifted.insert(shifted.begin(), 2, 0xff);
    CHECK(defect(shifted) == "photo: expected a PNG or JPEG image, found another file");
}

TEST_CASE("image: a JPEG file that never defines its Huffman tables does no harm") {
    Bytes bytes = file_content(fixtures / "baseline.jpg");
    for (int tables = 0; tables < 4; ++tables) {
        const auto table = segment(bytes, 0xc4);
        table[1] = 0xfe;  // a comment
    }
    static_cast<void>(defect(bytes));  // the sanitizers would tell
}

TEST_CASE("image: a JPEG file of endless scans is refused") {
    Bytes bytes = file_content(fixtures / "progressive.jpg");
    const auto scan = segment(bytes, 0xda);
    const Bytes again(scan, scan + 14);  // a header of 3 components, and nothing in it
    const auto position = scan - bytes.begin();
    for (int i = 0; i < 500; ++i) bytes.insert(bytes.begin() + position, again.begin(), again.end());
    CHECK(defect(bytes) == "photo: expected a JPEG file of at most 500 scans, found more");
}

TEST_CASE("image: a file of more than 1 GiB is refused before it is read") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "photo.png";
    write_file(path, png({header_chunk(1, 1)}));
    std::filesystem::resize_file(path, (1u << 30) + 1);  // a hole: it takes no room
    CHECK(message_of<FormatError>([&] { read_image(path); }) ==
          path.string() + ": expected an image of at most 1 GiB, found 1073741825 bytes");
}

TEST_CASE("image: results of an impossible size are refused") {
    const Image line{{1, 1000}, Bytes(3000)}, dot{{1, 1}, Bytes(3)};
    CHECK(message_of<Error>([&] { resize_shorter_side(line, 17); }) ==
          "resize: expected sides of 1 to 16384 and at most 64 megapixels, found 17 x 17000");
    CHECK(message_of<Error>([&] { resize_shorter_side(line, 2'147'484); }).ends_with("found 2147484 x 2147483647"));
    CHECK(message_of<Error>([&] { resize_shorter_side(dot, 0); }).ends_with("found 0 x 0"));
    CHECK(message_of<Error>([&] { resize(dot, {8001, 8000}); }).ends_with("found 8001 x 8000"));
    const Image empty;
    CHECK(message_of<Error>([&] { resize_shorter_side(empty, 8); }) ==
          "image: expected sides of at least 1, found 0 x 0");
    CHECK(message_of<Error>([&] {
              center_crop(dot, {-1, 5});
          }) == "center_crop: expected sides of 1 to 16384 and at most 64 megapixels, found -1 x 5");
}
