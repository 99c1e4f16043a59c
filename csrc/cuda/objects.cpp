#include "objects.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

namespace seatrial::cuda {

namespace {

// cuda.h's numbers.
constexpr int kMultiprocessors = 16, kL2Bytes = 38, kMajor = 75, kMinor = 76, kReadsPageable = 88;
constexpr unsigned kNonBlocking = 1, kBlockingSync = 1, kNoTiming = 2;
constexpr unsigned kPortable = 1, kMapped = 2;
constexpr int kThreadLocal = 1, kRelaxed = 2;
constexpr int kJitErrorLog = 5, kJitErrorBytes = 6;
constexpr int kMemoryType = 2, kIsManaged = 8, kPointerOrdinal = 9, kDeviceMemory = 2;
constexpr int kInvalidValue = 1, kNotFound = 500, kNotSupported = 801;

int device_of(const Driver& driver, int ordinal) {
    const int count = device_count(driver);
    if (ordinal < 0 || ordinal >= count)
        throw Error(Kind::unavailable, "expected a device from 0 to " + std::to_string(count - 1) + ", got " +
                                           std::to_string(ordinal) + "; " + cure(101));
    int device = 0;
    driver.run(driver.DeviceGet, &device, ordinal);
    return device;
}

int attribute(const Driver& driver, int which, int device) {
    int value = 0;
    driver.run(driver.DeviceGetAttribute, &value, which, device);
    return value;
}

std::string asked_for(std::size_t bytes) {
    const std::string size = bytes_text(bytes), exact = std::to_string(bytes) + " bytes";
    return "asked for " + size + (size == exact ? "" : " (" + exact + ")");
}

// Throws Error where PTX is for later devices than this one: the driver's own words do not say so.
void require_capability(const Context& context, const std::string& ptx) {
    const auto at = ptx.find(".target sm_");
    if (at == std::string::npos) return;
    const int least = std::atoi(ptx.c_str() + at + 11);
    const Driver& driver = context.driver();
    const int device = device_of(driver, context.ordinal());
    const int major = attribute(driver, kMajor, device), minor = attribute(driver, kMinor, device);
    if (10 * major + minor >= least) return;
    const auto text = [](int tens, int ones) { return std::to_string(tens) + "." + std::to_string(ones); };
    throw Error(Kind::unavailable, "the kernels need compute capability " + text(least / 10, least % 10) + " or later, and device " +
                                       std::to_string(context.ordinal()) + " has " + text(major, minor) +
                                       "; use a later card, or do on the CPU what they do");
}

// What was asked for beside what there is: the first question of whoever reads the error.
[[noreturn]] void fail_allocation(const Context& context, const char* call, int code, std::size_t bytes) {
    const Driver& driver = context.driver();
    std::string about = asked_for(bytes);
    std::size_t free = 0, total = 0;
    if (code == kOutOfMemory && driver.MemGetInfo(&free, &total) == kSuccess)
        about += ", " + bytes_text(free) + " of " + bytes_text(total) + " free on device " + std::to_string(context.ordinal());
    driver.fail(call, code, about);
}

// The driver has one code for both: the device has room, and a smaller batch is no cure.
[[noreturn]] void fail_host_allocation(const Driver& driver, const char* call, int code, std::size_t bytes) {
    const std::string about = asked_for(bytes) + " of the host's memory, pinned";
    if (code != kOutOfMemory) driver.fail(call, code, about);
    throw Error(Kind::failed,
                driver.said(call, code) + "; " + about + "; free memory of the host, or raise the limits of this process or its "
                "container on memory and on what of it is locked (`ulimit -l`)",
                call, code);
}

}  // namespace

int device_count(const Driver& driver) {
    driver.initialise();
    int count = 0;
    driver.run(driver.DeviceGetCount, &count);
    if (count == 0) driver.fail(driver.DeviceGetCount.name, kNoDevice);
    return count;
}

DeviceFacts device_facts(const Driver& driver, int ordinal) {
    const int device = device_of(driver, ordinal);
    DeviceFacts facts;
    char name[256] = {};
    driver.run(driver.DeviceGetName, name, static_cast<int>(sizeof name) - 1, device);
    facts.name = name;
    facts.major = attribute(driver, kMajor, device);
    facts.minor = attribute(driver, kMinor, device);
    facts.multiprocessors = attribute(driver, kMultiprocessors, device);
    facts.l2_bytes = static_cast<std::size_t>(attribute(driver, kL2Bytes, device));
    facts.reads_pageable = attribute(driver, kReadsPageable, device) != 0;
    driver.run(driver.DeviceTotalMem, &facts.memory_bytes, device);
    unsigned char uuid[16] = {};
    driver.run(driver.DeviceGetUuid, uuid, device);
    facts.uuid = "GPU-";
    for (int i = 0; i < 16; ++i) {
        char digits[4];
        std::snprintf(digits, sizeof digits, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
        facts.uuid += digits;
    }
    return facts;
}

Context::Context(const Driver& driver, int ordinal) : driver_(driver), ordinal_(ordinal), device_(device_of(driver, ordinal)) {
    driver.run(driver.DevicePrimaryCtxRetain, &handle_, device_);
}

Context::~Context() { driver_.DevicePrimaryCtxRelease(device_); }

void Context::memory_info(std::size_t& free, std::size_t& total) const {
    const Current current(*this);
    driver_.run(driver_.MemGetInfo, &free, &total);
}

void Context::synchronize() const {
    const Current current(*this);
    driver_.run(driver_.CtxSynchronize);
}

Current::Current(const Context& context) : Current(context, std::nothrow) {
    // The destructor runs all the same, since the other constructor has finished; code_ keeps it from popping.
    if (code_) driver_.fail(driver_.CtxPushCurrent.name, code_);
}

Current::Current(const Context& context, std::nothrow_t) noexcept
    : driver_(context.driver()), code_(driver_.CtxPushCurrent(context.handle())) {}

Current::~Current() {
    ContextHandle* popped = nullptr;
    if (code_ == kSuccess) driver_.CtxPopCurrent(&popped);
}

Freeing::Freeing(const Context& context) noexcept
    : current_(context, std::nothrow),
      driver_(context.driver()),
      mode_(kRelaxed),
      exchanged_(driver_.ThreadExchangeStreamCaptureMode(&mode_) == kSuccess) {}

Freeing::~Freeing() {
    if (exchanged_) driver_.ThreadExchangeStreamCaptureMode(&mode_);
}

void push(const Context& context) { context.driver().run(context.driver().CtxPushCurrent, context.handle()); }

void pop(const Context& context) {
    ContextHandle* popped = nullptr;
    context.driver().run(context.driver().CtxPopCurrent, &popped);
    if (popped == context.handle()) return;
    context.driver().CtxPushCurrent(popped);  // its owner's to pop
    throw Error(Kind::misuse, "another context was left current inside this one's block; pop what was pushed");
}

Stream::Stream(SharedContext context) : context_(std::move(context)), own_(true) {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    driver.run(driver.StreamCreate, &handle_, kNonBlocking);
}

Stream::Stream(SharedContext context, StreamHandle* handle) : context_(std::move(context)), handle_(handle), own_(false) {
    // The default streams are those of whichever context is current.
    if (reinterpret_cast<std::uintptr_t>(handle) <= 2) return;
    const Current current(*context_);
    const Driver& driver = context_->driver();
    ContextHandle* of = nullptr;
    driver.run(driver.StreamGetCtx, handle_, &of);
    if (of != context_->handle())
        throw Error(Kind::misuse, "expected a stream of device " + std::to_string(context_->ordinal()) +
                                      "'s primary context, got one of another context; make it where that context is current");
}

Stream::~Stream() {
    if (!own_) return;
    const Freeing freeing(*context_);
    context_->driver().StreamDestroy(handle_);
}

void Stream::synchronize() const {
    const Current current(*context_);
    context_->driver().run(context_->driver().StreamSynchronize, handle_);
}

void Stream::wait_for(const Stream& other) const {
    // Of the other's device: a default stream is that of whichever context is current.
    const Event event(other.context_, false, false);
    event.record(other);
    const Current current(*context_);
    context_->driver().run(context_->driver().StreamWaitEvent, handle_, event.handle(), 0u);
}

void Stream::copy_to_device(Address to, const void* from, std::size_t bytes) const {
    if (!bytes) return;
    const Current current(*context_);
    context_->driver().run(context_->driver().MemcpyHtoDAsync, to, from, bytes, handle_);
}

void Stream::copy_to_host(void* to, Address from, std::size_t bytes) const {
    if (!bytes) return;
    const Current current(*context_);
    context_->driver().run(context_->driver().MemcpyDtoHAsync, to, from, bytes, handle_);
}

void Stream::copy_on_device(Address to, Address from, std::size_t bytes) const {
    if (!bytes) return;
    const Current current(*context_);
    context_->driver().run(context_->driver().MemcpyDtoDAsync, to, from, bytes, handle_);
}

void Stream::fill(Address to, unsigned char value, std::size_t bytes) const {
    if (!bytes) return;
    const Current current(*context_);
    context_->driver().run(context_->driver().MemsetD8Async, to, value, bytes, handle_);
}

void Stream::begin_capture() const {
    const Current current(*context_);
    // Other threads go on as they like: torch allocates on its own.
    context_->driver().run(context_->driver().StreamBeginCapture, handle_, kThreadLocal);
}

Event::Event(SharedContext context, bool timed, bool sleeps) : context_(std::move(context)) {
    const Current current(*context_);
    const unsigned flags = (timed ? 0 : kNoTiming) | (sleeps ? kBlockingSync : 0);
    context_->driver().run(context_->driver().EventCreate, &handle_, flags);
}

Event::~Event() {
    const Freeing freeing(*context_);
    context_->driver().EventDestroy(handle_);
}

void Event::record(const Stream& stream) const {
    if (stream.context()->handle() != context_->handle())
        throw Error(Kind::misuse, "expected a stream of device " + std::to_string(context_->ordinal()) + ", the event's, got one of "
                                      "device " + std::to_string(stream.context()->ordinal()) + "; make the event there");
    const Current current(*context_);
    context_->driver().run(context_->driver().EventRecord, handle_, stream.handle());
}

void Event::synchronize() const {
    const Current current(*context_);
    context_->driver().run(context_->driver().EventSynchronize, handle_);
}

bool Event::is_done() const {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    const int code = driver.EventQuery(handle_);
    if (code != kSuccess && code != kNotReady) driver.fail(driver.EventQuery.name, code);
    return code == kSuccess;
}

DeviceMemory::DeviceMemory(SharedContext context, std::size_t bytes) : context_(std::move(context)), bytes_(bytes) {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    // The driver refuses 0 bytes as an invalid value; a batch of none still has an address.
    if (const int code = driver.MemAlloc(&address_, bytes ? bytes : 1))
        fail_allocation(*context_, driver.MemAlloc.name, code, bytes);
}

DeviceMemory::~DeviceMemory() {
    const Freeing freeing(*context_);
    context_->driver().MemFree(address_);
}

PinnedMemory::PinnedMemory(SharedContext context, std::size_t bytes) : context_(std::move(context)), bytes_(bytes) {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    if (const int code = driver.MemHostAlloc(&data_, bytes ? bytes : 1, kPortable | kMapped))
        fail_host_allocation(driver, driver.MemHostAlloc.name, code, bytes);
}

PinnedMemory::~PinnedMemory() {
    const Freeing freeing(*context_);
    context_->driver().MemFreeHost(data_);
}

Address PinnedMemory::device_address() const {
    const Current current(*context_);
    Address address = 0;
    context_->driver().run(context_->driver().MemHostGetDevicePointer, &address, data_, 0u);
    return address;
}

Graph::Graph(const Stream& stream) : context_(stream.context()) {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    GraphHandle* graph = nullptr;
    const int ended = driver.StreamEndCapture(stream.handle(), &graph);
    int code = ended;
    const char* call = driver.StreamEndCapture.name;
    if (!code) {
        call = driver.GraphGetNodes.name;
        code = driver.GraphGetNodes(graph, nullptr, &nodes_);
    }
    if (!code && nodes_) {
        call = driver.GraphInstantiateWithFlags.name;
        code = driver.GraphInstantiateWithFlags(&exec_, graph, 0);
    }
    if (graph) driver.GraphDestroy(graph);
    if (code) driver.fail(call, code, ended ? "what was to be captured holds something that a graph cannot" : "");
    if (!nodes_)
        throw Error(Kind::misuse, "the stream captured nothing: launched, the graph would do nothing in no time; enqueue on "
                                  "the stream that captures");
}

Graph::~Graph() {
    const Freeing freeing(*context_);
    context_->driver().GraphExecDestroy(exec_);
}

void Graph::launch(const Stream& stream) const {
    const Current current(*stream.context());
    context_->driver().run(context_->driver().GraphLaunch, exec_, stream.handle());
}

Module::Module(SharedContext context, const std::string& ptx) : context_(std::move(context)) {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    std::vector<char> log(8192, '\0');
    int options[] = {kJitErrorLog, kJitErrorBytes};
    // Sizes are passed where pointers are, by value.
    void* values[] = {log.data(), reinterpret_cast<void*>(static_cast<std::uintptr_t>(log.size()))};
    const int code = driver.ModuleLoadDataEx(&handle_, ptx.c_str(), 2, options, values);
    if (!code) return;
    require_capability(*context_, ptx);
    log.back() = '\0';
    std::string said(log.data());
    while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
    driver.fail(driver.ModuleLoadDataEx.name, code, said.empty() ? "its log is empty" : "its log: " + said);
}

Module::~Module() {
    const Freeing freeing(*context_);
    context_->driver().ModuleUnload(handle_);
}

FunctionHandle* Module::function(const std::string& name) const {
    const Current current(*context_);
    const Driver& driver = context_->driver();
    FunctionHandle* found = nullptr;
    if (const int code = driver.ModuleGetFunction(&found, handle_, name.c_str()))
        driver.fail(driver.ModuleGetFunction.name, code, "kernel '" + name + "'");
    return found;
}

void launch(const Stream& stream, FunctionHandle* function, const std::string& name, Size3 grid, Size3 block,
            unsigned shared_bytes, void** parameters) {
    const Current current(*stream.context());
    const Driver& driver = stream.context()->driver();
    const int code = driver.LaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared_bytes,
                                         stream.handle(), parameters, static_cast<void**>(nullptr));
    if (!code) return;
    const auto text = [](Size3 s) { return std::to_string(s.x) + "x" + std::to_string(s.y) + "x" + std::to_string(s.z); };
    driver.fail(driver.LaunchKernel.name, code, "kernel '" + name + "', grid " + text(grid) + ", block " + text(block));
}

PointerFacts pointer_facts(const Context& context, Address pointer) {
    const Current current(context);
    const Driver& driver = context.driver();
    PointerFacts facts;
    unsigned type = 0;
    // Memory that no call of CUDA has seen is an invalid value to it.
    const int code = driver.PointerGetAttribute(&type, kMemoryType, pointer);
    if (code == kInvalidValue) return facts;
    if (code) driver.fail(driver.PointerGetAttribute.name, code);
    facts.known = true;
    unsigned managed = 0;
    driver.run(driver.PointerGetAttribute, static_cast<void*>(&managed), kIsManaged, pointer);
    driver.run(driver.PointerGetAttribute, static_cast<void*>(&facts.ordinal), kPointerOrdinal, pointer);
    facts.managed = managed != 0;
    facts.on_device = type == kDeviceMemory || facts.managed;
    return facts;
}

std::size_t allocated_bytes(const Context& context, Address pointer, std::size_t bytes) {
    const Current current(context);
    const Driver& driver = context.driver();
    std::size_t found = 0;
    // torch's expandable segments are several, one behind the other.
    while (found < bytes) {
        Address base = 0;
        std::size_t size = 0;
        const int code = driver.MemGetAddressRange(&base, &size, pointer + found);
        if (code == kInvalidValue || code == kNotFound || code == kNotSupported) return found ? found : bytes;
        if (code) driver.fail(driver.MemGetAddressRange.name, code);
        const Address end = base + size;
        if (end <= pointer + found) break;
        found = static_cast<std::size_t>(end - pointer);
    }
    return found < bytes ? found : bytes;
}

}  // namespace seatrial::cuda
