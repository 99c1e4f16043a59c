// A libcuda.so.1 without a device: what seatrial asks of the driver, carried out over host memory. For tests.
//
// Strict where a mistake would go unseen on a device. Nothing asynchronous happens before somebody waits for it, so that a
// missing synchronisation reads old bytes. Device addresses are no host addresses. Every call wants its context current. Times
// are those of a device beside the real clock: an operation starts when it was enqueued or when the one before it ended, takes
// as long as the script says, and whoever waits for it waits that long.
//
// The script stands in SEATRIAL_SIMULATED_CUDA when the library is loaded, and is given to simulated_reset() later; words
// divided by ';', each with its numbers, see Script. simulated_count() says what is alive.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <time.h>
#include <unistd.h>

#define API extern "C" __attribute__((visibility("default")))

namespace {

using Address = unsigned long long;
constexpr std::int64_t kUnknown = INT64_MAX;

std::int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

struct Fault {
    int code;
    long skip, times;
};

struct Script {
    int driver = 12040, devices = 1;
    Address memory = 1ull << 30;
    std::int64_t kernel_ns = 1000, copy_ns = 1000;
    long throttle_after = -1;        // kernels after which each takes throttle_factor times as long
    double throttle_factor = 1;
    double clock_scale = 1;          // of what events say against what passed
    long unrecorded = -1;            // this call of cuEventRecord, from 0, is forgotten without a word
    bool copies_at_bind = false;     // the first copy from an address is the copy for ever
    long lost_after = -1;            // calls until the device is lost
    int capability = 89;             // 10 * major + minor
    bool reads_pageable = false;     // copies read host memory when they are carried out, pinned or not
    bool trace = false;              // names of calls are kept in order, for simulated_trace()
    std::map<std::string, Fault> faults;
    std::set<std::string> missing;

    static Script read(const std::string& text) {
        Script script;
        std::istringstream lines(text);
        std::string line;
        while (std::getline(lines, line, ';')) {
            std::istringstream words(line);
            std::string word, name;
            if (!(words >> word)) continue;
            if (word == "driver") words >> script.driver;
            else if (word == "devices") words >> script.devices;
            else if (word == "memory") words >> script.memory;
            else if (word == "kernel_ns") words >> script.kernel_ns;
            else if (word == "copy_ns") words >> script.copy_ns;
            else if (word == "throttle") words >> script.throttle_after >> script.throttle_factor;
            else if (word == "clock_scale") words >> script.clock_scale;
            else if (word == "unrecorded") words >> script.unrecorded;
            else if (word == "copies_at_bind") script.copies_at_bind = true;
            else if (word == "lost_after") words >> script.lost_after;
            else if (word == "capability") words >> script.capability;
            else if (word == "reads_pageable") script.reads_pageable = true;
            else if (word == "trace") script.trace = true;
            else if (word == "missing") { words >> name; script.missing.insert(name); }
            else if (word == "fail") {
                Fault fault{999, 0, 1};
                words >> name >> fault.code;
                words >> fault.skip >> fault.times;
                if (!fault.times) fault.times = 1;
                script.faults[name] = fault;
            } else {
                std::fprintf(stderr, "simulated libcuda: unknown word '%s'\n", word.c_str());
                std::abort();
            }
        }
        return script;
    }
};

struct Stream;
// Of an event: one call of cuEventRecord. Who waits for it waits for this one, whatever the event is used for later.
struct Record {
    Stream* stream;
    std::uint64_t ticket = 0;        // its place among the stream's operations
    std::int64_t end_ns = kUnknown;  // once that is known
};

struct Event {
    bool timed = true;
    std::shared_ptr<Record> record;  // none: never recorded
};

struct Operation {
    std::int64_t enqueued_ns, duration_ns;
    std::function<void()> effect;
    std::shared_ptr<Record> waits_for, records;
    std::function<std::int64_t(std::int64_t start, std::int64_t now)> held;  // when it ends, or kUnknown
};

struct Graph {
    std::vector<Operation> operations;
    bool invalid = false;
    std::thread::id thread;          // that captures it
};

struct Context {
    int device = 0;
    long retained = 0;
    bool primary = true;
};

struct Stream {
    Context* context = nullptr;
    std::deque<Operation> queue;
    std::uint64_t taken = 0;         // operations that were carried out
    std::int64_t ready_ns = 0;
    std::unique_ptr<Graph> capture;

    std::uint64_t last_ticket() const { return taken + queue.size(); }
};

struct Function {
    std::string name;
    std::vector<std::size_t> sizes;
};
struct Module {
    std::map<std::string, std::unique_ptr<Function>> functions;
};
struct Memory {
    std::vector<unsigned char> bytes;
    int device;
};

using Body = void (*)(void** parameters, const unsigned* grid, const unsigned* block);

struct World {
    std::mutex mutex;
    Script script;
    bool initialised = false, lost = false;
    int sticky = 0;
    std::map<std::string, long> calls;
    long all_calls = 0, kernels = 0;
    std::string traced;
    Context primary[16];
    Context foreign;
    std::map<Address, Memory> memory;
    Address next = 0x7e0000000000ull;
    std::map<char*, std::size_t> pinned;
    std::set<Stream*> streams;
    std::map<std::pair<Context*, std::uintptr_t>, std::unique_ptr<Stream>> defaults;
    std::set<Event*> events;
    std::set<Graph*> graphs, execs;
    std::set<Module*> modules;
    std::map<std::string, Body> bodies;
    std::map<std::string, std::int64_t> body_ns;
    std::map<std::pair<Address, const void*>, std::vector<unsigned char>> bound;

    World() {
        for (int i = 0; i < 16; ++i) primary[i].device = i;
        foreign.primary = false;
        const char* text = std::getenv("SEATRIAL_SIMULATED_CUDA");
        script = Script::read(text ? text : "");
    }
};

World& world() {
    static World& w = *new World;
    return w;
}

thread_local std::vector<Context*> current;

Context* top() { return current.empty() ? nullptr : current.back(); }

// Where a device address lies in this process; null where the device has no such memory. Mapped host memory is its own.
unsigned char* at(Address address, std::size_t bytes) {
    World& w = world();
    auto found = w.memory.upper_bound(address);
    if (found != w.memory.begin()) {
        --found;
        const Address offset = address - found->first;
        if (offset <= found->second.bytes.size() && bytes <= found->second.bytes.size() - offset)
            return found->second.bytes.data() + offset;
    }
    auto* host = reinterpret_cast<char*>(address);
    for (auto& [start, size] : w.pinned)
        if (host >= start && host + bytes <= start + size) return reinterpret_cast<unsigned char*>(host);
    return nullptr;
}

bool is_pinned(const void* memory) {
    const char* host = static_cast<const char*>(memory);
    for (auto& [start, size] : world().pinned)
        if (host >= start && host < start + size) return true;
    return false;
}

// What a call gives before it does anything: a scripted fault, a lost device, no context.
int entered(const char* name, bool wants_context) {
    World& w = world();
    const long calls = w.calls[name]++;
    if (w.script.lost_after >= 0 && w.all_calls >= w.script.lost_after) w.lost = true;
    ++w.all_calls;
    if (w.script.trace) w.traced.append(name).append(" ");
    const auto fault = w.script.faults.find(name);
    if (fault != w.script.faults.end() && calls >= fault->second.skip && calls < fault->second.skip + fault->second.times)
        return fault->second.code;
    if (w.lost) {
        // Nothing is captured on it any more, and who goes on with another is not kept from anything.
        for (Stream* each : w.streams) each->capture.reset();
        return 999;
    }
    if (w.sticky) return w.sticky;
    if (wants_context && !w.initialised) return 3;
    if (wants_context && !top()) return 201;
    return 0;
}

#define ENTER(name, wants_context)                            \
    World& w = world();                                       \
    const std::lock_guard<std::mutex> lock(w.mutex);          \
    if (const int code = entered(name, wants_context)) return code; \
    (void)w

// When a stream's operations up to `ticket` end, carried out in order where they end by `by`; kUnknown where one does not.
std::int64_t settle(Stream& s, std::uint64_t ticket, std::int64_t by) {
    while (s.taken < ticket) {
        Operation& next = s.queue.front();
        std::int64_t start = std::max(s.ready_ns, next.enqueued_ns);
        if (next.waits_for) {
            Record& other = *next.waits_for;
            if (other.end_ns == kUnknown && settle(*other.stream, other.ticket, by) == kUnknown) return kUnknown;
            start = std::max(start, other.end_ns);
        }
        const std::int64_t end = next.held ? next.held(start, by) : start + next.duration_ns;
        if (end == kUnknown || end > by) return kUnknown;
        Operation done = std::move(next);
        s.queue.pop_front();
        ++s.taken;
        s.ready_ns = end;
        if (done.records) done.records->end_ns = end;
        if (done.effect) done.effect();
    }
    return s.ready_ns;
}

// Waits as a host does, with the lock given back in between.
int wait_for(World& w, Stream& s, std::uint64_t ticket, std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (settle(s, ticket, now_ns()) != kUnknown || s.taken >= ticket) return w.sticky;
        lock.unlock();
        usleep(20);
        lock.lock();
    }
}

// Handles 0 and 1 are the legacy default stream of the current context, 2 the thread's.
Stream* stream_of(void* handle) {
    World& w = world();
    const auto number = reinterpret_cast<std::uintptr_t>(handle);
    if (number <= 2) {
        auto& own = w.defaults[{top(), number == 2 ? 2 : 0}];
        if (!own) {
            own = std::make_unique<Stream>();
            own->context = top();
        }
        return own.get();
    }
    auto* stream = static_cast<Stream*>(handle);
    return w.streams.count(stream) ? stream : nullptr;
}

// A stream that the current context may use, or none.
Stream* usable(void* handle) {
    Stream* stream = stream_of(handle);
    return stream && stream->context == top() ? stream : nullptr;
}

void enqueue(Stream& s, Operation operation) {
    operation.enqueued_ns = now_ns();
    if (s.capture) s.capture->operations.push_back(std::move(operation));
    else s.queue.push_back(std::move(operation));
}

// What may not be asked of a stream while it captures; the capture is lost by it.
bool spoils(Stream& s) {
    if (!s.capture) return false;
    s.capture->invalid = true;
    return true;
}

// CU_STREAM_CAPTURE_MODE_THREAD_LOCAL; 2 is relaxed.
thread_local int capture_mode = 1;

// What may not be asked while this thread captures any stream, since it waits for the device or may; the capture is lost by it.
bool prohibited() {
    bool captures = false;
    for (Stream* each : world().streams)
        if (capture_mode != 2 && each->capture && each->capture->thread == std::this_thread::get_id())
            captures = spoils(*each);
    return captures;
}

int copy(void* handle, Address device, void* host, std::size_t bytes, bool to_device, std::unique_lock<std::mutex>& lock) {
    World& w = world();
    Stream* s = usable(handle);
    if (!s) return 400;
    if (!at(device, bytes) || !host) return 1;
    const bool pinned = is_pinned(host);
    auto moves = [=] {
        unsigned char* memory = at(device, bytes);
        if (!memory) world().sticky = 700;
        else if (to_device) std::memcpy(memory, host, bytes);
        else std::memcpy(host, memory, bytes);
    };
    Operation operation{0, w.script.copy_ns, moves, nullptr, nullptr, nullptr};
    if (to_device && (w.script.copies_at_bind || !(pinned || w.script.reads_pageable))) {
        // Pageable memory is read before the call returns.
        auto& kept = w.bound[{device, host}];
        if (!w.script.copies_at_bind || kept.empty()) kept.assign(static_cast<char*>(host), static_cast<char*>(host) + bytes);
        operation.effect = [staged = kept, device] {
            if (unsigned char* memory = at(device, staged.size())) std::memcpy(memory, staged.data(), staged.size());
            else world().sticky = 700;
        };
    }
    enqueue(*s, std::move(operation));
    if (!to_device && !pinned && !s->capture) return wait_for(w, *s, s->last_ticket(), lock);
    return 0;
}

// Sizes of a kernel's parameters, out of its PTX.
std::vector<std::size_t> parameter_sizes(const std::string& list) {
    static const std::map<std::string, std::size_t> of = {{".u64", 8}, {".s64", 8}, {".b64", 8}, {".f64", 8}, {".u32", 4},
        {".s32", 4}, {".b32", 4}, {".f32", 4}, {".u16", 2}, {".s16", 2}, {".b16", 2}, {".u8", 1}, {".s8", 1}, {".b8", 1}};
    std::vector<std::size_t> sizes;
    std::istringstream parameters(list);
    std::string one;
    while (std::getline(parameters, one, ',')) {
        std::istringstream words(one);
        std::string word;
        std::size_t size = 0;
        while (words >> word) {
            if (of.count(word)) size = of.at(word);
            const auto bracket = word.find('[');
            if (bracket != std::string::npos) size *= std::stoul(word.substr(bracket + 1));
        }
        if (size) sizes.push_back(size);
    }
    return sizes;
}

std::int64_t kernel_ns(const std::string& name) {
    World& w = world();
    const auto own = w.body_ns.find(name);
    const std::int64_t plain = own == w.body_ns.end() ? w.script.kernel_ns : own->second;
    const bool throttled = w.script.throttle_after >= 0 && w.kernels >= w.script.throttle_after;
    ++w.kernels;
    return throttled ? static_cast<std::int64_t>(static_cast<double>(plain) * w.script.throttle_factor) : plain;
}

const std::map<std::string, void*>& functions();

}  // namespace

API int cuDriverGetVersion(int* version) {
    ENTER("cuDriverGetVersion", false);
    *version = w.script.driver;
    return 0;
}

API int cuInit(unsigned) {
    ENTER("cuInit", false);
    if (w.script.devices == 0) return 100;
    w.initialised = true;
    return 0;
}

API int cuGetErrorName(int code, const char** name) {
    static const std::map<int, const char*> names = {
        {0, "CUDA_SUCCESS"}, {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {3, "CUDA_ERROR_NOT_INITIALIZED"},
        {4, "CUDA_ERROR_DEINITIALIZED"}, {100, "CUDA_ERROR_NO_DEVICE"}, {101, "CUDA_ERROR_INVALID_DEVICE"},
        {201, "CUDA_ERROR_INVALID_CONTEXT"}, {218, "CUDA_ERROR_INVALID_PTX"}, {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
        {400, "CUDA_ERROR_INVALID_HANDLE"}, {500, "CUDA_ERROR_NOT_FOUND"}, {600, "CUDA_ERROR_NOT_READY"},
        {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {719, "CUDA_ERROR_LAUNCH_FAILED"},
        {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"}, {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"},
        {999, "CUDA_ERROR_UNKNOWN"}};
    const auto found = names.find(code);
    *name = found == names.end() ? nullptr : found->second;
    return *name ? 0 : 1;
}

API int cuGetErrorString(int code, const char** text) {
    static std::map<int, const char*> texts = {{2, "out of memory"}, {100, "no CUDA-capable device is detected"}};
    const auto found = texts.find(code);
    *text = found == texts.end() ? "simulated" : found->second;
    return 0;
}

API int cuDeviceGetCount(int* count) {
    ENTER("cuDeviceGetCount", false);
    if (!w.initialised) return 3;
    *count = w.script.devices;
    return 0;
}

API int cuDeviceGet(int* device, int ordinal) {
    ENTER("cuDeviceGet", false);
    if (ordinal < 0 || ordinal >= w.script.devices) return 101;
    *device = ordinal;
    return 0;
}

API int cuDeviceGetName(char* name, int length, int device) {
    ENTER("cuDeviceGetName", false);
    std::snprintf(name, static_cast<std::size_t>(length), "Simulated GPU %d", device);
    return 0;
}

API int cuDeviceGetAttribute(int* value, int attribute, int) {
    ENTER("cuDeviceGetAttribute", false);
    static const std::map<int, int> values = {{1, 1024}, {10, 32}, {16, 8}, {38, 1 << 20}, {39, 2048}};
    const auto found = values.find(attribute);
    *value = attribute == 75   ? w.script.capability / 10
             : attribute == 76 ? w.script.capability % 10
             : attribute == 88 ? w.script.reads_pageable
             : found == values.end() ? 0 : found->second;
    return 0;
}

API int cuDeviceTotalMem_v2(std::size_t* bytes, int) {
    ENTER("cuDeviceTotalMem", false);
    *bytes = w.script.memory;
    return 0;
}

API int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
    ENTER("cuDeviceGetUuid", false);
    for (int i = 0; i < 16; ++i) uuid[i] = static_cast<unsigned char>(16 * i + device);
    return 0;
}

API int cuDevicePrimaryCtxRetain(Context** context, int device) {
    ENTER("cuDevicePrimaryCtxRetain", false);
    ++w.primary[device].retained;
    *context = &w.primary[device];
    return 0;
}

API int cuDevicePrimaryCtxRelease_v2(int device) {
    ENTER("cuDevicePrimaryCtxRelease", false);
    if (w.primary[device].retained == 0) return 201;
    --w.primary[device].retained;
    return 0;
}

API int cuCtxPushCurrent_v2(Context* context) {
    ENTER("cuCtxPushCurrent", false);
    if (!context || (context->primary && !context->retained)) return 201;
    current.push_back(context);
    return 0;
}

API int cuCtxPopCurrent_v2(Context** context) {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    // A lost device does not keep it from going.
    const int code = entered("cuCtxPopCurrent", false);
    if (code && !w.lost && !w.sticky) return code;
    if (current.empty()) return 201;
    if (context) *context = current.back();
    current.pop_back();
    return 0;
}

API int cuCtxGetCurrent(Context** context) {
    ENTER("cuCtxGetCurrent", false);
    *context = top();
    return 0;
}

API int cuCtxSynchronize() {
    World& w = world();
    std::unique_lock<std::mutex> lock(w.mutex);
    if (const int code = entered("cuCtxSynchronize", true)) return code;
    std::vector<Stream*> streams(w.streams.begin(), w.streams.end());
    for (auto& each : w.defaults) streams.push_back(each.second.get());
    for (Stream* s : streams)
        if (s->context == top() && spoils(*s)) return 900;
    for (Stream* s : streams)
        if (s->context == top())
            if (const int code = wait_for(w, *s, s->last_ticket(), lock)) return code;
    return w.sticky;
}

API int cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
    ENTER("cuMemGetInfo", true);
    Address used = 0;
    for (auto& each : w.memory)
        if (each.second.device == top()->device) used += each.second.bytes.size();
    *total = w.script.memory;
    *free = w.script.memory - used;
    return 0;
}

API int cuMemAlloc_v2(Address* address, std::size_t bytes) {
    ENTER("cuMemAlloc", true);
    if (prohibited()) return 900;
    if (!bytes) return 1;
    Address used = 0;
    for (auto& each : w.memory)
        if (each.second.device == top()->device) used += each.second.bytes.size();
    if (bytes > w.script.memory - used) return 2;
    // Not zeros: who reads what nobody wrote shall see it.
    w.memory.emplace(w.next, Memory{std::vector<unsigned char>(bytes, 0xcd), top()->device});
    *address = w.next;
    w.next += (bytes + 0xffff) / 0x10000 * 0x10000 + 0x10000;
    return 0;
}

API int cuMemFree_v2(Address address) {
    ENTER("cuMemFree", true);
    if (prohibited()) return 900;
    return w.memory.erase(address) ? 0 : 1;
}

API int cuMemHostAlloc(void** memory, std::size_t bytes, unsigned) {
    ENTER("cuMemHostAlloc", true);
    if (prohibited()) return 900;
    if (!bytes) return 1;
    if (posix_memalign(memory, 4096, bytes)) return 2;
    std::memset(*memory, 0xcd, bytes);
    w.pinned[static_cast<char*>(*memory)] = bytes;
    return 0;
}

API int cuMemFreeHost(void* memory) {
    ENTER("cuMemFreeHost", true);
    if (prohibited()) return 900;
    if (!w.pinned.erase(static_cast<char*>(memory))) return 1;
    std::free(memory);
    return 0;
}

API int cuMemHostGetDevicePointer_v2(Address* address, void* memory, unsigned) {
    ENTER("cuMemHostGetDevicePointer", true);
    if (!is_pinned(memory)) return 1;
    *address = reinterpret_cast<Address>(memory);
    return 0;
}

API int cuMemcpyHtoDAsync_v2(Address to, const void* from, std::size_t bytes, void* stream) {
    std::unique_lock<std::mutex> lock(world().mutex);
    if (const int code = entered("cuMemcpyHtoDAsync", true)) return code;
    return copy(stream, to, const_cast<void*>(from), bytes, true, lock);
}

API int cuMemcpyDtoHAsync_v2(void* to, Address from, std::size_t bytes, void* stream) {
    std::unique_lock<std::mutex> lock(world().mutex);
    if (const int code = entered("cuMemcpyDtoHAsync", true)) return code;
    return copy(stream, from, to, bytes, false, lock);
}

API int cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, void* stream) {
    ENTER("cuMemcpyDtoDAsync", true);
    Stream* s = usable(stream);
    if (!s) return 400;
    if (!at(to, bytes) || !at(from, bytes)) return 1;
    enqueue(*s, {0, w.script.copy_ns, [=] {
        if (at(to, bytes) && at(from, bytes)) std::memmove(at(to, bytes), at(from, bytes), bytes);
        else world().sticky = 700;
    }, nullptr, nullptr, nullptr});
    return 0;
}

API int cuMemsetD8Async(Address to, unsigned char value, std::size_t bytes, void* stream) {
    ENTER("cuMemsetD8Async", true);
    Stream* s = usable(stream);
    if (!s) return 400;
    if (!at(to, bytes)) return 1;
    enqueue(*s, {0, w.script.copy_ns, [=] {
        if (at(to, bytes)) std::memset(at(to, bytes), value, bytes);
        else world().sticky = 700;
    }, nullptr, nullptr, nullptr});
    return 0;
}

API int cuPointerGetAttribute(void* value, int attribute, Address pointer) {
    ENTER("cuPointerGetAttribute", true);
    const bool host = is_pinned(reinterpret_cast<void*>(pointer));
    unsigned char* memory = at(pointer, 0);
    if (!host && !memory) return 1;
    int device = 0;
    for (auto& [address, each] : w.memory)
        if (pointer >= address && pointer < address + each.bytes.size()) device = each.device;
    if (attribute == 2) *static_cast<unsigned*>(value) = host ? 1 : 2;
    else if (attribute == 8) *static_cast<unsigned*>(value) = 0;
    else if (attribute == 9) *static_cast<int*>(value) = device;
    else return 1;
    return 0;
}

API int cuMemGetAddressRange_v2(Address* base, std::size_t* bytes, Address pointer) {
    ENTER("cuMemGetAddressRange", true);
    for (auto& [address, each] : w.memory)
        if (pointer >= address && pointer < address + each.bytes.size()) {
            *base = address;
            *bytes = each.bytes.size();
            return 0;
        }
    return 500;
}

API int cuThreadExchangeStreamCaptureMode(int* mode) {
    ENTER("cuThreadExchangeStreamCaptureMode", false);
    std::swap(*mode, capture_mode);
    return 0;
}

API int cuStreamCreate(Stream** stream, unsigned) {
    ENTER("cuStreamCreate", true);
    *stream = new Stream;
    (*stream)->context = top();
    w.streams.insert(*stream);
    return 0;
}

// What was enqueued is still carried out, as on a device; here when the stream is given back.
API int cuStreamDestroy_v2(Stream* stream) {
    std::unique_lock<std::mutex> lock(world().mutex);
    if (const int code = entered("cuStreamDestroy", true)) return code;
    World& w = world();
    if (!w.streams.count(stream)) return 400;
    wait_for(w, *stream, stream->last_ticket(), lock);
    w.streams.erase(stream);
    delete stream;
    return 0;
}

API int cuStreamSynchronize(void* stream) {
    std::unique_lock<std::mutex> lock(world().mutex);
    if (const int code = entered("cuStreamSynchronize", true)) return code;
    Stream* s = usable(stream);
    if (!s) return 400;
    if (spoils(*s)) return 900;
    return wait_for(world(), *s, s->last_ticket(), lock);
}

API int cuStreamWaitEvent(void* stream, Event* event, unsigned) {
    ENTER("cuStreamWaitEvent", true);
    Stream* s = usable(stream);
    if (!s || !w.events.count(event)) return 400;
    if (event->record) enqueue(*s, {0, 0, nullptr, event->record, nullptr, nullptr});
    return 0;
}

API int cuStreamGetCtx(void* stream, Context** context) {
    ENTER("cuStreamGetCtx", true);
    Stream* s = stream_of(stream);
    if (!s) return 400;
    *context = s->context;
    return 0;
}

API int cuStreamBeginCapture_v2(void* stream, int) {
    ENTER("cuStreamBeginCapture", true);
    Stream* s = usable(stream);
    if (!s) return 400;
    if (s->capture || reinterpret_cast<std::uintptr_t>(stream) <= 1) return 900;
    s->capture = std::make_unique<Graph>();
    s->capture->thread = std::this_thread::get_id();
    return 0;
}

API int cuStreamEndCapture(void* stream, Graph** graph) {
    ENTER("cuStreamEndCapture", true);
    Stream* s = usable(stream);
    if (!s || !s->capture) return 400;
    auto captured = std::move(s->capture);
    *graph = nullptr;
    if (captured->invalid) return 901;
    *graph = captured.release();
    w.graphs.insert(*graph);
    return 0;
}

API int cuEventCreate(Event** event, unsigned flags) {
    ENTER("cuEventCreate", true);
    *event = new Event{!(flags & 2), nullptr};
    w.events.insert(*event);
    return 0;
}

API int cuEventDestroy_v2(Event* event) {
    ENTER("cuEventDestroy", true);
    if (!w.events.erase(event)) return 400;
    delete event;
    return 0;
}

API int cuEventRecord(Event* event, void* stream) {
    ENTER("cuEventRecord", true);
    Stream* s = usable(stream);
    if (!s || !w.events.count(event)) return 400;
    if (w.calls["cuEventRecord"] - 1 == w.script.unrecorded) return 0;
    if (s->capture) return 0;
    event->record = std::make_shared<Record>(Record{s});
    enqueue(*s, {0, 0, nullptr, nullptr, event->record, nullptr});
    event->record->ticket = s->last_ticket();
    return 0;
}

API int cuEventQuery(Event* event) {
    ENTER("cuEventQuery", true);
    if (!w.events.count(event)) return 400;
    if (!event->record || event->record->end_ns != kUnknown) return w.sticky;
    settle(*event->record->stream, event->record->ticket, now_ns());
    if (w.sticky) return w.sticky;
    return event->record->end_ns != kUnknown ? 0 : 600;
}

API int cuEventSynchronize(Event* event) {
    std::unique_lock<std::mutex> lock(world().mutex);
    if (const int code = entered("cuEventSynchronize", true)) return code;
    if (!world().events.count(event)) return 400;
    if (!event->record || event->record->end_ns != kUnknown) return world().sticky;
    return wait_for(world(), *event->record->stream, event->record->ticket, lock);
}

API int cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
    ENTER("cuEventElapsedTime", true);
    if (!w.events.count(from) || !w.events.count(to)) return 400;
    if (!from->record || !to->record || !from->timed || !to->timed) return 400;
    const std::int64_t first = from->record->end_ns, last = to->record->end_ns;
    if (first == kUnknown || last == kUnknown) return 600;
    *milliseconds = static_cast<float>(static_cast<double>(last - first) * w.script.clock_scale * 1e-6);
    return 0;
}

API int cuGraphGetNodes(Graph* graph, void**, std::size_t* count) {
    ENTER("cuGraphGetNodes", false);
    if (!w.graphs.count(graph)) return 400;
    *count = graph->operations.size();
    return 0;
}

API int cuGraphInstantiateWithFlags(Graph** exec, Graph* graph, unsigned long long) {
    ENTER("cuGraphInstantiateWithFlags", true);
    if (!w.graphs.count(graph)) return 400;
    *exec = new Graph{graph->operations, false, {}};
    w.execs.insert(*exec);
    return 0;
}

API int cuGraphLaunch(Graph* exec, void* stream) {
    ENTER("cuGraphLaunch", true);
    Stream* s = usable(stream);
    if (!s || !w.execs.count(exec)) return 400;
    for (const Operation& each : exec->operations) enqueue(*s, each);
    return 0;
}

API int cuGraphDestroy(Graph* graph) {
    ENTER("cuGraphDestroy", false);
    if (!w.graphs.erase(graph)) return 400;
    delete graph;
    return 0;
}

API int cuGraphExecDestroy(Graph* exec) {
    ENTER("cuGraphExecDestroy", false);
    if (!w.execs.erase(exec)) return 400;
    delete exec;
    return 0;
}

API int cuModuleLoadDataEx(Module** module, const void* image, unsigned count, int* options, void** values) {
    ENTER("cuModuleLoadDataEx", true);
    const std::string ptx(static_cast<const char*>(image));
    const auto fail = [&](int code, const std::string& text) {
        char* log = nullptr;
        std::size_t size = 0;
        for (unsigned i = 0; i < count; ++i) {
            if (options[i] == 5) log = static_cast<char*>(values[i]);
            if (options[i] == 6) size = reinterpret_cast<std::uintptr_t>(values[i]);
        }
        if (log) std::snprintf(log, size, "%s\n", text.c_str());
        return code;
    };
    const auto version = ptx.find(".version ");
    if (version == std::string::npos) return fail(218, "ptxas application ptx input, line 1; fatal   : Missing .version directive");
    if (std::stod(ptx.substr(version + 9)) > 8.4) return fail(222, "ptxas fatal   : Unsupported .version");
    const auto target = ptx.find(".target sm_");
    if (target != std::string::npos && std::atoi(ptx.c_str() + target + 11) > w.script.capability)
        return fail(218, "ptxas fatal   : SM version specified by .target is higher than default SM version assumed");
    auto made = std::make_unique<Module>();
    for (std::size_t at = 0; (at = ptx.find(".entry ", at)) != std::string::npos;) {
        at += 7;
        const auto open = ptx.find('(', at), close = ptx.find(')', open);
        auto function = std::make_unique<Function>();
        function->name = ptx.substr(at, open - at);
        function->name.erase(function->name.find_last_not_of(" \t\n") + 1);
        function->sizes = parameter_sizes(ptx.substr(open + 1, close - open - 1));
        made->functions[function->name] = std::move(function);
    }
    *module = made.release();
    w.modules.insert(*module);
    return 0;
}

API int cuModuleUnload(Module* module) {
    ENTER("cuModuleUnload", true);
    if (prohibited()) return 900;
    if (!w.modules.erase(module)) return 400;
    delete module;
    return 0;
}

API int cuModuleGetFunction(Function** function, Module* module, const char* name) {
    ENTER("cuModuleGetFunction", true);
    if (!w.modules.count(module)) return 400;
    const auto found = module->functions.find(name);
    if (found == module->functions.end()) return 500;
    *function = found->second.get();
    return 0;
}

API int cuLaunchKernel(Function* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                       unsigned, void* stream, void** parameters, void**) {
    ENTER("cuLaunchKernel", true);
    Stream* s = usable(stream);
    if (!s) return 400;
    if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024) return 1;
    // The values of now: the caller's variables are gone when the kernel runs.
    auto values = std::make_shared<std::vector<std::vector<unsigned char>>>();
    for (std::size_t i = 0; i < function->sizes.size(); ++i) {
        const auto* first = static_cast<const unsigned char*>(parameters[i]);
        values->emplace_back(first, first + function->sizes[i]);
    }
    const auto number = [values](std::size_t i) {
        Address value = 0;
        std::memcpy(&value, values->at(i).data(), values->at(i).size());
        return value;
    };
    Operation operation{0, kernel_ns(function->name), nullptr, nullptr, nullptr, nullptr};
    if (function->name == "seatrial_hold") {
        // Parameters: the flags' address (released, gave up), the limit in nanoseconds.
        const auto limit = static_cast<std::int64_t>(number(1));
        auto* flags = reinterpret_cast<volatile unsigned*>(at(number(0), 8));
        if (!flags) return 1;
        operation.held = [=](std::int64_t start, std::int64_t now) -> std::int64_t {
            if (flags[0]) return std::max(start, now);
            if (now < start + limit) return kUnknown;
            flags[1] = 1;
            return start + limit;
        };
    } else if (function->name == "add_one") {
        const Address address = number(0);
        const std::size_t count = number(1);
        operation.effect = [=] {
            if (unsigned char* bytes = at(address, count))
                for (std::size_t i = 0; i < count; ++i) ++bytes[i];
            else world().sticky = 700;
        };
    } else if (const auto body = w.bodies.find(function->name); body != w.bodies.end()) {
        operation.effect = [=, call = body->second] {
            std::vector<void*> addresses;
            for (auto& each : *values) addresses.push_back(each.data());
            const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
            call(addresses.data(), grid, block);
        };
    }
    enqueue(*s, std::move(operation));
    return 0;
}

namespace {

const std::map<std::string, void*>& functions() {
    // By base name, as cuGetProcAddress is asked: it gives the newest form that the version has.
#define NAMED(name, symbol) {name, reinterpret_cast<void*>(symbol)}
#define PLAIN(symbol) {#symbol, reinterpret_cast<void*>(symbol)}
    static const std::map<std::string, void*> table = {
        PLAIN(cuInit), PLAIN(cuDriverGetVersion), PLAIN(cuGetErrorName), PLAIN(cuGetErrorString), PLAIN(cuDeviceGetCount),
        PLAIN(cuDeviceGet), PLAIN(cuDeviceGetName), PLAIN(cuDeviceGetAttribute), NAMED("cuDeviceTotalMem", cuDeviceTotalMem_v2),
        NAMED("cuDeviceGetUuid", cuDeviceGetUuid_v2), PLAIN(cuDevicePrimaryCtxRetain),
        NAMED("cuDevicePrimaryCtxRelease", cuDevicePrimaryCtxRelease_v2), NAMED("cuCtxPushCurrent", cuCtxPushCurrent_v2),
        NAMED("cuCtxPopCurrent", cuCtxPopCurrent_v2), PLAIN(cuCtxGetCurrent), PLAIN(cuCtxSynchronize),
        NAMED("cuMemGetInfo", cuMemGetInfo_v2), NAMED("cuMemAlloc", cuMemAlloc_v2), NAMED("cuMemFree", cuMemFree_v2),
        PLAIN(cuMemHostAlloc), PLAIN(cuMemFreeHost), NAMED("cuMemHostGetDevicePointer", cuMemHostGetDevicePointer_v2),
        NAMED("cuMemcpyHtoDAsync", cuMemcpyHtoDAsync_v2), NAMED("cuMemcpyDtoHAsync", cuMemcpyDtoHAsync_v2),
        NAMED("cuMemcpyDtoDAsync", cuMemcpyDtoDAsync_v2), PLAIN(cuMemsetD8Async), PLAIN(cuPointerGetAttribute),
        NAMED("cuMemGetAddressRange", cuMemGetAddressRange_v2), PLAIN(cuThreadExchangeStreamCaptureMode),
        PLAIN(cuStreamCreate), NAMED("cuStreamDestroy", cuStreamDestroy_v2), PLAIN(cuStreamSynchronize), PLAIN(cuStreamWaitEvent),
        PLAIN(cuStreamGetCtx), NAMED("cuStreamBeginCapture", cuStreamBeginCapture_v2), PLAIN(cuStreamEndCapture),
        PLAIN(cuEventCreate), NAMED("cuEventDestroy", cuEventDestroy_v2), PLAIN(cuEventRecord), PLAIN(cuEventQuery),
        PLAIN(cuEventSynchronize), PLAIN(cuEventElapsedTime), PLAIN(cuGraphGetNodes), PLAIN(cuGraphInstantiateWithFlags),
        PLAIN(cuGraphLaunch), PLAIN(cuGraphDestroy), PLAIN(cuGraphExecDestroy), PLAIN(cuModuleLoadDataEx), PLAIN(cuModuleUnload),
        PLAIN(cuModuleGetFunction), PLAIN(cuLaunchKernel)};
    return table;
}

int find(const char* name, void** function) {
    const auto found = functions().find(name);
    *function = found == functions().end() || world().script.missing.count(name) ? nullptr : found->second;
    return *function ? 0 : 500;
}

}  // namespace

API int cuGetProcAddress(const char* name, void** function, int, std::uint64_t) { return find(name, function); }
API int cuGetProcAddress_v2(const char* name, void** function, int, std::uint64_t, int* status) {
    const int code = find(name, function);
    if (status) *status = code ? 1 : 0;
    return code;
}

// A new script, with nothing counted yet. What is alive stays.
API void simulated_reset(const char* script) {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    w.script = Script::read(script);
    w.calls.clear();
    w.bound.clear();
    w.bodies.clear();
    w.body_ns.clear();
    w.all_calls = w.kernels = 0;
    w.traced.clear();
    w.lost = false;
    w.sticky = 0;
}

// What a kernel of this name does, when somebody waits for it, and how long it takes. It must not call the driver.
API void simulated_kernel(const char* name, Body body, std::int64_t duration_ns) {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    if (body) w.bodies[name] = body;
    w.body_ns[name] = duration_ns;
}

// Frees everything, whoever made it, and leaves this thread without contexts.
API void simulated_forget() {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    for (auto& each : w.pinned) std::free(each.first);
    for (Stream* each : w.streams) delete each;
    for (Event* each : w.events) delete each;
    for (Graph* each : w.graphs) delete each;
    for (Graph* each : w.execs) delete each;
    for (Module* each : w.modules) delete each;
    w.pinned.clear();
    w.streams.clear();
    w.events.clear();
    w.graphs.clear();
    w.execs.clear();
    w.modules.clear();
    w.memory.clear();
    w.defaults.clear();
    for (Context& each : w.primary) each.retained = 0;
    current.clear();
}

// For a kernel's body: where device memory lies in this process. Null, and the device is lost, where it has none there.
API void* simulated_memory(Address address, std::size_t bytes) {
    void* memory = at(address, bytes);
    if (!memory) world().sticky = 700;
    return memory;
}

// Names of calls since the script said 'trace', in order, each followed by a blank; valid until the next call of anything.
API const char* simulated_trace() { return world().traced.c_str(); }

// A stream of a context that is not primary.
API void* simulated_foreign_stream() {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    auto* stream = new Stream;
    stream->context = &w.foreign;
    w.streams.insert(stream);
    return stream;
}

// memory, pinned, streams, events, graphs, modules, retained, depth (of this thread's contexts), pending (operations that
// nobody waited for), or how often a function was called.
API long simulated_count(const char* what) {
    World& w = world();
    const std::lock_guard<std::mutex> lock(w.mutex);
    const std::string name(what);
    if (name == "memory") return static_cast<long>(w.memory.size());
    if (name == "pinned") return static_cast<long>(w.pinned.size());
    if (name == "streams") return static_cast<long>(w.streams.size());
    if (name == "events") return static_cast<long>(w.events.size());
    if (name == "graphs") return static_cast<long>(w.graphs.size() + w.execs.size());
    if (name == "modules") return static_cast<long>(w.modules.size());
    if (name == "depth") return static_cast<long>(current.size());
    long sum = 0;
    if (name == "retained") {
        for (const Context& each : w.primary) sum += each.retained;
        return sum;
    }
    if (name == "pending") {
        for (Stream* each : w.streams) sum += static_cast<long>(each->queue.size());
        return sum;
    }
    const auto found = w.calls.find(name);
    return found == w.calls.end() ? 0 : found->second;
}
