// The levels of instruction sets: one table of function pointers each; the rest of the code calls through active().
// "scalar" is plain C++ for any CPU; "avx2" needs AVX2, FMA and F16C; "neon" is 64-bit ARM's baseline.
#pragma once

#include <cstddef>

#include "postprocess/loops.hpp"
#include "preprocess/rows.hpp"

namespace seatrial {

struct Kernels {
    const char* name;
    const RowKernels& rows;
    const LoopKernels& loops;
};

// The levels that this machine has, worst first; the last is the default.
const Kernels* const* available(std::size_t* count) noexcept;
// The level in use: SEATRIAL_SIMD's where set (null where it names none that this machine has), else the best.
const Kernels* active() noexcept;
// False, and nothing changes, where the machine has no such level.
bool select(const char* name) noexcept;

}  // namespace seatrial
