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

inline constexpr int pack_strip = 16;             // channels that are turned together: one cache line of floats
inline constexpr int winograd_pack_columns = 64;  // output channels of a turned strip at a time
inline constexpr Index winograd_pack_scratch = Index{most_winograd_products} * pack_strip * winograd_pack_columns;

/// One convolution's packing: sizes, panels of the channels that the step writes, master weights, destination.
template <class Scalar>
struct Packing {
    const Kernels<Scalar>& kernels;
    const PlannedStep& step;
    Panels panels;
    const Scalar* weight;  // [tap][In][Out]
    Scalar* pack;

    /// The panel that channel c belongs to, with its width.
    Panels::Panel panel_of(int c) const {
        int p = 0;
        while (p + 1 < panels.count() && panels[p + 1].first <= c) ++p;
        return panels[p];
    }
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
void pack_turned_tap(const Packing<Scalar>& to, int tap, Index position, Index live) {
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
    const Index in = to.step.shape.in, out = to.step.shape.out;
    const int products = to.products();
    for (Index i = Index{strip} * pack_strip; i < std::min(Index{strip + 1} * pack_strip, in); ++i)
        for (int p = 0; p < to.panels.count(); ++p) {
            const Panels::Panel panel = to.panels[p];
            const Index width = to.width(panel);
            const Scalar* taps[9];
            for (int t = 0; t < 9; ++t) taps[t] = to.weight + (Index{t} * in + i) * out + panel.first;
            to.winograd().weight(taps, width, scratch, width);
            for (int product = 0; product < products; ++product)
                std::copy_n(scratch + product * width, width,
                            to.pack + product * in * out + panel.first * in + i * width);
        }
}

/// The same for the gradient of the input: kernel turned by half a turn, channels exchanged.
template <class Scalar>
void pack_winograd_turned_strip(const Packing<Scalar>& to, int strip, Scalar* scratch) {
    const Index in = to.step.shape.in, out = to.step.shape.out, first_in = Index{strip} * pack_strip;
    const int products = to.products();
    for (Index first = 0; first < out; first += winograd_pack_columns) {
        const Index columns = std::min<Index>(winograd_pack_columns, out - first);
        for (Index i = 0; i < pack_strip; ++i) {
            const Scalar* taps[9];
            for (int t = 0; t < 9; ++t) taps[t] = to.weight + (Index{8 - t} * in + first_in + i) * out + first;
            to.winograd().weight(taps, columns, scratch + i * products * columns, columns);
        }
        for (int product = 0; product < products; ++product) {
            for (Index i = 0; i < pack_strip;) {  // a strip may lie in several narrow panels
                const Panels::Panel panel = to.panel_of(static_cast<int>(first_in + i));
                const Index width = to.width(panel), last = std::min<Index>(pack_strip, panel.first + width - first_in);
                Scalar* rows =
                    to.pack + product * in * out + panel.first * out + first * width + (first_in - panel.first);
                to.kernels.transpose(scratch + (i * products + product) * columns, products * columns, last - i,
                                     columns, rows + i, width);
                i = last;
            }
        }
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
            const int pieces = plan[i].kernel == ConvolutionKernel::winograd
                                   ? static_cast<int>(divide_up(plan[i].shape.in, detail::pack_strip))
                               : plan[i].kernel == ConvolutionKernel::direct
                                   ? static_cast<int>(plan[i].table.live.size())
                                   : 0;
            for (int piece = 0; piece < pieces; ++piece) tasks_.push_back({i, piece});
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
        const int layer = resnet::at(plan_.program().steps, step).layer;
        const Scalar* weight = weights.parameter(plan_.graph().parameter(layer, "weight"));
        run_tasks(resnet::at(first_task_, step), resnet::at(first_task_, step + 1), plan_[step].pack_elements,
                  [&](int) { return weight; });
    }

    /// Inference: batch norm and constant factors go into weights and bias first (fold.hpp).
    void fold(const Weights<Scalar>& weights) {
        std::vector<std::vector<Scalar>> folded(static_cast<std::size_t>(plan_.size()));
        for (int i = 0; i < plan_.size(); ++i) {
            const Step& step = resnet::at(plan_.program().steps, i);
            if (step.kind != StepKind::convolution) continue;
            const int norm = step.folded_norm < 0 ? -1 : resnet::at(plan_.program().norms, step.folded_norm).layer;
            resnet::at(folded, i) =
                folded_convolution(weights, step.layer, norm, step.factor, buffer_.data() + plan_[i].bias);
            if (plan_[i].kernel == ConvolutionKernel::im2col)
                std::copy(resnet::at(folded, i).begin(), resnet::at(folded, i).end(), buffer_.data() + plan_[i].pack);
        }
        run_tasks(0, std::ssize(tasks_), buffer_.size(), [&](int step) { return resnet::at(folded, step).data(); });
    }

private:
    struct Task {
        int step, piece;  // a live tap, or a strip of input channels
    };

    void run_tasks(Index first, Index last, Index elements, const auto& weight_of) {
        scratch_.reserve(scratch_elements(plan_, worker_count()));
        for_each_chunk(last - first, workers_for(elements, worker_count()), [&](Index chunk, int slot) {
            const Task& task = tasks_[static_cast<std::size_t>(first + chunk)];
            const PlannedStep& step = plan_[task.step];
            const bool forward = resnet::at(plan_.program().steps, task.step).kind == StepKind::convolution;
            const detail::Packing<Scalar> to{kernels_, step, kernels_.panels(forward ? step.shape.out : step.shape.in),
                                             weight_of(task.step), buffer_.data() + step.pack};
            Scalar* scratch = scratch_.data() + slot * detail::winograd_pack_scratch;
            if (step.kernel == ConvolutionKernel::winograd) {
                forward ? detail::pack_winograd_strip(to, task.piece, scratch)
                        : detail::pack_winograd_turned_strip(to, task.piece, scratch);
            } else {
                const int tap = resnet::at(step.table.live, task.piece);
                const auto live = static_cast<Index>(step.table.live.size());
                forward ? detail::pack_tap(to, tap, task.piece, live)
                        : detail::pack_turned_tap(to, tap, task.piece, live);
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
