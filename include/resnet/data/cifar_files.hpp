// The binary files of CIFAR-10 and CIFAR-100 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): records of
// one or two labels, then a red, a green and a blue plane of 32 x 32. Strict: a file that is not exactly what that page
// describes is refused.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/input_file.hpp>
#include <resnet/core/text.hpp>

namespace resnet::inline v0::detail {

inline constexpr Extent cifar_extent{32, 32};
inline constexpr Index cifar_pixels = cifar_extent.area() * 3;

/// What a file of one of the two sets holds.
struct CifarFormat {
    const char* content;             // "10000 records of 3073 bytes (a CIFAR-10 batch)"
    Index records = 0;               // a file
    std::span<const int> classes{};  // of each label that a record begins with
    std::size_t label = 0;           // the one that is wanted
};

/// Appends the images and labels of one file.
inline void read_cifar_file(const CifarFormat& format, const std::filesystem::path& path,
                            std::vector<std::uint8_t>& pixels, std::vector<int>& labels) {
    InputFile file{path, format.content};
    const std::size_t labels_per_record = format.classes.size();
    std::vector<std::uint8_t> record(labels_per_record + cifar_pixels);
    for (Index r = 0; r < format.records; ++r) {
        const std::uint64_t start = file.offset();
        if (file.read(record) < record.size())
            throw FormatError(at_byte(file.name(), file.offset()), format.content, "the end of the file");
        for (std::size_t l = 0; l < labels_per_record; ++l)
            if (record[l] >= format.classes[l])
                throw FormatError(at_byte(file.name(), start + l), text("a label of 0 to ", format.classes[l] - 1),
                                  std::to_string(int{record[l]}));
        labels.push_back(record[format.label]);
        const std::uint8_t* const red = record.data() + labels_per_record;
        const std::uint8_t* const green = red + cifar_extent.area();
        const std::uint8_t* const blue = green + cifar_extent.area();
        const auto begin = pixels.size();
        pixels.resize(begin + cifar_pixels);
        std::uint8_t* pixel = pixels.data() + begin;
        for (Index p = 0; p < cifar_extent.area(); ++p, pixel += 3) {
            pixel[0] = red[p];
            pixel[1] = green[p];
            pixel[2] = blue[p];
        }
    }
    const std::uint64_t end = file.offset();
    if (file.read(std::span{record}.first(1)) != 0)
        throw FormatError(at_byte(file.name(), end), text(format.content, " and the end of the file"), "more bytes");
}

/// `names` in `folder` or in the folder `unpacked` in it; FileError if the first of them is in neither.
inline std::vector<std::filesystem::path> cifar_files(const std::filesystem::path& folder, const char* unpacked,
                                                      const std::vector<std::string>& names, const char* set) {
    const std::array candidates{folder, folder / unpacked};
    const auto found = std::ranges::find_if(candidates, [&](const auto& candidate) {
        std::error_code ignored;  // a folder that can't be searched is one that does not hold the files
        return std::filesystem::exists(candidate / names[0], ignored);
    });
    if (found == candidates.end())
        throw FileError(folder.string(), text(names[0], " in it or in its ", unpacked), "neither",
                        text("the folder must hold ", set, "'s binary version, unpacked"));
    std::vector<std::filesystem::path> files;
    files.reserve(names.size());
    for (const std::string& name : names) files.push_back(*found / name);
    return files;
}

}  // namespace resnet::inline v0::detail
