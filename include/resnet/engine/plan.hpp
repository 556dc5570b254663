// A Program made ready to run on this CPU: kernel and tables of each step, where its packed weights lie, and where each
// tensor in the arena. A plan is independent of the batch: offsets are counted in elements per image.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include <resnet/core/text.hpp>
#include <resnet/graph/choose.hpp>
#include <resnet/graph/cost.hpp>
#include <resnet/graph/lifetime.hpp>
#include <resnet/graph/program.hpp>
#include <resnet/kernels/gather.hpp>
#include <resnet/kernels/isa.hpp>
#include <resnet/kernels/jobs.hpp>

namespace resnet::inline v0 {

/// What the engine adds to a Step.
struct PlannedStep {
    ConvolutionShape shape{};  // convolutions, forward and backward
    ConvolutionKernel kernel = ConvolutionKernel::direct;
    std::size_t form = 0;                // winograd: of winograd_forms
    GatherTable table;                   // direct forward and grad_input, and grad_weight of few input channels
    std::vector<TapRuns> tap_runs;       // direct grad_weight of more, and inference of few images on small maps
    std::vector<int> live_taps;          // grad_weight: the taps that it gives a gradient
    std::vector<int> cleared_taps;       // grad_weight: those that only a later step of the same layer gives one
    Index pack = -1, pack_elements = 0;  // packed weights: offset in the pack buffer
    Index bias = -1;                     // inference: folded bias in the pack buffer
};

struct PlanOptions {
    ChoiceOptions choice{};
    int block = 0;  // images per block; 0: by the network
    Isa isa = current_isa();
};

class Plan {
public:
    /// Throws Error if a tensor has more than 2^30 positions.
    Plan(Graph graph, Program program, const PlanOptions& options, Panels panels);

    const Graph& graph() const noexcept { return graph_; }
    const Program& program() const noexcept { return program_; }
    const PlanOptions& options() const noexcept { return options_; }
    const PlannedStep& operator[](int step) const { return at(steps_, step); }
    int size() const noexcept { return static_cast<int>(steps_.size()); }
    const Tensor& tensor(int index) const { return at(program_.tensors, index); }

    /// Images that are computed together: tensors are [N / block][H][W][block][C], the last block may hold fewer.
    int block() const noexcept { return block_; }
    Index arena_elements(Index images) const noexcept { return arena_ * images; }
    Index offset(int tensor, Index images) const { return at(offsets_, tensor) * images; }
    Index pack_elements() const noexcept { return packs_; }
    int most_channels() const noexcept { return channels_; }  // of any tensor

    /// What a run of so many images on so many workers holds beside the flat buffers of weights, gradients and
    /// optimizer: the Workspace and the Packs, once both have served such a batch and no other. Error for no
    /// images. (memory.hpp)
    template <class Scalar = float>
    Index bytes(Index images, int workers) const;

    /// Kernel, shape and macs of each step, and why the kernels before it declined.
    std::string print() const;

private:
    void plan_convolution(const Step& step, PlannedStep& planned, Panels panels);
    static void plan_weight_gradient(PlannedStep& planned);
    void clear_taps();
    void place_tensors();

    Graph graph_;
    Program program_;
    PlanOptions options_;
    int block_, channels_ = 0;
    std::vector<PlannedStep> steps_;
    std::vector<Index> offsets_;
    Index arena_ = 0, packs_ = 0;
};

/// Copies of large weights, for parts of a batch, would take longer to sum than to read the activations again for each
/// tap.
constexpr bool has_large_weights(const ConvolutionShape& shape) { return shape.weights() >= Index{1} << 17; }

/// Whether the gradient of the weights is taken for all taps at once. Fewer channels than a tile has rows leave much of
/// it empty tap by tap; more fill it, but on large maps the activations come from memory for each tap anew. All taps at
/// once take, of the time tap by tap: 7x7 with stride 2, 64x64 to 64 channels, one core of a Zen 5, of 3 channels 0.62
/// with AVX-512 and 0.9 with AVX2, of 4 0.84 and 1.07; 3x3, 31x31 to 64, two cores of a Zen 3 (AVX2), of 4, 8 and 16
/// channels 0.6, 0.5 and 0.6, of 24 (ResNet9's) 0.63; but on 16x16 about as long, and on 8x8, whose edges cut the
/// groups of rows short, twice.
constexpr bool takes_all_taps_at_once(const ConvolutionShape& shape) {
    constexpr int few = 4, some = 32;
    constexpr Index large_map = 512;
    return (shape.in < few || (shape.in < some && shape.output.area() >= large_map)) && !has_large_weights(shape);
}

/// Most rows of a run that go tap by tap (convolution_by_tap.inl), which reads a weight once for all runs. (Of 4x4 maps
/// of 512 channels, one core of a Zen 5: two images take 0.52 ms by tap, 0.70 by run; three 0.75 and 0.90; four 1.0
/// either way. Of 5x5 maps of 64 channels two take 0.0155 and 0.0136.)
constexpr Index most_rows_by_tap(const ConvolutionShape& shape) { return has_distant_weights(shape) ? 6 : few_rows; }

namespace detail {

constexpr bool is_convolution(StepKind kind) {
    return kind == StepKind::convolution || kind == StepKind::convolution_grad_input ||
           kind == StepKind::convolution_grad_weight;
}

/// Enough images that even the narrowest map fills a few tiles with its rows, and no more: a block of a wide map should
/// not outgrow the caches. (CifarResNet18, 128 images, two cores of a Zen 5: inference takes 2.5 % less time in blocks
/// of 16 than of 8, training 2 %.)
inline int default_block(const Graph& graph) {
    int narrowest = 32;
    for (const Node& node : graph.nodes)
        if (node.op == Op::conv2d) narrowest = std::min(narrowest, node.extent.width);
    int block = 4;
    while (block < 32 && block * narrowest < 48) block *= 2;
    return block;
}

/// How a direct kernel goes over a step: by runs of positions, or as is said here.
inline std::string_view direct_way(StepKind kind, const PlannedStep& planned) {
    if (planned.kernel != ConvolutionKernel::direct) return "";
    if (kind == StepKind::convolution_grad_weight)
        return planned.table.runs.empty() ? ", tap by tap" : ", all taps at once";
    return planned.tap_runs.empty() ? "" : ", tap by tap for few images";
}

}  // namespace detail

inline Plan::Plan(Graph graph, Program program, const PlanOptions& options, Panels panels)
    : graph_{std::move(graph)},
      program_{std::move(program)},
      options_{options},
      block_{options.block > 0 ? options.block : detail::default_block(graph_)},
      steps_(program_.steps.size()) {
    constexpr Index most_positions = Index{1} << 30;  // tables count them in an int
    for (const Tensor& tensor : program_.tensors) {
        if (tensor.extent.area() > most_positions)
            throw Error("plan", "maps of at most 2^30 positions",
                        detail::text(tensor.extent.height, "x", tensor.extent.width));
        channels_ = std::max(channels_, tensor.channels);
    }
    for (int i = 0; i < size(); ++i)
        if (const Step& step = at(program_.steps, i); detail::is_convolution(step.kind))
            plan_convolution(step, at(steps_, i), panels);
    clear_taps();
    place_tensors();
}

inline void Plan::plan_convolution(const Step& step, PlannedStep& planned, Panels panels) {
    planned.shape = graph_.convolution(at(graph_.nodes, step.node));
    planned.kernel = choose(planned.shape, options_.choice);
    planned.form = winograd_form(planned.shape.output);
    // In training weights change with each step, so each step packs its own into the one place that all share.
    const auto reserve = [&](Index elements) {
        const Index offset = program_.mode == Mode::inference ? packs_ : 0;
        packs_ = std::max(packs_, offset + whole_lines(elements));
        return offset;
    };
    if (step.kind == StepKind::convolution_grad_weight) {
        plan_weight_gradient(planned);
        return;
    }
    const bool forward = step.kind == StepKind::convolution;
    panels.channels = forward ? planned.shape.out : planned.shape.in;
    if (planned.kernel == ConvolutionKernel::direct) {
        planned.table = gather_table(planned.shape, forward);
        if (program_.mode == Mode::inference && planned.table.runs.size() > 1 &&
            planned.table.longest_run <= most_rows_by_tap(planned.shape))
            planned.tap_runs = tap_runs(planned.shape);
        planned.pack_elements = static_cast<Index>(planned.table.live.size()) *
                                (forward ? planned.shape.in : planned.shape.out) * panels.padded();
        planned.pack = reserve(planned.pack_elements);
    } else if (planned.kernel == ConvolutionKernel::winograd) {
        planned.pack_elements =
            Index{winograd_forms[planned.form].all_products()} * planned.shape.in * planned.shape.out;
        planned.pack = reserve(planned.pack_elements);
    } else if (program_.mode == Mode::inference) {
        planned.pack_elements = planned.shape.weights();  // folded, in the master's order
        planned.pack = reserve(planned.pack_elements);
    }
    if (program_.mode == Mode::inference) planned.bias = reserve(whole_lines(planned.shape.out));
}

inline void Plan::plan_weight_gradient(PlannedStep& planned) {
    if (planned.kernel != ConvolutionKernel::direct) {
        planned.live_taps.resize(static_cast<std::size_t>(planned.shape.window.taps()));
        std::iota(planned.live_taps.begin(), planned.live_taps.end(), 0);
    } else if (takes_all_taps_at_once(planned.shape)) {
        planned.table = gather_table(planned.shape, true);
        planned.live_taps = planned.table.live;
    } else {
        planned.tap_runs = tap_runs(planned.shape);
        for (const TapRuns& tap : planned.tap_runs) planned.live_taps.push_back(tap.tap);
    }
}

/// Where a convolution is used on maps of different sizes, the first of its gradients may leave out taps that a later
/// one adds to: numbers of the last batch would still be there.
inline void Plan::clear_taps() {
    for (int first = 0; first < size(); ++first) {
        const Step& step = at(program_.steps, first);
        if (step.kind != StepKind::convolution_grad_weight || step.grad_parameters[0] != Write::overwrite) continue;
        PlannedStep& planned = at(steps_, first);
        for (int later = first + 1; later < size(); ++later) {
            const Step& other = at(program_.steps, later);
            if (other.kind != StepKind::convolution_grad_weight || other.layer != step.layer) continue;
            for (const int tap : at(steps_, later).live_taps)
                if (!std::ranges::count(planned.live_taps, tap) && !std::ranges::count(planned.cleared_taps, tap))
                    planned.cleared_taps.push_back(tap);
        }
    }
}

/// First fit by falling size: the largest tensors choose first; two that are alive at the same time never overlap.
inline void Plan::place_tensors() {
    const std::vector<Lifetime> lives = lifetimes(program_);
    const auto root = [&](int tensor) {
        while (at(lives, tensor).takes_over >= 0) tensor = at(lives, tensor).takes_over;
        return tensor;
    };
    struct Place {
        int tensor;
        Index size, offset;
        Lifetime life;
    };
    std::vector<Place> places;
    for (int t = 0; t < static_cast<int>(lives.size()); ++t)
        if (at(lives, t).last >= 0 && root(t) == t)
            places.push_back({t, whole_lines(tensor(t).elements()), 0, at(lives, t)});
    // A chain that shares one place lives as long as all of it.
    for (int t = 0; t < static_cast<int>(lives.size()); ++t)
        if (at(lives, t).last >= 0 && root(t) != t)
            for (Place& place : places)
                if (place.tensor == root(t)) place.life.last = std::max(place.life.last, at(lives, t).last);
    std::sort(places.begin(), places.end(),
              [](const Place& a, const Place& b) { return a.size != b.size ? a.size > b.size : a.tensor < b.tensor; });
    std::vector<Place> placed;
    for (Place& place : places) {
        std::vector<Place> taken;
        for (const Place& other : placed)
            if (other.life.meets(place.life)) taken.push_back(other);
        std::sort(taken.begin(), taken.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
        for (const Place& other : taken)
            if (place.offset + place.size > other.offset)
                place.offset = std::max(place.offset, other.offset + other.size);
        arena_ = std::max(arena_, place.offset + place.size);
        placed.push_back(place);
    }
    offsets_.assign(lives.size(), 0);
    for (int t = 0; t < static_cast<int>(lives.size()); ++t)
        for (const Place& place : placed)
            if (at(lives, t).last >= 0 && place.tensor == root(t)) at(offsets_, t) = place.offset;
}

inline std::string Plan::print() const {
    using detail::text;
    std::string table = text("instruction set ", name_of(options_.isa), ", blocks of ", block_, " images\n");
    for (int i = 0; i < size(); ++i) {
        const Step& step = at(program_.steps, i);
        const PlannedStep& planned = at(steps_, i);
        std::string line = text(i, " ", name_of(step.kind));
        line.resize(std::max<std::size_t>(line.size(), 28), ' ');
        if (step.layer >= 0) line += graph_.layer_name(step.layer);
        line.resize(std::max<std::size_t>(line.size(), 50), ' ');
        const Tensor& out = tensor(step.output);
        line += text(" ", out.extent.height, "x", out.extent.width, "x", out.channels);
        if (detail::is_convolution(step.kind)) {
            line += text(", ", live_macs(planned.shape), " live of ", macs(planned.shape), " macs, ",
                         planned.pack_elements, " packed weights, ");
            for (const ConvolutionCandidate& candidate : convolution_candidates) {
                if (candidate.kernel == planned.kernel) {
                    line += planned.kernel == ConvolutionKernel::winograd ? winograd_forms[planned.form].name
                                                                          : candidate.name;
                    line += detail::direct_way(step.kind, planned);
                    break;
                }
                line += text("(not ", candidate.name, ": ", candidate.decline(planned.shape, options_.choice), ") ");
            }
        }
        table += text(line, "\n");
    }
    return table + text(arena_, " elements of activations an image, ", packs_, " of packed weights\n");
}

}  // namespace resnet::inline v0
