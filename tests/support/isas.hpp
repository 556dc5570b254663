// The instruction sets that tests can run here.
#pragma once

#include <vector>

#include <resnet/kernels/isa.hpp>

namespace tests {

/// In rising order, up to what the CPU has and RESNET_ISA allows.
inline std::vector<resnet::Isa> available_isas() {
    std::vector<resnet::Isa> list;
    for (const resnet::Isa isa : {resnet::Isa::baseline, resnet::Isa::avx2, resnet::Isa::avx512})
        if (isa <= resnet::current_isa()) list.push_back(isa);
    return list;
}

}  // namespace tests
