// From weights of ten classes to a question of two: vehicle or animal? Usage: fine_tune WEIGHTS FOLDER-WITH-CIFAR-10
// Weights of the tutorial's network, such as best.safetensors of: examples/cifar10/run --out runs/first
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/evaluate.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

std::vector<int> two_classes(std::span<const int> labels) {
    std::vector<int> answers;  // airplane, automobile, ship and truck are 0
    for (const int label : labels) answers.push_back(label >= 2 && label <= 7 ? 1 : 0);
    return answers;
}

int main(int argc, char** argv) try {
    if (argc != 3) return std::fprintf(stderr, "usage: fine_tune WEIGHTS FOLDER-WITH-CIFAR-10\n"), 2;
    const auto train = resnet::load_cifar10(argv[2], resnet::Split::train);
    const auto test = resnet::load_cifar10(argv[2], resnet::Split::test);

    resnet::Model<resnet::ResNet18<2>> model{resnet::Seed{1}};
    load(model, argv[1], {.skip = {"outlayer.*"}});  // all but the last layer, which has other classes
    model.freeze("*");
    model.unfreeze("outlayer.*");
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-2f}};
    const resnet::Loader loader{train, {.batch = 256}};
    for (const auto& batch : loader.epoch(0)) {
        trainer.step(batch.images, two_classes(batch.labels));
        if (batch.number == 99) break;
    }
    const auto result = evaluate(resnet::Classifier{model}, test.images(), two_classes(test.labels()));
    std::printf("test accuracy: %.2f %%\n", 100 * result.accuracy);
} catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
}
