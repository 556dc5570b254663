// Finds photos, and reads a batch of them on all cores. What can't be read is reported and left out.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <resnet/core/parallel.hpp>
#include <resnet/data/image_folder.hpp>

/// Names on the standard error stream what can't be read.
class Problems {
public:
    void report(const std::filesystem::path& path, const std::string& message) {
        any_ = true;
        const std::string name = path.string();
        // The library's messages about files begin with the file's name, the others do not.
        const std::string prefix = message.starts_with(name) ? "" : name + ": ";
        std::fprintf(stderr, "error: %s%s\n", prefix.c_str(), message.c_str());
    }
    bool any() const { return any_; }

private:
    bool any_ = false;
};

/// The photos in a folder and below, sorted. A folder that can't be read is reported, and what it holds is left out.
inline std::vector<std::filesystem::path> photos_below(const std::filesystem::path& top, Problems& problems) {
    bool all_read = true;
    const auto photos = resnet::photos_below(top, [&](const auto& folder, const std::error_code& error) {
        problems.report(folder, error.message());
        all_read = false;
    });
    if (all_read && photos.empty()) problems.report(top, "no .png, .jpg or .jpeg file in this folder or below");
    return photos;
}

/// Files as they were named; folders as the photos in them.
inline std::vector<std::filesystem::path> find_photos(std::span<const std::string> names, Problems& problems) {
    std::vector<std::filesystem::path> photos;
    for (const std::filesystem::path path : names) {
        std::error_code ignored;  // what is not there is no folder: read_image says so
        if (!std::filesystem::is_directory(path, ignored)) {
            photos.push_back(path);
            continue;
        }
        const auto found = photos_below(path, problems);
        photos.insert(photos.end(), found.begin(), found.end());
    }
    return photos;
}

/// Photos that were read, as the network wants them.
struct Batch {
    std::vector<std::filesystem::path> files;
    std::vector<std::uint8_t> pixels;  // [file][height][width][3]
};

/// `prepare` makes of each photo an image of the network's extent.
inline Batch read_photos(std::span<const std::filesystem::path> files, resnet::Image (*prepare)(const resnet::Image&),
                         Problems& problems) {
    struct Photo {
        resnet::Image image;
        std::string problem;
    };
    std::vector<Photo> photos(files.size());
    resnet::for_each_chunk(std::ssize(files), resnet::worker_count(), [&](resnet::Index chunk, int) {
        const auto i = static_cast<std::size_t>(chunk);
        try {
            photos[i].image = prepare(resnet::read_image(files[i]));
        } catch (const std::exception& error) {
            photos[i].problem = error.what();
        }
    });
    Batch batch;
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (!photos[i].problem.empty()) {
            problems.report(files[i], photos[i].problem);
            continue;
        }
        batch.files.push_back(files[i]);
        batch.pixels.insert(batch.pixels.end(), photos[i].image.pixels.begin(), photos[i].image.pixels.end());
    }
    return batch;
}
