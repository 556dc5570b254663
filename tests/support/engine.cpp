// The engine for double, for all tests that include engine.hpp.
#include <resnet/engine/executor.hpp>
#include <resnet/extern_engine.hpp>

namespace resnet::inline v0 {

RESNET_ENGINE(template, double)

}  // namespace resnet::inline v0
