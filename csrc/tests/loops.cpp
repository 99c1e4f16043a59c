// The timing loops without Python: rows, order, who ends whom, and that nothing allocates while requests are timed.
// For the thread and address sanitizers, which the interpreter would get in the way of.
//
// Allocations are counted where no sanitizer owns them: `new` always, malloc too with SEATRIAL_COUNT_MALLOC (glibc only).
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include <unistd.h>

#include "../timing/loops.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEATRIAL_SANITIZED 1
#else
#define SEATRIAL_SANITIZED 0
#endif

static std::atomic<long> allocations{0};

#if !SEATRIAL_SANITIZED
// Not inline: GCC would see malloc and free, and warn that they do not match new and delete.
__attribute__((noinline)) void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

#if defined(SEATRIAL_COUNT_MALLOC)
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* malloc(std::size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, std::size_t size) {
    ++allocations;
    return __libc_realloc(memory, size);
}
}
#endif
#endif

using namespace seatrial;

namespace {

constexpr std::int64_t kForever = INT64_MAX;
constexpr std::int64_t kHour = 3'600'000'000'000;
constexpr std::int64_t kMs = 1'000'000;

#define CHECK(condition)                                                                     \
    do {                                                                                     \
        if (!(condition)) {                                                                  \
            std::fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);    \
            std::exit(1);                                                                    \
        }                                                                                    \
    } while (0)

// Spinning work that also notes how many allocations there had been as it was first and last called.
struct Probe {
    Spin spin;
    long first = -1, last = -1;

    static int call(void* self, StageSamples& samples) noexcept {
        Probe& probe = *static_cast<Probe*>(self);
        if (probe.first < 0) probe.first = allocations.load();
        const int failed = Spin::call(&probe.spin, samples);
        probe.last = allocations.load();
        return failed;
    }
};

struct Client {
    Client(std::size_t capacity, std::size_t stages, Spin spin)
        : memory(StageSamples::words(capacity, stages)), samples(memory.data(), capacity, stages), probe{spin} {}

    const std::int64_t* row(std::size_t i) const { return samples.data() + i * samples.row_length(); }
    std::int64_t start(std::size_t i) const { return row(i)[0]; }
    std::int64_t end(std::size_t i) const { return start(i) + row(i)[samples.row_length() - 1]; }

    std::vector<std::int64_t> memory;
    StageSamples samples;
    Probe probe;
};

struct Clients {
    Clients(std::size_t count, std::size_t capacity, std::size_t stages, Spin spin) {
        for (std::size_t i = 0; i < count; ++i) all.push_back(std::make_unique<Client>(capacity, stages, spin));
    }

    Ended closed(Until until, std::int64_t gap_ns = 0) {
        prepare();
        return closed_loops(works.data(), tables.data(), all.size(), until, gap_ns);
    }

    Ended open(const std::vector<std::int64_t>& arrivals, std::int64_t first_ns, Until until) {
        prepare();
        return open_loop(works.data(), tables.data(), all.size(), arrivals.data(), static_cast<std::int64_t>(arrivals.size()),
                         first_ns, until);
    }

    // None between the first begin() of any client and the last end() of any: all counts are the same.
    bool allocated() const {
        long low = -1, high = -1;
        for (const auto& client : all) {
            if (client->probe.first < 0) continue;
            low = low < 0 ? client->probe.first : std::min(low, client->probe.first);
            high = std::max(high, client->probe.last);
        }
        return low != high;
    }

    std::size_t rows() const {
        std::size_t sum = 0;
        for (const auto& client : all) sum += client->samples.rows();
        return sum;
    }

    void prepare() {
        works.clear();
        tables.clear();
        for (const auto& client : all) {
            works.push_back({Probe::call, &client->probe});
            tables.push_back(&client->samples);
        }
    }

    std::vector<std::unique_ptr<Client>> all;
    std::vector<Work> works;
    std::vector<StageSamples*> tables;
};

Spin spinning(std::int64_t service_ns, std::int64_t fail_at = -1) {
    Spin spin;
    spin.service_ns = service_ns;
    spin.fail_at = fail_at;
    return spin;
}

void check_rows(const Client& client, std::int64_t service_ns) {
    const std::size_t stages = client.samples.stages();
    for (std::size_t i = 0; i < client.samples.rows(); ++i) {
        const std::int64_t* row = client.row(i);
        CHECK(row[stages] >= service_ns);
        std::int64_t sum = 0;
        for (std::size_t s = 0; s < stages; ++s) sum += row[1 + s];
        CHECK(sum <= row[1 + stages]);
        // In an open loop a row starts when it was due; its service follows the wait.
        if (i) CHECK(client.start(i) + (stages > 1 ? row[1] : 0) >= client.end(i - 1));
    }
}

void closed_loops_fill_their_tables() {
    for (std::size_t count = 1; count <= 4; ++count) {
        Clients clients(count, 2000, 1, spinning(20'000));
        CHECK(clients.closed({kForever, 1500, nullptr}) == Ended::count);
        CHECK(!clients.allocated());
        for (const auto& client : clients.all) {
            CHECK(client->samples.rows() == 1500);
            CHECK(client->probe.spin.done == 1500);
            check_rows(*client, 20'000);
        }
        // Whoever is full first ends the others.
        CHECK(clients.closed({kForever, -1, nullptr}) == Ended::full);
        CHECK(clients.rows() > count * 1500 - count && clients.rows() <= count * 2000);
        CHECK(std::any_of(clients.all.begin(), clients.all.end(), [](const auto& c) { return c->samples.full(); }));
    }
}

void one_client_needs_no_thread() {
    Client client(10'000, 1, spinning(0));
    const long before = allocations.load();
    CHECK(closed_loop({Probe::call, &client.probe}, client.samples, {kForever, -1, nullptr}, 0) == Ended::full);
    CHECK(allocations.load() == before);
    check_rows(client, 0);
}

void a_deadline_and_a_request_to_end() {
    Clients clients(3, 200'000, 1, spinning(10'000));
    const std::int64_t deadline = now_ns() + 100 * kMs;
    CHECK(clients.closed({deadline, -1, nullptr}) == Ended::deadline);
    for (const auto& client : clients.all)
        for (std::size_t i = 0; i < client->samples.rows(); ++i) CHECK(client->start(i) < deadline);

    // Asked from another thread, which reads the rows that are whole as they come.
    std::atomic<bool> asked{false};
    Clients others(2, 1'000'000, 1, spinning(0));
    std::thread reader([&] {
        std::size_t seen = 0;
        while (seen < 2000) {
            seen = others.all[0]->samples.rows();
            for (std::size_t i = seen > 100 ? seen - 100 : 0; i < seen; ++i) CHECK(others.all[0]->start(i) > 0);
            std::this_thread::yield();
        }
        asked = true;
    });
    const Ended ended = others.closed({kForever, -1, &asked}, 10'000);
    reader.join();
    CHECK(ended == Ended::asked);
    CHECK(!others.allocated());
}

void who_fails_ends_the_others() {
    Clients clients(4, 100'000, 1, spinning(100'000));
    clients.all[2]->probe.spin.fail_at = 7;
    CHECK(clients.closed({kForever, -1, nullptr}, kHour / 1'000'000) == Ended::failed);
    CHECK(clients.all[2]->samples.rows() == 7);
    CHECK(clients.rows() < 400'000);

    // One server fails at the first request; the others wait for requests that are an hour away.
    Clients servers(3, 10, 2, spinning(kMs, 0));
    CHECK(servers.open({0, kHour, kHour, kHour}, now_ns() + 20 * kMs, {kForever, -1, nullptr}) == Ended::failed);
    CHECK(servers.rows() == 0);
}

void open_loops_serve_each_request_once() {
    std::vector<std::int64_t> arrivals(1000);
    for (std::size_t i = 0; i < arrivals.size(); ++i) arrivals[i] = static_cast<std::int64_t>(i / 3) * 200'000;
    for (std::size_t count = 1; count <= 4; ++count) {
        Clients servers(count, arrivals.size(), 2, spinning(30'000));
        const std::int64_t first = now_ns() + 5 * kMs;
        CHECK(servers.open(arrivals, first, {kForever, -1, nullptr}) == Ended::count);
        CHECK(!servers.allocated());
        std::vector<std::int64_t> starts;
        for (const auto& server : servers.all) {
            check_rows(*server, 30'000);
            for (std::size_t i = 0; i < server->samples.rows(); ++i) starts.push_back(server->start(i) - first);
        }
        std::sort(starts.begin(), starts.end());
        CHECK(starts == arrivals);
    }
}

void a_far_arrival_does_not_hold_a_request_to_end() {
    std::atomic<bool> asked{false};
    Clients servers(3, 10, 2, spinning(0));
    std::thread other([&] {
        while (servers.all[0]->samples.rows() + servers.all[1]->samples.rows() + servers.all[2]->samples.rows() == 0)
            std::this_thread::yield();
        asked = true;
    });
    const Ended ended = servers.open({0, kHour, kHour, kHour}, now_ns(), {kForever, -1, &asked});
    other.join();
    CHECK(ended == Ended::asked);
    CHECK(servers.rows() == 1);
}

std::atomic<int> known{0}, most_known{0};

// Each thread is entered once before its first request and left once behind its last, whatever ended the loop.
void threads_are_entered_and_left() {
    const auto enter = []() -> void* {
        most_known = std::max(most_known.load(), ++known);
        return &known;
    };
    const auto leave = [](void* token) {
        CHECK(token == &known);
        --known;
    };
    Clients clients(3, 50, 2, spinning(0));
    clients.prepare();
    for (Work& work : clients.works) work.enter = enter, work.leave = leave;
    const Until until{kForever, 20, nullptr};
    CHECK(closed_loops(clients.works.data(), clients.tables.data(), 3, until, 0) == Ended::count);
    CHECK(known == 0 && most_known >= 1);
    const std::vector<std::int64_t> due(40, 0);
    CHECK(open_loop(clients.works.data(), clients.tables.data(), 3, due.data(), 40, 0, until) == Ended::count);
    CHECK(known == 0);
}

void a_mix_keeps_its_order() {
    Spin kinds[3];
    const Work works[3] = {{Spin::call, &kinds[0]}, {Spin::call, &kinds[1]}, {Spin::call, &kinds[2]}};
    const std::uint8_t order[5] = {0, 2, 2, 1, 2};
    Mix mix{works, order, 5};
    Client client(52, 1, spinning(0));
    CHECK(closed_loop({Mix::call, &mix}, client.samples, {kForever, -1, nullptr}, 0) == Ended::full);
    CHECK(kinds[0].done == 11 && kinds[1].done == 10 && kinds[2].done == 31);
}

// Two stages of the host with a device's between them, which take none of the host's time.
struct Device {
    std::int64_t given_ns;

    static int call(void* self, StageSamples& samples) noexcept {
        samples.lap();
        samples.give(static_cast<Device*>(self)->given_ns);
        samples.give(0);
        samples.lap();
        return 0;
    }
};

void given_stages_take_no_time_of_the_hosts() {
    Client client(20, 4, spinning(0));
    Device device{kHour};
    const long before = allocations.load();
    CHECK(closed_loop({Device::call, &device}, client.samples, {kForever, -1, nullptr}, 0) == Ended::full);
    CHECK(SEATRIAL_SANITIZED || allocations.load() == before);
    for (std::size_t i = 0; i < 20; ++i) {
        const std::int64_t* row = client.row(i);
        CHECK(row[2] == kHour && row[3] == 0);
        CHECK(row[1] >= 0 && row[4] >= 0 && row[1] + row[4] <= row[5] && row[5] < kHour);
    }
    Client narrow(2, 3, spinning(0)), wide(2, 5, spinning(0));
    for (Client* dropped : {&narrow, &wide}) {
        CHECK(closed_loop({Device::call, &device}, dropped->samples, {kForever, 5, nullptr}, 0) == Ended::count);
        CHECK(dropped->samples.rows() == 0);
    }
}

void threads_come_and_go() {
    for (int i = 0; i < 200; ++i) {
        Clients clients(3, 2, 1, spinning(0));
        CHECK(clients.closed({kForever, 2, nullptr}) == Ended::count);
        CHECK(clients.rows() == 6);
    }
}

}  // namespace

int main() {
    // A loop that does not end ends here.
    alarm(120);
    const long before = allocations.load();
    const auto probe = std::make_unique<Client>(1, 1, spinning(0));
    // A counter that counts nothing would agree with everything below.
    CHECK(SEATRIAL_SANITIZED || allocations.load() > before);
    const std::int64_t start = now_ns();
    closed_loops_fill_their_tables();
    one_client_needs_no_thread();
    a_deadline_and_a_request_to_end();
    who_fails_ends_the_others();
    open_loops_serve_each_request_once();
    a_far_arrival_does_not_hold_a_request_to_end();
    threads_are_entered_and_left();
    a_mix_keeps_its_order();
    given_stages_take_no_time_of_the_hosts();
    threads_come_and_go();
    std::printf("the loops keep their rows and order%s (%.1f s)\n", SEATRIAL_SANITIZED ? "" : ", and allocate nothing",
                static_cast<double>(now_ns() - start) / 1e9);
}
