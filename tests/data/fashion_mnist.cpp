#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <zlib.h>

#include <resnet/data/fashion_mnist.hpp>

#include "temporary_folder.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;
using resnet::FileError;
using resnet::FormatError;
using resnet::load_fashion_mnist;
using resnet::Split;

/// Big-endian 32-bit numbers, then zeros: 10,000 black T-shirts unless a test changes a byte.
Bytes idx(std::initializer_list<std::uint32_t> header, std::size_t zeros) {
    Bytes bytes;
    for (const std::uint32_t number : header) {
        for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(number >> shift));
    }
    bytes.resize(bytes.size() + zeros);
    return bytes;
}
Bytes test_images() { return idx({0x803, 10'000, 28, 28}, 7'840'000); }
Bytes test_labels() { return idx({0x801, 10'000}, 10'000); }

Bytes gzip(Bytes content) {
    z_stream stream{};
    REQUIRE(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes bytes(deflateBound(&stream, static_cast<uLong>(content.size())));
    stream.next_in = content.data();
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = bytes.data();
    stream.avail_out = static_cast<uInt>(bytes.size());
    REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    bytes.resize(stream.total_out);
    deflateEnd(&stream);
    return bytes;
}

/// A folder with an intact test set, compressed or not, for a test to damage.
struct Folder : TemporaryFolder {
    std::filesystem::path images = path() / "t10k-images-idx3-ubyte", labels = path() / "t10k-labels-idx1-ubyte";

    explicit Folder(bool compressed = false) {
        if (compressed) {
            images += ".gz";
            labels += ".gz";
        }
        write_file(images, compressed ? gzip(test_images()) : test_images());
        write_file(labels, compressed ? gzip(test_labels()) : test_labels());
    }
    std::string refused() const {
        return message_of<FormatError>([this] { load_fashion_mnist(path(), Split::test); });
    }
};

}  // namespace

TEST_CASE("fashion_mnist: an image is padded with two black pixels a side, and grey becomes three channels") {
    for (const bool compressed : {false, true}) {
        CAPTURE(compressed);
        const Folder folder{compressed};
        Bytes images = test_images(), labels = test_labels();
        images[16 + 784 * 7] = 50;      // image 7, top left
        images[16 + 784 * 8 - 1] = 60;  // image 7, bottom right
        labels[8 + 7] = 9;
        write_file(folder.images, compressed ? gzip(images) : images);
        write_file(folder.labels, compressed ? gzip(labels) : labels);
        const resnet::Dataset data = load_fashion_mnist(folder.path(), Split::test);
        REQUIRE(data.size() == 10'000);
        CHECK(data.extent() == resnet::Extent{32, 32});
        CHECK(data.class_name(data.labels()[7]) == "Ankle boot");
        const auto* const image = static_cast<const std::uint8_t*>(data.images().slice(7, 1).data);
        for (int y = 0; y < 32; ++y) {
            for (int x = 0; x < 96; ++x) {
                const int expected = y == 2 && x / 3 == 2 ? 50 : y == 29 && x / 3 == 29 ? 60 : 0;
                if (image[y * 96 + x] != expected) FAIL_CHECK("row ", y, ", byte ", x, ": ", int{image[y * 96 + x]});
            }
        }
    }
}

TEST_CASE("fashion_mnist: a wrong magic number, count or extent is refused at its byte") {
    const Folder folder;
    const auto labels_changed = [&](std::initializer_list<std::uint32_t> header) {
        write_file(folder.labels, idx(header, 10'000));
        return folder.refused();
    };
    CHECK(labels_changed({0x803, 10'000}) ==
          folder.labels.string() + ", byte 0: expected the magic number 2049, found 2051");
    CHECK(labels_changed({0x801, 9'999}) ==
          folder.labels.string() + ", byte 4: expected a dimension of 10000, found 9999");
    write_file(folder.labels, test_labels());
    write_file(folder.images, idx({0x803, 10'000, 28, 29}, 7'840'000));
    CHECK(folder.refused() == folder.images.string() + ", byte 12: expected a dimension of 28, found 29");
}

TEST_CASE("fashion_mnist: content that is too short or too long is refused, compressed or not") {
    for (const bool compressed : {false, true}) {
        CAPTURE(compressed);
        const Folder folder{compressed};
        Bytes images = test_images();
        images.push_back(0);
        write_file(folder.images, compressed ? gzip(images) : images);
        CHECK(folder.refused() == folder.images.string() +
                                      ", byte 7840016: expected 10000 images of 28 x 28 bytes (IDX)"
                                      " and no more, found more bytes");
        images.resize(images.size() - 2);
        write_file(folder.images, compressed ? gzip(images) : images);
        CHECK(folder.refused() == folder.images.string() +
                                      ", byte 7840015: expected 10000 images of 28 x 28 bytes (IDX),"
                                      " found the end of the content");
        write_file(folder.images, {});
        CHECK(folder.refused() == folder.images.string() +
                                      ", byte 0: expected 10000 images of 28 x 28 bytes (IDX),"
                                      " found the end of the content");
    }
}

TEST_CASE("fashion_mnist: a label over 9 is refused at its byte") {
    const Folder folder;
    Bytes labels = test_labels();
    labels[8 + 4321] = 10;
    write_file(folder.labels, labels);
    CHECK(folder.refused() == folder.labels.string() + ", byte 4329: expected a label of 0 to 9, found 10");
}

TEST_CASE("fashion_mnist: a gzip stream that is cut, damaged or followed by something is refused") {
    const Folder folder{true};
    const Bytes whole = gzip(test_labels());
    const auto name = [&](std::size_t offset) {
        return folder.labels.string() + ", byte " + std::to_string(offset) + " of the compressed file: expected ";
    };
    for (const std::size_t left : {whole.size() - 1, whole.size() - 8, std::size_t{12}, std::size_t{2}}) {
        write_file(folder.labels, std::span{whole}.first(left));
        CHECK(folder.refused() == name(left) + "the rest of the gzip stream, found the end of the file");
    }
    Bytes damaged = whole;
    damaged[whole.size() - 8] ^= 1;  // its CRC-32
    write_file(folder.labels, damaged);
    CHECK(folder.refused().find("expected an intact gzip stream, found incorrect data check") != std::string::npos);
    Bytes longer = whole;
    longer.push_back(0);
    write_file(folder.labels, longer);
    CHECK(folder.refused() == name(whole.size()) + "the end of the file after the gzip stream, found more bytes");
}

TEST_CASE("fashion_mnist: a missing file is named with the system's reason") {
    const TemporaryFolder folder;
    CHECK(message_of<FileError>([&] { load_fashion_mnist(folder.path(), Split::train); }) ==
          (folder.path() / "train-labels-idx1-ubyte.gz").string() +
              ": expected 60000 labels (IDX), found No such file or directory");
}

TEST_CASE("fashion_mnist: the real data set has as many images of each class") {
    const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
    if (!std::filesystem::exists(folder)) {
        MESSAGE("skipped: dataset-fashion-mnist is not installed");
        return;
    }
    for (const auto& [split, count] : {std::pair{Split::train, 60'000}, std::pair{Split::test, 10'000}}) {
        const resnet::Dataset data = load_fashion_mnist(folder, split);
        CHECK(data.size() == count);
        for (std::uint8_t label = 0; label < 10; ++label) CHECK(std::ranges::count(data.labels(), label) == count / 10);
    }
}
