// Requests in one queue before several servers, first come first served.
#pragma once

#include <cstdint>

namespace seatrial {

constexpr int most_servers = 1024;

// latencies[i]: from the i-th arrival to its end, wait included (Kiefer and Wolfowitz, 1955; one server: Lindley, 1952).
// arrivals rises; all in one unit; an idle server takes the request at once. 1 to most_servers servers.
void queue_latencies(
    const double* arrivals, const double* service, std::int64_t count, int servers, double* latencies);

// The highest rate in [lowest, highest] at which at most `allowed` requests take longer than `bound`, to a part in 2,000;
// 0 where even the lowest has more. gaps: between arrivals at the rate 1; service and bound in its unit of time.
// With the same gaps and services each latency rises with the rate, so that halving finds it.
double highest_rate(
    const double* gaps, const double* service, std::int64_t count, int servers, double bound, std::int64_t allowed,
    double lowest, double highest);

}  // namespace seatrial
