// Inference without the network's type: a plan, its packed weights, and workspaces for any number of calls at once.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include <resnet/engine/executor.hpp>
#include <resnet/engine/memory.hpp>

namespace resnet::inline v0 {

/// Workspace and result of one call; a call borrows it from the free list and gives it back.
template <class Scalar>
struct InferenceMemory {
    explicit InferenceMemory(const Plan& plan) : workspace{plan} {}

    Workspace<Scalar> workspace;
    Buffer<Scalar> result;
};

/// What a run hands out: a tensor of the plan, there after so many steps.
struct InferenceOutput {
    int tensor = -1, steps = 0;
    Index columns = 0;      // elements per image
    bool mirrored = false;  // the mean over the image and its mirror image; of logits
};

namespace detail {

/// Blocks of images, [N / b][H][W][b][C], to rows as PyTorch's flatten has them: [N][C][H][W].
template <class Scalar>
void copy_rows(const Run<Scalar>& run, int tensor, Scalar* rows) {
    const auto [height, width] = run.plan.tensor(tensor).extent;
    const Index channels = run.plan.tensor(tensor).channels, positions = Index{height} * width;
    if (positions == 1) {  // the blocks are rows already
        std::copy_n(run.workspace.tensor(tensor), run.elements(tensor), rows);
        return;
    }
    for (Index block = 0; block < run.blocks(); ++block) {
        const Scalar* from = run.block(tensor, block);
        const Index images = run.block_images(block);
        Scalar* const to = rows + block * run.plan.block() * positions * channels;
        for (Index position = 0; position < positions; ++position)
            for (Index n = 0; n < images; ++n)
                for (Index c = 0; c < channels; ++c) to[(n * channels + c) * positions + position] = *from++;
    }
}

/// (rows + those of the run) / 2.
template <class Scalar>
void average_rows(const Run<Scalar>& run, int tensor, Scalar* rows) {
    const Scalar* const others = run.workspace.tensor(tensor);  // [N][classes]: logits have one position
    for (Index i = 0; i < run.elements(tensor); ++i) rows[i] = (rows[i] + others[i]) / 2;
}

}  // namespace detail

/// How many images of a large batch go through the network together: whole blocks whose activations fit in the
/// last-level cache beside the weights, but enough of them to share.
template <class Scalar = float>
Index images_per_part(const Plan& plan) {
    constexpr Index cache = Index{16} << 20;
    const Index image = plan.arena_elements(1) * static_cast<Index>(sizeof(Scalar));
    return std::max<Index>(round_up(std::max<Index>(cache / image, 16), plan.block()), plan.block());
}

template <class Scalar>
class InferenceEngine {
public:
    using Memory = InferenceMemory<Scalar>;
    /// Gives memory back to its engine, also where a call throws.
    struct GiveBack {
        const InferenceEngine* engine = nullptr;
        void operator()(Memory* memory) const noexcept { engine->give_back(memory); }
    };
    using Lease = std::unique_ptr<Memory, GiveBack>;

    InferenceEngine(const Weights<Scalar>& weights, Graph graph, const Normalization& normalization,
                    const PlanOptions& options)
        : kernels_{resnet::kernels<Scalar>(options.isa)},
          plan_{graph, fuse(graph, Mode::inference), options, kernels_.panels(0)},
          weights_{weights},
          normalization_{normalization},
          packs_{plan_, kernels_} {
        weights_.check_layout(plan_.graph());
        packs_.fold(weights_);
    }
    InferenceEngine(const InferenceEngine&) = delete;
    InferenceEngine& operator=(const InferenceEngine&) = delete;

    const Plan& plan() const noexcept { return plan_; }
    Extent extent() const { return plan_.tensor(plan_.program().input).extent; }
    InferenceOutput logits() const { return output(plan_.program().logits, plan_.size()); }
    /// What the last linear layer reads; the network has to end in one (Graph::last_linear).
    InferenceOutput embedding() const {
        int step = 0;
        while (at(plan_.program().steps, step).node != plan_.graph().last_linear()) ++step;
        return output(at(plan_.program().steps, step).terms[0].tensor, step);
    }

    /// Takes new weights and packs them where the old ones were. No call may run meanwhile. After std::bad_alloc all is
    /// as it was.
    void refresh(const Weights<Scalar>& weights, const Normalization& normalization) {
        Weights<Scalar> snapshot{weights};
        packs_.fold(snapshot);
        weights_ = std::move(snapshot);
        normalization_ = normalization;
    }

    /// Memory for one call with so many images.
    void reserve(Index images) {
        const Lease memory = borrow();
        memory->workspace.reserve(std::min(images, images_per_part<Scalar>(plan_)));
        memory->result.reserve(images * logits().columns);
    }

    /// Writes [N][columns] of an output. A large batch goes through the network in parts that stay in the caches.
    void run(Memory& memory, const ImageView& images, const InferenceOutput& output, Scalar* rows,
             const auto& observe) const {
        const Index part = images_per_part<Scalar>(plan_);
        for (Index first = 0; first < images.images; first += part) {
            const Index count = std::min(part, images.images - first);
            memory.workspace.reserve(count);
            const Run<Scalar> run{plan_, kernels_, weights_, packs_, memory.workspace};
            const ImageView view = images.slice(first, count);
            Scalar* const to = rows + first * output.columns;
            run_forward(run, view, normalization_, output.steps, prepare_nothing, observe);
            detail::copy_rows(run, output.tensor, to);
            if (!output.mirrored) continue;
            run_forward(run, view.mirrored(), normalization_, output.steps, prepare_nothing, observe);
            detail::average_rows(run, output.tensor, to);
        }
    }

    Lease borrow() const {
        {
            const std::lock_guard lock{mutex_};
            if (!free_.empty()) {
                Lease memory{free_.back().release(), {this}};
                free_.pop_back();
                return memory;
            }
        }
        auto memory = std::make_unique<Memory>(plan_);
        const std::lock_guard lock{mutex_};
        free_.reserve(lent_ + 1);  // so that giving back never allocates
        ++lent_;
        return {memory.release(), {this}};
    }

    /// What the library has allocated for this engine, in bytes.
    Index bytes() const {
        const std::lock_guard lock{mutex_};
        Index sum = packs_.bytes() + weights_.parameters().bytes() + weights_.statistics().bytes();
        for (const auto& memory : free_) sum += memory->workspace.bytes() + memory->result.bytes();
        return sum;
    }

private:
    void give_back(Memory* memory) const noexcept {
        const std::lock_guard lock{mutex_};
        free_.emplace_back(memory);
    }

    InferenceOutput output(int tensor, int steps) const { return {tensor, steps, plan_.tensor(tensor).elements()}; }

    const Kernels<Scalar>& kernels_;
    Plan plan_;
    Weights<Scalar> weights_;  // a snapshot: custom operations and unfolded batch norms read it
    Normalization normalization_;
    Packs<Scalar> packs_;
    mutable std::mutex mutex_;
    mutable std::vector<std::unique_ptr<Memory>> free_;
    mutable std::size_t lent_ = 0;  // memories that there are, free or not
};

}  // namespace resnet::inline v0
