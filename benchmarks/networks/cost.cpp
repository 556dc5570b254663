// Cost against batch and image size, as lines of CSV; `cost` without a suffix makes a plot of them.
// Usage: cost [ROUNDS] [THREADS] [LARGEST_BATCH]
//
// In a round each point of a series runs once, for at least 20 ms after a call that wakes caches and threads; the order
// turns from round to round. The least of the rounds is given: what the machine does while nobody else takes its cores.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "workload.hpp"

namespace {

using resnet::Index;

double seconds_of(const std::function<void()>& call, int repeats) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < repeats; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

/// One work at one batch and extent.
struct Point {
    Index batch = 0;
    resnet::Extent extent;
    const resnet::Plan* plan = nullptr;
    std::function<void()> call;
    double seconds = std::numeric_limits<double>::infinity();
    int repeats = 1;
};

void measure(std::vector<Point>& points, int rounds) {
    for (Point& point : points) {
        point.call();
        point.repeats = std::max(1, static_cast<int>(0.02 / seconds_of(point.call, 1)));
    }
    for (int round = 0; round < rounds; ++round)
        for (std::size_t i = 0; i < points.size(); ++i) {
            Point& point = points[(i + static_cast<std::size_t>(round)) % points.size()];
            point.call();
            point.seconds = std::min(point.seconds, seconds_of(point.call, point.repeats));
        }
}

/// A point's line: what it took, and what of its plan explains a bend.
void print(const char* network, const char* work, const Point& point) {
    const resnet::Plan& plan = *point.plan;
    const auto images = static_cast<double>(point.batch);
    double operations = 0;
    int convolutions = 0, winograd = 0;
    for (int step = 0; step < plan.size(); ++step) {
        operations += flops(plan, step, point.batch);
        if (flops(plan, step, 1) <= 0) continue;
        ++convolutions;
        winograd += plan[step].kernel == resnet::ConvolutionKernel::winograd ? 1 : 0;
    }
    const bool inference = plan.program().mode == resnet::Mode::inference;
    const Index part = inference ? std::min(point.batch, resnet::images_per_part(plan)) : point.batch;
    std::printf("%s,%s,%td,%d,%d,%.5g,%.5g,%.4g,%d,%td,%d,%d,%td,%td\n", network, work, point.batch,
                point.extent.height, point.extent.width, point.seconds / images * 1e3, images / point.seconds,
                operations / point.seconds / 1e9, plan.block(), part, convolutions, winograd,
                plan.arena_elements(part) * Index{sizeof(float)}, plan.pack_elements() * Index{sizeof(float)});
    std::fflush(stdout);
}

void measure_and_print(const char* network, const char* work, std::vector<Point>& points, int rounds) {
    measure(points, rounds);
    for (const Point& point : points) print(network, work, point);
}

/// A Classifier of its own for each batch and extent, as its user would have.
template <class Net>
void inference(const char* network, const std::vector<Index>& batches, const std::vector<resnet::Extent>& extents,
               int rounds) {
    const resnet::Model<Net> model{resnet::Seed{1}};
    std::vector<std::unique_ptr<Workload>> workloads;
    std::vector<std::unique_ptr<resnet::Classifier<Net>>> classifiers;
    std::vector<float> logits(static_cast<std::size_t>(batches.back() * Net::classes));
    std::vector<Point> points;
    for (const resnet::Extent extent : extents) {
        const Workload* work =
            workloads.emplace_back(std::make_unique<Workload>(batches.back(), extent, Net::classes)).get();
        for (const Index batch : batches) {
            const resnet::ClassifierOptions options{.batch = batch, .image = extent};
            const auto* classify =
                classifiers.emplace_back(std::make_unique<resnet::Classifier<Net>>(model, options)).get();
            const auto result = std::span(logits).first(static_cast<std::size_t>(batch * Net::classes));
            points.push_back({.batch = batch, .extent = extent, .plan = &classify->plan(), .call = [=] {
                                  (*classify)(work->images(batch), result);
                              }});
        }
    }
    measure_and_print(network, "inference", points, rounds);
}

/// One Trainer, since its plan is the same for every batch. The rate is zero, so that no random label leads anywhere;
/// the step computes all the same.
template <class Net>
void training(const char* network, const std::vector<Index>& batches, int rounds) {
    resnet::Model<Net> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::Adam{.learning_rate = 0}};
    const Workload work{batches.back(), Net::image, Net::classes};
    std::vector<Point> points;
    for (const Index batch : batches)
        points.push_back({.batch = batch, .extent = Net::image, .plan = &trainer.plan(), .call = [&, batch] {
                              trainer.step(work.images(batch), work.labels(batch));
                          }});
    measure_and_print(network, "training", points, rounds);
}

void run(int rounds, Index largest) {
    std::vector<Index> batches, trained;
    for (Index batch = 1; batch <= largest; batch *= 2) batches.push_back(batch);
    std::copy(batches.begin() + 1, batches.end(),
              std::back_inserter(trained));  // batch norm needs two values a channel
    using Tutorial = resnet::ResNet18<10>;
    using Cifar = resnet::CifarResNet18<10>;
    inference<Tutorial>("ResNet18 (tutorial)", batches, {Tutorial::image}, rounds);
    training<Tutorial>("ResNet18 (tutorial)", trained, rounds);
    inference<Cifar>("CifarResNet18", batches, {Cifar::image}, rounds);
    training<Cifar>("CifarResNet18", trained, rounds);
    std::vector<resnet::Extent> extents;
    for (int side = 32; side <= 224; side += 16) extents.push_back({side, side});
    for (const Index batch : {1, 16})
        inference<resnet::ImageNetResNet18<>>("ImageNetResNet18", {batch}, extents, rounds);
}

}  // namespace

int main(int argc, char** argv) try {
    const int rounds = argc > 1 ? std::atoi(argv[1]) : 5, threads = argc > 2 ? std::atoi(argv[2]) : 2;
    const Index largest = argc > 3 ? std::atol(argv[3]) : 512;
    if (rounds < 1 || threads < 1 || largest < 2)
        throw resnet::Error("cost", "a round, a thread and a batch of 2 at least", "less");
    std::printf("# %d threads, %s, level 2 cache %ld, level 3 cache %ld bytes\n", threads,
                std::string{name_of(resnet::current_isa())}.c_str(), sysconf(_SC_LEVEL2_CACHE_SIZE),
                sysconf(_SC_LEVEL3_CACHE_SIZE));
    std::printf(
        "network,work,batch,height,width,milliseconds_per_image,images_per_second,gflops,block,part,convolutions,"
        "winograd,"
        "activation_bytes,pack_bytes\n");
    const tbb::global_control limit{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena{threads}.execute([&] { run(rounds, largest); });
} catch (const std::exception& error) {
    std::fprintf(stderr, "cost: %s\n", error.what());
    return 1;
}
