#include "request.hpp"

#include <utility>

#include "../timing/clock.hpp"

namespace seatrial::cuda {

namespace {

// Of the memory that flushes the cache. Any.
constexpr unsigned char kFlushValue = 0x5a;
constexpr int kInvalidHandle = 400;

template <typename Place>
bool overlap(Place a, std::size_t a_bytes, Place b, std::size_t b_bytes) noexcept {
    return a < b + b_bytes && b < a + a_bytes;
}

bool on_device(const Copy& a, const Copy& b) noexcept { return overlap(a.device, a.bytes, b.device, b.bytes); }
bool on_host(const Copy& a, const Copy& b) noexcept {
    return overlap(static_cast<char*>(a.host), a.bytes, static_cast<char*>(b.host), b.bytes);
}

template <typename Meet>
bool any_of(const std::vector<Copy>& some, const std::vector<Copy>& others, const Meet& meet) noexcept {
    for (const Copy& a : some)
        for (const Copy& b : others)
            if (&a != &b && meet(a, b)) return true;
    return false;
}

// What one copy of a request would write over what another has brought.
void require_apart(const Slot& slot) {
    if (any_of(slot.to_device, slot.to_device, on_device) || any_of(slot.to_host, slot.to_host, on_host))
        throw Error(Kind::misuse, "expected memory of its own for each input and each output, got some twice; give each its own");
}

// Requests in flight together: the inputs of one arrive while another computes, and outputs of one leave meanwhile.
void require_apart(const Slot& a, const Slot& b) {
    if (a.graph && a.graph == b.graph)
        throw Error(Kind::misuse, "expected a graph of its own for each slot, got one in two slots, which computes on the buffers "
                                  "of one of them; capture one a slot");
    for (const auto* some : {&a.to_device, &a.to_host})
        for (const auto* others : {&b.to_device, &b.to_host})
            if (any_of(*some, *others, on_device))
                throw Error(Kind::misuse, "expected device memory of its own for each slot, got some in two slots, whose requests "
                                          "would write over each other; give each its own");
    if (any_of(a.to_host, b.to_host, on_host) || any_of(a.to_host, b.to_device, on_host) || any_of(a.to_device, b.to_host, on_host))
        throw Error(Kind::misuse, "expected host memory of its own for each slot's outputs, got some in two slots; give each its own");
}

inline void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace

Request::Request(std::shared_ptr<const Stream> stream, std::vector<Slot> slots, RequestSettings settings)
    : compute_(std::move(stream)),
      context_(compute_->context()),
      driver_(context_->driver()),
      slots_(std::move(slots)),
      settings_(settings),
      is_pipelined_(slots_.size() > 1),
      on_(compute_->handle()) {
    if (slots_.empty()) throw Error(Kind::misuse, "expected at least one slot, got none");
    if (is_pipelined_ && (settings_.holds || settings_.flush_bytes))
        throw Error(Kind::misuse, "a held stream and a flushed cache are for one request at a time, got " +
                                      std::to_string(slots_.size()) + " slots; give one slot");
    for (const Slot& slot : slots_)
        if (!slot.graph == !slot.enqueue)
            throw Error(Kind::misuse, "expected each slot to have a graph or a function, and not both");
    if (settings_.transfers)
        for (auto slot = slots_.begin(); slot != slots_.end(); ++slot) {
            require_apart(*slot);
            for (auto other = slots_.begin(); other != slot; ++other) require_apart(*other, *slot);
        }
    if (is_pipelined_) {
        own_in_ = std::make_unique<Stream>(context_);
        own_out_ = std::make_unique<Stream>(context_);
    }
    in_ = own_in_ ? own_in_->handle() : on_;
    out_ = own_out_ ? own_out_->handle() : on_;
    for (std::size_t i = 0; i <= slots_.size(); ++i) {
        Marks marks{};
        if (settings_.transfers) {
            marks.first = event();
            marks.copied = event();
            marks.computes = is_pipelined_ ? event() : marks.copied;
            marks.computed = event();
            marks.returns = is_pipelined_ ? event() : marks.computed;
            marks.last = event(settings_.sleeps);
        } else {
            marks.first = marks.copied = marks.computes = event();
            marks.computed = marks.returns = marks.last = event(settings_.sleeps);
        }
        marks_.push_back(marks);
    }
    if (settings_.holds) hold_.emplace(*compute_, settings_.hold_limit_ns);
    if (settings_.flush_bytes) flushed_ = std::make_unique<DeviceMemory>(context_, settings_.flush_bytes);
}

// What is in flight writes into memory that its owner may free next.
Request::~Request() { forget(); }

EventHandle* Request::event(bool sleeps) {
    events_.push_back(std::make_unique<Event>(context_, true, sleeps));
    return events_.back()->handle();
}

template <typename... P, typename... A>
bool Request::ask(const char* about, const Call<P...>& call, A... arguments) noexcept {
    const int code = call(arguments...);
    if (code) failure_ = {Wrong::driver, call.name, code, about, {}, nullptr};
    return !code;
}

bool Request::note(Wrong wrong) noexcept {
    failure_.wrong = wrong;
    return false;
}

bool Request::compute(const Slot& slot) noexcept {
    if (slot.graph) return ask("the slot's graph", driver_.GraphLaunch, slot.graph, on_);
    return slot.enqueue(slot.self, on_) == 0 || note(Wrong::enqueue);
}

bool Request::enqueue(Marks& marks, const Slot& slot, bool holds) noexcept {
    if (holds) {
        if (const int code = hold_->hold(on_)) {
            failure_ = {Wrong::driver, driver_.LaunchKernel.name, code, "the kernel that holds the stream", {}, nullptr};
            return false;
        }
    }
    if (settings_.transfers) {
        if (!ask("before the inputs", driver_.EventRecord, marks.first, in_)) return false;
        for (const Copy& copy : slot.to_device)
            if (!ask("an input", driver_.MemcpyHtoDAsync, copy.device, copy.host, copy.bytes, in_)) return false;
        if (!ask("behind the inputs", driver_.EventRecord, marks.copied, in_)) return false;
        if (is_pipelined_ && !ask("the inputs", driver_.StreamWaitEvent, on_, marks.copied, 0u)) return false;
    }
    if (marks.computes != marks.copied || !settings_.transfers)
        if (!ask("before the computation", driver_.EventRecord, marks.computes, on_)) return false;
    if (!compute(slot)) return false;
    if (!settings_.transfers) marks.last_asked_ns = now_ns();
    if (!ask("behind the computation", driver_.EventRecord, marks.computed, on_)) return false;
    if (settings_.transfers) {
        if (is_pipelined_ && (!ask("the computation", driver_.StreamWaitEvent, out_, marks.computed, 0u) ||
                              !ask("before the outputs", driver_.EventRecord, marks.returns, out_)))
            return false;
        for (const Copy& copy : slot.to_host)
            if (!ask("an output", driver_.MemcpyDtoHAsync, copy.host, copy.device, copy.bytes, out_)) return false;
        marks.last_asked_ns = now_ns();
        if (!ask("behind the outputs", driver_.EventRecord, marks.last, out_)) return false;
    }
    if (holds) {
        marks.last_asked_ns = now_ns();
        hold_->release();
    }
    return true;
}

bool Request::wait(Marks& marks) noexcept {
    if (settings_.sleeps) return ask("the request", driver_.EventSynchronize, marks.last);
    for (;;) {
        const int code = driver_.EventQuery(marks.last);
        if (code == kSuccess) return true;
        if (code != kNotReady) {
            failure_ = {Wrong::driver, driver_.EventQuery.name, code, "the request", {}, nullptr};
            return false;
        }
        relax();
    }
}

bool Request::between(EventHandle* from, EventHandle* to, const char* about, double& ns) noexcept {
    ns = 0;
    if (from == to) return true;
    if (const int code = elapsed_ns(driver_, from, to, ns)) {
        failure_ = {Wrong::driver, driver_.EventElapsedTime.name, code, about, {}, nullptr};
        return false;
    }
    if (ns >= 0) return true;
    failure_ = {Wrong::backwards, nullptr, 0, about, {ns, 0, 0, 1}, nullptr};
    return false;
}

// Reads the events of a request that is over.
bool Request::give(Marks& marks, StageSamples& samples) noexcept {
    const auto wrong = [&] {
        failure_.marks = &marks;
        return false;
    };
    double step = 0, h2d = 0, waits = 0, compute = 0, rests = 0, d2h = 0;
    if (ended_ && !between(marks_[(ended_ - 1) % marks_.size()].first, marks.first, "its first event and the last request's", step))
        return wrong();
    if (!between(marks.first, marks.copied, "the events around the inputs", h2d) ||
        !between(marks.copied, marks.computes, "the events between inputs and computation", waits) ||
        !between(marks.computes, marks.computed, "the events around the computation", compute) ||
        !between(marks.computed, marks.returns, "the events between computation and outputs", rests) ||
        !between(marks.returns, marks.last, "the events around the outputs", d2h))
        return wrong();
    const double span = h2d + waits + compute + rests + d2h;
    const ClockCheck own{span, 0, static_cast<double>(marks.seen_ns - marks.asked_ns), 5};
    if (!own.agrees()) {
        failure_ = {Wrong::clock, nullptr, 0, "a request", own, nullptr};
        return false;
    }
    if (!ended_) {
        first_asked_ns_ = marks.asked_ns;
        first_seen_ns_ = marks.seen_ns;
    }
    steps_ns_ += step;
    check_ = {steps_ns_ + span, static_cast<double>(marks.last_asked_ns - first_seen_ns_),
              static_cast<double>(marks.seen_ns - first_asked_ns_), static_cast<double>(ended_) + 5};
    checked_ = static_cast<std::int64_t>(++ended_);
    // To whole nanoseconds, of which an event has some hundred.
    const auto whole = [](double ns) noexcept { return static_cast<std::int64_t>(ns + 0.5); };
    if (settings_.transfers) samples.give(whole(h2d));
    samples.give(whole(compute));
    if (settings_.transfers) samples.give(whole(d2h));
    return true;
}

// The request starts on a device that is idle and a cache that holds nothing of it; its row starts then too.
bool Request::flush(StageSamples& samples) noexcept {
    if (samples.stages() != stages()) return note(Wrong::open_loop);
    if (!ask("the cache's flush", driver_.MemsetD8Async, flushed_->address(), kFlushValue, flushed_->bytes(), on_) ||
        !ask("the cache's flush", driver_.StreamSynchronize, on_))
        return false;
    samples.begin();
    return true;
}

int Request::one(StageSamples& samples) noexcept {
    if (flushed_ && !flush(samples)) return 1;
    Marks& marks = marks_[begun_++ % marks_.size()];
    marks.asked_ns = samples.last_ns();
    if (!enqueue(marks, slots_[0], hold_.has_value())) return 1;
    samples.lap();
    if (!wait(marks)) return 1;
    samples.lap();
    samples.finish();
    marks.seen_ns = samples.last_ns();
    if (hold_ && hold_->gave_up()) return note(Wrong::gave_up), 1;
    return give(marks, samples) ? 0 : 1;
}

int Request::next_of_many(StageSamples& samples) noexcept {
    if (samples.stages() != stages()) return note(Wrong::open_loop), 1;
    while (begun_ - ended_ < slots_.size()) {
        Marks& marks = marks_[begun_ % marks_.size()];
        marks.asked_ns = now_ns();
        const Slot& slot = slots_[begun_ % slots_.size()];
        ++begun_;
        if (!enqueue(marks, slot, false)) return 1;
        marks.enqueued_ns = now_ns();
    }
    Marks& oldest = marks_[ended_ % marks_.size()];
    if (!wait(oldest)) return 1;
    // The row becomes this request's, whenever that was enqueued.
    samples.begin_at(oldest.asked_ns);
    samples.finish();
    oldest.seen_ns = samples.last_ns();
    samples.give(oldest.enqueued_ns - oldest.asked_ns);
    samples.give(oldest.seen_ns - oldest.enqueued_ns);
    return give(oldest, samples) ? 0 : 1;
}

int Request::call(void* self, StageSamples& samples) noexcept {
    Request& request = *static_cast<Request*>(self);
    if (request.failure_.wrong != Wrong::no) return 1;
    if (request.hold_ && !request.was_run_) return request.note(Wrong::not_run), 1;
    const Current current(*request.context_, std::nothrow);
    if (current.code()) {
        request.failure_ = {Wrong::driver, request.driver_.CtxPushCurrent.name, current.code(), "the request", {}, nullptr};
        return 1;
    }
    const int failed = request.is_pipelined_ ? request.next_of_many(samples) : request.one(samples);
    // Nobody may be left waiting behind it.
    if (failed && request.hold_) request.hold_->release();
    return failed;
}

bool Request::run(std::size_t slot) {
    if (!settle()) return false;
    Marks& marks = marks_[0];
    {
        const Current current(*context_);
        if (enqueue(marks, slots_.at(slot), false)) wait(marks);
    }
    was_run_ = failure_.wrong == Wrong::no;
    begun_ = ended_ = 0;
    return settle();
}

void Request::forget() noexcept {
    if (hold_) hold_->release();
    const Current current(*context_, std::nothrow);
    for (StreamHandle* stream : {in_, on_, out_}) driver_.StreamSynchronize(stream);
    begun_ = ended_ = 0;
    steps_ns_ = 0;
}

// Throws Error where one of a request's events was never recorded.
void Request::name_unrecorded(const Marks& marks) const {
    const Current current(*context_);
    const std::pair<EventHandle*, const char*> events[] = {
        {marks.first, settings_.transfers ? "before the inputs" : "before the computation"},
        {marks.copied, "behind the inputs"},
        {marks.computes, "before the computation"},
        {marks.computed, "behind the computation"},
        {marks.returns, "before the outputs"},
        {marks.last, "behind the outputs"}};
    for (const auto& [event, place] : events)
        if (was_never_recorded(driver_, event))
            driver_.fail(driver_.EventElapsedTime.name, kInvalidHandle, std::string("the event ") + place + " was never recorded");
}

bool Request::settle() {
    const Failure failure = std::exchange(failure_, {});
    if (begun_ != ended_ || failure.wrong != Wrong::no) {
        const std::size_t checked = ended_;
        forget();
        ended_ = checked;
    }
    const bool checks = ended_ > 0;
    begun_ = ended_ = 0;
    steps_ns_ = 0;
    switch (failure.wrong) {
        case Wrong::no:
            break;
        case Wrong::enqueue:
            return false;
        case Wrong::driver:
            if (failure.call == driver_.EventElapsedTime.name) name_unrecorded(*failure.marks);
            driver_.fail(failure.call, failure.code, failure.about);
        case Wrong::gave_up:
            throw Error(Kind::misuse, "the stream was held for " + std::to_string(hold_->limit_ns() / 1'000'000) +
                                          " ms and then let go: something that was enqueued behind the hold waits for the stream "
                                          "itself, such as a copy from memory that is not pinned; pin it, or do not hold");
        case Wrong::not_run:
            throw Error(Kind::misuse, "expected run() before a request that holds its stream: whatever is loaded for the first "
                                      "time would wait for the stream that is held");
        case Wrong::open_loop:
            throw Error(Kind::misuse, "a pipelined request, or one behind a flushed cache, starts when it can and not when it is "
                                      "due: it is for a closed loop of " + std::to_string(stages()) +
                                          " stages; pace requests of one slot, without a flush");
        case Wrong::backwards:
            throw Error(Kind::clock, std::string(failure.about) + " are in the wrong order by " +
                                         std::to_string(-failure.check.device_ns * 1e-6) +
                                         " ms: one of them was not recorded this time");
        case Wrong::clock:
            failure.check.require(failure.about);
    }
    if (checks) check_.require(std::to_string(checked_) + " requests");
    return true;
}

}  // namespace seatrial::cuda
