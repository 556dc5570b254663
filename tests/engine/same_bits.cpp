#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/resnet18.hpp>

#include "../support/bits.hpp"
#include "../support/engine.hpp"
#include "../support/networks.hpp"
#include "../support/values.hpp"

using namespace resnet;

namespace {

/// The threads that worked. In the first batch each waits until as many others have come as are expected, so that no
/// thread is done with everything before the others are awake.
class RollCall {
public:
    void expect(std::size_t threads) {
        const std::lock_guard lock{mutex_};
        seen_.clear();
        expected_ = threads;
    }
    void present(const void* block) {
        std::unique_lock lock{mutex_};
        backwards_ = !seen_.empty() && block < last_block_;
        last_block_ = block;
        seen_.insert(std::this_thread::get_id());
        all_here_.notify_all();
        all_here_.wait_for(lock, std::chrono::seconds{10}, [&] { return seen_.size() >= expected_; });
    }
    std::size_t count() {
        const std::lock_guard lock{mutex_};
        return seen_.size();
    }
    /// Whether a thread alone went through the blocks of the last batch from their end.
    bool backwards() {
        const std::lock_guard lock{mutex_};
        return backwards_;
    }

private:
    std::mutex mutex_;
    std::condition_variable all_here_;
    std::set<std::thread::id> seen_;
    std::size_t expected_ = 0;
    const void* last_block_ = nullptr;
    bool backwards_ = false;
};
RollCall roll_call;

/// Passes its input on and calls the roll.
template <int C>
struct Roll {
    static constexpr std::string_view name = "roll";
    static constexpr auto parameter_specs() { return std::array<ParameterSpec, 0>{}; }
    static constexpr Extent output(Extent input) { return input; }
    static constexpr Index macs(Extent) { return 0; }
    template <class Scalar>
    static void forward(const CustomForward<Scalar>& op) noexcept {
        roll_call.present(op.input.data);
        std::copy_n(op.input.data, op.input.extent.area() * op.input.images * C, op.output.data);
    }
    template <class Scalar>
    static void backward(const CustomBackward<Scalar>& op) noexcept {
        if (op.grad_input.data == nullptr) return;
        const Index count = op.input.extent.area() * op.input.images * C;
        for (Index i = 0; i < count; ++i) op.grad_input.data[i] += op.grad_output.data[i];
    }
    constexpr Value<C> operator()(Value<C> x) const { return custom_operation<C>(*this, x); }
};

/// Net behind a roll call.
template <class Net>
struct Counted {
    static constexpr Extent image = Net::image;
    static constexpr int classes = Net::classes;
    Roll<3> roll;
    Net net;
    constexpr auto operator()(Value<3> x) const { return net(roll(x)); }
    RESNET_MEMBERS(roll, net)
};

struct Outcome {
    std::vector<double> losses;
    std::vector<float> logits;
};

/// Twenty steps with batches of nine and five images, by `threads` threads.
template <class Net>
Outcome train(Model<Counted<Net>>& model, int threads, const TrainerOptions& options) {
    const tbb::global_control control{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena arena{threads};
    Outcome outcome;
    arena.execute([&] {
        Trainer trainer{model, Adam{.learning_rate = 1e-2f}, options};
        for (std::size_t step = 0; step < 20; ++step) {
            if (step == 0) roll_call.expect(static_cast<std::size_t>(threads));
            const Index images = step % 2 == 0 ? 9 : 5;
            const auto pixels = tests::uniform<float>(static_cast<std::size_t>(images * 3 * Net::image.area()), step);
            const auto result = trainer.step(nchw(pixels.data(), images, Net::image),
                                             tests::labels(static_cast<std::size_t>(images), Net::classes, step));
            outcome.losses.push_back(result.loss);
            outcome.losses.push_back(result.gradient_norm);
            const auto logits = result.logits.values();
            outcome.logits.assign(logits.begin(), logits.end());
        }
    });
    return outcome;
}

template <class Net>
void check_threads(const TrainerOptions& options) {
    const Model<Counted<Net>> initial{Seed{1}};
    Model<Counted<Net>> reference = initial;
    const Outcome expected = train(reference, 1, options);
    CHECK(roll_call.count() == 1);
    CHECK_FALSE(reference == initial);
    for (const int threads : {1, 2, 3, 4, 8}) {
        INFO(threads, " threads");
        Model<Counted<Net>> model = initial;
        const Outcome found = train(model, threads, options);
        CHECK(roll_call.count() == static_cast<std::size_t>(threads));
        CHECK(model == reference);
        CHECK(tests::same_bits(found.losses, expected.losses));
        CHECK(tests::same_bits(found.logits, expected.logits));
    }
}

/// Calls f() in an arena of so many threads, each time anew: which thread takes what differs from call to call.
void check_repeated(int threads, int times, const auto& f) {
    const tbb::global_control control{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena arena{threads};
    arena.execute([&] {
        for (int time = 0; time < times; ++time) f();
    });
}

}  // namespace

TEST_CASE("same bits: twenty training steps with 1, 2, 3, 4 and 8 threads that all worked, and twice with one") {
    check_threads<tests::SmallResNet>({.plan = {.block = 1}});
}

TEST_CASE("same bits: with every node, by direct kernels and by im2col, with clipping") {
    check_threads<tests::EveryNode>({.clip_norm = 0.5f, .plan = {.block = 1}});
    check_threads<tests::EveryNode>({.plan = {.choice = {.allow_direct = false}, .block = 1}});
}

TEST_CASE("same bits: by Winograd on maps of one tile, with weights that keep still") {
    const TrainerOptions options{.plan = {.block = 1}};
    Model<tests::OneTile> model{Seed{1}};
    Trainer trainer{model, SGD{}, options};
    const Plan& plan = trainer.plan();
    int still = 0;
    for (int i = 0; i < plan.size(); ++i)
        if (const StepKind kind = plan.program().steps[static_cast<std::size_t>(i)].kind;
            kind == StepKind::convolution && plan[i].kernel == ConvolutionKernel::winograd)
            still += WinogradSizes{kind, plan[i], false}.keeps_weights_still ? 1 : 0;
    REQUIRE(still > 0);
    check_threads<tests::OneTile>(options);
}

TEST_CASE_TEMPLATE("same bits: one image, or one block of images, with 1, 2, 3 and 4 threads", Net, ResNet18<10>,
                   CifarResNet18<10>, tests::OneTile) {
    const Model<Net> model{Seed{3}};
    for (const Index batch : {1, 3}) {
        const Classifier<Net> classify{model, {.batch = batch}};
        const auto pixels = tests::uniform<float>(static_cast<std::size_t>(batch * 3 * Net::image.area()), 1);
        std::vector<float> expected;
        for (const int threads : {1, 2, 3, 4})
            check_repeated(threads, 5, [&] {
                const auto logits = classify(nchw(pixels.data(), batch, Net::image));
                if (expected.empty()) expected.assign(logits.values().begin(), logits.values().end());
                CHECK(tests::same_bits(logits.values(), expected));
            });
    }
}

TEST_CASE("same bits: a classifier with 1, 2, 3, 4 and 8 threads") {
    using Net = Counted<tests::SmallResNet>;
    const Model<Net> model{Seed{3}};
    const Classifier<Net> classify{model, {.plan = {.block = 1}}};
    const auto pixels = tests::uniform<float>(9 * 3 * 16 * 16, 1);
    std::vector<float> expected;
    for (const int threads : {1, 2, 3, 4, 8}) {
        const tbb::global_control control{tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads)};
        tbb::task_arena arena{threads};
        arena.execute([&] {
            roll_call.expect(static_cast<std::size_t>(threads));
            const auto logits = classify(nchw(pixels.data(), 9, {16, 16}));
            CHECK(roll_call.count() == static_cast<std::size_t>(threads));
            if (expected.empty()) expected.assign(logits.values().begin(), logits.values().end());
            CHECK(tests::same_bits(logits.values(), expected));
        });
    }
}

TEST_CASE("same bits: whichever end the blocks of a step begin at, with 1 and 4 threads") {
    using Net = Counted<tests::EveryNode>;
    const Model<Net> initial{Seed{1}};
    const auto pixels = tests::uniform<float>(9 * 3 * Net::image.area(), 1);
    const auto images = nchw(pixels.data(), 9, Net::image);
    const auto labels = tests::labels(9, Net::classes, 1);
    std::vector<float> expected;  // parameters: running statistics count the forwards before, too
    for (const int threads : {1, 4}) {
        const tbb::global_control control{tbb::global_control::max_allowed_parallelism,
                                          static_cast<std::size_t>(threads)};
        tbb::task_arena arena{threads};
        std::set<bool> ends;
        // Passes alternate in direction, so where one begins depends on how many went before.
        for (const bool forward_before : {false, true})
            for (const bool backward_before : {false, true})
                arena.execute([&] {
                    Model<Net> model = initial;
                    Trainer trainer{model, SGD{}, {.plan = {.block = 1}}};
                    roll_call.expect(1);
                    if (forward_before) trainer.forward(images, labels);
                    if (forward_before && backward_before) trainer.backward();
                    roll_call.expect(1);
                    trainer.forward(images, labels);
                    ends.insert(roll_call.backwards());
                    trainer.backward();
                    trainer.apply();
                    const Buffer<float>& parameters = model.weights().parameters();
                    const std::span found{parameters.data(), static_cast<std::size_t>(parameters.size())};
                    if (expected.empty()) expected.assign(found.begin(), found.end());
                    CHECK(tests::same_bits(found, expected));
                });
        if (threads == 1) CHECK(ends.size() == 2);
    }
}
