// The one clock of the harness: monotonic, integer nanoseconds. Not for wall-clock dates.
#pragma once

#include <cstdint>

#if defined(_WIN32)
#include <chrono>
#else
#include <time.h>
#endif

namespace seatrial {

// CLOCK_MONOTONIC on POSIX: it never steps back when the system's date is set, and it is read in user space (vDSO).
inline std::int64_t now_ns() noexcept {
#if defined(_WIN32)
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
#else
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
#endif
}

// The smallest step between two different readings among `tries`, in nanoseconds: what a reading is good for.
inline std::int64_t clock_step_ns(int tries) noexcept {
    std::int64_t smallest = INT64_MAX;
    for (int i = 0; i < tries; ++i) {
        const std::int64_t first = now_ns();
        std::int64_t next = first;
        while (next == first) next = now_ns();
        if (next - first < smallest) smallest = next - first;
    }
    return smallest;
}

}  // namespace seatrial
