// What a loop times: one request, as a function and the thing that it works on. Not for knowing what the thing is.
#pragma once

#include <cstdint>

#include "clock.hpp"
#include "samples.hpp"

namespace seatrial {

// `call` does one request, and ends each of its stages with samples.lap() or fills it with samples.give(). Nonzero: the request failed, and the loop ends.
// It must not throw; its type does not say so, since Cython's functions cannot.
struct Work {
    int (*call)(void* self, StageSamples& samples) = nullptr;
    void* self = nullptr;
    // Around all requests of a thread, for whoever has to know the thread, as an interpreter does: else it would be made
    // known and forgotten again in every request. `leave` gets what `enter` gave. Both may be null.
    void* (*enter)() = nullptr;
    void (*leave)(void* token) = nullptr;
};

class OnThread {
  public:
    explicit OnThread(const Work& work) noexcept : leave_(work.leave), token_(work.enter ? work.enter() : nullptr) {}
    ~OnThread() {
        if (leave_) leave_(token_);
    }
    OnThread(const OnThread&) = delete;
    OnThread& operator=(const OnThread&) = delete;

  private:
    void (*leave_)(void* token);
    void* token_;
};

// Work of known cost: what the loops themselves cost, and whether they see a stall that is known to be there.
struct Spin {
    std::int64_t service_ns = 0;
    std::int64_t stall_at = -1;  // the request, from 0, that takes stall_ns longer
    std::int64_t stall_ns = 0;
    std::int64_t fail_at = -1;  // the request, from 0, that fails; those after it do not
    std::int64_t done = 0;
    bool failed = false;

    static int call(void* self, StageSamples& samples) noexcept {
        Spin& spin = *static_cast<Spin*>(self);
        const std::int64_t request = spin.done++;
        if (request == spin.fail_at) {
            spin.failed = true;
            return 1;
        }
        const std::int64_t wanted = spin.service_ns + (request == spin.stall_at ? spin.stall_ns : 0);
        if (wanted > 0) {
            const std::int64_t until = now_ns() + wanted;
            while (now_ns() < until) {
            }
        }
        samples.lap();
        return 0;
    }
};

// Several kinds of requests in a given order, over and over: a mix of input shapes.
struct Mix {
    const Work* kinds;
    const std::uint8_t* order;
    std::int64_t length;
    std::int64_t next = 0;

    static int call(void* self, StageSamples& samples) noexcept {
        Mix& mix = *static_cast<Mix*>(self);
        const Work& kind = mix.kinds[mix.order[mix.next]];
        if (++mix.next == mix.length) mix.next = 0;
        return kind.call(kind.self, samples);
    }
};

}  // namespace seatrial
