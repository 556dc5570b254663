// What a second thread brings: each network and batch with one and with two threads in turn, the median of the ratios
// of neighbours. First what it brings to the machine itself, which bounds the rest: multiplications in registers, and
// reading memory. A ratio above 1 is a gain; two threads must never cost more than 5 %, on the smallest work too, and
// bring what is promised of batches of 128: 1.8 for the tutorial's network, 1.9 for CifarResNet18. FAIL where not.
// Usage: threads [rounds]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "../kernels/peak.hpp"

namespace {

constexpr double costs_nothing = 1 / 1.05;

/// Small enough that most of its steps are not worth sharing.
struct TinyNet {
    static constexpr resnet::Extent image{8, 8};
    resnet::Conv2d<3, 16, resnet::k3> conv;
    resnet::BatchNorm2d<16> norm;
    resnet::Linear<16, 10> head;
    constexpr auto operator()(resnet::Value<3> x) const { return head(adaptive_avg_pool2d(relu(norm(conv(x))))); }
    RESNET_MEMBERS(conv, norm, head)
};

double seconds_of(const auto& call, int repeats) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Runs `call` in arenas of one and two threads in turn, and prints and returns what the second one brings.
double compare(const std::string& what, int rounds, const auto& call) {
    constexpr double stretch = 0.1, awake = 0.02;  // seconds; a thread that slept is slow for its first milliseconds
    tbb::task_arena one{1}, two{2};
    const auto once = [&] { call(); };
    one.execute(once);
    const double estimate = one.execute([&] { return seconds_of(once, 1); });
    const auto repeats = [&](double seconds) { return std::max(1, static_cast<int>(seconds / estimate)); };
    const auto measure = [&](tbb::task_arena& arena) {
        return arena.execute([&] {
            seconds_of(once, repeats(awake));
            return seconds_of(once, repeats(stretch));
        });
    };
    std::vector<double> ratios, times;
    for (int round = 0; round < rounds; ++round) {
        const double alone = measure(one), together = measure(two);
        ratios.push_back(alone / together);
        times.push_back(together);
    }
    const double gain = median(ratios);
    std::printf("%-38s %9.3f ms with two threads, %.2f times as fast as one\n", what.c_str(), median(times) * 1e3,
                gain);
    return gain;
}

/// What bounds every network: work that two threads share evenly and that touches nothing else.
void compare_machine(int rounds) {
    std::vector<float> numbers(std::size_t{1} << 26, 1.0f);  // 256 MiB, more than any cache
    const auto share = [](const auto& f) { tbb::parallel_for(0, 2, f, tbb::static_partitioner{}); };
    compare("multiplications in registers", rounds,
            [&] { share([isa = resnet::current_isa()](int) { peak::multiply(isa, 200'000); }); });
    compare("reading memory", rounds, [&] {
        share([&](int half) {
            const std::size_t count = numbers.size() / 2;
            const double sum = resnet::kernels<float>(resnet::current_isa())
                                   .sum_of_squares(numbers.data() + static_cast<std::size_t>(half) * count,
                                                   static_cast<resnet::Index>(count));
            if (sum < 1) std::puts("");  // so that it is not left out
        });
    });
}

template <class Net>
bool network(const char* name, std::initializer_list<resnet::Index> batches, double promised, int rounds) {
    bool good = true;
    const auto check = [&](double gain, resnet::Index batch) {
        const double at_least = batch == 128 ? promised : costs_nothing;
        if (gain >= at_least) return;
        std::printf("FAIL: at least %.2f\n", at_least);
        good = false;
    };
    for (const resnet::Index batch : batches) {
        resnet::Model<Net> model{resnet::Seed{1}};
        const std::vector<std::uint8_t> pixels(static_cast<std::size_t>(batch * 3 * Net::image.area()), 100);
        const std::vector<int> labels(static_cast<std::size_t>(batch), 1);
        const auto images = resnet::nhwc(pixels.data(), batch, Net::image);
        const resnet::Classifier classify{model, {.batch = batch}};
        const auto what = [&](const char* work) {
            return std::string{name} + ", batch " + std::to_string(batch) + ", " + work;
        };
        check(compare(what("inference"), rounds, [&] { classify(images); }), batch);
        if (batch < 2) continue;
        resnet::Trainer trainer{model, resnet::SGD{.learning_rate = 0}};
        check(compare(what("training"), rounds, [&] { trainer.step(images, labels); }), batch);
    }
    return good;
}

}  // namespace

int main(int argc, char** argv) {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
    compare_machine(rounds);
    bool good = network<TinyNet>("tiny", {1, 2, 16, 128}, costs_nothing, rounds);
    good &= network<resnet::ResNet18<10>>("tutorial", {1, 2, 16, 128}, 1.8, rounds);
    good &= network<resnet::CifarResNet18<10>>("CifarResNet18", {1, 128}, 1.9, rounds);
    return good ? 0 : 1;
}
