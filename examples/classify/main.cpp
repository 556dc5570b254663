// Classifies photos with a trained network: the likeliest classes and their probabilities, as a table or as JSON.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#define RESNET_IMAGE_IMPLEMENTATION  // the decoder is compiled here
#include <resnet/image.hpp>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/data/cifar10.hpp>
#include <resnet/data/image_folder.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/resnet9.hpp>

#include "imagenet_classes.hpp"
#include "options.hpp"
#include "photos.hpp"

using Ranking = std::vector<resnet::ClassValue<float>>;
using Names = std::span<const std::string>;

/// As torchvision's weights want it: Resize(256), CenterCrop(224).
resnet::Image imagenet_image(const resnet::Image& photo) {
    return center_crop(resize_shorter_side(photo, 256), {224, 224});
}
/// As load_image_folder has it.
resnet::Image cifar_image(const resnet::Image& photo) { return cover(photo, {32, 32}); }

struct Printer {
    virtual ~Printer() = default;
    virtual void print(const std::string& file, const Ranking& ranking, Names names) = 0;
    virtual void end() {}
};

struct TablePrinter : Printer {
    void print(const std::string& file, const Ranking& ranking, Names names) override {
        std::printf("%s\n", file.c_str());
        for (const auto [index, probability] : ranking)
            std::printf("  %6.2f %%  %s\n", 100 * double{probability}, names[static_cast<std::size_t>(index)].c_str());
    }
};

/// One array, an object a line, written as the photos are done.
class JsonPrinter : public Printer {
public:
    void print(const std::string& file, const Ranking& ranking, Names names) override {
        Json photo{{"file", file}, {"classes", Json::array()}};
        for (const auto [index, probability] : ranking)
            photo["classes"].push_back(
                {{"class", names[static_cast<std::size_t>(index)]}, {"index", index}, {"probability", probability}});
        // Names of files are any bytes; JSON is UTF-8.
        const std::string line = photo.dump(-1, ' ', false, Json::error_handler_t::replace);
        std::printf("%s%s", first_ ? "[\n" : ",\n", line.c_str());
        first_ = false;
    }
    void end() override { std::printf(first_ ? "[]\n" : "\n]\n"); }

private:
    // Ordered, and with probabilities as they are: in float.
    using Json =
        nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool, std::int64_t, std::uint64_t, float>;
    bool first_ = true;
};

/// Those that the examples note in their files, one a line; else the usual ones.
std::vector<std::string> class_names(const std::string& weights, std::span<const char* const> usual) {
    const resnet::Metadata metadata = resnet::TensorFile{weights}.metadata();
    const auto noted = metadata.find("note.classes");
    if (noted == metadata.end()) return {usual.begin(), usual.end()};
    std::vector<std::string> names;
    std::istringstream list{noted->second};
    for (std::string name; std::getline(list, name);) names.push_back(name);
    names.resize(usual.size(), "(no class)");
    return names;
}

/// Returns the program's exit status.
template <class Net>
int classify_photos(const Options& options, std::span<const char* const> usual_names,
                    resnet::Image (*prepare)(const resnet::Image&), Printer& printer) {
    if (options.top > std::ssize(usual_names))
        throw std::runtime_error("--top " + std::to_string(options.top) + ": this model has " +
                                 std::to_string(usual_names.size()) + " classes");
    resnet::Model<Net> model{resnet::Seed{0}};
    try {
        load(model, options.weights, {.prefix = options.prefix});
    } catch (const resnet::FormatError& error) {
        if (error.expected() != "the weights of this network") throw;
        throw std::runtime_error(std::string{error.what()} +
                                 "\nare these weights of another network? see --model; have their names a prefix? see "
                                 "--prefix");
    }

    const std::vector<std::string> names = class_names(options.weights, usual_names);
    Problems problems;
    const auto photos = find_photos(options.photos, problems);
    const resnet::Index batch_size = std::clamp<resnet::Index>(std::ssize(photos), 1, options.batch);
    const resnet::Classifier classify{model, {.batch = batch_size}};
    for (auto rest = std::span{photos}; !rest.empty();) {
        const auto files = rest.first(std::min(rest.size(), static_cast<std::size_t>(batch_size)));
        rest = rest.subspan(files.size());
        const Batch batch = read_photos(files, prepare, problems);
        if (batch.files.empty()) continue;
        const auto logits = classify(resnet::nhwc(batch.pixels.data(), std::ssize(batch.files), Net::image));
        for (std::size_t i = 0; i < batch.files.size(); ++i) {
            const auto probabilities = resnet::softmax(logits[static_cast<resnet::Index>(i)]);
            if (std::isnan(probabilities[0])) {  // then all of them are
                problems.report(batch.files[i], "expected finite logits from the network, found infinite ones or NaN");
                continue;
            }
            printer.print(batch.files[i].string(), resnet::top_k(probabilities, options.top), names);
        }
        std::fflush(stdout);
    }
    printer.end();
    return problems.any() ? 1 : 0;
}

int classify_photos(const Options& options, Printer& printer) {
    using resnet::cifar10_classes;
    if (options.model == "tutorial")
        return classify_photos<resnet::ResNet18<10>>(options, cifar10_classes, cifar_image, printer);
    if (options.model == "resnet9")
        return classify_photos<resnet::ResNet9<10>>(options, cifar10_classes, cifar_image, printer);
    if (options.model == "cifar-resnet18")
        return classify_photos<resnet::CifarResNet18<10>>(options, cifar10_classes, cifar_image, printer);
    if (options.model == "imagenet-resnet34")
        return classify_photos<resnet::ImageNetResNet34<>>(options, imagenet_classes, imagenet_image, printer);
    return classify_photos<resnet::ImageNetResNet18<>>(options, imagenet_classes, imagenet_image, printer);
}

int main(int argc, char** argv) try {
    Options options;
    CLI::App app;
    add_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;  // --help is no mistake
    }
    TablePrinter table;
    JsonPrinter json;
    const int status = classify_photos(options, options.json ? static_cast<Printer&>(json) : table);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw std::runtime_error("the output could not be written");
    return status;
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
