// Where the images come from: --data, the variable CIFAR10_DIR, the cache folder, else Fashion-MNIST from Debian's
// package.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <resnet/data.hpp>
#include <resnet/data/fashion_mnist.hpp>

struct Data {
    std::string name, folder;
    resnet::Dataset train, test;
};

namespace where {

inline const std::filesystem::path fashion_mnist =
    "/usr/share/datasets/fashion-mnist";  // Debian's dataset-fashion-mnist

inline std::string variable(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

/// Where `run` puts what it downloads.
inline std::filesystem::path cache() {
    const std::string cache = variable("XDG_CACHE_HOME");
    return std::filesystem::path{cache.empty() ? variable("HOME") + "/.cache" : cache} / "resnet/cifar10";
}

inline bool holds(const std::filesystem::path& folder, const char* file) {
    std::error_code ignored;  // what can't be searched is not there
    return std::filesystem::exists(folder / file, ignored);
}

}  // namespace where

inline Data load_cifar10(const std::filesystem::path& folder) {
    return {"CIFAR-10", folder.string(), resnet::load_cifar10(folder, resnet::Split::train),
            resnet::load_cifar10(folder, resnet::Split::test)};
}

inline Data load_fashion_mnist(const std::filesystem::path& folder) {
    return {"Fashion-MNIST", folder.string(), resnet::load_fashion_mnist(folder, resnet::Split::train),
            resnet::load_fashion_mnist(folder, resnet::Split::test)};
}

/// The first of the places that has data. A place that was named but holds none is an error, not a reason to look
/// further.
inline Data find_data(const std::string& folder_option) {
    using where::holds;
    if (!folder_option.empty()) {
        const std::filesystem::path folder = folder_option;
        const bool fashion = holds(folder, "t10k-labels-idx1-ubyte") || holds(folder, "t10k-labels-idx1-ubyte.gz");
        return fashion ? load_fashion_mnist(folder) : load_cifar10(folder);
    }
    if (const std::string folder = where::variable("CIFAR10_DIR"); !folder.empty()) return load_cifar10(folder);
    if (const auto cache = where::cache(); holds(cache, "cifar-10-batches-bin/test_batch.bin"))
        return load_cifar10(cache);

    const char* const advice =
        "For CIFAR-10, download https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz, unpack it,\n"
        "and name the folder with --data or in the variable CIFAR10_DIR.\n";
    if (!holds(where::fashion_mnist, "t10k-labels-idx1-ubyte.gz")) {
        throw resnet::FileError(where::cache().string(), "CIFAR-10's binary version", "nothing",
                                std::string{"nor is Debian's package dataset-fashion-mnist installed.\n"} + advice);
    }
    std::printf(
        "CIFAR-10 was not found: this run takes Fashion-MNIST (28x28 pictures of clothes, grey, padded to 32x32).\n%s",
        advice);
    return load_fashion_mnist(where::fashion_mnist);
}
