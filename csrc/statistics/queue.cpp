#include "statistics/queue.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace seatrial {
namespace {

// When each server is free next. Which one takes a request does not matter: the one that is free first.
class Servers {
public:
    explicit Servers(int count) : count_(count) { std::fill_n(free_.begin(), count, 0.0); }

    double serve(double arrival, double service) {
        double* const next = std::min_element(free_.begin(), free_.begin() + count_);
        *next = std::max(arrival, *next) + service;
        return *next - arrival;
    }

private:
    std::array<double, most_servers> free_;
    int count_;
};

bool holds(
    const double* gaps, const double* service, std::int64_t count, int servers, double bound, std::int64_t allowed,
    double rate) {
    Servers queue(servers);
    double arrival = 0.0;
    std::int64_t slow = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        arrival += gaps[i] / rate;
        slow += queue.serve(arrival, service[i]) > bound;
        if (slow > allowed) return false;
    }
    return true;
}

}  // namespace

void queue_latencies(
    const double* arrivals, const double* service, std::int64_t count, int servers, double* latencies) {
    Servers queue(servers);
    // Relative to the first, so that servers which were free at 0 are free whatever clock the arrivals are of.
    for (std::int64_t i = 0; i < count; ++i) latencies[i] = queue.serve(arrivals[i] - arrivals[0], service[i]);
}

double highest_rate(
    const double* gaps, const double* service, std::int64_t count, int servers, double bound, std::int64_t allowed,
    double lowest, double highest) {
    const auto held = [&](double rate) { return holds(gaps, service, count, servers, bound, allowed, rate); };
    if (!held(lowest)) return 0.0;
    if (held(highest)) return highest;
    while (highest > lowest * 1.0005) {
        const double middle = std::sqrt(lowest * highest);
        (held(middle) ? lowest : highest) = middle;
    }
    return lowest;
}

}  // namespace seatrial
