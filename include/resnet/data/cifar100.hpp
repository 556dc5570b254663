// CIFAR-100 in its binary version (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html): 50,000 training and
// 10,000 test images of 32 x 32, each of one of 100 classes, which belong to 20 superclasses.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <resnet/data/cifar_files.hpp>
#include <resnet/data/dataset.hpp>

namespace resnet::inline v0 {

/// Which of an image's two labels.
enum class Cifar100Labels : std::uint8_t { superclass, fine };

/// Reads train.bin or test.bin from `folder`, or from the folder cifar-100-binary in it. Throws FileError if the file
/// is missing or can't be read; FormatError, naming the file and the byte, where its length is not 50,000 (test:
/// 10,000) records of 3,074 bytes, a superclass is above 19 or a class above 99.
Dataset load_cifar100(const std::filesystem::path& folder, Split split, Cifar100Labels labels = Cifar100Labels::fine);

/// The file that `load_cifar100` reads; it throws where that is missing.
std::filesystem::path cifar100_file(const std::filesystem::path& folder, Split split);

// ---------------------------------------------------------------------------------------------------------------------

/// Names in the order of the labels, as the data set's fine_label_names.txt and coarse_label_names.txt list them.
inline constexpr std::array<const char*, 100> cifar100_classes{
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};
inline constexpr std::array<const char*, 20> cifar100_superclasses{"aquatic_mammals",
                                                                   "fish",
                                                                   "flowers",
                                                                   "food_containers",
                                                                   "fruit_and_vegetables",
                                                                   "household_electrical_devices",
                                                                   "household_furniture",
                                                                   "insects",
                                                                   "large_carnivores",
                                                                   "large_man-made_outdoor_things",
                                                                   "large_natural_outdoor_scenes",
                                                                   "large_omnivores_and_herbivores",
                                                                   "medium_mammals",
                                                                   "non-insect_invertebrates",
                                                                   "people",
                                                                   "reptiles",
                                                                   "small_mammals",
                                                                   "trees",
                                                                   "vehicles_1",
                                                                   "vehicles_2"};

inline std::filesystem::path cifar100_file(const std::filesystem::path& folder, Split split) {
    return detail::cifar_files(folder, "cifar-100-binary", {split == Split::train ? "train.bin" : "test.bin"},
                               "CIFAR-100")[0];
}

inline Dataset load_cifar100(const std::filesystem::path& folder, Split split, Cifar100Labels wanted) {
    constexpr std::array classes{20, 100};
    const bool train = split == Split::train, fine = wanted == Cifar100Labels::fine;
    const detail::CifarFormat format{.content = train ? "50000 records of 3074 bytes (CIFAR-100's train.bin)"
                                                      : "10000 records of 3074 bytes (CIFAR-100's test.bin)",
                                     .records = train ? 50'000 : 10'000,
                                     .classes = classes,
                                     .label = fine ? 1U : 0U};
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    pixels.reserve(static_cast<std::size_t>(format.records * detail::cifar_pixels));
    labels.reserve(static_cast<std::size_t>(format.records));
    detail::read_cifar_file(format, cifar100_file(folder, split), pixels, labels);
    std::vector<std::string> names{cifar100_superclasses.begin(), cifar100_superclasses.end()};
    if (fine) names.assign(cifar100_classes.begin(), cifar100_classes.end());
    return {detail::cifar_extent, std::move(pixels), std::move(labels), std::move(names)};
}

}  // namespace resnet::inline v0
