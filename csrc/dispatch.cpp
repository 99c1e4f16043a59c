// Which level runs: the processor is asked once, SEATRIAL_SIMD may name another.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "kernels.hpp"
#include "target.hpp"

#if SEATRIAL_X86
#include <cpuid.h>
#endif

namespace seatrial {

extern const RowKernels scalar_rows;
extern const LoopKernels scalar_loops;
#if SEATRIAL_X86
extern const RowKernels avx2_rows;
extern const LoopKernels avx2_loops;
#elif SEATRIAL_NEON
extern const RowKernels neon_rows;
extern const LoopKernels neon_loops;
#endif

namespace {

const Kernels scalar{"scalar", scalar_rows, scalar_loops};
#if SEATRIAL_X86
const Kernels avx2{"avx2", avx2_rows, avx2_loops};

bool has_avx2() noexcept {
    // Asks the operating system too: without its support the registers' upper halves are lost at a context switch.
    __builtin_cpu_init();
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29));
    return f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#elif SEATRIAL_NEON
const Kernels neon{"neon", neon_rows, neon_loops};
#endif

struct Levels {
    const Kernels* found[2] = {&scalar, nullptr};
    std::size_t count = 1;

    Levels() noexcept {
#if SEATRIAL_X86
        if (has_avx2()) found[count++] = &avx2;
#elif SEATRIAL_NEON
        found[count++] = &neon;
#endif
    }

    const Kernels* named(const char* name) const noexcept {
        for (std::size_t i = 0; i < count; ++i)
            if (std::strcmp(found[i]->name, name) == 0) return found[i];
        return nullptr;
    }
};

const Levels& levels() noexcept {
    static const Levels once;
    return once;
}

std::atomic<const Kernels*>& chosen() noexcept {
    static std::atomic<const Kernels*> level{[] {
        const char* name = std::getenv("SEATRIAL_SIMD");
        return name && *name ? levels().named(name) : levels().found[levels().count - 1];
    }()};
    return level;
}

}  // namespace

const Kernels* const* available(std::size_t* count) noexcept {
    *count = levels().count;
    return levels().found;
}

const Kernels* active() noexcept { return chosen().load(std::memory_order_relaxed); }

bool select(const char* name) noexcept {
    const Kernels* level = levels().named(name);
    if (level) chosen().store(level, std::memory_order_relaxed);
    return level != nullptr;
}

}  // namespace seatrial
