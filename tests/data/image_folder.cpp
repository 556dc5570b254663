#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <tbb/task_arena.h>

#include <resnet/data/image_folder.hpp>
#include <resnet/image_write.hpp>  // its encoder is compiled in image_write.cpp

#include "temporary_folder.hpp"

using namespace resnet;
namespace fs = std::filesystem;

namespace {

const fs::path fixtures = fs::path{__FILE__}.parent_path().parent_path() / "fixtures" / "images";

/// cats: one photo, and one in a folder of its own; dogs: two; and files that are no photos.
void fill(const fs::path& folder) {
    for (const char* sub : {"cats/winter", "dogs"}) fs::create_directories(folder / sub);
    fs::copy_file(fixtures / "rgb.png", folder / "cats" / "b.PNG");
    fs::copy_file(fixtures / "baseline.jpg", folder / "cats" / "winter" / "a.jpeg");
    fs::copy_file(fixtures / "grey.png", folder / "dogs" / "1.png");
    fs::copy_file(fixtures / "progressive.jpg", folder / "dogs" / "2.jpg");
    write_file(folder / "dogs" / "notes.txt", {});
    write_file(folder / "stray.png", {});
}

std::vector<std::uint8_t> pixels_of(const Dataset& data, Index image) {
    const auto* const first = static_cast<const std::uint8_t*>(data.images().data);
    const Index bytes = data.extent().area() * 3;
    return {first + image * bytes, first + (image + 1) * bytes};
}

}  // namespace

TEST_CASE("image_folder: classes are the folders, images the photos below them, both sorted") {
    const TemporaryFolder folder;
    fill(folder.path());
    const ImageFolder photos = load_image_folder(folder.path(), {.extent = {16, 24}});
    CHECK(photos.data.classes() == std::vector<std::string>{"cats", "dogs"});
    CHECK(std::ranges::equal(photos.data.labels(), std::array{0, 0, 1, 1}));
    CHECK(photos.data.extent() == Extent{16, 24});
    CHECK(photos.files == std::vector<fs::path>{folder.path() / "cats/b.PNG", folder.path() / "cats/winter/a.jpeg",
                                                folder.path() / "dogs/1.png", folder.path() / "dogs/2.jpg"});
    CHECK(photos.broken.empty());
    for (Index i = 0; i < 4; ++i)
        CHECK(pixels_of(photos.data, i) ==
              cover(read_image(photos.files[static_cast<std::size_t>(i)]), {16, 24}).pixels);
}

TEST_CASE("image_folder: the result does not depend on the number of workers") {
    const TemporaryFolder folder;
    fill(folder.path());
    const auto with = [&](int threads) {
        return tbb::task_arena{threads}.execute([&] { return load_image_folder(folder.path()); });
    };
    const ImageFolder one = with(1), many = with(4);
    CHECK(one.files == many.files);
    for (Index i = 0; i < 4; ++i) CHECK(pixels_of(one.data, i) == pixels_of(many.data, i));
}

TEST_CASE("image_folder: a broken photo is refused by its name, or left out and reported as asked") {
    const TemporaryFolder folder;
    fill(folder.path());
    const ImageFolder whole = load_image_folder(folder.path());
    const auto broken = folder.path() / "cats" / "0 broken.png";
    write_file(broken, std::array<std::uint8_t, 3>{1, 2, 3});
    CHECK(
        message_of<FormatError>([&] { load_image_folder(folder.path()); }).starts_with(broken.string() + ": expected"));
    const ImageFolder rest = load_image_folder(folder.path(), {.broken = BrokenFiles::skip});
    REQUIRE(rest.broken.size() == 1);
    CHECK(rest.broken[0].starts_with(broken.string() + ": expected"));
    CHECK(rest.files == whole.files);
    CHECK(std::ranges::equal(rest.data.labels(), whole.data.labels()));
    for (Index i = 0; i < 4; ++i) CHECK(pixels_of(rest.data, i) == pixels_of(whole.data, i));
}

TEST_CASE("image_folder: a photo too narrow to cover the extent counts as broken, by its name") {
    const TemporaryFolder folder;
    fill(folder.path());
    const auto narrow = folder.path() / "cats" / "narrow.png";
    const std::vector<std::uint8_t> pixels(300 * 3);
    const auto png = encode_png(nhwc(pixels.data(), 1, {300, 1}));
    write_file(narrow, std::span{reinterpret_cast<const std::uint8_t*>(png.data()), png.size()});
    const std::string message =
        narrow.string() +
        ": expected sides of 1 to 16384 and at most 64 megapixels, found 19200 x 64 (it is of 300 x 1)";
    CHECK(message_of<Error>([&] { load_image_folder(folder.path()); }) == message);
    const ImageFolder rest = load_image_folder(folder.path(), {.broken = BrokenFiles::skip});
    CHECK(rest.broken == std::vector<std::string>{message});
    CHECK(rest.data.size() == 4);
}

TEST_CASE(
    "image_folder: a folder without classes, a class without photos or without any that can be read are refused") {
    const TemporaryFolder folder;
    const auto message = [&](const fs::path& at, BrokenFiles broken = BrokenFiles::refuse) {
        return message_of<FileError>([&] { load_image_folder(at, {.broken = broken}); });
    };
    CHECK(message(folder.path() / "nowhere") ==
          (folder.path() / "nowhere").string() + ": expected a folder of photos, found No such file or directory");
    CHECK(message(folder.path()) == folder.path().string() + ": expected a folder for each class in it, found none");
    const auto cats = folder.path() / "cats";
    fs::create_directory(cats);
    CHECK(message(folder.path()) == cats.string() + ": expected a .png, .jpg or .jpeg file in it or below, found none");
    write_file(cats / "1.png", {});
    CHECK(message(folder.path(), BrokenFiles::skip) ==
          cats.string() + ": expected a photo that can be read, found none");
    fs::create_directory_symlink(folder.path() / "nowhere", folder.path() / "birds");  // the labels of cats would shift
    CHECK(message(folder.path()) ==
          (folder.path() / "birds").string() + ": expected a folder of photos, found No such file or directory");
    for (const Extent extent : {Extent{0, 8}, Extent{20000, 20000}})
        CHECK_THROWS_WITH_AS(load_image_folder(folder.path(), {.extent = extent}),
                             doctest::Contains("load_image_folder: expected sides of 1 to 16384"), Error);
}

TEST_CASE("image_folder: links to folders are not followed, so a circle of them has an end") {
    const TemporaryFolder folder;
    fill(folder.path());
    fs::create_directory_symlink(folder.path() / "cats", folder.path() / "cats" / "winter" / "again");
    CHECK(load_image_folder(folder.path()).data.size() == 4);
}

TEST_CASE("image_folder: cover resizes the shorter side and crops the longer one to its middle") {
    Image wide{{4, 12}, std::vector<std::uint8_t>(4 * 12 * 3)};
    for (std::size_t i = 0; i < wide.pixels.size(); ++i) wide.pixels[i] = static_cast<std::uint8_t>(i / 3 % 12 * 20);
    CHECK(cover(wide, {8, 8}).pixels == center_crop(resize_shorter_side(wide, 8), {8, 8}).pixels);
    Image tall{{12, 4}, std::vector<std::uint8_t>(4 * 12 * 3, 7)};
    CHECK(cover(tall, {8, 8}).pixels == center_crop(resize_shorter_side(tall, 8), {8, 8}).pixels);
    for (const Extent extent : {Extent{4, 12}, Extent{3, 7}, Extent{50, 2}, Extent{1, 1}, Extent{2, 90}}) {
        CHECK(cover(wide, extent).extent == extent);
        const Image covered = cover(tall, extent);
        CHECK(covered.extent == extent);
        CHECK(std::ranges::all_of(covered.pixels, [](int value) { return value == 7; }));  // no black border
    }
    CHECK(cover(wide, {4, 12}).pixels == wide.pixels);
}
