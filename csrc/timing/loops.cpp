#include "loops.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace seatrial {

namespace {

// A sleeping thread wakes some tens of microseconds late, which would be charged to the request. The rest is waited
// for awake; longer than this would keep a core busy that the model may need.
constexpr std::int64_t kAwakeNs = 60'000;

// By default Linux lets a timer be late by 50 µs to save power. The calling thread gets its own slack back, since threads
// that it makes later would inherit this one.
class ExactTimers {
  public:
    ExactTimers() noexcept {
#if defined(__linux__)
        before_ = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
        prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#endif
    }
    ~ExactTimers() {
#if defined(__linux__)
        if (before_ > 0) prctl(PR_SET_TIMERSLACK, static_cast<unsigned long>(before_), 0UL, 0UL, 0UL);
#endif
    }
    ExactTimers(const ExactTimers&) = delete;
    ExactTimers& operator=(const ExactTimers&) = delete;

  private:
    int before_ = 0;
};

void sleep_until_ns(std::int64_t t) noexcept {
#if defined(_WIN32)
    std::this_thread::sleep_for(std::chrono::nanoseconds(t - now_ns()));
#else
    timespec at{static_cast<time_t>(t / 1'000'000'000), static_cast<long>(t % 1'000'000'000)};
#if defined(__APPLE__)
    const std::int64_t left = t - now_ns();
    if (left > 0) {
        at = {static_cast<time_t>(left / 1'000'000'000), static_cast<long>(left % 1'000'000'000)};
        nanosleep(&at, nullptr);
    }
#else
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
    }
#endif
#endif
}

inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

bool was_asked(const Until& until) noexcept { return until.asked && until.asked->load(std::memory_order_relaxed); }

// Sleeps in slices, so that a request to end is heard. False where it was heard.
template <typename Over>
bool sleep_until_ns(std::int64_t t, const Over& over) noexcept {
    constexpr std::int64_t slice = 50'000'000;
    for (std::int64_t now = now_ns(); now < t; now = now_ns()) {
        sleep_until_ns(std::min(t, now + slice));
        if (over()) return false;
    }
    return true;
}

template <typename Over>
bool wait_until_ns(std::int64_t due, const Over& over) noexcept {
    if (!sleep_until_ns(due - kAwakeNs, over)) return false;
    while (now_ns() < due) relax();
    return true;
}

// Threads run `body(client)`, the first client's in the calling thread, and start together.
template <typename Body>
Ended on_threads(const Work* works, std::size_t clients, const Body& body) {
    std::vector<Ended> ended(clients, Ended::count);
    std::atomic<std::size_t> ready{0};
    std::atomic<bool> go{false}, given_up{false};
    std::vector<std::thread> others;
    others.reserve(clients);
    const auto one = [&](std::size_t client) {
        const ExactTimers exact;
        const OnThread known(works[client]);
        ready.fetch_add(1);
        while (!go.load(std::memory_order_acquire)) {
            if (given_up.load(std::memory_order_relaxed)) return;
            std::this_thread::yield();
        }
        ended[client] = body(client);
    };
    try {
        for (std::size_t client = 1; client < clients; ++client) others.emplace_back(one, client);
    } catch (...) {
        given_up = true;
        for (auto& thread : others) thread.join();
        throw;
    }
    while (ready.load() + 1 < clients) std::this_thread::yield();
    go.store(true, std::memory_order_release);
    // It finds `go` set, and is as ready as the others.
    one(0);
    for (auto& thread : others) thread.join();
    return *std::max_element(ended.begin(), ended.end());
}

// `ended`: another client failed, or its table is full. The others end too: what they went on to measure would be another
// load, of fewer clients.
Ended closed(Work work, StageSamples& samples, const Until& until, std::int64_t gap_ns, std::atomic<bool>& ended) noexcept {
    const auto over = [&] { return was_asked(until) || ended.load(std::memory_order_relaxed); };
    for (std::int64_t done = 0; done != until.most; ++done) {
        if (samples.full()) {
            ended.store(true, std::memory_order_relaxed);
            return Ended::full;
        }
        if (over()) return was_asked(until) ? Ended::asked : Ended::count;
        // The row's own start is what the deadline holds for: a thread may lose its core between two readings.
        samples.begin();
        if (samples.last_ns() >= until.deadline_ns) return Ended::deadline;
        if (work.call(work.self, samples)) {
            ended.store(true, std::memory_order_relaxed);
            return Ended::failed;
        }
        samples.end();
        if (gap_ns > 0) {
            const std::int64_t now = samples.last_ns();
            sleep_until_ns(gap_ns < until.deadline_ns - now ? now + gap_ns : until.deadline_ns, over);
        }
    }
    return Ended::count;
}

}  // namespace

Ended closed_loop(Work work, StageSamples& samples, Until until, std::int64_t gap_ns) noexcept {
    std::atomic<bool> ended{false};
    return closed(work, samples, until, gap_ns, ended);
}

Ended closed_loops(const Work* works, StageSamples* const* samples, std::size_t clients, Until until, std::int64_t gap_ns) {
    std::atomic<bool> ended{false};
    return on_threads(works, clients,
                      [&](std::size_t c) noexcept { return closed(works[c], *samples[c], until, gap_ns, ended); });
}

Ended open_loop(const Work* works, StageSamples* const* samples, std::size_t servers, const std::int64_t* arrivals_ns,
                std::int64_t count, std::int64_t first_ns, Until until) {
    std::atomic<std::int64_t> next{0};
    std::atomic<bool> ended{false};
    const auto over = [&] { return was_asked(until) || ended.load(std::memory_order_relaxed); };
    const auto serve = [&](std::size_t server) noexcept {
        StageSamples& own = *samples[server];
        for (;;) {
            if (ended.load(std::memory_order_relaxed)) return Ended::count;
            // Asked first: a table that is just large enough for all requests is no reason to end.
            if (next.load(std::memory_order_relaxed) >= count) return Ended::count;
            if (own.full()) {
                ended.store(true, std::memory_order_relaxed);
                return Ended::full;
            }
            if (was_asked(until)) return Ended::asked;
            if (now_ns() >= until.deadline_ns) return Ended::deadline;
            const std::int64_t i = next.fetch_add(1);
            if (i >= count) return Ended::count;
            const std::int64_t due = first_ns + arrivals_ns[i];
            if (due >= until.deadline_ns) return Ended::deadline;
            if (!wait_until_ns(due, over)) return was_asked(until) ? Ended::asked : Ended::count;
            own.begin_at(due);
            own.lap();
            if (works[server].call(works[server].self, own)) {
                ended.store(true, std::memory_order_relaxed);
                return Ended::failed;
            }
            own.end();
        }
    };
    return on_threads(works, servers, serve);
}

}  // namespace seatrial
