#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <resnet/data/dataset.hpp>

#include "temporary_folder.hpp"

namespace {

using resnet::Dataset;
using resnet::Error;

/// `count` images of 1 x 2 pixels that hold 0, 1, 2, ...
Dataset numbered(std::uint8_t count) {
    std::vector<std::uint8_t> pixels(count * std::size_t{6});
    std::vector<int> labels(count);
    std::iota(pixels.begin(), pixels.end(), std::uint8_t{0});
    std::iota(labels.begin(), labels.end(), 0);
    return {{1, 2}, pixels, labels, std::vector<std::string>(count, "a class")};
}

}  // namespace

TEST_CASE("dataset: the view of its images is NHWC, and a slice of it copies nothing") {
    const Dataset data = numbered(4);
    const resnet::ImageView images = data.images();
    CHECK(data.size() == 4);
    CHECK(images.images == 4);
    CHECK(images.extent == resnet::Extent{1, 2});
    CHECK(images.image_stride == 6);
    CHECK(images.row_stride == 6);
    CHECK(images.pixel_stride == 3);
    CHECK(images.channel_stride == 1);
    const resnet::ImageView last = images.slice(3, 1);
    CHECK(last.data == static_cast<const std::uint8_t*>(images.data) + 18);
    CHECK(*static_cast<const std::uint8_t*>(last.data) == 18);
    CHECK(data.labels()[3] == 3);
}

TEST_CASE("dataset: pixels that do not fit the labels, a label without a class and an empty extent are refused") {
    CHECK(message_of<Error>([] {
              Dataset({1, 2}, std::vector<std::uint8_t>(11), {0, 0}, {"a"});
          }) == "Dataset: expected 12 bytes of pixels for 2 labels, found 11");
    CHECK(message_of<Error>([] {
              Dataset({1, 1}, std::vector<std::uint8_t>(6), {0, 1}, {"a"});
          }) == "Dataset, label 1: expected an index into 1 classes, found 1");
    CHECK(message_of<Error>([] {
              Dataset({1, 1}, std::vector<std::uint8_t>(3), {-1}, {"a"});
          }) == "Dataset, label 0: expected an index into 1 classes, found -1");
    CHECK(message_of<Error>([] {
              Dataset({0, 1}, {}, {}, {"a"});
          }) == "Dataset: expected sides of 1 to 65536, found 0 x 1");
    CHECK_THROWS_AS(Dataset({1, 65537}, {}, {}, {"a"}), Error);
}

TEST_CASE("dataset: keep_first drops the images behind, and never adds any") {
    Dataset data = numbered(4);
    data.keep_first(9);
    CHECK(data.size() == 4);
    data.keep_first(3);
    CHECK(data.size() == 3);
    CHECK(data.images().images == 3);
    CHECK(static_cast<const std::uint8_t*>(data.images().data)[17] == 17);
    CHECK_THROWS_AS(data.keep_first(-1), Error);
    CHECK(data.size() == 3);
}
