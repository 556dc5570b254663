// Trains the tutorial's ResNet18 for an epoch, tests it, classifies one image. Usage: quickstart FOLDER-WITH-CIFAR-10
#include <cstdio>
#include <exception>

#include <resnet/classifier.hpp>
#include <resnet/data/cifar10.hpp>
#include <resnet/data/loader.hpp>
#include <resnet/evaluate.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

static_assert(resnet::macs<resnet::ResNet18<10>>({32, 32}) < 12'000'000);  // a budget that the compiler checks

int main(int argc, char** argv) try {
    const char* folder = argc > 1 ? argv[1] : "cifar-10-batches-bin";
    const auto train = resnet::load_cifar10(folder, resnet::Split::train);
    const auto test = resnet::load_cifar10(folder, resnet::Split::test);

    resnet::Model<resnet::ResNet18<10>> model{resnet::Seed{42}};  // a network is a type; a Model is its weights
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-3f}};
    const resnet::Loader loader{train, {.batch = 128, .seed = resnet::Seed{42}}};
    for (const auto& batch : loader.epoch(0)) {
        const auto step = trainer.step(batch.images, batch.labels);
        if (batch.number % 100 == 0) std::printf("batch %td: loss %.3f\n", batch.number, step.loss);
    }

    const resnet::Classifier classify{model};  // batch norm folded, weights packed, const = thread-safe
    std::printf("test accuracy: %.2f %%\n", 100 * evaluate(classify, test.images(), test.labels()).accuracy);
    const auto logits = classify(test.images().slice(0, 1));
    std::printf("the first test image is a %s, the network says %s\n", test.class_name(test.labels()[0]).c_str(),
                test.class_name(resnet::predicted_class(logits[0])).c_str());
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
