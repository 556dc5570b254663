#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "../support/bits.hpp"
#include "../support/engine.hpp"
#include "../support/gelu.hpp"
#include "../support/isas.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;
using tests::EveryNode;
using tests::SmallResNet;

namespace {

/// A convolution whose batch norm is folded into it, with all that can follow.
struct Folded {
    static constexpr Extent image{5, 6};
    Conv2d<3, 20, k3> conv;
    BatchNorm2d<20> norm;
    Conv2d<3, 20, k1> shortcut;
    BatchNorm2d<20, NormOptions{.affine = false}> plain;
    Linear<20, 4> fc;
    constexpr auto operator()(Value<3> x) const {
        const auto b = plain(shortcut(x));
        return fc(adaptive_avg_pool2d(relu(0.5f * norm(conv(x)) + b)));
    }
    RESNET_MEMBERS(conv, norm, shortcut, plain, fc)
};

/// The same function, but each convolution is read twice, so that nothing can be folded.
struct Apart {
    static constexpr Extent image = Folded::image;
    Conv2d<3, 20, k3> conv;
    BatchNorm2d<20> norm;
    Conv2d<3, 20, k1> shortcut;
    BatchNorm2d<20, NormOptions{.affine = false}> plain;
    Linear<20, 4> fc;
    constexpr auto operator()(Value<3> x) const {
        const auto a = conv(x), b = shortcut(x);
        return fc(adaptive_avg_pool2d(relu(0.5f * norm(a) + plain(b) + 0.0f * a + 0.0f * b)));
    }
    RESNET_MEMBERS(conv, norm, shortcut, plain, fc)
};

/// Batch norm of the image itself.
struct NormFirst {
    static constexpr Extent image{1, 1};
    BatchNorm2d<3> norm;
    Linear<3, 3> fc;
    constexpr auto operator()(Value<3> x) const { return fc(flatten<3>(norm(x))); }
    RESNET_MEMBERS(norm, fc)
};

/// The last linear layer reads a map, and its output is scaled and goes through gelu and relu.
struct Flattened {
    static constexpr Extent image{6, 8};
    Conv2d<3, 5, k3, 2> conv;
    Linear<60, 4> fc;
    constexpr auto operator()(Value<3> x) const { return relu(gelu(0.5f * fc(flatten<60>(conv(x))))); }
    RESNET_MEMBERS(conv, fc)
};

/// Wide maps for little work: a few images fill the caches.
struct Wide {
    static constexpr Extent image{64, 64};
    Conv2d<3, 64, k1> conv;
    Linear<64, 4> fc;
    constexpr auto operator()(Value<3> x) const { return fc(adaptive_avg_pool2d(conv(x))); }
    RESNET_MEMBERS(conv, fc)
};

/// No linear layer at the end.
struct Pooled {
    static constexpr Extent image{4, 4};
    Conv2d<3, 5, k1> conv;
    constexpr auto operator()(Value<3> x) const { return adaptive_avg_pool2d(conv(x)); }
    RESNET_MEMBERS(conv)
};

/// A model whose running statistics and affine parameters are not the initial ones.
template <class Net, class Scalar>
Model<Net, Scalar> used_model(std::uint64_t seed) {
    Model<Net, Scalar> model{Seed{seed}};
    for (const StateEntry& entry : model.state()) {
        const auto count = static_cast<std::size_t>(entry.elements());
        const bool norm = entry.name.find("norm") != std::string::npos || entry.name.find("bn") != std::string::npos;
        std::vector<double> values;
        if (entry.name.ends_with("running_mean")) values = tests::uniform<double>(count, ++seed, -0.3, 0.3);
        else if (entry.name.ends_with("running_var")) values = tests::uniform<double>(count, ++seed, 0.5, 2);
        else if (norm && entry.kind == StateEntry::Kind::parameter)
            values = tests::uniform<double>(count, ++seed, 0.5, 1.5);
        else continue;
        model.set_parameter(entry.name, std::vector<Scalar>(values.begin(), values.end()));
    }
    return model;
}

/// The same numbers in another precision.
template <class Scalar, class Net>
Model<Net, Scalar> converted(const Model<Net, double>& model) {
    Model<Net, Scalar> result{Seed{0}};
    for (const StateEntry& entry : model.state()) {
        const auto values = model.parameter(entry.name);
        result.set_parameter(entry.name, std::vector<Scalar>(values.begin(), values.end()));
    }
    return result;
}

template <class Net, class Scalar>
struct Images {
    std::vector<Scalar> pixels;
    ImageView view;
    Images(Index count, std::uint64_t seed)
        : pixels{tests::uniform<Scalar>(static_cast<std::size_t>(count * 3 * Net::image.area()), seed)},
          view{nchw(pixels.data(), count, Net::image)} {}
};

/// Every image alone and in batches of several sizes, first, last and in the middle.
template <class Net, class Scalar>
void check_independence(const PlanOptions& plan) {
    const auto model = used_model<Net, Scalar>(5);
    const Classifier<Net, Scalar> classify{model, {.plan = plan}};
    const Images<Net, Scalar> images{37, 1};
    const auto all = classify(images.view);
    REQUIRE(all.images() == 37);
    for (const Index size : {1, 2, 3, 7, 16, 17, 36})
        for (Index first = 0; first < 37; first += size) {
            const Index count = std::min<Index>(size, 37 - first);
            const auto some = classify(images.view.slice(first, count));
            for (Index n = 0; n < count; ++n) {
                INFO("image ", first + n, " as number ", n, " of ", count);
                REQUIRE(tests::same_bits(some[n], all[first + n]));
            }
        }
}

/// The logits of a linear layer, and of what may stand behind it, from its input: weights in PyTorch's order.
template <class Net>
double logit(const Model<Net, double>& model, const std::string& layer, std::span<const double> embedding,
             std::size_t o) {
    const auto weight = model.parameter(layer + ".weight"), bias = model.parameter(layer + ".bias");
    double sum = bias[o];
    for (std::size_t i = 0; i < embedding.size(); ++i) sum += weight[o * embedding.size() + i] * embedding[i];
    if constexpr (!std::is_same_v<Net, Flattened>) return sum;
    return std::max(tests::gelu(0.5 * sum), 0.0);
}

/// The embedding leads to the logits, in every block and in the caller's memory, whatever the neighbours.
template <class Net>
void check_embedding(const std::string& layer, Index features) {
    const auto model = used_model<Net, double>(5);
    const Images<Net, double> images{37, 1};
    for (const int block : {0, 1, 4}) {
        const Classifier<Net, double> classify{model, {.plan = {.block = block}}};
        const auto logits = classify(images.view);
        const auto embeddings = classify.embed(images.view);
        REQUIRE(embeddings.images() == 37);
        REQUIRE(embeddings.features() == features);
        for (Index n = 0; n < 37; ++n)
            for (std::size_t o = 0; o < logits[n].size(); ++o)
                CHECK(std::abs(logit(model, layer, embeddings[n], o) - logits[n][o]) < 1e-12);
        std::vector<double> mine(static_cast<std::size_t>(5 * features));
        classify.embed(images.view.slice(20, 5), mine);
        CHECK(tests::same_bits(std::span<const double>{mine},
                               embeddings.values().subspan(static_cast<std::size_t>(20 * features), mine.size())));
    }
}

template <class Net>
constexpr bool can_embed = requires(const Classifier<Net>& classify, const ImageView& images) {
    classify.embed(images);
};

}  // namespace

TEST_CASE("inference: an image's logits depend neither on its neighbours nor on its place in the batch, to the bit") {
    for (const Isa isa : tests::available_isas())
        for (const int block : {0, 1, 4}) {
            INFO(std::string{name_of(isa)}, ", block ", block);
            check_independence<EveryNode, float>({.block = block, .isa = isa});
            check_independence<EveryNode, double>({.block = block, .isa = isa});
            check_independence<SmallResNet, float>({.block = block, .isa = isa});
            check_independence<SmallResNet, float>({.choice = {.allow_winograd = false}, .block = block, .isa = isa});
        }
}

TEST_CASE("inference: by im2col, too, an image's logits do not depend on its neighbours") {
    check_independence<EveryNode, float>({.choice = {.allow_winograd = false, .allow_direct = false}});
    check_independence<SmallResNet, float>({.choice = {.allow_winograd = false, .allow_direct = false}});
}

TEST_CASE("inference: every kernel and instruction set gives the logits of double within float's rounding") {
    const auto check = []<class Net>(std::type_identity<Net>) {
        const auto exact = used_model<Net, double>(5);
        const auto model = converted<float>(exact);
        const Images<Net, double> images{5, 1};
        const Images<Net, float> rounded{5, 1};
        const Classifier<Net, double> reference{exact};
        const auto expected = reference(images.view);
        double size = 0;
        for (const double x : expected.values()) size = std::max(size, std::abs(x));
        for (const Isa isa : tests::available_isas())
            for (const ChoiceOptions choice : {ChoiceOptions{}, ChoiceOptions{.allow_winograd = false},
                                               ChoiceOptions{.allow_winograd = false, .allow_direct = false}})
                for (const int block : {0, 2}) {
                    const PlanOptions plan{.choice = choice, .block = block, .isa = isa};
                    const Classifier<Net> in_float{model, {.plan = plan}};
                    const Classifier<Net, double> in_double{exact, {.plan = plan}};
                    const auto found = in_float(rounded.view);
                    const auto same = in_double(images.view);
                    for (std::size_t i = 0; i < expected.values().size(); ++i) {
                        CHECK(std::abs(static_cast<double>(found.values()[i]) - expected.values()[i]) < 1e-5 * size);
                        CHECK(std::abs(same.values()[i] - expected.values()[i]) < 1e-13 * size);
                    }
                }
    };
    check(std::type_identity<EveryNode>{});
    check(std::type_identity<SmallResNet>{});
}

TEST_CASE("inference: batch norm is gamma (x - running mean) / sqrt(running variance + epsilon) + beta") {
    auto model = used_model<NormFirst, double>(3);
    model.set_parameter("fc.weight", std::vector<double>{1, 0, 0, 0, 1, 0, 0, 0, 1});
    model.set_parameter("fc.bias", std::vector<double>{0, 0, 0});
    const Classifier<NormFirst, double> classify{model};
    const Images<NormFirst, double> images{2, 1};
    const auto logits = classify(images.view);
    const auto mean = model.parameter("norm.running_mean"), variance = model.parameter("norm.running_var"),
               gamma = model.parameter("norm.weight"), beta = model.parameter("norm.bias");
    for (std::size_t i = 0; i < 6; ++i) {
        const std::size_t c = i % 3;
        const double expected =
            gamma[c] * (images.pixels[i] - mean[c]) / std::sqrt(variance[c] + static_cast<double>(1e-5f)) + beta[c];
        CHECK(std::abs(logits.values()[i] - expected) < 1e-14);
    }
}

TEST_CASE("inference: what is folded into a convolution is what it would be apart") {
    const auto folded = used_model<Folded, double>(4);
    Model<Apart, double> apart{Seed{1}};
    for (const StateEntry& entry : folded.state()) apart.set_parameter(entry.name, folded.parameter(entry.name));
    for (const ChoiceOptions choice : {ChoiceOptions{}, ChoiceOptions{.allow_direct = false}}) {
        const Classifier<Folded, double> one{folded, {.plan = {.choice = choice}}};
        const Classifier<Apart, double> other{apart, {.plan = {.choice = choice}}};
        REQUIRE(one.plan().size() < other.plan().size());
        const Images<Folded, double> images{5, 1};
        const auto found = one(images.view), expected = other(images.view);
        for (std::size_t i = 0; i < 20; ++i) CHECK(std::abs(found.values()[i] - expected.values()[i]) < 1e-14);
    }
}

TEST_CASE("inference: one const Classifier gives the same bits to many threads that call it at once") {
    const auto model = used_model<SmallResNet, float>(5);
    const Classifier<SmallResNet> classify{model};
    const Images<SmallResNet, float> images{12, 1};
    const auto expected = classify(images.view);
    std::vector<std::thread> threads;
    std::vector<int> wrong(8, 0);
    for (std::size_t t = 0; t < wrong.size(); ++t)
        threads.emplace_back([&, t] {
            std::vector<float> mine(12 * 5);
            for (Index call = 0; call < 20; ++call) {
                const Index first = (static_cast<Index>(t) + call) % 8, count = 1 + call % 5;
                const auto logits = classify(images.view.slice(first, count));
                const std::span span = std::span{mine}.first(static_cast<std::size_t>(count * 5));
                classify(images.view.slice(first, count), span);
                const auto part = expected.values().subspan(static_cast<std::size_t>(first * 5), span.size());
                wrong[t] += tests::same_bits(logits.values(), part) && tests::same_bits(span, part) ? 0 : 1;
            }
        });
    for (std::thread& thread : threads) thread.join();
    for (const int count : wrong) CHECK(count == 0);
}

TEST_CASE("inference: logits stay as they are while other calls run, and can be moved") {
    const auto model = used_model<SmallResNet, float>(5);
    const Classifier<SmallResNet> classify{model};
    const Images<SmallResNet, float> images{3, 1}, others{3, 2};
    auto first = classify(images.view);
    const std::vector<float> copy(first.values().begin(), first.values().end());
    auto second = classify(others.view);
    CHECK(tests::same_bits(first.values(), copy));
    CHECK_FALSE(tests::same_bits(second.values(), copy));
    auto moved = std::move(first);
    CHECK(tests::same_bits(moved.values(), copy));
    second = std::move(moved);
    CHECK(tests::same_bits(second.values(), copy));
    const std::span<const float> converted_to_span = second;
    CHECK(converted_to_span.size() == 15);
    CHECK(second.images() == 3);
    CHECK(second.classes() == 5);
}

TEST_CASE("inference: a Classifier that is about to go does not give logits that point into it") {
    using Temporary = Classifier<SmallResNet>;
    CHECK(std::is_invocable_v<const Temporary&, const ImageView&>);
    CHECK_FALSE(std::is_invocable_v<Temporary, const ImageView&>);
    CHECK(std::is_invocable_v<Temporary, const ImageView&, std::span<float>>);
}

TEST_CASE("inference: a Classifier is a snapshot, and refresh takes the model's new weights") {
    auto model = used_model<SmallResNet, float>(5);
    Classifier<SmallResNet> classify{model};
    const Images<SmallResNet, float> images{2, 1};
    const auto before = classify(images.view);
    const auto other = used_model<SmallResNet, float>(6);
    model = other;
    CHECK(tests::same_bits(classify(images.view).values(), before.values()));
    classify.refresh(model);
    const Classifier<SmallResNet> fresh{other};
    CHECK(tests::same_bits(classify(images.view).values(), fresh(images.view).values()));
}

TEST_CASE("inference: refresh takes the normalisation, too") {
    auto model = used_model<SmallResNet, float>(5);
    Classifier<SmallResNet> classify{model};
    const std::vector<std::uint8_t> pixels(3 * 16 * 16, 100);
    const auto before = classify(nhwc(pixels.data(), 1, {16, 16}));
    model.set_normalization({.mean = {0, 0, 0}, .standard_deviation = {1, 1, 1}});
    classify.refresh(model);
    const Classifier<SmallResNet> fresh{model};
    const auto after = classify(nhwc(pixels.data(), 1, {16, 16})), expected = fresh(nhwc(pixels.data(), 1, {16, 16}));
    CHECK(tests::same_bits(after.values(), expected.values()));
    CHECK_FALSE(tests::same_bits(after.values(), before.values()));
}

TEST_CASE("inference: another extent than the usual one is an option") {
    const auto model = used_model<SmallResNet, float>(5);
    const Classifier<SmallResNet> classify{model, {.image = {9, 13}}};
    const auto pixels = tests::uniform<float>(3 * 9 * 13, 1);
    CHECK(classify(nchw(pixels.data(), 1, {9, 13})).values().size() == 5);
}

TEST_CASE("inference: images or logits that do not fit are an error with both numbers") {
    const auto model = used_model<SmallResNet, float>(5);
    const Classifier<SmallResNet> classify{model};
    const Images<SmallResNet, float> images{2, 1};
    ImageView wrong = images.view;
    wrong.extent = {16, 15};
    CHECK_THROWS_WITH_AS(
        classify(wrong),
        "images: expected 16x16 pixels, found 16x15 (resize them (image.hpp), or plan for their extent "
        "by ClassifierOptions::image)",
        Error);
    wrong = images.view;
    wrong.channels = 1;
    CHECK_THROWS_WITH_AS(classify(wrong),
                         "images: expected 3 channels, found 1 (grey images have three in a view with channels = 3 and "
                         "channel_stride = 0)",
                         Error);
    wrong.channels = 4;
    CHECK_THROWS_WITH_AS(classify(wrong),
                         "images: expected 3 channels, found 4 (a view with channels = 3 and the same pixel_stride "
                         "leaves the fourth out)",
                         Error);
    wrong = images.view;
    wrong.data = nullptr;
    CHECK_THROWS_WITH_AS(classify(wrong), "images: expected pixels, found a null pointer", Error);
    wrong.images = -1;
    CHECK_THROWS_WITH_AS(classify(wrong), "images: expected at least no image, found -1", Error);
    std::vector<float> logits(9);
    CHECK_THROWS_WITH_AS(classify(images.view, logits), "logits: expected 10 elements, found 9", Error);
}

TEST_CASE("inference: the embedding is what the last linear layer reads") {
    check_embedding<SmallResNet>("fc", 48);
    check_embedding<EveryNode>("fc2", 7);
}

TEST_CASE("inference: the embedding of a flattened map has PyTorch's order, channels first") {
    check_embedding<Flattened>("fc", 60);
}

TEST_CASE(
    "inference: only a network that ends in a linear layer has an embedding, and it can't outlive its Classifier") {
    CHECK(can_embed<SmallResNet>);
    CHECK_FALSE(can_embed<Pooled>);
    const auto embed = [](auto&& classify) -> decltype(std::forward<decltype(classify)>(classify).embed(ImageView{})) {
        return std::forward<decltype(classify)>(classify).embed(ImageView{});
    };
    CHECK(std::is_invocable_v<decltype(embed), const Classifier<SmallResNet>&>);
    CHECK_FALSE(std::is_invocable_v<decltype(embed), Classifier<SmallResNet>>);
}

TEST_CASE("inference: images or memory that do not fit an embedding are an error with both numbers") {
    const Classifier<SmallResNet> classify{used_model<SmallResNet, float>(5)};
    const Images<SmallResNet, float> images{2, 1};
    std::vector<float> embeddings(95);
    CHECK_THROWS_WITH_AS(classify.embed(images.view, embeddings), "embeddings: expected 96 elements, found 95", Error);
}

// PyTorch: a batch of shape [0, 3, H, W] gives [0, classes].
TEST_CASE("inference: no images give no rows") {
    const Classifier<SmallResNet> classify{used_model<SmallResNet, float>(5)};
    const ImageView none = nhwc(static_cast<const float*>(nullptr), 0, {16, 16});
    const auto logits = classify(none);
    CHECK(logits.images() == 0);
    CHECK(logits.classes() == 5);
    CHECK(logits.values().empty());
    const auto embeddings = classify.embed(none);
    CHECK(embeddings.features() == 48);
    CHECK(embeddings.values().empty());
    classify(none, std::span<float>{});
    std::vector<float> too_many(5);
    CHECK_THROWS_WITH_AS(classify(none, too_many), "logits: expected 0 elements, found 5", Error);
    CHECK(classify(Images<SmallResNet, float>{1, 1}.view).images() == 1);
}

TEST_CASE("inference: a batch of any size is one call, also where it goes through the network in several parts") {
    const auto model = used_model<Wide, float>(5);
    const Classifier<Wide> classify{model, {.batch = 1}};
    const Images<Wide, float> images{70, 1};
    const auto logits = classify(images.view);
    std::vector<int> passes(static_cast<std::size_t>(classify.plan().size()), 0);
    classify.profile(images.view, [&](int step) { ++passes[static_cast<std::size_t>(step)]; });
    CHECK(passes.front() > 1);
    const auto features = classify.embed(images.view);
    for (Index n = 0; n < 70; ++n) {
        REQUIRE(tests::same_bits(classify(images.view.slice(n, 1))[0], logits[n]));
        REQUIRE(tests::same_bits(classify.embed(images.view.slice(n, 1))[0], features[n]));
    }
}

TEST_CASE("inference: mirrored logits are the mean of those of the image and of its mirror image, to the bit") {
    const auto model = used_model<Wide, float>(5);
    const Classifier<Wide> plain{model, {.batch = 1}}, mirrored{model, {.batch = 1, .mirrored = true}};
    const Images<Wide, float> images{70, 1};  // in several parts
    const auto straight = plain(images.view), turned = plain(images.view.mirrored()), mean = mirrored(images.view);
    for (std::size_t i = 0; i < straight.values().size(); ++i)
        REQUIRE(mean.values()[i] == (straight.values()[i] + turned.values()[i]) / 2);
    CHECK_FALSE(tests::same_bits(mean.values(), straight.values()));
    CHECK(tests::same_bits(mirrored.embed(images.view).values(), plain.embed(images.view).values()));
}

TEST_CASE("inference: probabilities and the likeliest classes come from an image's logits") {
    const auto model = used_model<SmallResNet, float>(5);
    const Classifier<SmallResNet> classify{model};
    const Images<SmallResNet, float> images{3, 1};
    const auto logits = classify(images.view);
    for (Index n = 0; n < 3; ++n) {
        const auto best = top_k(softmax(logits[n]), 5);
        CHECK(best[0].index == predicted_class(logits[n]));
        double sum = 0;
        for (const auto [index, probability] : best) sum += static_cast<double>(probability);
        CHECK(sum == doctest::Approx(1).epsilon(1e-6));
    }
}
