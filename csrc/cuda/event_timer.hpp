// How long a device takes between points of a stream, by its own events, and whether that can be true.
//
// A device's clock is asked for the difference of neighbouring events only, which are summed in double precision: one float
// since the start has lost a microsecond after 16 seconds. And it is not taken at its word. An event happens after it was asked
// for and before it was seen to have happened, both by the host's clock, so that the host knows a least and a most for what
// passed between two events; a device that says otherwise is an error. No machine is so busy that these bounds are wrong: a
// host that is late only widens them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "objects.hpp"

namespace seatrial::cuda {

// How far the two clocks may part: their rates (quartz drifts by 1e-4 at most), and an event's resolution of half a microsecond
// (cuEventElapsedTime's manual), which each difference may be rounded to on its own.
constexpr double kClockShare = 1e-3, kClockNs = 2000, kIntervalNs = 500;

// What the host's clock knows of a span of the device's, and what the device says.
struct ClockCheck {
    double device_ns = 0, least_ns = 0, most_ns = 0;
    double intervals = 1;  // differences that were summed

    bool agrees() const noexcept {
        const double slack = kClockNs + kIntervalNs * intervals + kClockShare * most_ns;
        return device_ns >= least_ns - slack && device_ns <= most_ns + slack;
    }
    // Throws Error(clock) unless they agree. `of`: what was timed.
    void require(const std::string& of) const;
};

// Nanoseconds between two events of which both have happened, as a double. Gives the driver's code.
int elapsed_ns(const Driver& driver, EventHandle* from, EventHandle* to, double& ns) noexcept;

bool was_never_recorded(const Driver& driver, EventHandle* event) noexcept;

class EventTimer {
  public:
    // Up to `intervals` of one stream.
    EventTimer(std::shared_ptr<const Stream> stream, std::size_t intervals);

    // Begins anew: the first event, which is waited for, so that the host knows when it was.
    void start();
    // Ends an interval, and begins the next.
    void mark();
    // One a mark() since start(). Waits for the last. Throws Error where an event was never recorded, Error(clock) where the
    // host's clock does not agree.
    std::vector<double> intervals_ns();
    // Of the last intervals_ns().
    const ClockCheck& check() const noexcept { return check_; }

  private:
    void record();

    std::shared_ptr<const Stream> stream_;
    std::vector<std::unique_ptr<Event>> events_;
    std::size_t recorded_ = 0;
    std::int64_t first_asked_ns_ = 0, first_seen_ns_ = 0, last_asked_ns_ = 0;
    ClockCheck check_;
};

}  // namespace seatrial::cuda
