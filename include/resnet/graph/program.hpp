// A network as the engine runs it: tensors in memory and one list of Steps, forward to backward. Made by fuse.hpp
// (forward) and differentiate.hpp (backward); plain data, constexpr.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <resnet/graph/graph.hpp>

namespace resnet::inline v0 {

/// Elements of vectors are named by int indices here, -1 for none.
template <class T>
constexpr T& at(std::vector<T>& items, int index) {
    return items[static_cast<std::size_t>(index)];
}
template <class T>
constexpr const T& at(const std::vector<T>& items, int index) {
    return items[static_cast<std::size_t>(index)];
}

enum class Mode : std::uint8_t { training, inference };

enum class StepKind : std::uint8_t {
    input,        // pixels -> normalised, blocked activation
    convolution,  // conv2d and linear, with what the fuser put into the epilogue
    moments,      // mean and squared deviations of a tensor that no convolution wrote
    pointwise,    // activation(sum of at most two terms), a term is factor * (batch-normalised) tensor
    max_pool,
    average_pool,
    custom,
    loss,  // softmax cross entropy: loss, and the gradient of the logits
    // backward
    convolution_grad_weight,
    convolution_grad_input,
    pointwise_grad,
    max_pool_grad,
    average_pool_grad,
    custom_grad,
};

constexpr std::string_view name_of(StepKind kind) {
    constexpr std::string_view names[] = {"input",
                                          "convolution",
                                          "moments",
                                          "pointwise",
                                          "max_pool",
                                          "average_pool",
                                          "custom",
                                          "loss",
                                          "convolution_grad_weight",
                                          "convolution_grad_input",
                                          "pointwise_grad",
                                          "max_pool_grad",
                                          "average_pool_grad",
                                          "custom_grad"};
    return names[static_cast<int>(kind)];
}

/// An activation or a gradient: [N / b][H][W][b][C].
struct Tensor {
    int channels = 0;
    Extent extent{};
    int moments = -1;  // index of its batch statistics, if a batch norm reads it in training

    constexpr Index elements() const { return extent.area() * channels; }  // an image
};

/// One use of a batch-norm layer: it normalises `tensor` and keeps what its backward needs.
struct Norm {
    int layer = -1;
    int tensor = -1;
};

/// factor * normalised(tensor), or factor * tensor where norm is -1.
struct Term {
    int tensor = -1;
    int norm = -1;
    float factor = 1;
};

/// How a step leaves its result: over what was there, or added to it (a value used twice sums its gradients).
enum class Write : std::uint8_t { none, overwrite, add };

struct Step {
    StepKind kind = StepKind::input;
    int node = -1;                // the graph's node that it stands for: names in prints and errors
    int layer = -1;               // whose parameters
    std::array<Term, 2> terms{};  // what it reads; convolutions and pools have one term
    int term_count = 1;
    int output = -1;  // tensor that it writes; of a backward step, the tensor whose gradient it reads
    Activation activation = Activation::none;
    // An inference convolution's epilogue: relu(factor * batch norm folded in (convolution) + residual).
    int folded_norm = -1, residual = -1;
    float factor = 1;
    // A training forward convolution: the statistics of its output are collected on the way.
    bool collects_moments = false;
    // Backward: gradient of `output`, and for each term where its gradient goes.
    int grad_output = -1;
    std::array<int, 2> grad_inputs{-1, -1};
    std::array<Write, 2> writes{};
    // Gradients of the layer's parameters ([0]; of a convolution the weight, [1] the bias), or of each term's batch
    // norm: a layer's first use overwrites, later ones add.
    std::array<Write, 2> grad_parameters{};
    // A bias that only batch norms see: its gradient is exactly zero, and nothing is computed.
    bool bias_cancels = false;

    constexpr bool backward() const { return kind >= StepKind::convolution_grad_weight; }
};

struct Program {
    Mode mode = Mode::inference;
    std::vector<Tensor> tensors;
    std::vector<Norm> norms;
    std::vector<Step> steps;
    int moments = 0;  // tensors whose batch statistics are needed
    int input = -1, logits = -1;
    int first_backward = -1;  // index of the first backward step; the loss comes just before
};

}  // namespace resnet::inline v0
