// A convolution as its definition has it, forward and both gradients, on small integers: every sum is exact in any
// order, so a kernel has to give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <resnet/core/random.hpp>
#include <resnet/graph/graph.hpp>

namespace tests {

using resnet::ConvolutionShape;
using resnet::Index;

/// -largest ... largest, from the position alone.
inline std::vector<int> small_integers(std::size_t count, std::uint64_t seed, int largest = 2) {
    const resnet::Random random{resnet::Seed{seed}, resnet::Purpose::user};
    std::vector<int> values(count);
    for (std::size_t i = 0; i < count; ++i)
        values[i] = static_cast<int>(random.below(static_cast<std::uint64_t>(2 * largest + 1), i)) - largest;
    return values;
}

/// Operands and results of one case; images are [N][H][W][C], weights [ky][kx][In][Out].
struct SevenLoops {
    ConvolutionShape shape;
    int images;
    std::vector<int> input, weight, bias, grad_output;
    std::vector<int> output, grad_input, grad_weight, grad_bias;  // output without bias
    std::vector<int>
        magnitude;  // sum of |input * weight| for each output: what an inexact kernel's error is measured by

    SevenLoops(const ConvolutionShape& s, int n) : shape{s}, images{n} {
        const auto in = static_cast<std::size_t>(s.in), out = static_cast<std::size_t>(s.out);
        const auto inputs = static_cast<std::size_t>(n * s.input.area()) * in,
                   outputs = static_cast<std::size_t>(n * s.output.area()) * out;
        input = small_integers(inputs, 1);
        weight = small_integers(static_cast<std::size_t>(s.weights()), 2);
        bias = small_integers(out, 3, 5);
        grad_output = small_integers(outputs, 4);
        output.assign(outputs, 0);
        magnitude.assign(outputs, 0);
        grad_input.assign(inputs, 0);
        grad_weight.assign(weight.size(), 0);
        grad_bias.assign(out, 0);
        std::size_t at_output = 0;
        for (int b = 0; b < n; ++b)
            for (int y = 0; y < s.output.height; ++y)
                for (int x = 0; x < s.output.width; ++x, at_output += out) {
                    for (std::size_t o = 0; o < out; ++o) grad_bias[o] += grad_output[at_output + o];
                    for (int ky = 0; ky < s.window.height; ++ky)
                        for (int kx = 0; kx < s.window.width; ++kx) {
                            const int iy = y * s.window.stride + ky - s.window.padding,
                                      ix = x * s.window.stride + kx - s.window.padding;
                            if (iy < 0 || iy >= s.input.height || ix < 0 || ix >= s.input.width) continue;
                            const std::size_t at_input =
                                static_cast<std::size_t>((Index{b} * s.input.height + iy) * s.input.width + ix) * in;
                            const std::size_t at_weight = static_cast<std::size_t>(ky * s.window.width + kx) * in * out;
                            multiply(at_input, at_weight, at_output);
                        }
                }
    }

private:
    void multiply(std::size_t at_input, std::size_t at_weight, std::size_t at_output) {
        const auto in = static_cast<std::size_t>(shape.in), out = static_cast<std::size_t>(shape.out);
        for (std::size_t i = 0; i < in; ++i)
            for (std::size_t o = 0; o < out; ++o) {
                const int x = input[at_input + i], w = weight[at_weight + i * out + o], g = grad_output[at_output + o];
                output[at_output + o] += x * w;
                magnitude[at_output + o] += x * w < 0 ? -x * w : x * w;
                grad_input[at_input + i] += g * w;
                grad_weight[at_weight + i * out + o] += x * g;
            }
    }
};

inline std::string describe(const ConvolutionShape& s) {
    const auto map = [](resnet::Extent e) { return std::to_string(e.height) + "x" + std::to_string(e.width); };
    return std::to_string(s.in) + "->" + std::to_string(s.out) + " k" + std::to_string(s.window.height) + " stride " +
           std::to_string(s.window.stride) + " padding " + std::to_string(s.window.padding) + " on " + map(s.input);
}

/// The shape of a convolution on a map; the output's extent is {0, 0} where the map is too small.
inline ConvolutionShape convolution_shape(int in, int out, int kernel, int stride, int padding, resnet::Extent map) {
    ConvolutionShape s{in, out, {kernel, kernel, stride, padding}, map, {}};
    const int height = map.height + 2 * padding - kernel, width = map.width + 2 * padding - kernel;
    if (height >= 0 && width >= 0) s.output = {height / stride + 1, width / stride + 1};
    return s;
}

}  // namespace tests
