// Trains a residual network on CIFAR-10 and tests it, as the PyTorch tutorial does: the same network, recipe and
// numbers. `run`, beside this file, builds it, fetches the data and passes its arguments on.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/evaluate.hpp>
#include <resnet/model.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/trainer.hpp>

#include "data.hpp"
#include "interrupt.hpp"
#include "keep.hpp"
#include "options.hpp"
#include "print.hpp"
#include "progress.hpp"
#include "recipe.hpp"

using resnet::Index;

/// Goes through the training images that the epoch has left, in an order that follows from seed and epoch; less far where
/// a signal comes. `learning_rate` is a function of the step, which counts from the run's begin.
template <class Net>
void train(resnet::Trainer<Net>& trainer, const resnet::Loader& loader, const auto& learning_rate, Reached& reached,
           Progress progress) {
    for (const auto& batch : loader.epoch(reached.epoch, reached.batch)) {
        trainer.set_learning_rate(learning_rate(Index{reached.epoch} * loader.batches() + batch.number));
        const auto step = trainer.step(batch.images, batch.labels);
        reached.batch = batch.number + 1;
        reached.loss.add(step.loss, batch.size());
        progress.show(reached.loss.images, reached.loss.value());
        if (interrupt_signal != 0) break;
    }
}

/// The part of the test images whose largest logit is the label's; nothing where a signal comes first.
template <class Net>
std::optional<double> test(const resnet::Classifier<Net>& classify, const resnet::Dataset& data, const Options& options,
                           Progress progress) {
    Index correct = 0;
    for (Index first = 0; first < data.size(); first += options.batch_size) {
        const Index count = std::min(options.batch_size, data.size() - first);
        const auto logits = classify(data.images().slice(first, count));  // [count][10]
        const auto labels = data.labels().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
        std::vector<int> predictions;
        for (Index n = 0; n < count; ++n) {
            predictions.push_back(resnet::predicted_class(logits[n]));
            correct += predictions.back() == labels[static_cast<std::size_t>(n)];
        }
        if (options.verbose && first == 0) {
            print_matrix("logits", logits, logits.classes());
            print_vector("pred", predictions);
            print_vector("label", labels);
        }
        progress.show(first + count);
        if (interrupt_signal != 0) return {};
    }
    return static_cast<double>(correct) / static_cast<double>(data.size());
}

/// Refuses before the first epoch what would fail at its last step: batch norm can't train on one image where a map has
/// shrunk to 1x1.
template <class Net>
void check_last_batch(resnet::Trainer<Net>& trainer, const resnet::Loader& loader) try {
    trainer.check_batch(loader.last_batch());
} catch (const resnet::Error& error) {
    throw std::runtime_error("the last batch of an epoch would have " + std::to_string(loader.last_batch()) +
                             " of the " + std::to_string(loader.data().size()) +
                             " images; change --batch-size or --limit\n" + error.what());
}

/// As many epochs of training as asked for, and a test after each. Returns the program's exit status.
template <class Net>
int train_and_test(const Options& options, const Data& data) {
    resnet::Model<Net> model{resnet::Seed{options.seed}};
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    resnet::Trainer trainer{model, optimizer(options), {.label_smoothing = recipe.label_smoothing}};
    const resnet::Loader loader{
        data.train,
        {.batch = options.batch_size, .seed = resnet::Seed{options.seed}, .transforms = transforms(recipe)}};
    check_last_batch(trainer, loader);
    const resnet::OneCycle cycle{.peak = options.learning_rate, .steps = options.epochs * loader.batches()};
    const auto learning_rate = [&](Index step) { return recipe.one_cycle ? cycle(step) : options.learning_rate; };
    std::printf("%s, %td parameters; recipe %s, %s, learning rate %g, batches of %td, seed %ju, %d threads\n",
                options.model.c_str(), resnet::parameter_count<Net>(), recipe.name, options.optimizer.c_str(),
                double{options.learning_rate}, options.batch_size, std::uintmax_t{options.seed},
                tbb::this_task_arena::max_concurrency());
    if (options.verbose) std::printf("%s\n", model.summary().c_str());

    const Keep keep{options, data};
    Reached reached = keep.begin(trainer);
    while (std::cmp_less(reached.epoch, options.epochs)) {
        const std::string name = "epoch " + std::to_string(reached.epoch + 1) + "/" + std::to_string(options.epochs);
        const Stopwatch watch;
        const Index images_before = reached.loss.images;
        train(trainer, loader, learning_rate, reached, Progress{name, data.train.size()});
        const double seconds = watch.seconds();

        std::optional<double> tested;
        if (interrupt_signal == 0) {
            const resnet::Classifier classify{model, {.batch = options.batch_size}};
            tested = test(classify, data.test, options, Progress{name + ", test", data.test.size()});
        }
        if (!tested) {
            keep.last(trainer, reached);
            std::printf("stopped in %s after %td of %td images, mean loss %.4f; ", name.c_str(), reached.loss.images,
                        data.train.size(), reached.loss.value());
            if (reached.epoch == 0) std::printf("not tested yet\n");
            else std::printf("test accuracy after epoch %u: %.2f %%\n", reached.epoch, 100 * reached.accuracy);
            return 128 + interrupt_signal;
        }
        std::printf("%s: mean loss %.4f, %.1f s, %.0f images/s, test accuracy %.2f %%\n", name.c_str(),
                    reached.loss.value(), seconds, static_cast<double>(reached.loss.images - images_before) / seconds,
                    100 * *tested);
        if (*tested > reached.best) keep.best(model);
        reached = {.epoch = reached.epoch + 1,
                   .batch = 0,
                   .loss = {},
                   .accuracy = *tested,
                   .best = std::max(reached.best, *tested)};
        keep.last(trainer, reached);
    }
    std::printf("test accuracy: %.2f %%\n", 100 * reached.accuracy);
    return 0;
}

int main(int argc, char** argv) try {
    Options options;
    CLI::App app;
    add_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;  // --help is no mistake
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);  // whole lines at once, also into a file or a pipe
    watch_for_interrupts();
    if (options.resume) take_over_options(app, options);
    options = resolved(options);

    Data data = find_data(options.data);
    if (options.limit > 0) {
        data.train.keep_first(options.limit);
        data.test.keep_first(options.limit);
    }
    std::printf("%s from %s: %td training and %td test images\n", data.name.c_str(), data.folder.c_str(),
                data.train.size(), data.test.size());

    // The engine works in the arena of its caller. TBB has a worker for each core; more must be asked for.
    const int threads = options.threads > 0 ? options.threads : tbb::this_task_arena::max_concurrency();
    const tbb::global_control workers{tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads)};
    tbb::task_arena arena{threads};
    return arena.execute([&] {
        if (options.model == "tutorial") return train_and_test<resnet::ResNet18<10>>(options, data);
        return train_and_test<resnet::CifarResNet18<10>>(options, data);
    });
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
