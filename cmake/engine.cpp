// The engine of all programs that are built at top level.
#define RESNET_ENGINE_IMPLEMENTATION
#include <resnet/extern_engine.hpp>
