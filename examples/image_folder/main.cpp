// Trains on photos of your own: a folder for each class, PNG and JPEG files of any size in it.
// Usage: image_folder FOLDER WEIGHTS [EPOCHS]; WEIGHTS is the file to write
#define RESNET_IMAGE_IMPLEMENTATION
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/data/image_folder.hpp>
#include <resnet/evaluate.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

int main(int argc, char** argv) try {
    const long epochs = argc > 3 ? std::strtol(argv[3], nullptr, 10) : 40;  // 0 for what is no number
    if (argc < 3 || epochs < 1) return std::fprintf(stderr, "usage: image_folder FOLDER WEIGHTS [EPOCHS]\n"), 2;
    using Net = resnet::ResNet18<10>;  // outputs are part of the type; those without a class stay unused
    const auto photos = resnet::load_image_folder(argv[1], {.extent = Net::image, .broken = resnet::BrokenFiles::skip});
    for (const auto& message : photos.broken) std::fprintf(stderr, "left out: %s\n", message.c_str());
    std::printf("%td photos of %zu classes\n", photos.data.size(), photos.data.classes().size());

    resnet::Model<Net> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::AdamW{.learning_rate = 1e-3f}};
    const bool one_is_left = photos.data.size() % 32 == 1;  // batch norm can't train on one image where a map is 1x1
    const resnet::Loader loader{photos.data,
                                {.batch = 32, .drop_last = one_is_left, .transforms = {resnet::random_flip()}}};
    for (unsigned epoch = 0; epoch < epochs; ++epoch)
        for (const auto& batch : loader.epoch(epoch)) trainer.step(batch.images, batch.labels);

    const auto result = evaluate(resnet::Classifier{model}, photos.data.images(), photos.data.labels());
    std::printf("training accuracy: %.2f %%\n", 100 * result.accuracy);
    std::string classes;  // for `classify`, which names them
    for (const auto& name : photos.data.classes()) classes += name + '\n';
    save(model, argv[2], {{"classes", classes}});
} catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
}
