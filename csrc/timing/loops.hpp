// The loops that time requests: closed (one after another, each client its own), and open (at scheduled arrivals).
//
// A closed loop asks how fast requests can be answered; an open one what users wait who do not wait for each other. In an
// open loop a request's latency counts from when it was due, so that a stall is charged to every request behind it, not
// only to the one that it hit. Not for deciding when there are enough samples: that is Python's, between two calls.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "samples.hpp"
#include "work.hpp"

namespace seatrial {

// Why a loop ended. The order is that of importance, where clients differ.
enum class Ended : int { count = 0, deadline = 1, asked = 2, full = 3, failed = 4 };

struct Until {
    std::int64_t deadline_ns;  // no request starts after it
    std::int64_t most;         // requests of one client; negative: no limit
    std::atomic<bool>* asked;  // set from elsewhere: end after the current request; may be null
};

// One client, back to back; `gap_ns` of sleep follow each request where it is above 0, but not past the deadline.
Ended closed_loop(Work work, StageSamples& samples, Until until, std::int64_t gap_ns) noexcept;

// `clients` real threads in a closed loop each. All start together and none starts a request after the deadline, or after
// one of them failed or had no room left for its rows.
// Throws std::system_error where a thread cannot be made.
Ended closed_loops(const Work* works, StageSamples* const* samples, std::size_t clients, Until until, std::int64_t gap_ns);

// `count` requests, due at first_ns + arrivals_ns[i] in ascending order, taken in that order by whichever of `servers`
// threads is free. Each row starts when its request was due, and its first stage is the wait until a thread took it.
// A request that no thread took before the deadline is not served and has no row; nor is one behind a full table.
Ended open_loop(const Work* works, StageSamples* const* samples, std::size_t servers, const std::int64_t* arrivals_ns,
                std::int64_t count, std::int64_t first_ns, Until until);

}  // namespace seatrial
