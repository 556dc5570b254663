// CIFAR-10 in its binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): 50,000 training and
// 10,000 test images of 32 x 32, ten classes. Strict: a file that is not exactly what that page describes is refused.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/data/dataset.hpp>
#include <resnet/data/input_file.hpp>

namespace resnet::inline v0 {

/// Class names in the order of the labels, as the data set's batches.meta.txt lists them.
inline constexpr std::array<const char*, 10> cifar10_classes{"airplane", "automobile", "bird",  "cat",  "deer",
                                                             "dog",      "frog",       "horse", "ship", "truck"};

/// Reads data_batch_1.bin ... data_batch_5.bin or test_batch.bin from `folder`, or from the folder cifar-10-batches-bin
/// in it. FileError where a file is missing or can't be read; FormatError, naming the file and the byte, where its
/// length is not 10,000 records of 3,073 bytes or a label is above 9.
Dataset load_cifar10(const std::filesystem::path& folder, Split split);

/// The files that `load_cifar10` reads; it throws where the first of them is missing.
std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder, Split split);

// ---------------------------------------------------------------------------------------------------------------------

namespace detail {

inline constexpr Extent cifar10_extent{32, 32};
inline constexpr Index cifar10_pixels = cifar10_extent.area() * 3;
inline constexpr Index cifar10_record = 1 + cifar10_pixels;  // bytes: the label, then a red, a green and a blue plane
inline constexpr Index cifar10_records = 10'000;             // a file
inline constexpr const char* cifar10_content = "10000 records of 3073 bytes (a CIFAR-10 batch)";

/// Appends the images and labels of one file.
inline void read_cifar10_file(const std::filesystem::path& path, std::vector<std::uint8_t>& pixels,
                              std::vector<int>& labels) {
    InputFile file{path, cifar10_content};
    std::array<std::uint8_t, cifar10_record> record;
    for (Index r = 0; r < cifar10_records; ++r) {
        const std::uint64_t start = file.offset();
        if (file.read(record) < record.size()) {
            throw FormatError(at_byte(file.name(), file.offset()), cifar10_content, "the end of the file");
        }
        if (record[0] > 9) {
            throw FormatError(at_byte(file.name(), start), "a label of 0 to 9", std::to_string(int{record[0]}));
        }
        labels.push_back(record[0]);
        const std::uint8_t* const red = record.data() + 1;
        const std::uint8_t* const green = red + cifar10_extent.area();
        const std::uint8_t* const blue = green + cifar10_extent.area();
        const auto begin = pixels.size();
        pixels.resize(begin + cifar10_pixels);
        std::uint8_t* pixel = pixels.data() + begin;
        for (Index p = 0; p < cifar10_extent.area(); ++p, pixel += 3) {
            pixel[0] = red[p];
            pixel[1] = green[p];
            pixel[2] = blue[p];
        }
    }
    const std::uint64_t end = file.offset();
    if (file.read(std::span{record}.first(1)) != 0) {
        throw FormatError(at_byte(file.name(), end), std::string{cifar10_content} + " and the end of the file",
                          "more bytes");
    }
}

}  // namespace detail

inline std::vector<std::filesystem::path> cifar10_files(const std::filesystem::path& folder, Split split) {
    std::vector<std::string> names{"test_batch.bin"};
    if (split == Split::train) {
        names = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"};
    }
    const std::array candidates{folder, folder / "cifar-10-batches-bin"};
    const auto found = std::ranges::find_if(candidates, [&](const auto& candidate) {
        std::error_code ignored;  // a folder that can't be searched is one that does not hold the files
        return std::filesystem::exists(candidate / names[0], ignored);
    });
    if (found == candidates.end()) {
        throw FileError(folder.string(), names[0] + " in it or in its cifar-10-batches-bin", "neither",
                        "the folder must hold CIFAR-10's binary version, unpacked");
    }
    std::vector<std::filesystem::path> files;
    files.reserve(names.size());
    for (const std::string& name : names) files.push_back(*found / name);
    return files;
}

inline Dataset load_cifar10(const std::filesystem::path& folder, Split split) {
    const auto files = cifar10_files(folder, split);
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    pixels.reserve(files.size() * static_cast<std::size_t>(detail::cifar10_records * detail::cifar10_pixels));
    labels.reserve(files.size() * static_cast<std::size_t>(detail::cifar10_records));
    for (const auto& file : files) detail::read_cifar10_file(file, pixels, labels);
    return {
        detail::cifar10_extent, std::move(pixels), std::move(labels), {cifar10_classes.begin(), cifar10_classes.end()}};
}

}  // namespace resnet::inline v0
