#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <resnet/data/loader.hpp>

#include "temporary_folder.hpp"

namespace {

using resnet::Batch;
using resnet::Dataset;
using resnet::Error;
using resnet::Index;
using resnet::Loader;
using resnet::MutableImage;
using resnet::Sample;
using resnet::Seed;

/// `count` images of 2 x 1 pixels whose six bytes and whose label are the image's index.
Dataset numbered(std::uint8_t count) {
    std::vector<std::uint8_t> pixels;
    std::vector<int> labels;
    for (std::uint8_t i = 0; i < count; ++i) {
        pixels.insert(pixels.end(), 6, i);
        labels.push_back(i);
    }
    return {{2, 1}, pixels, labels, std::vector<std::string>(count, "a class")};
}

/// The labels of an epoch, batch by batch; checks that the pixels belong to them and that the batches say where they
/// are.
std::vector<std::vector<int>> batches_of(const Loader& loader, std::uint32_t epoch, Index first_batch = 0) {
    std::vector<std::vector<int>> batches;
    Index number = first_batch;
    for (const Batch& batch : loader.epoch(epoch, first_batch)) {
        CHECK(batch.epoch == epoch);
        CHECK(batch.number == number);
        CHECK(batch.first == number * loader.options().batch);
        REQUIRE(batch.size() == std::ssize(batch.labels));
        const auto* pixel = static_cast<const std::uint8_t*>(batch.images.data);
        for (const int label : batch.labels) {
            for (int i = 0; i < 6; ++i) REQUIRE(*pixel++ == label);
        }
        batches.emplace_back(batch.labels.begin(), batch.labels.end());
        ++number;
    }
    return batches;
}

std::vector<int> joined(const std::vector<std::vector<int>>& batches) {
    std::vector<int> all;
    for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
    return all;
}

}  // namespace

static_assert(std::input_iterator<Loader::Epoch::Iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, Loader::Epoch::Iterator>);

TEST_CASE("loader: without shuffling an epoch is the data set in its order, the last batch as large as what is left") {
    const Dataset data = numbered(10);
    const Loader loader{data, {.batch = 4, .shuffle = false}};
    CHECK(loader.batches() == 3);
    CHECK(loader.last_batch() == 2);
    CHECK(batches_of(loader, 0) == std::vector<std::vector<int>>{{0, 1, 2, 3}, {4, 5, 6, 7}, {8, 9}});
    const Loader full{data, {.batch = 4, .shuffle = false, .drop_last = true}};
    CHECK(full.batches() == 2);
    CHECK(full.last_batch() == 4);
    CHECK(batches_of(full, 0) == std::vector<std::vector<int>>{{0, 1, 2, 3}, {4, 5, 6, 7}});
    const Loader whole{data, {.batch = 100, .shuffle = false}};
    CHECK(whole.last_batch() == 10);
    CHECK(batches_of(whole, 0).size() == 1);
    CHECK(Loader{data, {.batch = std::numeric_limits<Index>::max()}}.batches() == 1);
}

TEST_CASE("loader: a shuffled epoch has every image once, in an order that follows from seed and epoch alone") {
    const Dataset data = numbered(100);
    const Loader loader{data, {.batch = 7, .seed = Seed{42}}}, same{data, {.batch = 7, .seed = Seed{42}, .ahead = 5}},
        other{data, {.batch = 7, .seed = Seed{43}}};
    const std::vector<int> order = joined(batches_of(loader, 3));
    std::vector<int> sorted = order, everything(100);
    std::ranges::sort(sorted);
    std::iota(everything.begin(), everything.end(), 0);
    CHECK(sorted == everything);
    CHECK(order != everything);
    CHECK(joined(batches_of(loader, 3)) == order);
    CHECK(joined(batches_of(same, 3)) == order);
    CHECK(joined(batches_of(loader, 4)) != order);
    CHECK(joined(batches_of(other, 3)) != order);
    CHECK(std::ranges::equal(loader.order(3), order));
}

TEST_CASE("loader: an epoch that starts at a batch goes on as the whole epoch does") {
    const Dataset data = numbered(50);
    const Loader loader{data, {.batch = 8, .seed = Seed{1}}};
    const auto whole = batches_of(loader, 2);
    for (Index first = 0; first <= loader.batches(); ++first) {
        CAPTURE(first);
        CHECK(batches_of(loader, 2, first) == std::vector(whole.begin() + first, whole.end()));
    }
    CHECK(message_of<Error>([&] { loader.epoch(2, 8); }) == "Loader::epoch: expected a first batch of 0 to 7, found 8");
    CHECK_THROWS_AS(loader.epoch(2, -1), Error);
}

TEST_CASE("loader: transforms are applied in their order and know their image") {
    const Dataset data = numbered(20);
    std::vector<Sample> seen;
    const Loader loader{data,
                        {.batch = 6,
                         .seed = Seed{5},
                         .transforms = {[&](MutableImage image, const Sample& sample) {
                                            seen.push_back(sample);
                                            CHECK(image.extent == resnet::Extent{2, 1});
                                            CHECK(image.pixel(1, 0)[2] == sample.index);
                                            std::ranges::fill(image.row(1), std::uint8_t{100});
                                        },
                                        [&](MutableImage image, const Sample& sample) {
                                            CHECK(sample.transform == 1);
                                            CHECK(image.row(1)[0] == 100);
                                            image.row(1)[0] = static_cast<std::uint8_t>(sample.index);
                                        }}}};
    for (const Batch& batch : loader.epoch(9)) {
        const auto* image = static_cast<const std::uint8_t*>(batch.images.data);
        for (const int label : batch.labels) {
            CHECK(std::vector<int>(image, image + 6) == std::vector<int>{label, label, label, label, 100, 100});
            image += 6;
        }
    }
    REQUIRE(seen.size() == 20);
    for (Index i = 0; i < 20; ++i) {
        const Sample& sample = seen[static_cast<std::size_t>(i)];
        CHECK(sample.epoch == 9);
        CHECK(sample.position == i);
        CHECK(sample.index == loader.order(9)[static_cast<std::size_t>(i)]);
        CHECK(sample.transform == 0);
    }
}

TEST_CASE("loader: random numbers of a sample differ by seed, epoch, position, transform and draw, and repeat") {
    const Sample base{.epoch = 1,
                      .position = 2,
                      .index = 3,
                      .transform = 0,
                      .random = resnet::Random{Seed{4}, resnet::Purpose::augment, 1}};
    Sample other_position = base, other_transform = base, other_seed = base, other_epoch = base;
    other_position.position = 3;
    other_transform.transform = 1;
    other_seed.random = resnet::Random{Seed{5}, resnet::Purpose::augment, 1};
    other_epoch.random = resnet::Random{Seed{4}, resnet::Purpose::augment, 2};
    const std::set<double> values{base.uniform(0),
                                  base.uniform(1),
                                  base.uniform(4095),
                                  other_position.uniform(0),
                                  other_transform.uniform(0),
                                  other_seed.uniform(0),
                                  other_epoch.uniform(0)};
    CHECK(values.size() == 7);
    CHECK(base.uniform(0) == Sample{base}.uniform(0));
    for (std::uint32_t draw = 0; draw < 100; ++draw) {
        CHECK(base.below(9, draw) >= 0);
        CHECK(base.below(9, draw) < 9);
    }
}

TEST_CASE("loader: what a transform draws follows from seed, epoch and position, or from seed and image alone") {
    const Dataset data = numbered(40);
    struct Drawn {
        double once = 0;
        Index always = 0;
        bool operator==(const Drawn&) const = default;
    };
    const auto drawn = [&data](std::uint64_t seed, std::uint32_t epoch) {  // by image
        std::vector<Drawn> list(40);
        const Loader loader{
            data,
            {.batch = 7,
             .seed = Seed{seed},
             .transforms = {[&list](MutableImage, const Sample& sample) {
                 list[static_cast<std::size_t>(sample.index)] = {sample.uniform(2), sample.below_always(1'000'000, 1)};
             }}}};
        for (const Batch& batch : loader.epoch(epoch)) CHECK(batch.size() > 0);
        const auto order = loader.order(epoch);
        for (Index position = 0; position < 40; ++position) {
            const Sample expected{.position = position,
                                  .random = resnet::Random{Seed{seed}, resnet::Purpose::augment, epoch}};
            CHECK(list[order[static_cast<std::size_t>(position)]].once == expected.uniform(2));
        }
        return list;
    };
    const auto first = drawn(4, 0), next = drawn(4, 1), other_seed = drawn(5, 0);
    for (std::size_t image = 0; image < 40; ++image) {
        CHECK(first[image].once != next[image].once);
        CHECK(first[image].once != other_seed[image].once);
        CHECK(first[image].always == next[image].always);
        CHECK(first[image].always != other_seed[image].always);
        if (image > 0) CHECK(first[image].always != first[image - 1].always);
    }
    CHECK(drawn(4, 1) == next);
}

TEST_CASE("loader: no more batches are prepared than asked for, and they are while one is in use") {
    const Dataset data = numbered(100);
    std::atomic<int> prepared = 0;
    const Loader loader{data,
                        {.batch = 1, .ahead = 3, .transforms = {[&](MutableImage, const Sample&) { ++prepared; }}}};
    auto epoch = loader.epoch(0);
    auto batch = epoch.begin();
    using namespace std::chrono_literals;
    for (int waited = 0; waited < 1000 && prepared < 4; ++waited) std::this_thread::sleep_for(1ms);
    CHECK(prepared == 4);  // the one in use and three ahead
    std::this_thread::sleep_for(20ms);
    CHECK(prepared == 4);
    ++batch;
    for (int waited = 0; waited < 1000 && prepared < 5; ++waited) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    CHECK(prepared == 5);
}

TEST_CASE("loader: buffers are reused, and a batch stays as it is until the next one is asked for") {
    const Dataset data = numbered(200);
    const Loader loader{data, {.batch = 2, .shuffle = false}};
    std::set<const void*> buffers;
    using namespace std::chrono_literals;
    for (const Batch& batch : loader.epoch(0)) {
        buffers.insert(batch.images.data);
        if (batch.number < 5) std::this_thread::sleep_for(2ms);  // the thread runs into its bound
        CHECK(batch.labels[0] == 2 * batch.number);
        CHECK(static_cast<const std::uint8_t*>(batch.images.data)[0] == 2 * batch.number);
    }
    CHECK(buffers.size() == 3);
}

TEST_CASE("loader: an exception on its thread reaches the loop, after the batches that came before it") {
    const Dataset data = numbered(20);
    const Loader loader{data, {.batch = 4, .shuffle = false, .transforms = {[](MutableImage, const Sample& sample) {
                                                                 if (sample.position == 13)
                                                                     throw std::runtime_error("image 13 is broken");
                                                             }}}};
    int batches = 0;
    CHECK(message_of<std::runtime_error>([&] {
              for (const Batch& batch : loader.epoch(0)) {
                  static_cast<void>(batch);
                  ++batches;
              }
          }) == "image 13 is broken");
    CHECK(batches == 3);
}

TEST_CASE("loader: leaving the loop ends the thread long before its batch is through, by break and by exception") {
    const Dataset data = numbered(200);
    std::atomic<int> prepared = 0;
    const Loader loader{data, {.batch = 100, .transforms = {[&](MutableImage, const Sample& sample) {
                                                 ++prepared;
                                                 if (sample.position >= 100)
                                                     std::this_thread::sleep_for(std::chrono::milliseconds{50});
                                             }}}};
    for (const Batch& batch : loader.epoch(0)) {
        CHECK(batch.size() == 100);
        break;
    }
    CHECK(prepared < 150);  // the second batch takes five seconds
    prepared = 0;
    CHECK_THROWS_AS(
        [&] {
            for (const Batch& batch : loader.epoch(0)) throw Error("test", std::to_string(batch.size()), "nothing");
        }(),
        Error);
    CHECK(prepared < 150);
    { const auto never_begun = loader.epoch(0); }
}

TEST_CASE("loader: a request to stop ends the range, also while it waits for a batch") {
    const Dataset data = numbered(200);
    const Loader loader{data, {.batch = 1}};
    std::stop_source source;
    int batches = 0;
    for (const Batch& batch : loader.epoch(0, 0, source.get_token())) {
        if (batch.number == 2) source.request_stop();
        ++batches;
    }
    CHECK(batches == 3);

    std::stop_source later;
    const Loader waiting{data, {.batch = 1, .transforms = {[&later](MutableImage, const Sample&) {
                                                while (!later.stop_requested())
                                                    std::this_thread::sleep_for(std::chrono::milliseconds{1});
                                            }}}};
    std::jthread asks{[&] {
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
        later.request_stop();
    }};
    batches = 0;
    for (const Batch& batch : waiting.epoch(0, 5, later.get_token())) batches += static_cast<int>(batch.size());
    CHECK(batches == 0);
}

TEST_CASE("loader: two epochs of one loader can be open at once") {
    const Dataset data = numbered(12);
    const Loader loader{data, {.batch = 5, .seed = Seed{8}}};
    auto first = loader.epoch(0), second = loader.epoch(0);
    auto a = first.begin(), b = second.begin();
    for (; a != first.end(); ++a, ++b) CHECK(std::ranges::equal(a->labels, b->labels));
    CHECK(b == second.end());
}

TEST_CASE("loader: a batch of no image, no batch ahead and an epoch without a batch are refused") {
    const Dataset data = numbered(3), empty = numbered(0);
    CHECK(message_of<Error>([&] {
              Loader{data, {.batch = 0}};
          }) == "Loader: expected a batch of at least 1 image, found 0");
    CHECK_THROWS_AS((Loader{data, {.ahead = 0}}), Error);
    CHECK_THROWS_AS((Loader{empty, {}}), Error);
    CHECK(message_of<Error>([&] {
              Loader{data, {.batch = 4, .drop_last = true}};
          }) ==
          "Loader: expected at least one batch of 4 images, found 3 images (drop_last leaves out what is not full)");
}
