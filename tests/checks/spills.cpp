// The inner loops that spills.py looks at: the widest tile of each instruction set, and twins with more sums than it
// has registers.
#include <resnet/kernels/kernels.hpp>

#define TILES(ISA, ROWS, VECTORS)                                                              \
    template void resnet::ISA::convolution_tile<float, ROWS, VECTORS>(                         \
        const float*, resnet::Index, const resnet::ISA::Tap*, int, resnet::Index,              \
        const resnet::ISA::TileWeights<float>&, const resnet::ISA::TileTarget<float>&);        \
    template void resnet::ISA::weight_gradient_tile<float, ROWS, VECTORS>(                     \
        const resnet::ISA::RowGroup<float>&, const resnet::ISA::WeightGradientTarget<float>&); \
    template void resnet::ISA::weight_gradient_tile<float, ROWS, VECTORS, true>(               \
        const resnet::ISA::RowGroup<float>&, const resnet::ISA::WeightGradientTarget<float>&);

TILES(baseline, 4, 2)
TILES(avx2, 6, 2)
TILES(avx512, 6, 4)
// Twins: as many sums as registers, so some must live on the stack.
TILES(baseline, 8, 2)
TILES(avx2, 8, 2)
TILES(avx512, 8, 4)
