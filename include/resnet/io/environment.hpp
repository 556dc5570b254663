// What a run's numbers come from beside its code and data: settings by name, and what it was built with and runs on.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <resnet/core/parallel.hpp>  // worker_count
#include <resnet/core/text.hpp>
#include <resnet/core/version.hpp>
#include <resnet/kernels/isa.hpp>

namespace resnet::inline v0 {

/// Names and values, in the order in which a reader wants them: {"seed", "1"}.
using Settings = std::vector<std::pair<std::string, std::string>>;

namespace detail {

/// "GCC 12.2.0"; with the one option that changes how compilers round without being asked for it.
inline std::string compiler() {
#if defined(__clang__)
    std::string name = __VERSION__;
#else
    std::string name = text("GCC ", __VERSION__);
#endif
#if defined(__FMA__)
    name += " with FMA";
#endif
    return name;
}

}  // namespace detail

/// The library's version, the compiler, the instruction set of the kernels and the number of threads, as they are where
/// it is called. All but the threads can change a run's last digits.
inline Settings environment() {
    return {{"library", detail::text("resnet ", version)},
            {"compiler", detail::compiler()},
            {"instruction set", std::string{name_of(current_isa())}},
            {"threads", std::to_string(worker_count())}};
}

}  // namespace resnet::inline v0
