// Where a training step or a classification spends its time: for each step of the plan the median time, its share,
// GFLOP/s of live taps (Winograd's, which executes fewer, shows what it gains) and the bytes of the tensors that it
// touches. Usage: profile [tutorial|resnet9|cifar|imagenet] [train|infer] [batch] [threads] [rounds]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/resnet9.hpp>
#include <resnet/trainer.hpp>

namespace {

using Clock = std::chrono::steady_clock;

/// Collects the times between observations; index step + 1, since packing reports as -1.
class Profile {
public:
    explicit Profile(int steps) : samples_(static_cast<std::size_t>(steps) + 2), sum_(samples_.size(), 0.0) {}
    void start() { last_ = Clock::now(); }
    void operator()(int step) {
        const auto now = Clock::now();
        sum_[static_cast<std::size_t>(step + 1)] += std::chrono::duration<double>(now - last_).count();
        last_ = now;
    }
    void end_round() {
        for (std::size_t i = 0; i < sum_.size(); ++i) {
            samples_[i].push_back(sum_[i]);
            sum_[i] = 0;
        }
    }
    double median(int step) const {
        std::vector<double> sorted = samples_[static_cast<std::size_t>(step + 1)];
        std::sort(sorted.begin(), sorted.end());
        return sorted[sorted.size() / 2];
    }

private:
    std::vector<std::vector<double>> samples_;
    std::vector<double> sum_;
    Clock::time_point last_;
};

void print(const resnet::Plan& plan, const Profile& profile, resnet::Index images) {
    double total = 0;
    for (int i = -1; i <= plan.size(); ++i) total += profile.median(i);
    std::printf("%-4s %-26s %-16s %-14s %9s %6s %9s %8s\n", "step", "kind", "layer", "output", "ms", "share", "GFLOP/s",
                "MB");
    std::vector<std::pair<std::string, double>> kinds;
    for (int i = -1; i <= plan.size(); ++i) {
        const double seconds = profile.median(i);
        std::string kind = i < 0 ? "pack" : i == plan.size() ? "update" : "", layer, shape;
        double flops = 0, bytes = 0;
        if (kind.empty()) {
            const resnet::Step& step = plan.program().steps[static_cast<std::size_t>(i)];
            kind = name_of(step.kind);
            if (step.layer >= 0) layer = plan.graph().layer_name(step.layer);
            const resnet::Tensor& out = plan.tensor(step.output);
            shape = std::to_string(out.extent.height) + "x" + std::to_string(out.extent.width) + "x" +
                    std::to_string(out.channels);
            if (resnet::detail::is_convolution(step.kind))
                flops = 2.0 * static_cast<double>(resnet::live_macs(plan[i].shape) * images);
            for_each_tensor(step,
                            [&](int t) { bytes += 4.0 * static_cast<double>(plan.tensor(t).elements() * images); });
        }
        std::printf("%-4d %-26s %-16s %-14s %9.3f %5.1f%% %9.1f %8.2f\n", i, kind.c_str(), layer.c_str(), shape.c_str(),
                    seconds * 1e3, 100 * seconds / total, flops / seconds / 1e9, bytes / 1e6);
        auto found = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.first == kind; });
        if (found == kinds.end()) found = kinds.insert(kinds.end(), {kind, 0.0});
        found->second += seconds;
    }
    for (const auto& [kind, seconds] : kinds)
        std::printf("%-26s %9.3f ms %5.1f%%\n", kind.c_str(), seconds * 1e3, 100 * seconds / total);
    std::printf("%-26s %9.3f ms, %.0f images/s\n", "total", total * 1e3, static_cast<double>(images) / total);
}

template <class Net>
void run(bool train, resnet::Index batch, int rounds) {
    resnet::Model<Net> model{resnet::Seed{1}};
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(batch * 3 * Net::image.area()));
    std::vector<int> labels(static_cast<std::size_t>(batch));
    const resnet::Random random{resnet::Seed{2}, resnet::Purpose::user};
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(random.below(256, i));
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int>(random.below(10, pixels.size() + i));
    const auto images = resnet::nhwc(pixels.data(), batch, Net::image);
    const auto measure = [&](const resnet::Plan& plan, auto&& call) {
        Profile profile{plan.size()};
        for (int round = -1; round < rounds; ++round) {
            profile.start();
            call(profile);
            if (round >= 0) profile.end_round();
            else profile = Profile{plan.size()};
        }
        print(plan, profile, batch);
    };
    if (train) {
        resnet::Trainer trainer{model, resnet::Adam{}};
        measure(trainer.plan(), [&](Profile& p) { trainer.profile(images, labels, [&](int step) { p(step); }); });
    } else {
        const resnet::Classifier classify{model, {.batch = batch}};
        measure(classify.plan(), [&](Profile& p) { classify.profile(images, [&](int step) { p(step); }); });
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::string network = argc > 1 ? argv[1] : "tutorial";
    const bool train = argc < 3 || std::string{argv[2]} == "train";
    const long batch = argc > 3 ? std::atol(argv[3]) : 128;
    const int threads = argc > 4 ? std::atoi(argv[4]) : 2, rounds = argc > 5 ? std::atoi(argv[5]) : 9;
    tbb::task_arena arena{threads};
    arena.execute([&] {
        if (network == "resnet9") run<resnet::ResNet9<10>>(train, batch, rounds);
        else if (network == "cifar") run<resnet::CifarResNet18<10>>(train, batch, rounds);
        else if (network == "imagenet") run<resnet::ImageNetResNet18<>>(train, batch, rounds);
        else run<resnet::ResNet18<10>>(train, batch, rounds);
    });
}
