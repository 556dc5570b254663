// The command line of the program.
#pragma once

#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <resnet/core/extent.hpp>

struct Options {
    std::string model = "imagenet-resnet18";
    std::string weights;
    std::string prefix;
    int top = 5;
    resnet::Index batch = 32;
    bool json = false;
    std::vector<std::string> photos;
};

inline void add_options(CLI::App& app, Options& options) {
    app.name("classify");
    app.description(
        "Says what is on photos: the likeliest classes and their probabilities, from a network with trained weights.");
    app.add_option("photos", options.photos,
                   "PNG and JPEG files, and folders: all .png, .jpg and .jpeg files in them and below")
        ->required();
    app.add_option(
           "--model", options.model,
           "imagenet-resnet18 or imagenet-resnet34 (1000 classes, 224x224 pixels from the middle of the photo); "
           "tutorial, resnet9 or cifar-resnet18 (CIFAR-10's ten classes, or those that the examples image_folder "
           "and cifar10 noted in their files; 32x32 pixels, from the middle of a photo that is not square)")
        ->check(CLI::IsMember({"imagenet-resnet18", "imagenet-resnet34", "tutorial", "resnet9", "cifar-resnet18"}))
        ->capture_default_str();
    app.add_option("--weights", options.weights,
                   "safetensors file with the weights of that model, PyTorch's or this library's")
        ->required();
    app.add_option("--prefix", options.prefix,
                   "what the file has before each name: 'module.' from PyTorch's DataParallel, 'average/' for a "
                   "checkpoint's moving average");
    app.add_option("--top", options.top, "how many classes to name")->check(CLI::Range(1, 1000))->capture_default_str();
    app.add_option("--batch", options.batch, "how many photos go through the network at a time")
        ->check(CLI::Range(1, 100'000))
        ->capture_default_str();
    app.add_flag("--json", options.json,
                 R"(print an array with one object a photo: {"file", "classes": [{"class", "index", "probability"}]})");
    app.footer(
        "A photo that can't be read, or for which the network gives no numbers, is named on the standard error stream, "
        "the others are classified, and the exit "
        "status is 1.\n\n"
        "torchvision's weights become a safetensors file with\n"
        "  python3 -c \"import torchvision, safetensors.torch as s; s.save_file("
        "torchvision.models.resnet18(weights='DEFAULT').state_dict(), 'resnet18.safetensors')\"");
}
