#include "loops.hpp"
namespace seatrial { extern const LoopKernels scalar_loops = {}; }
