#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <resnet/io/onnx.hpp>

#include "../data/temporary_folder.hpp"
#include "../support/engine.hpp"
#include "../support/file_content.hpp"
#include "../support/networks.hpp"
#include "../support/onnx.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::OnnxFile;
using tests::OnnxNode;
using tests::ProtobufMessage;

namespace {

/// A convolution and its batch norm, and a head.
struct Plain {
    static constexpr Extent image{8, 10};
    Conv2dNoBias<3, 4, k3, 2> conv;
    BatchNorm2d<4, NormOptions{.epsilon = 1e-3f}> norm;
    Linear<4, 5> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(relu(norm(conv(x))))); }
    RESNET_MEMBERS(conv, norm, fc)
};

/// A batch norm before a gelu, and a gelu of features.
struct Smooth {
    static constexpr Extent image{4, 4};
    Conv2d<3, 4, k3> conv;
    BatchNorm2d<4> norm;
    Linear<4, 4> fc;
    constexpr auto operator()(Value<3> x) const { return gelu(fc(adaptive_avg_pool2d(gelu(norm(conv(x)))))); }
    RESNET_MEMBERS(conv, norm, fc)
};

/// Sums of features, some of which come out of a pool and some out of a linear layer; what nobody reads; and batch
/// norms that can't be folded.
struct Features4 {
    static constexpr Extent image{4, 4};
    BatchNorm2d<3> first;
    Conv2d<3, 4, k1> conv;
    BatchNorm2d<4> read_elsewhere;
    Conv2d<4, 7, k1> unused;
    BatchNorm2d<7> unused_norm;
    Linear<4, 4> fc;
    constexpr auto operator()(Value<3> x) const {
        const auto y = conv(first(x));
        static_cast<void>(unused_norm(unused(y)));
        const auto pooled = adaptive_avg_pool2d(relu(read_elsewhere(y)) + y);
        return relu(0.5f * relu(pooled) + fc(pooled));
    }
    RESNET_MEMBERS(first, conv, read_elsewhere, unused, unused_norm, fc)
};

/// The output is a map of one position.
struct PooledOutput {
    static constexpr Extent image{4, 4};
    Conv2d<3, 5, k1> conv;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(conv(x)); }
    RESNET_MEMBERS(conv)
};

/// A convolution followed by one batch norm and by another: folded, it is two.
struct TwoNorms {
    static constexpr Extent image{4, 4};
    Conv2d<3, 3, k3> conv;
    BatchNorm2d<3> norm1, norm2;
    Linear<3, 3> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(norm2(conv(norm1(conv(conv(x))))))); }
    RESNET_MEMBERS(conv, norm1, norm2, fc)
};

/// A model of which every number is its own.
template <class Net, class Scalar = float>
Model<Net, Scalar> used_model() {
    Model<Net, Scalar> model{Seed{3}, {.mean = {0.1f, 0.2f, 0.3f}, .standard_deviation = {0.4f, 0.5f, 0.6f}}};
    std::uint64_t seed = 10;
    for (const StateEntry& entry : model.state())
        if (!entry.name.ends_with("num_batches_tracked"))
            model.set_parameter(entry.name,
                                tests::uniform<Scalar>(static_cast<std::size_t>(entry.elements()), ++seed, 0.2, 1));
    return model;
}

template <class Net, class Scalar>
OnnxFile written(const Model<Net, Scalar>& model, const OnnxOptions& options = {}) {
    const TemporaryFolder folder;
    to_onnx(model, folder.path() / "net.onnx", options);
    return OnnxFile{file_content(folder.path() / "net.onnx")};
}

/// The file's logits and a Classifier's for the same images.
template <class Net>
void check_logits(const OnnxOptions& options, Index images = 3) {
    CAPTURE(options.fold_batch_norm);
    const auto model = used_model<Net, double>();
    const Extent extent = options.image == Extent{} ? Net::image : options.image;
    const auto pixels = tests::uniform<double>(static_cast<std::size_t>(images * 3 * extent.area()), 1, -1, 1);
    const Classifier<Net, double> classify{model, {.image = extent}};
    const auto expected = classify(nchw(pixels.data(), images, extent));
    const OnnxFile file = written(model, options);
    const auto found = file.run({{images, 3, extent.height, extent.width}, pixels});
    CHECK(found.shape == std::vector<std::int64_t>{images, expected.classes()});
    double largest = 0;
    for (const double x : expected.values()) largest = std::max(largest, std::abs(x));
    for (std::size_t i = 0; i < expected.values().size(); ++i)
        CHECK(std::abs(found.values.at(i) - expected.values()[i]) < 1e-5 * largest);  // its weights are floats
}

std::vector<std::string> ops(const OnnxFile& file) {
    std::vector<std::string> list;
    for (const OnnxNode& node : file.nodes) list.push_back(node.op);
    return list;
}

std::set<std::string> names(const OnnxFile& file) {
    std::set<std::string> list;
    for (const auto& [name, tensor] : file.tensors) list.insert(name);
    return list;
}

}  // namespace

TEST_CASE("onnx: the file computes the model's logits, folded or not, for any number of images") {
    for (const bool fold : {false, true}) {
        check_logits<Plain>({.fold_batch_norm = fold}, 1);
        check_logits<Plain>({.fold_batch_norm = fold}, 5);
        check_logits<tests::EveryNodeButCustom>({.fold_batch_norm = fold});
        check_logits<tests::SmallResNet>({.fold_batch_norm = fold, .image = {6, 8}}, 1);
        check_logits<Smooth>({.fold_batch_norm = fold});
        check_logits<Features4>({.fold_batch_norm = fold});
        check_logits<PooledOutput>({.fold_batch_norm = fold});
        check_logits<TwoNorms>({.fold_batch_norm = fold});
    }
}

TEST_CASE("onnx: unfolded, its tensors are the state_dict to the bit, in PyTorch's names, shapes and order") {
    const auto model = used_model<Plain>();
    const OnnxFile file = written(model, {.fold_batch_norm = false});
    CHECK(ops(file) ==
          std::vector<std::string>{"Conv", "BatchNormalization", "Relu", "GlobalAveragePool", "Flatten", "Gemm"});
    CHECK(names(file) == std::set<std::string>{"conv.weight", "norm.weight", "norm.bias", "norm.running_mean",
                                               "norm.running_var", "fc.weight", "fc.bias"});
    for (const StateEntry& entry : model.state()) {
        if (entry.name.ends_with("num_batches_tracked")) continue;
        const auto& tensor = file.tensors.at(entry.name);
        const auto values = model.parameter(entry.name);
        CHECK(tensor.shape == std::vector<std::int64_t>(entry.shape.begin(), entry.shape.end()));
        CHECK(tensor.values == std::vector<double>(values.begin(), values.end()));
    }
    const OnnxNode& convolution = file.nodes[0];
    CHECK(convolution.inputs == std::vector<std::string>{"images", "conv.weight"});
    CHECK(convolution.attributes == std::map<std::string, std::vector<double>>{
                                        {"kernel_shape", {3, 3}}, {"strides", {2, 2}}, {"pads", {1, 1, 1, 1}}});
    CHECK(file.nodes[1].attributes == std::map<std::string, std::vector<double>>{{"epsilon", {double{1e-3f}}}});
}

TEST_CASE("onnx: folded, the convolution has the batch norm's scale and a bias") {
    const auto model = used_model<Plain>();
    const OnnxFile file = written(model);
    CHECK(ops(file) == std::vector<std::string>{"Conv", "Relu", "GlobalAveragePool", "Flatten", "Gemm"});
    CHECK(names(file) == std::set<std::string>{"conv.weight", "conv.bias", "fc.weight", "fc.bias"});
    CHECK(file.nodes[0].inputs == std::vector<std::string>{"images", "conv.weight", "conv.bias"});
    const auto weight = model.parameter("conv.weight"), gamma = model.parameter("norm.weight"),
               beta = model.parameter("norm.bias"), mean = model.parameter("norm.running_mean"),
               variance = model.parameter("norm.running_var");
    for (std::size_t o = 0; o < 4; ++o) {
        const double scale = gamma[o] / std::sqrt(double{variance[o]} + double{1e-3f});
        CHECK(file.tensors.at("conv.bias").values[o] == doctest::Approx(beta[o] - scale * mean[o]).epsilon(1e-6));
        for (std::size_t i = o * 27; i < (o + 1) * 27; ++i)
            CHECK(file.tensors.at("conv.weight").values[i] == doctest::Approx(scale * weight[i]).epsilon(1e-6));
    }
}

TEST_CASE("onnx: a layer that two batch norms follow is two convolutions when folded, and one tensor else") {
    const auto model = used_model<TwoNorms>();
    CHECK(names(written(model)) == std::set<std::string>{"conv.weight", "conv.bias", "conv.weight.2", "conv.bias.2",
                                                         "conv.weight.3", "conv.bias.3", "fc.weight", "fc.bias"});
    const auto unfolded = names(written(model, {.fold_batch_norm = false}));
    CHECK(unfolded.size() == 2 + 8 + 2);
    CHECK(unfolded.contains("conv.weight"));
}

TEST_CASE("onnx: what the output does not need is not written; batch norm stays where no convolution takes it") {
    const OnnxFile file = written(used_model<Features4>());
    CHECK_FALSE(names(file).contains("unused.weight"));
    const auto list = ops(file);
    CHECK(std::ranges::count(list, "BatchNormalization") == 2);
    CHECK(std::ranges::count(list, "Conv") == 1);
    CHECK(std::ranges::count(list, "Flatten") == 2);  // of the pool and of what relu makes of it
}

TEST_CASE("onnx: version, operator set, the shapes of images and logits with N open, and the normalisation") {
    const OnnxFile file = written(used_model<Plain>());
    CHECK(file.model.integer(1) == 8);
    CHECK(file.model.text(2) == "resnet");
    CHECK(file.model.message(8).integer(2) == 17);
    const auto dimensions = [](const ProtobufMessage& value) {
        const ProtobufMessage type = value.message(2).message(1);
        std::string text = type.integer(1) == 1 ? value.text(1) : "not a float: ";
        for (const ProtobufMessage& dimension : type.message(2).messages(1))
            text.append(" ").append(dimension.count(2) == 1 ? dimension.text(2) : std::to_string(dimension.integer(1)));
        return text;
    };
    const ProtobufMessage graph = file.model.message(7);
    CHECK(dimensions(graph.message(11)) == "images N 3 8 10");
    CHECK(dimensions(graph.message(12)) == "logits N 5");
    std::map<std::string, std::string> metadata;
    for (const ProtobufMessage& entry : file.model.messages(14)) metadata[entry.text(1)] = entry.text(2);
    CHECK(metadata == std::map<std::string, std::string>{{"normalization.mean", "0.1 0.2 0.3"},
                                                         {"normalization.standard_deviation", "0.4 0.5 0.6"}});
}

TEST_CASE("onnx: another extent of the images is an option") {
    check_logits<Plain>({.image = {9, 7}});
    const OnnxFile file = written(used_model<Plain>(), {.image = {9, 7}});
    const auto dimensions = file.model.message(7).message(11).message(2).message(1).message(2).messages(1);
    CHECK(dimensions.at(2).integer(1) == 9);
    CHECK(dimensions.at(3).integer(1) == 7);
}

TEST_CASE("onnx: a custom operation is an error that names it, and no file is written") {
    const TemporaryFolder folder;
    CHECK_THROWS_WITH_AS(to_onnx(Model<tests::EveryNode>{Seed{1}}, folder.path() / "net.onnx"),
                         "swish: expected an operation that ONNX has, found the custom operation swish", Error);
    CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("onnx: a file that can't be written is an error") {
    CHECK_THROWS_AS(to_onnx(used_model<Plain>(), "/nowhere/net.onnx"), FileError);
}

TEST_CASE("onnx: weights that are not finite do not take the place of a file, nor do more than its format can hold") {
    const TemporaryFolder folder;
    const auto path = folder.path() / "net.onnx";
    auto model = used_model<Plain>();
    to_onnx(model, path);
    const auto before = file_content(path);
    model.set_parameter("fc.bias", std::vector<float>{0, 1, std::numeric_limits<float>::infinity(), 0, 0});
    CHECK_THROWS_WITH_AS(to_onnx(model, path), "fc.bias: expected finite numbers, found inf (nothing was saved)",
                         NotFiniteError);
    CHECK(file_content(path) == before);
    CHECK_NOTHROW(detail::check_message_size((std::size_t{1} << 31) - 1));
    CHECK_THROWS_AS(detail::check_message_size(std::size_t{1} << 31), Error);
}

TEST_CASE("onnx: equal models give equal bytes") {
    const TemporaryFolder folder;
    to_onnx(used_model<Plain>(), folder.path() / "one");
    to_onnx(used_model<Plain>(), folder.path() / "other");
    CHECK(file_content(folder.path() / "one") == file_content(folder.path() / "other"));
}
