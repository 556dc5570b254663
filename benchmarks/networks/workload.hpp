// What the benchmarks of whole networks share: random images, and the work that a plan does on them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <resnet/core/image_view.hpp>
#include <resnet/core/random.hpp>
#include <resnet/engine/plan.hpp>

/// Images of random bytes, with a label each.
class Workload {
public:
    Workload(resnet::Index images, resnet::Extent extent, int classes)
        : pixels_(static_cast<std::size_t>(images * 3 * extent.area())),
          labels_(static_cast<std::size_t>(images)),
          view_{resnet::nhwc(pixels_.data(), images, extent)} {
        const resnet::Random random{resnet::Seed{2}, resnet::Purpose::user};
        for (std::size_t i = 0; i < pixels_.size(); ++i) pixels_[i] = static_cast<std::uint8_t>(random.below(256, i));
        for (std::size_t i = 0; i < labels_.size(); ++i)
            labels_[i] = static_cast<int>(random.below(static_cast<std::uint64_t>(classes), pixels_.size() + i));
    }
    Workload(const Workload&) = delete;
    Workload& operator=(const Workload&) = delete;
    ~Workload() = default;

    /// The first `count` of them.
    resnet::ImageView images(resnet::Index count) const { return view_.slice(0, count); }
    std::span<const int> labels(resnet::Index count) const {
        return std::span{labels_}.first(static_cast<std::size_t>(count));
    }

private:
    std::vector<std::uint8_t> pixels_;  // [N][H][W][3]
    std::vector<int> labels_;           // [N]
    resnet::ImageView view_;
};

/// Floating-point operations of a step's convolution for so many images, without those on padding; 0 for other steps.
/// Counted as the definition has them, so Winograd can exceed the machine's peak.
inline double flops(const resnet::Plan& plan, int step, resnet::Index images) {
    const bool convolution = resnet::detail::is_convolution(plan.program().steps[static_cast<std::size_t>(step)].kind);
    return convolution ? 2.0 * static_cast<double>(resnet::live_macs(plan[step].shape) * images) : 0.0;
}
