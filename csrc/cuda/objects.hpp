// A device's primary context and what lives in it: streams, events, memory, graphs, modules. Each owns its handle, keeps its
// context, and pushes it only around its own calls, so that torch, cupy and pycuda in the same process find theirs.
//
// Constructors and functions throw Error; destructors forget errors, since what they free is gone with a lost context anyway.
// Not for timing (event_timer.hpp, request.hpp).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "driver.hpp"

namespace seatrial::cuda {

struct DeviceFacts {
    std::string name, uuid;  // "NVIDIA L4", "GPU-1b4e28ba-2fa1-11d2-883f-0016d3cca427"
    int major = 0, minor = 0, multiprocessors = 0;
    std::size_t memory_bytes = 0, l2_bytes = 0;
    bool reads_pageable = false;  // it copies from any host memory by itself, and need not stage it before the call returns
};

int device_count(const Driver& driver);
DeviceFacts device_facts(const Driver& driver, int ordinal);

class Context {
  public:
    // Retains the primary context of a device: the one that the CUDA runtime, and so every library on it, uses.
    Context(const Driver& driver, int ordinal);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    const Driver& driver() const noexcept { return driver_; }
    int ordinal() const noexcept { return ordinal_; }
    ContextHandle* handle() const noexcept { return handle_; }
    void memory_info(std::size_t& free, std::size_t& total) const;
    // Waits for everything that was asked of the device in this context, by whomever.
    void synchronize() const;

  private:
    const Driver& driver_;
    int ordinal_, device_ = 0;
    ContextHandle* handle_ = nullptr;
};

using SharedContext = std::shared_ptr<const Context>;

// The context is this thread's current one for as long as this lives; then the one before is again.
class Current {
  public:
    // Throws Error; code() is kSuccess.
    explicit Current(const Context& context);
    // Does not throw: code() says what cuCtxPushCurrent gave.
    Current(const Context& context, std::nothrow_t) noexcept;
    ~Current();
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

    int code() const noexcept { return code_; }

  private:
    const Driver& driver_;
    int code_;
};

// Around what a destructor gives back: current, and allowed also while this thread captures a stream, where the driver refuses
// to free anything and gives up the capture.
class Freeing {
  public:
    explicit Freeing(const Context& context) noexcept;
    ~Freeing();
    Freeing(const Freeing&) = delete;
    Freeing& operator=(const Freeing&) = delete;

  private:
    const Current current_;
    const Driver& driver_;
    int mode_;
    bool exchanged_;
};

// Makes it this thread's current one until pop(), for who uses the driver on his own.
void push(const Context& context);
void pop(const Context& context);

class Stream {
  public:
    // A stream of its own, which does not wait for the legacy default stream.
    explicit Stream(SharedContext context);
    // Somebody else's, not owned. 0 or 1: the legacy default stream, 2: the thread's default stream.
    // Throws Error(misuse) where it belongs to another context.
    Stream(SharedContext context, StreamHandle* handle);
    ~Stream();
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    const SharedContext& context() const noexcept { return context_; }
    StreamHandle* handle() const noexcept { return handle_; }
    bool is_own() const noexcept { return own_; }
    void synchronize() const;
    // What is asked of this stream from now on waits for what was asked of the other so far.
    void wait_for(const Stream& other) const;

    void copy_to_device(Address to, const void* from, std::size_t bytes) const;
    void copy_to_host(void* to, Address from, std::size_t bytes) const;
    void copy_on_device(Address to, Address from, std::size_t bytes) const;
    void fill(Address to, unsigned char value, std::size_t bytes) const;

    // What this thread asks of the stream is kept for a graph instead of done.
    void begin_capture() const;

  private:
    SharedContext context_;
    StreamHandle* handle_ = nullptr;
    bool own_;
};

class Event {
  public:
    // timed: it has a time. sleeps: waiting for it gives the core away instead of spinning in the driver.
    Event(SharedContext context, bool timed, bool sleeps);
    ~Event();
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    EventHandle* handle() const noexcept { return handle_; }
    void record(const Stream& stream) const;
    void synchronize() const;
    // Whether all that came before it is done.
    bool is_done() const;

  private:
    SharedContext context_;
    EventHandle* handle_ = nullptr;
};

class DeviceMemory {
  public:
    // Throws Error(memory) with what was asked for and what is free.
    DeviceMemory(SharedContext context, std::size_t bytes);
    ~DeviceMemory();
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;

    Address address() const noexcept { return address_; }
    std::size_t bytes() const noexcept { return bytes_; }

  private:
    SharedContext context_;
    Address address_ = 0;
    std::size_t bytes_;
};

// Host memory that does not move, so that the device copies from and to it on its own.
class PinnedMemory {
  public:
    PinnedMemory(SharedContext context, std::size_t bytes);
    ~PinnedMemory();
    PinnedMemory(const PinnedMemory&) = delete;
    PinnedMemory& operator=(const PinnedMemory&) = delete;

    void* data() const noexcept { return data_; }
    std::size_t bytes() const noexcept { return bytes_; }
    // Where a kernel finds it.
    Address device_address() const;

  private:
    SharedContext context_;
    void* data_ = nullptr;
    std::size_t bytes_;
};

class Graph {
  public:
    // Ends what stream.begin_capture() began. Throws Error where something in it could not be captured, and Error(misuse)
    // where nothing was: launched, it would do nothing in no time.
    explicit Graph(const Stream& stream);
    ~Graph();
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;

    GraphExecHandle* handle() const noexcept { return exec_; }
    std::size_t nodes() const noexcept { return nodes_; }
    void launch(const Stream& stream) const;

  private:
    SharedContext context_;
    GraphExecHandle* exec_ = nullptr;
    std::size_t nodes_ = 0;
};

class Module {
  public:
    // PTX text. Throws Error with the driver's compiler's own log, or with the capability that it needs and the device has not.
    Module(SharedContext context, const std::string& ptx);
    ~Module();
    Module(const Module&) = delete;
    Module& operator=(const Module&) = delete;

    const SharedContext& context() const noexcept { return context_; }
    FunctionHandle* function(const std::string& name) const;

  private:
    SharedContext context_;
    ModuleHandle* handle_ = nullptr;
};

struct Size3 {
    unsigned x = 1, y = 1, z = 1;
};

// parameters: the addresses of the kernel's arguments. `name` is for the error.
void launch(const Stream& stream, FunctionHandle* function, const std::string& name, Size3 grid, Size3 block,
            unsigned shared_bytes, void** parameters);

// What the driver knows of a pointer, whoever allocated it.
struct PointerFacts {
    bool known = false;  // false: host memory that CUDA does not know, which is not pinned
    bool on_device = false, managed = false;
    int ordinal = -1;
};
PointerFacts pointer_facts(const Context& context, Address pointer);

// How much of `bytes` is allocated from the pointer on, over allocations that lie against one another; all of it where the
// driver does not know the first one's bounds.
std::size_t allocated_bytes(const Context& context, Address pointer, std::size_t bytes);

}  // namespace seatrial::cuda
