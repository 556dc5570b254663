#include <doctest/doctest.h>

#include <vector>

#include <resnet/optim/schedule.hpp>

using namespace resnet;

namespace {

/// The rates of the first steps, against what PyTorch 2.15 gives in double.
void check_rates(const auto& schedule, const std::vector<double>& expected) {
    for (std::size_t step = 0; step < expected.size(); ++step) {
        CAPTURE(step);
        CHECK(schedule(static_cast<Index>(step)) == doctest::Approx(expected[step]).epsilon(1e-6));
    }
}

}  // namespace

TEST_CASE("OneCycle: is torch.optim.lr_scheduler.OneCycleLR with its defaults") {
    check_rates(OneCycle{.peak = 0.4f, .steps = 10}, {0.016, 0.208, 0.4, 0.380193853, 0.324698262, 0.244504809,
                                                      0.155496791, 0.0753033384, 0.0198077472, 1.6e-6});
    check_rates(OneCycle{.peak = 0.4f, .steps = 10}, std::vector<double>{0.4 / 25});
    CHECK(OneCycle{.peak = 0.4f, .steps = 10}(1000) == doctest::Approx(1.6e-6));  // behind its end it stays there
}

TEST_CASE("Cosine: is torch.optim.lr_scheduler.CosineAnnealingLR, after a straight warm-up that reaches the peak") {
    check_rates(Cosine{.peak = 0.1f, .steps = 6, .last = 0.01f},
                {0.1, 0.0939711432, 0.0775, 0.055, 0.0325, 0.0160288568, 0.01, 0.01});
    check_rates(Cosine{.peak = 0.1f, .steps = 10, .warmup = 4, .last = 0.01f},
                {0.025, 0.05, 0.075, 0.1, 0.1, 0.0939711432, 0.0775, 0.055, 0.0325, 0.0160288568, 0.01});
}

TEST_CASE("MultiStep: is torch.optim.lr_scheduler.MultiStepLR") {
    check_rates(MultiStep{.rate = 0.1f, .milestones = {2, 4}}, {0.1, 0.1, 0.01, 0.01, 0.001, 0.001});
    check_rates(MultiStep{.rate = 0.1f}, {0.1, 0.1});
}

TEST_CASE("Triangle: is straight from its first rate over the peak to its last") {
    check_rates(Triangle{.peak = 1, .steps = 10, .warmup = 4, .first = 0.2f, .last = 0.1f},
                {0.2, 0.4, 0.6, 0.8, 1, 0.85, 0.7, 0.55, 0.4, 0.25, 0.1, 0.1});
    check_rates(Triangle{.peak = 1, .steps = 4}, {1, 0.75, 0.5, 0.25, 0});
}

TEST_CASE("ConstantRate: is the same for every step") { check_rates(ConstantRate{0.5f}, {0.5, 0.5, 0.5}); }
