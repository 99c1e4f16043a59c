// Requests on a device without Python, over the simulated driver whose path is the argument: answers, rows, that nothing
// allocates while requests are timed, and that nothing is left behind. For the sanitizers, which the interpreter gets in the
// way of; what each error says is the Python tests'.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <dlfcn.h>

#include "../cuda/request.hpp"
#include "../timing/loops.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEATRIAL_SANITIZED 1
#else
#define SEATRIAL_SANITIZED 0
#endif

static std::atomic<long> allocations{0};

#if !SEATRIAL_SANITIZED
// The simulation has operators of its own (.ci/levels links it so), so that these are ours alone.
__attribute__((noinline)) void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

using namespace seatrial;
using namespace seatrial::cuda;

namespace {

constexpr std::size_t kBytes = 64;
constexpr char kPtx[] = ".version 7.0\n.visible .entry add_one(.param .u64 p, .param .u64 n) { ret; }";

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            std::fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                                 \
        }                                                                                 \
    } while (0)

void (*script)(const char*);
long (*count)(const char*);

// A kernel on a client's own buffers.
struct Client {
    std::shared_ptr<const Stream> stream;
    Module module;
    FunctionHandle* kernel;
    DeviceMemory there;
    PinnedMemory sent, got;
    std::uint64_t bytes = kBytes;
    Address address;

    explicit Client(const SharedContext& context)
        : stream(std::make_shared<const Stream>(context)),
          module(context, kPtx),
          kernel(module.function("add_one")),
          there(context, kBytes),
          sent(context, kBytes),
          got(context, kBytes),
          address(there.address()) {
        for (std::size_t i = 0; i < kBytes; ++i) static_cast<unsigned char*>(sent.data())[i] = static_cast<unsigned char>(i);
    }

    static int enqueue(void* self, StreamHandle*) {
        auto& client = *static_cast<Client*>(self);
        void* parameters[] = {&client.address, &client.bytes};
        launch(*client.stream, client.kernel, "add_one", {}, {static_cast<unsigned>(kBytes), 1, 1}, 0, parameters);
        return 0;
    }

    Slot slot() {
        Slot made;
        made.to_device = {{there.address(), sent.data(), kBytes}};
        made.to_host = {{there.address(), got.data(), kBytes}};
        made.enqueue = enqueue;
        made.self = this;
        return made;
    }

    bool is_answered() const {
        for (std::size_t i = 0; i < kBytes; ++i)
            if (static_cast<const unsigned char*>(got.data())[i] != i + 1) return false;
        return true;
    }
};

struct Table {
    std::vector<std::int64_t> memory;
    StageSamples samples;

    Table(std::size_t rows, std::size_t stages) : memory(StageSamples::words(rows, stages)), samples(memory.data(), rows, stages) {}
};

// Notes how many allocations there had been as the request was first and last called.
struct Probe {
    Request* request;
    long first = -1, last = -1;

    static int call(void* self, StageSamples& samples) noexcept {
        auto& probe = *static_cast<Probe*>(self);
        if (probe.first < 0) probe.first = allocations.load();
        const int failed = Request::call(probe.request, samples);
        probe.last = allocations.load();
        return failed;
    }
};

void run(const SharedContext& context, std::size_t slots, const RequestSettings& settings) {
    std::vector<std::unique_ptr<Client>> clients;
    std::vector<Slot> made;
    for (std::size_t i = 0; i < slots; ++i) {
        clients.push_back(std::make_unique<Client>(context));
        made.push_back(clients.back()->slot());
    }
    // One client's stream computes for all.
    for (std::size_t i = 1; i < slots; ++i) clients[i]->stream = clients[0]->stream;
    Request request(clients[0]->stream, made, settings);
    CHECK(request.run(0));
    Table table(32, request.stages());
    Probe probe{&request};
    CHECK(closed_loop({Probe::call, &probe}, table.samples, {INT64_MAX, 32, nullptr}, 0) == Ended::count);
    CHECK(request.settle());
    CHECK(table.samples.rows() == 32);
    CHECK(request.checked() == 32 && request.check().agrees());
    if (settings.transfers)
        for (const auto& client : clients) CHECK(client->is_answered());
#if !SEATRIAL_SANITIZED
    CHECK(probe.first == probe.last);
#endif
    CHECK(count("pending") == 0 && count("depth") == 0);
}

void faults(const SharedContext& context) {
    Client client(context);
    Request request(client.stream, {client.slot()}, {});
    for (const char* name : {"cuEventRecord", "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuEventQuery", "cuEventElapsedTime"}) {
        script((std::string("fail ") + name + " 719").c_str());
        Table table(8, request.stages());
        CHECK(closed_loop({Request::call, &request}, table.samples, {INT64_MAX, 8, nullptr}, 0) == Ended::failed);
        try {
            request.settle();
            CHECK(!"an error");
        } catch (const Error& e) {
            CHECK(e.call == name && e.code == 719);
        }
        CHECK(request.settle());
    }
    script("memory 1024");
    try {
        DeviceMemory(context, 4096);
        CHECK(!"an error");
    } catch (const Error& e) {
        CHECK(e.kind == Kind::memory);
    }
    script("");
}

void threads(const SharedContext& context) {
    Client one(context), two(context);
    Request first(one.stream, {one.slot()}, {}), second(two.stream, {two.slot()}, {});
    Table tables[] = {{16, 5}, {16, 5}};
    const Work works[] = {{Request::call, &first}, {Request::call, &second}};
    StageSamples* samples[] = {&tables[0].samples, &tables[1].samples};
    CHECK(closed_loops(works, samples, 2, {INT64_MAX, 16, nullptr}, 0) == Ended::count);
    CHECK(first.settle() && second.settle());
    CHECK(one.is_answered() && two.is_answered());
}

}  // namespace

int main(int argc, char** argv) {
    CHECK(argc == 2);
    const Driver& driver = Driver::load(argv[1]);
    void* library = dlopen(argv[1], RTLD_NOW);
    script = reinterpret_cast<void (*)(const char*)>(dlsym(library, "simulated_reset"));
    count = reinterpret_cast<long (*)(const char*)>(dlsym(library, "simulated_count"));
    CHECK(script && count);
    {
        const auto context = std::make_shared<const Context>(driver, 0);
        RequestSettings settings;
        run(context, 1, settings);
        run(context, 2, settings);
        run(context, 3, settings);
        settings.sleeps = true;
        run(context, 1, settings);
        settings.holds = true;
        run(context, 1, settings);
        settings.flush_bytes = 4096;
        run(context, 1, settings);
        settings = {};
        settings.transfers = false;
        run(context, 1, settings);
        run(context, 2, settings);
        faults(context);
        threads(context);
    }
    for (const char* kind : {"memory", "pinned", "streams", "events", "graphs", "modules", "retained"}) CHECK(count(kind) == 0);
    std::puts("requests on a device: all as expected");
    return 0;
}
