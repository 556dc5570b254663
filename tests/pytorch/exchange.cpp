// exchange NETWORK FOLDER: what exchange.py runs. Reads weights (FOLDER/theirs.safetensors) and images
// (FOLDER/images.safetensors: `images`, [N][3][H][W], already normalised), and writes a tensor `logits`
// (logits.safetensors), the weights again (ours.safetensors), and the network as ONNX (folded.onnx, unfolded.onnx).
// EveryNode has weights of its own: no file is read for it.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string_view>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/io/onnx.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>

#include "../support/networks.hpp"

using namespace resnet;

namespace {

template <class Net>
void exchange(const std::filesystem::path& folder, bool read_weights = true) {
    Model<Net> model{Seed{1}};
    if (read_weights) load(model, folder / "theirs.safetensors");
    const TensorFile file{folder / "images.safetensors"};
    const auto images = file.read<float>("images");
    const Index count = file.find("images")->shape.at(0);
    const Classifier classify{model};
    const auto logits = classify(nchw(images.data(), count, Net::image));
    const TensorRecord tensors[]{tensor_record("logits", {count, Net::classes}, logits.values())};
    write_tensor_file(folder / "logits.safetensors", tensors);
    save(model, folder / "ours.safetensors");
    to_onnx(model, folder / "folded.onnx");
    to_onnx(model, folder / "unfolded.onnx", {.fold_batch_norm = false});
}

}  // namespace

int main(int count, char** arguments) {
    const std::string_view network = count == 3 ? arguments[1] : "";
    try {
        if (network == "ResNet18") exchange<ResNet18<10>>(arguments[2]);
        else if (network == "CifarResNet18") exchange<CifarResNet18<10>>(arguments[2]);
        else if (network == "ImageNetResNet18") exchange<ImageNetResNet18<1000>>(arguments[2]);
        else if (network == "ImageNetResNet34") exchange<ImageNetResNet34<1000>>(arguments[2]);
        else if (network == "EveryNode") exchange<tests::EveryNodeButCustom>(arguments[2], false);
        else {
            std::fputs("usage: exchange NETWORK FOLDER\n", stderr);
            return 2;
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
