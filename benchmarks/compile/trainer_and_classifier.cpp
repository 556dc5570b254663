// The unit whose compile cost is watched: all that a program needs to train and to run the tutorial's network.
// benchmarks/compile/measure compiles it and counts.
#include <resnet/classifier.hpp>
#include <resnet/model.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include <vector>

float train_and_classify(const resnet::ImageView& images, const std::vector<int>& labels) {
    resnet::Model<resnet::ResNet18<10>> model{resnet::Seed{42}};
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 1e-3f}};
    trainer.step(images, labels);
    const resnet::Classifier classify{model};
    return classify(images)[0][0];
}
