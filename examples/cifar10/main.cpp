// Trains a residual network on CIFAR-10 and tests it: by default the PyTorch tutorial's network by its recipe; --model
// and --recipe name others. `run`, beside this file, builds it, fetches the data and passes its arguments on.
#define RESNET_IMAGE_IMPLEMENTATION  // for the PNG files in the report
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <resnet/cifar_resnet18.hpp>
#include <resnet/classifier.hpp>
#include <resnet/data.hpp>
#include <resnet/evaluate.hpp>
#include <resnet/model.hpp>
#include <resnet/moving_average.hpp>
#include <resnet/resnet18.hpp>
#include <resnet/resnet9.hpp>
#include <resnet/trainer.hpp>
#include <resnet/whitening.hpp>

#include "data.hpp"
#include "interrupt.hpp"
#include "keep.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "recipe.hpp"
#include "record.hpp"
#include "standard_streams.hpp"
#include "test.hpp"

using resnet::Index;

/// Goes through the training images that the epoch has left, in an order that follows from seed and epoch; less far
/// where a signal comes. `learning_rate` and `after` are called with the step's number, which counts from the run's
/// begin.
template <class Net>
void train(resnet::Trainer<Net>& trainer, const resnet::Loader& loader, const auto& learning_rate, const auto& after,
           Reached& reached, Progress progress) {
    for (const auto& batch : loader.epoch(reached.epoch, reached.batch)) {
        const Index number = Index{reached.epoch} * loader.batches() + batch.number;
        trainer.set_learning_rate(learning_rate(number));
        const auto step = trainer.step(batch.images, batch.labels);
        after(number);
        reached.batch = batch.number + 1;
        reached.loss.add(step.loss, batch.size());
        if (interrupt_signal != 0) break;
        progress.show(reached.loss.images, reached.loss.value());
    }
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

/// What the network takes from its training images before the first step.
template <int Classes>
void prepare(resnet::Model<resnet::ResNet9<Classes>>& model, const resnet::Dataset& train) {
    const resnet::ImageView some = train.images().slice(0, std::min(train.size(), whitening_images));
    model.set_parameter("whiten.weight", resnet::whitening_filters(some, model.normalization()));
    model.freeze("whiten.weight");
}
template <class Net>
void prepare(resnet::Model<Net>&, const resnet::Dataset&) {}

/// As many epochs of training as asked for, and a test after each. Returns the program's exit status.
template <class Net>
int train_and_test(const Options& options, const Data& data) {
    resnet::Model<Net> model{resnet::Seed{options.seed}};
    prepare(model, data.train);
    const Recipe& recipe = find_recipe(options.model, options.recipe);
    for (const resnet::ParameterInfo& parameter : model.parameters())
        if (!recipe.norm_scales && parameter.role == resnet::Role::norm_weight) model.freeze(parameter.name);
    const float norm_bias = norm_bias_rate(options);
    resnet::Trainer trainer{model,
                            optimizer(options),
                            {.label_smoothing = recipe.label_smoothing,
                             .learning_rate_factors = {.norm_bias = norm_bias},
                             .weight_decay_factors = {.norm_bias = 1 / norm_bias}}};  // their decay stays as it is
    const resnet::Loader loader{
        data.train,
        {.batch = options.batch_size, .seed = resnet::Seed{options.seed}, .transforms = transforms(recipe)}};
    check_last_batch(trainer, loader);
    const Index steps = options.epochs * loader.batches();
    const auto rate = [&](Index step) { return learning_rate(recipe, options.learning_rate, steps, step); };
    std::optional<resnet::MovingAverage<Net>> average;
    if (recipe.lookahead) average.emplace(model, 0.0f);
    resnet::MovingAverage<Net>* const kept_average = average ? &*average : nullptr;
    const auto look_ahead = [&](Index step) {
        if (!average || steps < lookahead_every) return;
        if ((step + 1) % lookahead_every == 0) average->update(model, lookahead_decay(steps, step));
        else if (step + 1 == steps) average->update(model, 1);  // the run ends with the average
        else return;
        model = average->model();
    };
    std::printf("%s, %td parameters; recipe %s, %s, learning rate %g, batches of %td, seed %ju, %d threads\n",
                options.model.c_str(), resnet::parameter_count<Net>(), recipe.name, options.optimizer.c_str(),
                double{options.learning_rate}, options.batch_size, std::uintmax_t{options.seed},
                tbb::this_task_arena::max_concurrency());
    if (options.verbose) std::printf("%s\n", model.summary().c_str());

    const Keep keep{options, data};
    Reached reached = keep.begin(trainer, kept_average);
    keep.check();
    Record record{options, data, reached.epoch, loader.batches(), rate, model.summary()};
    while (std::cmp_less(reached.epoch, options.epochs)) {
        const std::string name = "epoch " + std::to_string(reached.epoch + 1) + "/" + std::to_string(options.epochs);
        const Stopwatch watch;
        train(trainer, loader, rate, look_ahead, reached, Progress{name, data.train.size(), reached.loss.images});
        reached.seconds += watch.seconds();

        // Epochs are compared by the images as they are. All views of them, up to six times the work, make the figure
        // of the whole run.
        const bool has_views = recipe.views != Views::plain && std::cmp_equal(reached.epoch + 1, options.epochs);
        const auto test_from = [&](Views views, const char* what) -> std::optional<resnet::Evaluation> {
            if (interrupt_signal != 0) return {};
            return test(model, data.test, views, options, Progress{name + what, data.test.size()});
        };
        const auto tested = test_from(Views::plain, ", test");
        const auto from_views = has_views ? test_from(recipe.views, ", test from all views") : std::nullopt;
        if (!tested || (has_views && !from_views)) {
            keep.last(trainer, kept_average, reached);
            std::printf("stopped in %s after %td of %td images, mean loss %.4f; ", name.c_str(), reached.loss.images,
                        data.train.size(), reached.loss.value());
            if (reached.epoch == 0) std::printf("not tested yet\n");
            else std::printf("test accuracy after epoch %u: %.2f %%\n", reached.epoch, 100 * reached.accuracy);
            return 128 + interrupt_signal;
        }
        if (!std::isfinite(tested->loss)) {
            throw std::runtime_error(name + ": the mean test loss is " + std::to_string(tested->loss) +
                                     "; the weights of this epoch were not kept; lower --learning-rate?");
        }
        const double images_per_second = static_cast<double>(reached.loss.images) / reached.seconds;
        const double accuracy = tested->accuracy,
                     views_accuracy = from_views ? from_views->accuracy : EpochMetrics::untested;
        std::printf("%s: mean loss %.4f, %.1f s, %.0f images/s, test accuracy %.2f %%\n", name.c_str(),
                    reached.loss.value(), reached.seconds, images_per_second, 100 * accuracy);
        keep.check();
        if (accuracy > reached.best) keep.best(model);
        record.epoch({.epoch = Index{reached.epoch} + 1,
                      .step = (Index{reached.epoch} + 1) * loader.batches(),
                      .train_loss = reached.loss.value(),
                      .test_loss = tested->loss,
                      .test_accuracy = accuracy,
                      .images_per_second = images_per_second,
                      .seconds = reached.seconds,
                      .views_accuracy = views_accuracy},
                     *tested);
        reached = {.epoch = reached.epoch + 1,
                   .accuracy = accuracy,
                   .views_accuracy = views_accuracy,
                   .best = std::max(reached.best, accuracy)};
        keep.last(trainer, kept_average, reached);
    }
    std::printf("test accuracy: %.2f %%", 100 * reached.accuracy);
    if (reached.views_accuracy >= 0) std::printf("; %.2f %% from all views", 100 * reached.views_accuracy);
    std::printf("\n");
    return 0;
}

int main(int argc, char** argv) try {
    fill_standard_streams();
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
    const int status = arena.execute([&] {
        if (options.model == "tutorial") return train_and_test<resnet::ResNet18<10>>(options, data);
        if (options.model == "resnet9") return train_and_test<resnet::ResNet9<10>>(options, data);
        return train_and_test<resnet::CifarResNet18<10>>(options, data);
    });
    if (status == 0) check_output();
    return status;
} catch (const std::bad_alloc&) {
    std::fputs("error: there is not enough memory; a lower --batch-size needs less\n", stderr);
    return 1;
} catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
}
