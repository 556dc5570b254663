// CIFAR-10 in its binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): 50,000 training and
// 10,000 test images of 32 x 32, ten classes. Strict: a file that is not exactly what that page describes is refused.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <resnet/data/cifar_files.hpp>
#include <resnet/data/dataset.hpp>

namespace resnet::inline v0 {

/// Class names in the order of the labels, as the data set's batches.meta.txt lists them.
inline constexpr std::array<const char*, 10> cifar10_classes{"airplane", "automobile", "bird",  "cat",  "deer",
                                                             "dog",      "frog",       "horse", "ship", "truck"};

/// Reads data_batch_1.bin ... data_batch_5.bin or test_batch.bin from `folder`, or from the folder cifar-10-batches-bin
/// in it. Throws FileError if a file is missing or can't be read; FormatError, naming the file and the byte, where its
/// length is not 10,000 records of 3,073 bytes or a label is above 9.
Dataset load_cifar10(const std::filesystem::path& folder, Split split);

/// The files that `load_cifar10` reads; it throws where the first of them is missing.
std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder, Split split);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {
inline constexpr std::array cifar10_labels{10};
inline constexpr CifarFormat cifar10_batch{
    .content = "10000 records of 3073 bytes (a CIFAR-10 batch)", .records = 10'000, .classes = cifar10_labels};
}  // namespace detail

inline std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder, Split split) {
    std::vector<std::string> names{"test_batch.bin"};
    if (split == Split::train)
        names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"};
    return detail::cifar_files(folder, "cifar-10-batches-bin", names, "CIFAR-10");
}

inline Dataset load_cifar10(const std::filesystem::path& folder, Split split) {
    const auto files = cifar10_files(folder, split);
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    const std::size_t images = files.size() * static_cast<std::size_t>(detail::cifar10_batch.records);
    pixels.reserve(images * detail::cifar_pixels);
    labels.reserve(images);
    for (const auto& file : files) detail::read_cifar_file(detail::cifar10_batch, file, pixels, labels);
    return {
        detail::cifar_extent, std::move(pixels), std::move(labels), {cifar10_classes.begin(), cifar10_classes.end()}};
}

}  // namespace resnet::inline v0
