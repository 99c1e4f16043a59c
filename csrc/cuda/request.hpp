// A request that runs on a device, for the timing loops: inputs go there, something computes, outputs come back.
//
// One slot: synchronous. The row is the request's, from before it was enqueued until the host saw its end.
// More: pipelined, as many requests in flight, so that the copies of one run beside the computation of another. The row is that
// of the request that was enqueued the longest ago, and starts when that was enqueued, so that its latency is one that a
// request had. Each call ends exactly one; those in flight when the loop ends are waited for by settle() and have no row.
// Paced is the open loop's work, with requests of one slot.
//
// Stages of a row, in order: enqueue and wait by the host's clock; h2d, compute, d2h by the device's events (compute alone
// without transfers). What the events say is held against the host's clock, in each request and over all of a loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../timing/work.hpp"
#include "event_timer.hpp"
#include "hold.hpp"
#include "objects.hpp"

namespace seatrial::cuda {

struct Copy {
    Address device;
    void* host;
    std::size_t bytes;
};

// The buffers of one request in flight, and what computes on them: a graph, or a function that enqueues on a stream and gives
// 0, or not 0 where it failed. It must not throw.
struct Slot {
    std::vector<Copy> to_device, to_host;
    GraphExecHandle* graph = nullptr;
    int (*enqueue)(void* self, StreamHandle* stream) = nullptr;
    void* self = nullptr;
};

struct RequestSettings {
    bool transfers = true;         // copies are part of each request
    bool sleeps = false;           // waiting gives the core away, where else it spins
    bool holds = false;            // a kernel holds the stream until all is enqueued; one slot only
    std::int64_t hold_limit_ns = 1'000'000'000;
    std::size_t flush_bytes = 0;   // written before each request, outside of its row, so that nothing of it is in the L2 cache
};

class Request {
  public:
    // Slots are those of `stream`'s context. What they name stays the caller's and outlives this. Throws Error(misuse) where
    // copies of one slot or of two would write over each other.
    Request(std::shared_ptr<const Stream> stream, std::vector<Slot> slots, RequestSettings settings);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    std::size_t stages() const noexcept { return settings_.transfers ? 5 : 3; }

    // One inference in a slot, neither timed nor held. Throws Error; gives false where `enqueue` failed.
    bool run(std::size_t slot);
    // Waits for what is in flight, and checks the events of all requests since the last settle() against the host's clock.
    // Throws Error with what made a request fail; gives false where it was its `enqueue`.
    bool settle();
    // What the last settle() checked, and of how many requests.
    const ClockCheck& check() const noexcept { return check_; }
    std::int64_t checked() const noexcept { return checked_; }

    // For the timing loops: self is a Request.
    static int call(void* self, StageSamples& samples) noexcept;

  private:
    // Of one request: its events, the same where one stage ends and the next begins on one stream; and the host's clock.
    struct Marks {
        EventHandle *first, *copied, *computes, *computed, *returns, *last;
        std::int64_t asked_ns = 0, last_asked_ns = 0, enqueued_ns = 0, seen_ns = 0;
        std::size_t slot = 0;
    };
    enum class Wrong { no, driver, enqueue, gave_up, not_run, open_loop, backwards, clock };
    // Without text, which would have to be allocated.
    struct Failure {
        Wrong wrong = Wrong::no;
        const char* call = nullptr;
        int code = 0;
        const char* about = nullptr;
        ClockCheck check;
        const Marks* marks = nullptr;
    };

    template <typename... P, typename... A>
    bool ask(const char* about, const Call<P...>& call, A... arguments) noexcept;
    bool note(Wrong wrong) noexcept;
    bool enqueue(Marks& marks, const Slot& slot, bool holds) noexcept;
    bool compute(const Slot& slot) noexcept;
    bool wait(Marks& marks) noexcept;
    bool give(Marks& marks, StageSamples& samples) noexcept;
    bool between(EventHandle* from, EventHandle* to, const char* about, double& ns) noexcept;
    bool flush(StageSamples& samples) noexcept;
    int one(StageSamples& samples) noexcept;
    int next_of_many(StageSamples& samples) noexcept;
    void forget() noexcept;
    void name_unrecorded(const Marks& marks) const;
    EventHandle* event(bool sleeps = false);

    std::shared_ptr<const Stream> compute_;
    SharedContext context_;
    const Driver& driver_;
    std::vector<Slot> slots_;
    RequestSettings settings_;
    bool is_pipelined_;
    std::unique_ptr<Stream> own_in_, own_out_;
    StreamHandle *in_, *on_, *out_;
    std::vector<std::unique_ptr<Event>> events_;
    std::vector<Marks> marks_;       // one more than slots: the events of the request before are still read
    std::optional<Hold> hold_;
    std::unique_ptr<DeviceMemory> flushed_;

    std::size_t begun_ = 0, ended_ = 0;  // requests since the last settle()
    bool was_run_ = false;
    // Over those: from the first one's first event to the last one's.
    double steps_ns_ = 0;
    std::int64_t first_asked_ns_ = 0, first_seen_ns_ = 0;
    ClockCheck check_;
    std::int64_t checked_ = 0;
    Failure failure_;
};

}  // namespace seatrial::cuda
