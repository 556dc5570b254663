// Convolution kernels on one thread, map by map, beside the peak of the same core in the same run:
//     convolution --benchmark_counters_tabular=true --benchmark_filter=avx512
// `GFLOP/s` counts what a direct kernel executes (live taps), `of_peak` is its share of the peak; for Winograd, which
// executes less, the same count shows what it gains and of_peak may pass 1. The product of im2col is Eigen's, with SSE2 in
// a program that is built with plain -O3, whatever the name says.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <tbb/task_arena.h>

#include <resnet/classifier.hpp>
#include <resnet/layers.hpp>
#include <resnet/trainer.hpp>

#include "peak.hpp"

namespace {

using resnet::Index;

/// A 3x3 convolution of C channels on a Size x Size map, fed by a small one; the profile of its own steps is what is
/// measured.
template <int C, int Size, int Stride = 1>
struct OneConvolution {
    static constexpr resnet::Extent image{Size, Size};
    resnet::Conv2d<3, C, resnet::k1> feed;
    resnet::Conv2d<C, C, resnet::k3, Stride> layer;
    resnet::Linear<C, 10> head;

    constexpr auto operator()(resnet::Value<3> x) const { return head(adaptive_avg_pool2d(layer(feed(x)))); }
    RESNET_MEMBERS(feed, layer, head)
};

double peak_of(resnet::Isa isa) {
    static std::map<resnet::Isa, double> peaks;
    const auto found = peaks.find(isa);
    return found != peaks.end() ? found->second : peaks[isa] = peak::gflops(isa);
}

template <class Net>
void run(benchmark::State& state, resnet::StepKind kind, resnet::Isa isa, resnet::ChoiceOptions choice) {
    const Index images = 48;
    resnet::TrainerOptions options;
    options.plan.isa = isa;
    options.plan.choice = choice;
    resnet::Model<Net> model{resnet::Seed{1}};
    resnet::Trainer<Net> trainer{model, resnet::SGD{}, options};
    std::vector<float> pixels(static_cast<std::size_t>(images * 3 * Net::image.area()), 0.5f);
    const std::vector<int> labels(static_cast<std::size_t>(images), 1);
    const auto view = resnet::nhwc(pixels.data(), images, Net::image);
    const resnet::Plan& plan = trainer.plan();
    int measured = -1;
    for (int i = 0; i < plan.size(); ++i) {
        const resnet::Step& step = plan.program().steps[static_cast<std::size_t>(i)];
        if (step.kind == kind && step.layer >= 0 && plan.graph().layer_name(step.layer) == "layer") measured = i;
    }
    const double flops = 2.0 * static_cast<double>(live_macs(plan[measured].shape) * images);
    double seconds = 0;
    tbb::task_arena arena{1};
    arena.execute([&] {
        for (auto _ : state) {
            auto last = std::chrono::steady_clock::now();
            double step_seconds = 0;
            trainer.profile(view, labels, [&](int step) {
                const auto now = std::chrono::steady_clock::now();
                if (step == measured) step_seconds = std::chrono::duration<double>(now - last).count();
                last = now;
            });
            state.SetIterationTime(step_seconds);
            seconds += step_seconds;
        }
    });
    const double rate = flops * static_cast<double>(state.iterations()) / seconds / 1e9;
    state.counters["GFLOP/s"] = rate;
    state.counters["peak"] = peak_of(isa);
    state.counters["of_peak"] = rate / peak_of(isa);
}

template <int C, int Size, int Stride = 1>
void add(const std::string& map) {
    using Net = OneConvolution<C, Size, Stride>;
    for (const resnet::Isa isa : {resnet::Isa::baseline, resnet::Isa::avx2, resnet::Isa::avx512}) {
        if (isa > resnet::cpu_isa()) continue;
        for (const auto kind : {resnet::StepKind::convolution, resnet::StepKind::convolution_grad_input,
                                resnet::StepKind::convolution_grad_weight})
            for (const auto* kernel : {"winograd", "direct", "im2col"}) {
                const std::string name{kernel};
                const resnet::ChoiceOptions choice{.allow_winograd = name == "winograd",
                                                   .allow_direct = name != "im2col"};
                const resnet::ConvolutionShape shape{
                    C, C, {3, 3, Stride, 1}, {Size, Size}, {(Size - 1) / Stride + 1, (Size - 1) / Stride + 1}};
                const bool is_winograd = choose(shape, choice) == resnet::ConvolutionKernel::winograd;
                if (is_winograd != (name == "winograd")) continue;
                benchmark::RegisterBenchmark(
                    (std::string{name_of(isa)} + "/" + map + "/" + std::string{name_of(kind)} + "/" + name).c_str(),
                    [=](benchmark::State& state) { run<Net>(state, kind, isa, choice); })
                    ->UseManualTime()
                    ->Unit(benchmark::kMillisecond);
            }
    }
}

}  // namespace

int main(int argc, char** argv) {
    add<64, 32>("32x32x64");
    add<128, 16>("16x16x128");
    add<256, 8>("8x8x256");
    add<512, 4>("4x4x512");
    add<64, 5>("5x5x64");
    add<128, 3>("3x3x128");
    add<256, 2>("2x2x256");
    add<512, 1>("1x1x512");
    add<64, 32, 2>("32x32x64/2");
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
    benchmark::RunSpecifiedBenchmarks();
}
