// A folder of labelled photos: one folder a class, named as the class; PNG and JPEG files of any size in it or below.
// torchvision: ImageFolder, with Resize and CenterCrop. Needs resnet::image (image.hpp says how stb_image is compiled).
//
//     const auto photos = resnet::load_image_folder("flowers/train", {.extent = {64, 64}});
//     const resnet::Loader loader{photos.data, {.batch = 32, .transforms = {resnet::random_flip()}}};
#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/image_limits.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/core/text.hpp>
#include <resnet/data/dataset.hpp>
#include <resnet/image.hpp>

namespace resnet::inline v0 {

/// What becomes of a photo that can't be read, or not be made to cover the extent.
enum class BrokenFiles : std::uint8_t {
    refuse,  // the whole folder is refused, with the first one's error
    skip     // it is left out and named in ImageFolder::broken
};

struct ImageFolderOptions {
    Extent extent{64, 64};  // of all images in the data set
    BrokenFiles broken = BrokenFiles::refuse;
};

struct ImageFolder {
    Dataset data;                              // classes in the order of their folders' names
    std::vector<std::filesystem::path> files;  // of each image: sorted within its class
    std::vector<std::string> broken;           // a message for each file that was left out
};

/// Reads all photos below the folders in `folder`, on all workers of the caller's arena; the result does not depend on
/// their number. Each is resized to cover the extent and cropped to its middle. Files of other names than .png, .jpg
/// and .jpeg, and files in `folder` itself, are passed over.
/// Throws FileError if a folder can't be read or is a link to nowhere, there is no class, or a class has no photo (or
/// none that can be read); Error if the extent is empty or too large; where broken files are refused, read_image's
/// errors, and Error if a photo is so narrow that covering the extent makes it too large.
ImageFolder load_image_folder(const std::filesystem::path& folder, const ImageFolderOptions& options = {});

/// Whether a file has a photo's name: .png, .jpg or .jpeg, in small letters or capitals.
bool is_photo(const std::filesystem::path& file);

/// The photos in a folder and below, sorted. Links to folders are not followed. Where a folder can't be read, what it
/// holds is left out and unreadable(folder, the system's reason) is called.
std::vector<std::filesystem::path> photos_below(const std::filesystem::path& folder, const auto& unreadable);

/// The image at the size at which it just covers the extent, proportions kept, cropped to its middle. torchvision, for
/// a square: Resize(side), CenterCrop(side).
Image cover(const Image& image, Extent extent);

// ---------------------------------------------------------------------------------------------------------------------

inline bool is_photo(const std::filesystem::path& file) {
    std::string extension = file.extension().string();
    std::ranges::transform(extension, extension.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return std::ranges::count(std::array{".png", ".jpg", ".jpeg"}, extension) > 0;
}

namespace detail {

/// What is directly in a folder, in the system's order.
inline std::vector<std::filesystem::directory_entry> entries_of(const std::filesystem::path& folder,
                                                                std::error_code& error) {
    std::vector<std::filesystem::directory_entry> entries;
    for (std::filesystem::directory_iterator entry{folder, error}, end; !error && entry != end; entry.increment(error))
        entries.push_back(*entry);
    return entries;
}

[[noreturn]] inline void refuse_folder(const std::filesystem::path& folder, const std::error_code& error) {
    throw FileError(folder.string(), "a folder of photos", error.message());
}

}  // namespace detail

inline std::vector<std::filesystem::path> photos_below(const std::filesystem::path& folder, const auto& unreadable) {
    std::vector<std::filesystem::path> photos, folders{folder};
    while (!folders.empty()) {
        const std::filesystem::path next = folders.back();
        folders.pop_back();
        std::error_code error;
        for (const auto& entry : detail::entries_of(next, error)) {
            std::error_code ignored;
            if (!entry.is_directory(ignored)) {  // what can't be looked at: reading it says what is wrong with it
                if (is_photo(entry.path())) photos.push_back(entry.path());
            } else if (!entry.is_symlink(ignored)) folders.push_back(entry.path());
        }
        if (error) unreadable(next, error);
    }
    std::ranges::sort(photos);
    return photos;
}

inline Image cover(const Image& image, Extent extent) {
    detail::check_image(image);
    const auto [height, width] = image.extent;
    // Which side reaches the extent first: height / extent.height against width / extent.width.
    const bool height_first = Index{height} * extent.width <= Index{width} * extent.height;
    const auto scaled = [](int side, int to, int from) {
        return std::max(static_cast<int>(static_cast<double>(to) * side / from), 1);
    };
    const Extent covering = height_first
                                ? Extent{extent.height, std::max(scaled(width, extent.height, height), extent.width)}
                                : Extent{std::max(scaled(height, extent.width, width), extent.height), extent.width};
    return center_crop(resize(image, covering), extent);
}

namespace detail {

/// A photo that covers the extent; errors name the file.
inline Image read_covering(const std::filesystem::path& file, Extent extent) {
    const Image image = read_image(file);
    try {
        return cover(image, extent);
    } catch (const Error& error) {
        throw Error(file.string(), error.expected(), error.found(), text("it is of ", describe(image.extent)));
    }
}

}  // namespace detail

inline ImageFolder load_image_folder(const std::filesystem::path& folder, const ImageFolderOptions& options) {
    if (!detail::is_image_extent(options.extent))
        throw Error("load_image_folder", detail::image_limits(), detail::describe(options.extent));
    std::vector<std::string> classes;
    std::vector<std::filesystem::path> files;
    std::vector<int> labels;
    std::error_code error;
    std::vector<std::filesystem::directory_entry> entries = detail::entries_of(folder, error);
    if (error) detail::refuse_folder(folder, error);
    std::ranges::sort(entries);
    for (const auto& entry : entries) {
        const bool is_folder = entry.is_directory(error);  // or a link to one
        if (error)
            detail::refuse_folder(entry.path(), error);  // left out, it would shift the labels of those behind it
        if (!is_folder) continue;
        const auto photos = photos_below(entry.path(), detail::refuse_folder);
        if (photos.empty()) throw FileError(entry.path().string(), "a .png, .jpg or .jpeg file in it or below", "none");
        files.insert(files.end(), photos.begin(), photos.end());
        labels.insert(labels.end(), photos.size(), static_cast<int>(classes.size()));
        classes.push_back(entry.path().filename().string());
    }
    if (classes.empty()) throw FileError(folder.string(), "a folder for each class in it", "none");

    const auto bytes = static_cast<std::size_t>(options.extent.area() * 3);
    std::vector<std::uint8_t> pixels(files.size() * bytes);
    std::vector<std::exception_ptr> problems(files.size());
    for_each_chunk(std::ssize(files), worker_count(), [&](Index chunk, int) {
        const auto i = static_cast<std::size_t>(chunk);
        try {
            const Image image = detail::read_covering(files[i], options.extent);
            std::ranges::copy(image.pixels, pixels.data() + i * bytes);
        } catch (...) {
            problems[i] = std::current_exception();
        }
    });

    ImageFolder result{.data = {options.extent, {}, {}, classes}, .files = {}, .broken = {}};
    std::vector<int> kept;
    std::size_t end = 0;  // of the pixels that are kept
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (problems[i]) {
            try {
                std::rethrow_exception(problems[i]);
            } catch (const Error& problem) {
                if (options.broken == BrokenFiles::refuse) throw;
                result.broken.emplace_back(problem.what());
            }
            continue;
        }
        if (end != i) std::copy_n(pixels.data() + i * bytes, bytes, pixels.data() + end * bytes);
        kept.push_back(labels[i]);
        result.files.push_back(files[i]);
        ++end;
    }
    for (std::size_t label = 0; label < classes.size(); ++label)
        if (std::ranges::count(kept, static_cast<int>(label)) == 0)
            throw FileError((folder / classes[label]).string(), "a photo that can be read", "none");
    pixels.resize(end * bytes);
    result.data = Dataset{options.extent, std::move(pixels), std::move(kept), std::move(classes)};
    return result;
}

}  // namespace resnet::inline v0
