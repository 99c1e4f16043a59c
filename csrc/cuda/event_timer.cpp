#include "event_timer.hpp"

#include <cstdio>
#include <utility>

#include "../timing/clock.hpp"

namespace seatrial::cuda {

namespace {

constexpr int kInvalidHandle = 400;

std::string ms_text(double ns) {
    char text[40];
    std::snprintf(text, sizeof text, "%.4f ms", ns * 1e-6);
    return text;
}

}  // namespace

void ClockCheck::require(const std::string& of) const {
    if (agrees()) return;
    throw Error(Kind::clock, "the device's events say " + ms_text(device_ns) + " for " + of + ", but by the host's clock it was " +
                                 ms_text(least_ns > 0 ? least_ns : 0) + " to " + ms_text(most_ns) +
                                 ": one of the two clocks is wrong, or an event was not recorded; time on the host, and see "
                                 "whether the machine is virtual or its driver faulty");
}

int elapsed_ns(const Driver& driver, EventHandle* from, EventHandle* to, double& ns) noexcept {
    float milliseconds = 0;
    const int code = driver.EventElapsedTime(&milliseconds, from, to);
    ns = static_cast<double>(milliseconds) * 1e6;
    return code;
}

// It has no time since itself either.
bool was_never_recorded(const Driver& driver, EventHandle* event) noexcept {
    double ns = 0;
    return elapsed_ns(driver, event, event, ns) == kInvalidHandle;
}

EventTimer::EventTimer(std::shared_ptr<const Stream> stream, std::size_t intervals) : stream_(std::move(stream)) {
    for (std::size_t i = 0; i <= intervals; ++i) events_.push_back(std::make_unique<Event>(stream_->context(), true, false));
}

void EventTimer::record() {
    if (recorded_ == events_.size())
        throw Error(Kind::misuse, "expected at most " + std::to_string(events_.size() - 1) + " intervals, got one more; make the "
                                  "timer with as many as it shall measure");
    last_asked_ns_ = now_ns();
    events_[recorded_]->record(*stream_);
    ++recorded_;
}

void EventTimer::start() {
    recorded_ = 0;
    record();
    first_asked_ns_ = last_asked_ns_;
    events_[0]->synchronize();
    first_seen_ns_ = now_ns();
}

void EventTimer::mark() {
    if (!recorded_) throw Error(Kind::misuse, "expected start() before mark()");
    record();
}

std::vector<double> EventTimer::intervals_ns() {
    if (recorded_ < 2) throw Error(Kind::misuse, "expected start() and at least one mark() before the intervals");
    events_[recorded_ - 1]->synchronize();
    const std::int64_t seen = now_ns();
    const Driver& driver = stream_->context()->driver();
    const Current current(*stream_->context());
    std::vector<double> found;
    check_ = {0, static_cast<double>(last_asked_ns_ - first_seen_ns_), static_cast<double>(seen - first_asked_ns_),
              static_cast<double>(recorded_ - 1)};
    for (std::size_t i = 0; i + 1 < recorded_; ++i) {
        double ns = 0;
        if (const int code = elapsed_ns(driver, events_[i]->handle(), events_[i + 1]->handle(), ns)) {
            // Who waits for an event that was never recorded does not wait, and finds others unready.
            for (std::size_t j = 0; j < recorded_; ++j)
                if (was_never_recorded(driver, events_[j]->handle()))
                    driver.fail(driver.EventElapsedTime.name, kInvalidHandle,
                                "event " + std::to_string(j + 1) + " of " + std::to_string(recorded_) + " was never recorded");
            driver.fail(driver.EventElapsedTime.name, code,
                        "events " + std::to_string(i + 1) + " and " + std::to_string(i + 2) + " of " + std::to_string(recorded_));
        }
        if (ns < 0)
            throw Error(Kind::clock, "event " + std::to_string(i + 2) + " of " + std::to_string(recorded_) + " is " + ms_text(-ns) +
                                         " before the one that it followed: it was not recorded this time");
        check_.device_ns += ns;
        found.push_back(ns);
    }
    check_.require(std::to_string(found.size()) + " intervals");
    return found;
}

}  // namespace seatrial::cuda
