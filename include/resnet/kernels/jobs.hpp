// What kernels are called with: plain structs of sizes and pointers, one call a chunk of work. No type here knows an
// instruction set.
//
// Activations of one block of b images are [H][W][b][C]. `In` and `Out` are the channels that a kernel reads and
// writes.
#pragma once

#include <resnet/core/activation.hpp>
#include <resnet/core/extent.hpp>
#include <resnet/graph/winograd_form.hpp>
#include <resnet/kernels/gather.hpp>

namespace resnet::inline v0 {

/// Output channels in panels of whole vectors (at most `widest`, then 2 and 1); a last partial vector is a panel of its
/// own.
struct Panels {
    int channels = 0;
    int lanes = 0, widest = 0;

    struct Panel {
        int first = 0, vectors = 0, valid = 0;  // channels first ... first + valid - 1
    };
    constexpr int full() const { return channels / lanes; }
    constexpr int count() const {
        const int rest = full() % widest;
        return full() / widest + rest / 2 + rest % 2 + (channels % lanes != 0 ? 1 : 0);
    }
    constexpr Panel operator[](int p) const {
        const int wide = full() / widest, rest = full() % widest;
        if (p < wide) return {p * widest * lanes, widest, widest * lanes};
        const int pairs = rest / 2, first = wide * widest * lanes;
        p -= wide;
        if (p < pairs) return {first + p * 2 * lanes, 2, 2 * lanes};
        p -= pairs;
        const int single = first + pairs * 2 * lanes;
        if (p < rest % 2) return {single, 1, lanes};
        return {full() * lanes, 1, channels % lanes};
    }
    /// Channels including the padding of the partial vector.
    constexpr int padded() const { return static_cast<int>(round_up(channels, lanes)); }
};

/// Rows of a convolution's tile that are too few to hide the latency of their additions and the reading of weights.
inline constexpr int few_rows = 3;
inline constexpr int widest_panel = 64;  // channels: four vectors of 16 floats

/// How many wide panels share a tile, so that even a few rows have sums enough to hide the latency of their additions.
/// (Other sums at the same time, not parts of one sum: a row's bits do not depend on how many there are.)
constexpr int panels_together(Index rows) { return rows == 1 ? 4 : rows <= few_rows ? 2 : 1; }
/// The same, but together no wider than the widest panel of any instruction set, which is wide enough alone.
constexpr int narrow_panels_together(const Panels& panels, Index rows) {
    const int narrow = widest_panel / (panels.widest * panels.lanes), together = panels_together(rows);
    return together < narrow ? together : narrow;
}

/// output = relu(bias + sum over live taps of input * weight + residual), for runs and panels of one block.
template <class Scalar>
struct ConvolutionJob {
    const GatherTable* table = nullptr;
    const TapRuns* taps = nullptr;  // of convolution_by_tap: the same walk with taps outermost
    Index first_run = 0, last_run = 0;
    int first_panel = 0, last_panel = 0;
    int images = 0;  // b of the block
    int in = 0, out = 0;
    const Scalar* input = nullptr;     // [positions][b][In]
    const Scalar* weight = nullptr;    // [panel][live tap][In][panel's channels]
    bool distant_weights = false;      // see has_distant_weights
    const Scalar* bias = nullptr;      // [padded Out] or null
    const Scalar* residual = nullptr;  // like output, or null
    Scalar* output = nullptr;          // [positions][b][Out]
    bool accumulate = false;           // add to output; then neither bias nor relu
    bool relu = false;
};

/// grad_weight[tap][in][Out] (+)= sum over the tap's rows of input[row][in]^T grad_output[row][Out], over some blocks:
/// of a tap, or of all taps at once.
template <class Scalar>
struct WeightGradientJob {
    const GatherTable* table = nullptr;  // of all taps; null for one
    const GatherRun* runs = nullptr;     // of the table, or of the tap
    Index run_count = 0;
    int input_step = 1;
    int first_in = 0, last_in = 0;  // of one tap: the input channels of this chunk
    int in = 0, out = 0;
    int block = 0;     // images of a full block
    Index images = 0;  // of the batch
    Index first_block = 0, last_block = 0;
    Index input_positions = 0, output_positions = 0;
    const Scalar* input = nullptr;
    const Scalar* grad_output = nullptr;
    Scalar* grad_weight = nullptr;  // [In][Out] of the tap, or of each tap
    bool accumulate = false;
};

/// The last step of a Winograd tile: its products, `stride` apart, to its outputs of b images.
template <class Scalar>
struct WinogradOutputJob {
    const Scalar* products = nullptr;  // [products] x [b][C]
    Index stride = 0;
    int images = 0, channels = 0;
    const Scalar* bias = nullptr;
    bool accumulate = false, relu = false;
    Scalar* output[most_winograd_outputs] = {};  // [b][C] each, or null beyond the edge
    const Scalar* residual[most_winograd_outputs] = {};
};

/// output[rows][Out] = input[rows][In] * packed weights, In at most a depth block.
template <class Scalar>
struct MatrixProductJob {
    Index rows = 0;
    int in = 0, out = 0, first_panel = 0, last_panel = 0;
    const Scalar* input = nullptr;
    const Scalar* weight = nullptr;
    Scalar* output = nullptr;
};

/// activation(sum of scale_t * x_t + shift) over rows of C channels.
template <class Scalar>
struct PointwiseJob {
    Index rows = 0;
    int channels = 0, terms = 1;
    const Scalar* input[2] = {nullptr, nullptr};
    const Scalar* scale[2] = {nullptr, nullptr};  // [C]
    const Scalar* shift = nullptr;                // [C]
    Scalar* output = nullptr;
    Activation activation = Activation::none;
};

/// The backward of PointwiseJob. g = grad_output times the activation's slope: of relu 1 where the output is positive,
/// else 0; of gelu that of the sum, which is computed anew.
/// Sums: [0][C] of g, then [1 + t][C] of g (x_t - mean_t).
/// Gradients: grad_input_t (+)= scale_t g + slope_t (x_t - mean_t) + offset_t.
template <class Scalar>
struct PointwiseGradJob {
    Index rows = 0;
    int channels = 0, terms = 1;
    Activation activation = Activation::none;
    const Scalar* grad_output = nullptr;
    const Scalar* output = nullptr;               // of relu
    const Scalar* input[2] = {nullptr, nullptr};  // of normalised terms, and of gelu
    const Scalar* mean[2] = {nullptr, nullptr};   // null where the term is not normalised
    double* sums = nullptr;                       // [1 + terms][C], overwritten
    const Scalar* scale[2] = {nullptr, nullptr};
    const Scalar* shift = nullptr;  // of gelu
    const Scalar* slope[2] = {nullptr, nullptr};
    const Scalar* offset[2] = {nullptr, nullptr};
    Scalar* grad_input[2] = {nullptr, nullptr};  // null where nobody needs it
    bool add[2] = {false, false};
};

/// Windows of one block: [H][W][b C] -> [Ho][Wo][b C]; rows of b C numbers are handled as one.
template <class Scalar>
struct PoolJob {
    Window window{};
    Extent input_extent{}, output_extent{};
    Index width = 0;                  // b * C
    int first_row = 0, last_row = 0;  // forward: output rows; backward goes over the whole map
    const Scalar* input = nullptr;
    Scalar* output = nullptr;
    // backward
    const Scalar* output_value = nullptr;  // max pool: what forward wrote
    const Scalar* grad_output = nullptr;
    Scalar* grad_input = nullptr;
    bool add = false;
};

/// One range of an optimizer's arrays; every number PyTorch's, precomputed for this step.
template <class Scalar>
struct UpdateJob {
    Index count = 0;
    Scalar* parameter = nullptr;
    const Scalar* gradient = nullptr;
    Scalar* first = nullptr;   // Adam: mean of the gradient; SGD: momentum buffer
    Scalar* second = nullptr;  // Adam: mean of its square
    Scalar learning_rate = 0, weight_decay = 0, gradient_scale = 1;
    // SGD
    Scalar momentum = 0;
    bool nesterov = false;
    // Adam
    Scalar beta1 = 0, beta2 = 0, epsilon = 0;
    Scalar correction1 = 1, correction2_root = 1;  // 1 - beta1^t, sqrt(1 - beta2^t)
    bool decoupled = false;                        // AdamW
};

}  // namespace resnet::inline v0
