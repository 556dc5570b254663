// Weights in the order in which the kernels read them: panels of output channels, [panel][live tap][In][panel's
// channels]; for Winograd [product][panel][In][panel's channels]. Packs belong to steps, since one layer may serve
// several; the master copy stays [tap][In][Out].
#pragma once

#include <vector>

#include <resnet/core/buffer.hpp>
#include <resnet/core/parallel.hpp>
#include <resnet/engine/fold.hpp>
#include <resnet/engine/plan.hpp>
#include <resnet/engine/weights.hpp>
#include <resnet/kernels/kernels.hpp>

namespace resnet::inline v0 {

namespace detail {

// Winograd's packs are made in strips of some of the channels that are summed over: a strip's products meet in scratch,
// so that each goes to its place in one long run, not a row at a time between all the others'.
inline constexpr int pack_strip = 16;  // divides all channels that go by Winograd (choose.hpp)
/// From product to product, a little more than the rows: powers of two would meet in the same sets of the caches.
constexpr Index winograd_stride(Index rows, Index channels) { return rows * channels + 16; }
inline constexpr Index winograd_pack_scratch = most_winograd_products * winograd_stride(pack_strip, widest_panel);

/// One convolution's packing: sizes, panels of the channels that the step writes, master weights, destination.
template <class Scalar>
struct Packing {
    const Kernels<Scalar>& kernels;
    const PlannedStep& step;
    Panels panels;
    const Scalar* weight;  // [tap][In][Out]
    Scalar* pack;

    Index width(const Panels::Panel& panel) const { return Index{panel.vectors} * panels.lanes; }
    int products() const { return winograd_forms[step.form].all_products(); }
    const WinogradKernels<Scalar>& winograd() const { return kernels.winograd[step.form]; }
};

/// One tap of a direct forward pack; `position` is its index among the `live` taps.
template <class Scalar>
void pack_tap(const Packing<Scalar>& to, int tap, Index position, Index live) {
    const Index in = to.step.shape.in, out = to.step.shape.out;
    for (int p = 0; p < to.panels.count(); ++p) {
        const Panels::Panel panel = to.panels[p];
        const Index width = to.width(panel);
        Scalar* row = to.pack + panel.first * live * in + position * in * width;
        const Scalar* from = to.weight + Index{tap} * in * out + panel.first;
        for (Index i = 0; i < in; ++i, row += width, from += out) {
            std::copy_n(from, panel.valid, row);
            std::fill(row + panel.valid, row + width, Scalar{0});
        }
    }
}

/// One tap of a direct pack for the gradient of the input, whose output channels are the layer's input channels.
template <class Scalar>
void pack_transposed_tap(const Packing<Scalar>& to, int tap, Index position, Index live) {
    const Index in = to.step.shape.in, out = to.step.shape.out;
    for (int p = 0; p < to.panels.count(); ++p) {
        const Panels::Panel panel = to.panels[p];
        const Index width = to.width(panel);
        Scalar* rows = to.pack + panel.first * live * out + position * out * width;
        const Scalar* from = to.weight + (Index{tap} * in + panel.first) * out;
        to.kernels.transpose(from, out, panel.valid, out, rows, width);
        if (panel.valid < width)
            for (Index o = 0; o < out; ++o)
                std::fill(rows + o * width + panel.valid, rows + (o + 1) * width, Scalar{0});
    }
}

/// Winograd's transformed weights of one strip of input channels.
template <class Scalar>
void pack_winograd_strip(const Packing<Scalar>& to, int strip, Scalar* scratch) {
    const Index in = to.step.shape.in, out = to.step.shape.out, first = Index{strip} * pack_strip;
    for (int p = 0; p < to.panels.count(); ++p) {
        const Panels::Panel panel = to.panels[p];
        const Index width = to.width(panel), stride = winograd_stride(pack_strip, width);
        for (Index i = 0; i < pack_strip; ++i) {
            const Scalar* taps[9];
            for (int t = 0; t < 9; ++t) taps[t] = to.weight + (Index{t} * in + first + i) * out + panel.first;
            to.winograd().weight(taps, width, scratch + i * width, stride);
        }
        for (int product = 0; product < to.products(); ++product)
            std::copy_n(scratch + product * stride, pack_strip * width,
                        to.pack + product * in * out + panel.first * in + first * width);
    }
}

/// The same for the gradient of the input, strips of output channels: kernel rotated by 180 degrees, channels
/// exchanged.
template <class Scalar>
void pack_winograd_rotated_strip(const Packing<Scalar>& to, int strip, Scalar* scratch) {
    const Index in = to.step.shape.in, out = to.step.shape.out, first = Index{strip} * pack_strip;
    for (int p = 0; p < to.panels.count(); ++p) {
        const Panels::Panel panel = to.panels[p];
        const Index width = to.width(panel), stride = winograd_stride(pack_strip, width);
        for (Index i = 0; i < width; ++i) {
            const Scalar* taps[9];
            for (int t = 0; t < 9; ++t) taps[t] = to.weight + (Index{8 - t} * in + panel.first + i) * out + first;
            to.winograd().weight(taps, pack_strip, scratch + i * pack_strip, stride);
        }
        for (int product = 0; product < to.products(); ++product)
            to.kernels.transpose(scratch + product * stride, pack_strip, width, pack_strip,
                                 to.pack + product * in * out + panel.first * out + first * width, width);
    }
}

}  // namespace detail

template <class Scalar>
class Packs {
public:
    Packs(const Plan& plan, const Kernels<Scalar>& kernels)
        : plan_{plan},
          kernels_{kernels},
          buffer_(plan.pack_elements()) {
        for (int i = 0; i < plan.size(); ++i) {
            first_task_.push_back(std::ssize(tasks_));
            if (plan[i].pack < 0) continue;
            for (int piece = 0; piece < pieces(plan[i], is_forward(i)); ++piece) tasks_.push_back({i, piece});
        }
        first_task_.push_back(std::ssize(tasks_));
    }

    const Scalar* at(Index offset) const noexcept { return buffer_.data() + offset; }
    Index bytes() const noexcept { return buffer_.bytes() + scratch_.bytes(); }
    /// Of scratch, for packing on up to so many workers.
    static Index scratch_elements(const Plan& plan, int workers) {
        if (plan.pack_elements() == 0) return 0;
        return workers_for(plan.pack_elements(), workers) * detail::winograd_pack_scratch;
    }

    /// Training: the pack of one step, forward or grad_input, from the master weights; it takes the place of the
    /// others'. Nothing for a step that has none.
    void pack(int step, const Weights<Scalar>& weights) {
        if (plan_[step].pack < 0) return;
        scratch_.reserve(scratch_elements(plan_, worker_count()));
        const int layer = resnet::at(plan_.program().steps, step).layer;
        const Scalar* weight = weights.parameter(plan_.graph().parameter(layer, "weight"));
        run_tasks(resnet::at(first_task_, step), resnet::at(first_task_, step + 1), plan_[step].pack_elements,
                  [&](int) { return weight; });
    }

    /// Inference: batch norm and constant factors go into weights and bias first (fold.hpp). After std::bad_alloc the
    /// packs are as they were.
    void fold(const Weights<Scalar>& weights) {
        std::vector<FoldedConvolution<Scalar>> folded(static_cast<std::size_t>(plan_.size()));
        for (int i = 0; i < plan_.size(); ++i) {
            const Step& step = resnet::at(plan_.program().steps, i);
            if (step.kind != StepKind::convolution) continue;
            const int norm = step.folded_norm < 0 ? -1 : resnet::at(plan_.program().norms, step.folded_norm).layer;
            resnet::at(folded, i) = folded_convolution(weights, step.layer, norm, step.factor);
        }
        scratch_.reserve(scratch_elements(plan_, worker_count()));  // from here on nothing throws
        for (int i = 0; i < plan_.size(); ++i) {
            const auto& [weight, bias] = resnet::at(folded, i);
            if (weight.empty()) continue;
            std::copy(bias.begin(), bias.end(), buffer_.data() + plan_[i].bias);
            if (plan_[i].kernel == ConvolutionKernel::im2col)
                std::copy(weight.begin(), weight.end(), buffer_.data() + plan_[i].pack);
        }
        run_tasks(0, std::ssize(tasks_), buffer_.size(),
                  [&](int step) { return resnet::at(folded, step).weight.data(); });
    }

private:
    struct Task {
        int step, piece;  // a live tap, or a strip of the channels that are summed over
    };

    static int pieces(const PlannedStep& step, bool forward) {
        switch (step.kernel) {
            case ConvolutionKernel::winograd:
                return (forward ? step.shape.in : step.shape.out) / detail::pack_strip;
            case ConvolutionKernel::direct:
                return static_cast<int>(step.table.live.size());
            case ConvolutionKernel::im2col:
                break;
        }
        return 0;
    }
    bool is_forward(int step) const { return resnet::at(plan_.program().steps, step).kind == StepKind::convolution; }

    /// Needs its scratch reserved.
    void run_tasks(Index first, Index last, Index elements, const auto& weight_of) {
        for_each_chunk(last - first, workers_for(elements, worker_count()), [&](Index chunk, int slot) {
            const Task& task = tasks_[static_cast<std::size_t>(first + chunk)];
            const PlannedStep& step = plan_[task.step];
            const bool forward = is_forward(task.step);
            const detail::Packing<Scalar> to{kernels_, step, kernels_.panels(forward ? step.shape.out : step.shape.in),
                                             weight_of(task.step), buffer_.data() + step.pack};
            Scalar* scratch = scratch_.data() + slot * detail::winograd_pack_scratch;
            if (step.kernel == ConvolutionKernel::winograd) {
                forward ? detail::pack_winograd_strip(to, task.piece, scratch)
                        : detail::pack_winograd_rotated_strip(to, task.piece, scratch);
            } else {
                const int tap = resnet::at(step.table.live, task.piece);
                const auto live = static_cast<Index>(step.table.live.size());
                forward ? detail::pack_tap(to, tap, task.piece, live)
                        : detail::pack_transposed_tap(to, tap, task.piece, live);
            }
        });
    }

    const Plan& plan_;
    const Kernels<Scalar>& kernels_;
    Buffer<Scalar> buffer_, scratch_;
    std::vector<Task> tasks_;
    std::vector<Index> first_task_;  // of each step, and the end
};

}  // namespace resnet::inline v0
