// The kernels of preprocessing: body.hpp, once a method and a kind of source. tools/ptx/build.py compiles this to
// src/seatrial/cuda/preprocess.ptx, which is committed.
#include "body.hpp"

using namespace seatrial::device;

#define SEATRIAL_KERNEL(METHOD, KIND)                                                                                   \
    extern "C" __global__ void __launch_bounds__(BLOCK_COLUMNS* BLOCK_THREADS_DOWN)                                     \
        seatrial_preprocess_##METHOD##_##KIND(const Image* images, u8* out, const Settings settings) {                  \
        const i32 x = static_cast<i32>(blockIdx.x) * BLOCK_COLUMNS + static_cast<i32>(threadIdx.x);                     \
        const i32 thread_down = static_cast<i32>(blockIdx.y) * BLOCK_THREADS_DOWN + static_cast<i32>(threadIdx.y);      \
        thread_body<METHOD, KIND>(images, static_cast<i32>(blockIdx.z), out, settings, x, thread_down * ROWS_A_THREAD); \
    }
#define SEATRIAL_KERNELS(METHOD)     \
    SEATRIAL_KERNEL(METHOD, gray)    \
    SEATRIAL_KERNEL(METHOD, color)   \
    SEATRIAL_KERNEL(METHOD, planes)

SEATRIAL_KERNELS(copy)
SEATRIAL_KERNELS(nearest)
SEATRIAL_KERNELS(linear)
SEATRIAL_KERNELS(halve)
SEATRIAL_KERNELS(box)
SEATRIAL_KERNELS(runs)
SEATRIAL_KERNELS(cubic)
SEATRIAL_KERNELS(width_first)
SEATRIAL_KERNELS(height_first)
