// exchange NETWORK WEIGHTS IMAGES LOGITS COPY: what exchange.py runs. Loads weights, classifies images (a tensor
// `images`, [N][3][H][W], already normalised), and writes a tensor `logits` and the weights again.
#include <cstdio>
#include <exception>
#include <string_view>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>

using namespace resnet;

namespace {

template <class Net>
void exchange(char** paths) {
    Model<Net> model{Seed{1}};
    load(model, paths[0]);
    const TensorFile file{paths[1]};
    const auto images = file.read<float>("images");
    const Index count = file.find("images")->shape.at(0);
    const Classifier classify{model};
    const auto logits = classify(nchw(images.data(), count, Net::image));
    const TensorRecord tensors[]{tensor_record("logits", {count, Net::classes}, logits.values())};
    write_tensor_file(paths[2], tensors);
    save(model, paths[3]);
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view network = count == 6 ? arguments[1] : "";
    try {
        if (network == "ResNet18") exchange<ResNet18<10>>(arguments + 2);
        else if (network == "CifarResNet18") exchange<CifarResNet18<10>>(arguments + 2);
        else if (network == "ImageNetResNet18") exchange<ImageNetResNet18<1000>>(arguments + 2);
        else if (network == "ImageNetResNet34") exchange<ImageNetResNet34<1000>>(arguments + 2);
        else std::fputs("usage: exchange NETWORK WEIGHTS IMAGES LOGITS COPY\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return network.empty() ? 2 : 0;
}
