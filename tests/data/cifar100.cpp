#include <cstdint>
#include <filesystem>
#include <string>

#include <doctest/doctest.h>

#include <resnet/data/cifar100.hpp>

#include "temporary_folder.hpp"

using namespace resnet;

namespace {
constexpr std::uintmax_t file_bytes = 30'740'000;  // test.bin: 10,000 records of two labels and 3,072 bytes
}

TEST_CASE("cifar100: a record has a superclass, a class and three planes") {
    const TemporaryFolder folder;
    std::filesystem::create_directory(folder.path() / "cifar-100-binary");
    const auto file = folder.path() / "cifar-100-binary" / "test.bin";
    write_zeros(file, file_bytes);
    const std::streamoff record = 9'999 * 3074;
    patch(file, record, 19);
    patch(file, record + 1, 89);
    patch(file, record + 2 + 33, 10);         // red, y 1, x 1
    patch(file, record + 2 + 1024 + 33, 20);  // green
    patch(file, record + 2 + 2048 + 33, 30);  // blue
    const Dataset fine = load_cifar100(folder.path(), Split::test);
    REQUIRE(fine.size() == 10'000);
    CHECK(fine.labels()[9'998] == 0);
    CHECK(fine.labels()[9'999] == 89);
    CHECK(fine.classes().size() == 100);
    CHECK(fine.class_name(89) == "tractor");
    const auto* const image = static_cast<const std::uint8_t*>(fine.images().slice(9'999, 1).data);
    CHECK(image[33 * 3 + 0] == 10);
    CHECK(image[33 * 3 + 1] == 20);
    CHECK(image[33 * 3 + 2] == 30);
    const Dataset coarse = load_cifar100(folder.path() / "cifar-100-binary", Split::test, Cifar100Labels::superclass);
    CHECK(coarse.labels()[9'999] == 19);
    CHECK(coarse.classes().size() == 20);
    CHECK(coarse.class_name(19) == "vehicles_2");
    CHECK(message_of<Error>([&] { static_cast<void>(coarse.class_name(20)); }) ==
          "class_name: expected an index into 20 classes, found 20");
}

TEST_CASE("cifar100: train.bin has 50,000 of the same records") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "train.bin";
    write_zeros(file, 5 * file_bytes);
    patch(file, std::streamoff{49'999} * 3074 + 1, 89);
    const Dataset data = load_cifar100(folder.path(), Split::train);
    REQUIRE(data.size() == 50'000);
    CHECK(data.labels()[49'998] == 0);
    CHECK(data.labels()[49'999] == 89);
    write_zeros(file, file_bytes);  // a test.bin by another name
    CHECK(
        message_of<FormatError>([&] { load_cifar100(folder.path(), Split::train); }) ==
        file.string() +
            ", byte 30740000: expected 50000 records of 3074 bytes (CIFAR-100's train.bin), found the end of the file");
}

TEST_CASE("cifar100: a wrong length and a label above the classes are refused, with the file and the offset") {
    const TemporaryFolder folder;
    const auto file = folder.path() / "test.bin";
    const auto load = [&] { load_cifar100(folder.path(), Split::test); };
    CHECK(message_of<FileError>(load) ==
          folder.path().string() +
              ": expected test.bin in it or in its cifar-100-binary, found neither (the folder "
              "must hold CIFAR-100's binary version, unpacked)");
    const std::string expected = ": expected 10000 records of 3074 bytes (CIFAR-100's test.bin)";
    write_zeros(file, file_bytes - 1);
    CHECK(message_of<FormatError>(load) ==
          file.string() + ", byte 30739999" + expected + ", found the end of the file");
    write_zeros(file, file_bytes + 1);
    CHECK(message_of<FormatError>(load) ==
          file.string() + ", byte 30740000" + expected + " and the end of the file, found more bytes");
    write_zeros(file, file_bytes);
    patch(file, 3074, 20);
    CHECK(message_of<FormatError>(load) == file.string() + ", byte 3074: expected a label of 0 to 19, found 20");
    patch(file, 3074, 0);
    patch(file, 3075, 100);
    CHECK(message_of<FormatError>(load) == file.string() + ", byte 3075: expected a label of 0 to 99, found 100");
}
