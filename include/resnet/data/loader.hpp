// Batches of a data set, shuffled and prepared on one thread of their own while the last batch trains.
// What an epoch delivers depends on the seed, the epoch and the options alone: batch b of epoch e can be asked for at
// any time, so a run that was cut in the middle of an epoch goes on with `epoch(e, b)`.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <numeric>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <resnet/core/error.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/core/image_view.hpp>
#include <resnet/core/random.hpp>
#include <resnet/core/targets.hpp>
#include <resnet/core/text.hpp>
#include <resnet/data/dataset.hpp>
#include <resnet/data/mix.hpp>

namespace resnet::inline v0 {

/// One image of a batch, for a transform to change: [H][W][3] bytes, RGB.
struct MutableImage {
    std::uint8_t* data = nullptr;
    Extent extent{};

    std::span<std::uint8_t, 3> pixel(int y, int x) const {
        return std::span<std::uint8_t, 3>{data + (Index{y} * extent.width + x) * 3, 3};
    }
    /// Row y: W * 3 bytes.
    std::span<std::uint8_t> row(int y) const {
        return {data + Index{y} * extent.width * 3, static_cast<std::size_t>(extent.width) * 3};
    }
};

/// Which image a transform is given, and random numbers that belong to it: pure functions of (seed, epoch, position,
/// transform, draw). `draw` counts a transform's numbers for one image: 0, 1, ... 4095. A transform that calls another
/// one hands it a copy with a number of its own, `inner.transform = 100`: with the same it would draw the same numbers.
struct Sample {
    std::uint32_t epoch = 0;
    Index position = 0;           // in the epoch's order
    Index index = 0;              // in the data set
    std::uint32_t transform = 0;  // which of the loader's transforms is asking
    Random random{Seed{}, Purpose::augment};
    Random every_epoch{Seed{}, Purpose::augment};  // the same numbers in every epoch

    /// Uniform in [0, 1).
    double uniform(std::uint32_t draw) const { return random.uniform(counter(draw)); }
    /// Uniform in 0 ... count - 1.
    Index below(Index count, std::uint32_t draw) const {
        return static_cast<Index>(random.below(static_cast<std::uint64_t>(count), counter(draw)));
    }

    /// Uniform in 0 ... count - 1; the same in every epoch for an image of the data set.
    Index below_always(Index count, std::uint32_t draw) const {
        return static_cast<Index>(every_epoch.below(static_cast<std::uint64_t>(count), counter(draw, index)));
    }

private:
    std::uint64_t counter(std::uint32_t draw) const { return counter(draw, position); }
    std::uint64_t counter(std::uint32_t draw, Index place) const {
        return static_cast<std::uint64_t>(place) | std::uint64_t{draw} << 40 | std::uint64_t{transform} << 52;
    }
};

/// A change to an image on its way into a batch, on the loader's thread: augmentation, or anything a user wants.
using Transform = std::function<void(MutableImage image, const Sample& sample)>;

struct LoaderOptions {
    Index batch = 128;  // images
    Seed seed{};
    bool shuffle = true;                  // else in the data set's order
    bool drop_last = false;               // leave out the last batch where it is not full
    int ahead = 2;                        // batches prepared while one is in use
    std::vector<Transform> transforms{};  // applied to each image in this order
    MixOptions mix{};                     // blends of two images, after the transforms; steps take batch.targets then
};

/// What a step of training takes. Valid until the next batch is asked for.
struct Batch {
    ImageView images;             // [n][H][W][3], uint8, RGB
    std::span<const int> labels;  // [n]; none where mixup or cutmix blended the images, which have two labels each then
    Targets targets{};            // of either kind: what a step takes in the place of labels
    std::uint32_t epoch = 0;
    Index number = 0;  // in the epoch; a run that is cut after this batch resumes with `epoch(epoch, number + 1)`
    Index first = 0;   // position of its first image in the epoch's order

    Index size() const noexcept { return images.images; }
};

/// Cuts a data set, which must outlive it, into batches, epoch by epoch. Const: epochs are independent of each other.
///
///     const resnet::Loader loader{data, {.batch = 128, .seed = resnet::Seed{42}}};
///     for (const auto& batch : loader.epoch(0)) trainer.step(batch.images, batch.labels);
class Loader {
public:
    class Epoch;

    /// Throws Error if the batch size or `ahead` is below 1, or where an epoch would have no batch.
    explicit Loader(const Dataset& data, LoaderOptions options = {});
    explicit Loader(Dataset&&, LoaderOptions = {}) = delete;  // the data would be gone

    /// How many batches an epoch has.
    Index batches() const noexcept {
        const Index full = data_->size() / options_.batch;
        return options_.drop_last || data_->size() % options_.batch == 0 ? full : full + 1;
    }
    /// How many images the last batch of an epoch has.
    Index last_batch() const noexcept {
        return std::min(options_.batch, data_->size() - (batches() - 1) * options_.batch);
    }
    /// Index in the data set of each position of an epoch.
    std::vector<std::uint32_t> order(std::uint32_t epoch) const;

    /// The batches of an epoch from `first_batch` on, a range to go through once. Starts a thread that prepares them in
    /// buffers of the range, which are reused; leaving the loop early ends it. An exception of a transform is rethrown
    /// where the batch would have come. After a request to stop the range ends, at once.
    Epoch epoch(std::uint32_t epoch, Index first_batch = 0, std::stop_token stop = {}) const&;
    Epoch epoch(std::uint32_t epoch, Index first_batch = 0, std::stop_token stop = {}) const&& = delete;

    const Dataset& data() const noexcept { return *data_; }
    const LoaderOptions& options() const noexcept { return options_; }

private:
    const Dataset* data_;
    LoaderOptions options_;
};

/// The batches of one epoch: an input range. Made by Loader::epoch, which it must not outlive.
class Loader::Epoch {
public:
    class Iterator;

    Epoch(const Loader& loader, std::uint32_t epoch, Index first_batch, std::stop_token stop);

    /// Waits for the first batch. Call it once.
    Iterator begin();
    std::default_sentinel_t end() const noexcept { return {}; }

private:
    struct Slot {
        std::vector<std::uint8_t> pixels;
        std::vector<int> labels, second_labels;
        std::vector<float> weights;
        Batch batch;
    };

    /// Gives back the batch in use and waits for the next one; null after the last.
    const Batch* next();
    void prepare(const std::stop_token& stop) noexcept;
    void fill(Slot& slot, Index number, const std::stop_token& stop) const;
    void mix(Slot& slot, Index number, Index count) const;
    Slot& slot(Index number) { return slots_[static_cast<std::size_t>(number) % slots_.size()]; }

    const Loader& loader_;
    const std::uint32_t epoch_;
    const std::vector<std::uint32_t> order_;  // position -> index in the data set
    const std::stop_token stop_;
    std::vector<Slot> slots_;  // a ring: batch b is in slot b modulo their number

    std::mutex mutex_;
    std::condition_variable_any changed_;
    // Guarded by the mutex. The thread may write the slots of the batches ready_ ... freed_ + slots - 1.
    Index ready_;  // batches below are prepared
    Index taken_;  // batches below were given out
    Index freed_;  // batches below were given back
    std::exception_ptr failure_;

    std::jthread thread_;  // last: it ends before what it works on
};

class Loader::Epoch::Iterator {
public:
    using value_type = Batch;
    using difference_type = Index;

    Iterator() = default;
    explicit Iterator(Epoch& epoch) : epoch_{&epoch}, batch_{epoch.next()} {}

    const Batch& operator*() const { return *batch_; }
    const Batch* operator->() const { return batch_; }
    Iterator& operator++() {
        batch_ = epoch_->next();
        return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& iterator, std::default_sentinel_t) { return iterator.batch_ == nullptr; }

private:
    Epoch* epoch_ = nullptr;
    const Batch* batch_ = nullptr;
};

// ---------------------------------------------------------------------------------------------------------------------

inline Loader::Loader(const Dataset& data, LoaderOptions options) : data_{&data}, options_{std::move(options)} {
    if (options_.batch < 1) throw Error("Loader", "a batch of at least 1 image", std::to_string(options_.batch));
    detail::check_mix(options_.mix);
    if (options_.ahead < 1) throw Error("Loader", "at least 1 batch ahead", std::to_string(options_.ahead));
    if (batches() < 1) {
        throw Error("Loader", detail::text("at least one batch of ", options_.batch, " images"),
                    std::to_string(data.size()) + " images",
                    options_.drop_last ? "drop_last leaves out what is not full" : "");
    }
}

inline std::vector<std::uint32_t> Loader::order(std::uint32_t epoch) const {
    std::vector<std::uint32_t> order(static_cast<std::size_t>(data_->size()));
    std::iota(order.begin(), order.end(), std::uint32_t{0});
    if (options_.shuffle) shuffle(order, Random{options_.seed, Purpose::shuffle, epoch});
    return order;
}

inline Loader::Epoch Loader::epoch(std::uint32_t epoch, Index first_batch, std::stop_token stop) const& {
    return {*this, epoch, first_batch, std::move(stop)};
}

inline Loader::Epoch::Epoch(const Loader& loader, std::uint32_t epoch, Index first_batch, std::stop_token stop)
    : loader_{loader},
      epoch_{epoch},
      order_{loader.order(epoch)},
      stop_{std::move(stop)},
      slots_(static_cast<std::size_t>(loader.options_.ahead) + 1),
      ready_{first_batch},
      taken_{first_batch},
      freed_{first_batch} {
    if (first_batch < 0 || first_batch > loader.batches()) {
        throw Error("Loader::epoch", detail::text("a first batch of 0 to ", loader.batches()),
                    std::to_string(first_batch));
    }
    const auto images = static_cast<std::size_t>(std::min(loader.options_.batch, loader.data_->size()));
    for (Slot& slot : slots_) {
        slot.pixels.resize(images * static_cast<std::size_t>(loader.data_->extent().area() * 3));
        slot.labels.resize(images);
    }
    thread_ = std::jthread{[this](const std::stop_token& thread_stop) { prepare(thread_stop); }};
}

inline Loader::Epoch::Iterator Loader::Epoch::begin() { return Iterator{*this}; }

inline const Batch* Loader::Epoch::next() {
    std::unique_lock lock{mutex_};
    freed_ = taken_;
    changed_.notify_all();
    if (taken_ == loader_.batches()) return nullptr;
    changed_.wait(lock, stop_, [this] { return ready_ > taken_ || failure_; });
    if (stop_.stop_requested()) return nullptr;
    if (ready_ == taken_) std::rethrow_exception(failure_);
    return &slot(taken_++).batch;
}

inline void Loader::Epoch::prepare(const std::stop_token& stop) noexcept {
    const auto slots = std::ssize(slots_);
    try {
        for (Index number = ready_; number < loader_.batches(); ++number) {
            {
                std::unique_lock lock{mutex_};
                if (!changed_.wait(lock, stop, [&] { return number < freed_ + slots; })) return;
            }
            fill(slot(number), number, stop);
            if (stop.stop_requested()) return;
            const std::lock_guard lock{mutex_};
            ready_ = number + 1;
            changed_.notify_all();
        }
    } catch (...) {
        const std::lock_guard lock{mutex_};
        failure_ = std::current_exception();
        changed_.notify_all();
    }
}

inline void Loader::Epoch::fill(Slot& slot, Index number, const std::stop_token& stop) const {
    const Dataset& data = *loader_.data_;
    const ImageView images = data.images();
    const Index first = number * loader_.options_.batch;
    const Index count = std::min(loader_.options_.batch, data.size() - first);
    const Index bytes = images.image_stride;
    constexpr std::uint32_t no_epoch = 0xFFFFFFFF;  // no run is so long
    Sample sample{.epoch = epoch_,
                  .random = Random{loader_.options_.seed, Purpose::augment, epoch_},
                  .every_epoch = Random{loader_.options_.seed, Purpose::augment, no_epoch}};
    for (Index n = 0; n < count && !stop.stop_requested(); ++n) {
        sample.position = first + n;
        sample.index = order_[static_cast<std::size_t>(sample.position)];
        const MutableImage image{slot.pixels.data() + n * bytes, images.extent};
        std::copy_n(static_cast<const std::uint8_t*>(images.data) + sample.index * bytes, bytes, image.data);
        slot.labels[static_cast<std::size_t>(n)] = data.labels()[static_cast<std::size_t>(sample.index)];
        sample.transform = 0;
        for (const Transform& transform : loader_.options_.transforms) {
            transform(image, sample);
            ++sample.transform;
        }
    }
    const auto labels = std::span<const int>{slot.labels}.first(static_cast<std::size_t>(count));
    slot.batch = {.images = nhwc(slot.pixels.data(), count, images.extent),
                  .labels = labels,
                  .targets = labels,
                  .epoch = epoch_,
                  .number = number,
                  .first = first};
    if (loader_.options_.mix.mixup > 0 || loader_.options_.mix.cutmix > 0) mix(slot, number, count);
}

inline void Loader::Epoch::mix(Slot& slot, Index number, Index count) const {
    const Random random{loader_.options_.seed, Purpose::mix, epoch_};
    const float weight = detail::mix_images(slot.pixels, count, loader_.data_->extent(), loader_.options_.mix, random,
                                            static_cast<std::uint64_t>(number) << 32);
    const auto own = std::exchange(slot.batch.labels, {});
    slot.weights.assign(static_cast<std::size_t>(count), weight);
    slot.second_labels.assign(own.begin(), own.end());
    auto& others = slot.second_labels;
    std::rotate(others.begin(), others.end() - 1, others.end());  // the image before; for the first, the last
    slot.batch.targets = {own, others, slot.weights};
}

}  // namespace resnet::inline v0
