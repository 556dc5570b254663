// The memory that training takes: how far the resident set grows from before the model exists to the peak of five steps
// with Adam, and what the library says that it holds. One line of JSON, in bytes.
// Usage: memory tutorial|cifar-resnet18|imagenet-resnet18 BATCH THREADS. `memory` without a suffix compares with
// PyTorch.
//
// The peak is the kernel's own (VmHWM, set back to the present size by /proc/self/clear_refs), not the largest of
// samples: it misses no short-lived copy, and asks for no thread beside the ones that are measured.
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/imagenet_resnet.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "workload.hpp"

namespace {

using resnet::Index;

/// The largest resident set since the last reset, bytes.
Index peak_resident() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmHWM:")) return std::stol(line.substr(6)) * 1024;
    throw resnet::FileError("/proc/self/status", "a line VmHWM", "none");
}

void reset_peak_resident() {
    std::ofstream file{"/proc/self/clear_refs"};
    if (!(file << 5 << std::flush)) throw resnet::FileError("/proc/self/clear_refs", "to be writable", "an error");
}

template <class Net>
void run(Index batch, int threads) {
    const Workload work{batch, Net::image, Net::classes};
    reset_peak_resident();
    const Index before = peak_resident();

    resnet::Model<Net> model{resnet::Seed{1}};
    resnet::Trainer trainer{model, resnet::Adam{}};
    const Index flat = model.weights().parameters().bytes() + model.weights().statistics().bytes() + trainer.bytes();
    for (int step = 0; step < 5; ++step) trainer.step(work.images(batch), work.labels(batch));

    std::printf("{\"growth\": %td, \"flat\": %td, \"plan\": %td}\n", peak_resident() - before, flat,
                trainer.plan().bytes(batch, threads));
}

}  // namespace

int main(int argc, char** argv) try {
    if (argc != 4) throw resnet::Error("memory", "a network, a batch and a number of threads", "other arguments");
    const std::string network = argv[1];
    const Index batch = std::stol(argv[2]);
    const int threads = std::stoi(argv[3]);
    const tbb::global_control limit{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena{threads}.execute([&] {
        if (network == "tutorial") run<resnet::ResNet18<10>>(batch, threads);
        else if (network == "cifar-resnet18") run<resnet::CifarResNet18<10>>(batch, threads);
        else if (network == "imagenet-resnet18") run<resnet::ImageNetResNet18<1000>>(batch, threads);
        else throw resnet::Error("network", "tutorial, cifar-resnet18 or imagenet-resnet18", network);
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "memory: %s\n", error.what());
    return 1;
}
