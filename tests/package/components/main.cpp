// What the installed resnet::io and resnet::image have to compile, link and run: weights through a file, and a picture
// through a PNG file's bytes.
#define RESNET_IMAGE_IMPLEMENTATION
#include <resnet/image.hpp>
#include <resnet/image_write.hpp>
#include <resnet/io/weights.hpp>
#include <resnet/resnet18.hpp>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <vector>

int main() {
    const std::filesystem::path path = "components.safetensors";
    const resnet::Model<resnet::ResNet18<10>> saved{resnet::Seed{1}};
    resnet::Model<resnet::ResNet18<10>> loaded{resnet::Seed{2}};
    save(saved, path);
    load(loaded, path);
    std::filesystem::remove(path);
    const bool same_weights = saved.parameter("outlayer.weight") == loaded.parameter("outlayer.weight");

    const std::vector<std::uint8_t> pixels{255, 0, 0, 0, 255, 0};
    const auto png = resnet::encode_png(resnet::nhwc(pixels.data(), 1, {1, 2}));
    const bool same_pixels = resnet::decode_image(png, "two pixels").pixels == pixels;

    std::printf("weights %s, pixels %s\n", same_weights ? "same" : "differ", same_pixels ? "same" : "differ");
    return same_weights && same_pixels ? 0 : 1;
}
