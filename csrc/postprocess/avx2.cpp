#include "loops.hpp"
namespace seatrial { extern const LoopKernels avx2_loops = {}; }
