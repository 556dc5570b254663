#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <resnet/data/cifar10.hpp>

#include "temporary_folder.hpp"

namespace {

using resnet::Error;
using resnet::FileError;
using resnet::FormatError;
using resnet::load_cifar10;
using resnet::Split;

constexpr std::uintmax_t file_bytes = 30'730'000;

}  // namespace

TEST_CASE("cifar10: the planes of a record become pixels, and its first byte the label") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "test_batch.bin";
    write_zeros(file, file_bytes);
    const std::streamoff record = 9'999 * 3073;
    patch(file, record, 9);
    patch(file, record + 1 + 33, 10);         // red, y 1, x 1
    patch(file, record + 1 + 1024 + 33, 20);  // green
    patch(file, record + 1 + 2048 + 33, 30);  // blue
    const resnet::Dataset data = load_cifar10(folder.path(), Split::test);
    REQUIRE(data.size() == 10'000);
    CHECK(data.extent() == resnet::Extent{32, 32});
    CHECK(data.classes()[9] == "truck");
    CHECK(data.labels()[9'998] == 0);
    CHECK(data.labels()[9'999] == 9);
    const auto* const image = static_cast<const std::uint8_t*>(data.images().slice(9'999, 1).data);
    CHECK(image[33 * 3 + 0] == 10);
    CHECK(image[33 * 3 + 1] == 20);
    CHECK(image[33 * 3 + 2] == 30);
    CHECK(std::accumulate(image, image + 3072, 0) == 60);
}

TEST_CASE("cifar10: the parent of cifar-10-batches-bin does as well") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path() / "cifar-10-batches-bin");
    write_zeros(folder.path() / "cifar-10-batches-bin" / "test_batch.bin", file_bytes);
    CHECK(load_cifar10(folder.path(), Split::test).size() == 10'000);
}

TEST_CASE("cifar10: a file that is too short or too long is refused, with its name and the offset") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "test_batch.bin";
    const std::string expected = ": expected 10000 records of 3073 bytes (a CIFAR-10 batch)";
    for (const std::uintmax_t bytes : {std::uintmax_t{0}, std::uintmax_t{3072}, file_bytes - 1}) {
        write_zeros(file, bytes);
        CHECK(message_of<FormatError>([&] { load_cifar10(folder.path(), Split::test); }) ==
              file.string() + ", byte " + std::to_string(bytes) + expected + ", found the end of the file");
    }
    write_zeros(file, file_bytes + 1);
    CHECK(message_of<FormatError>([&] { load_cifar10(folder.path(), Split::test); }) ==
          file.string() + ", byte 30730000" + expected + " and the end of the file, found more bytes");
}

TEST_CASE("cifar10: a label over 9 is refused, with its file and offset") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "test_batch.bin";
    write_zeros(file, file_bytes);
    patch(file, 2 * 3073, 10);
    CHECK(message_of<FormatError>([&] { load_cifar10(folder.path(), Split::test); }) ==
          file.string() + ", byte 6146: expected a label of 0 to 9, found 10");
}

TEST_CASE("cifar10: a missing folder, a missing file and a folder in a file's place are told apart") {
    const TemporaryFolder folder;
    CHECK(message_of<FileError>([&] { load_cifar10(folder.path(), Split::test); }) ==
          folder.path().string() +
              ": expected test_batch.bin in it or in its cifar-10-batches-bin, found neither"
              " (the folder must hold CIFAR-10's binary version, unpacked)");
    write_zeros(folder.path() / "data_batch_1.bin", file_bytes);
    const std::string content = ": expected 10000 records of 3073 bytes (a CIFAR-10 batch), found ";
    CHECK(message_of<FileError>([&] { load_cifar10(folder.path(), Split::train); }) ==
          (folder.path() / "data_batch_2.bin").string() + content + "No such file or directory");
    std::filesystem::create_directory(folder.path() / "test_batch.bin");
    CHECK(message_of<FileError>([&] { load_cifar10(folder.path(), Split::test); }) ==
          (folder.path() / "test_batch.bin").string() + content + "Is a directory");
}

TEST_CASE("cifar10: the real data set has its known channel means and as many images of each class") {
    const char* const folder = std::getenv("CIFAR10_DIR");
    if (folder == nullptr || *folder == '\0') {
        MESSAGE("skipped: CIFAR10_DIR is not set");
        return;
    }
    for (const auto& [split, count] : {std::pair{Split::train, 50'000}, std::pair{Split::test, 10'000}}) {
        const resnet::Dataset data = load_cifar10(folder, split);
        CHECK(data.size() == count);
        for (std::uint8_t label = 0; label < 10; ++label) CHECK(std::ranges::count(data.labels(), label) == count / 10);
        if (split == Split::test) continue;
        const auto* pixel = static_cast<const std::uint8_t*>(data.images().data);
        std::array<std::int64_t, 3> sum{};
        for (resnet::Index p = 0; p < data.size() * 1024; ++p, pixel += 3) {
            for (std::size_t c = 0; c < 3; ++c) sum[c] += pixel[c];
        }
        const std::array mean{0.49139968, 0.48215841, 0.44653091};  // of pixels in [0, 1]; known for this data set
        for (std::size_t c = 0; c < 3; ++c) {
            CHECK(static_cast<double>(sum[c]) / (255.0 * 50'000 * 1024) == doctest::Approx(mean[c]).epsilon(1e-7));
        }
    }
}
