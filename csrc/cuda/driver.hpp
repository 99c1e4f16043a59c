// NVIDIA's driver API, taken from the driver's own library by dlopen. Nothing of CUDA is linked or included, so that what is
// built here loads on a machine without a driver, and says there what is missing.
//
// Each function is asked for by cuGetProcAddress with the version in which it took the form that stands here: a later driver
// gives that form too, an older one says which version is needed. Not for the objects (objects.hpp), nor for NVML.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "errors.hpp"

namespace seatrial::cuda {

// Opaque on this side.
struct ContextHandle;
struct StreamHandle;
struct EventHandle;
struct GraphHandle;
struct GraphExecHandle;
struct NodeHandle;
struct ModuleHandle;
struct FunctionHandle;

// Of device memory. A number, so that the host does not read through it.
using Address = unsigned long long;

// CUDA's way of writing 11.4. Every function below is as old or older; so is every driver that still gets fixes.
constexpr int kLeastVersion = 11040;

// X(name without cu, version in which it took this form, parameters): all give a CUresult.
#define SEATRIAL_CUDA_API(X)                                                                                          \
    X(Init, 2000, unsigned flags)                                                                                     \
    X(GetErrorName, 6000, int code, const char** name)                                                                \
    X(GetErrorString, 6000, int code, const char** text)                                                              \
    X(DeviceGetCount, 2000, int* count)                                                                               \
    X(DeviceGet, 2000, int* device, int ordinal)                                                                      \
    X(DeviceGetName, 2000, char* name, int length, int device)                                                        \
    X(DeviceGetAttribute, 2000, int* value, int attribute, int device)                                                \
    X(DeviceTotalMem, 3020, std::size_t* bytes, int device)                                                           \
    X(DeviceGetUuid, 11040, unsigned char* uuid, int device)                                                          \
    X(DevicePrimaryCtxRetain, 7000, ContextHandle** context, int device)                                              \
    X(DevicePrimaryCtxRelease, 11000, int device)                                                                     \
    X(CtxPushCurrent, 4000, ContextHandle* context)                                                                   \
    X(CtxPopCurrent, 4000, ContextHandle** context)                                                                   \
    X(CtxSynchronize, 2000, )                                                                                         \
    X(MemGetInfo, 3020, std::size_t* free, std::size_t* total)                                                        \
    X(MemAlloc, 3020, Address* address, std::size_t bytes)                                                            \
    X(MemFree, 3020, Address address)                                                                                 \
    X(MemHostAlloc, 2020, void** memory, std::size_t bytes, unsigned flags)                                           \
    X(MemFreeHost, 2000, void* memory)                                                                                \
    X(MemHostGetDevicePointer, 3020, Address* address, void* memory, unsigned flags)                                  \
    X(MemcpyHtoDAsync, 3020, Address to, const void* from, std::size_t bytes, StreamHandle* stream)                   \
    X(MemcpyDtoHAsync, 3020, void* to, Address from, std::size_t bytes, StreamHandle* stream)                         \
    X(MemcpyDtoDAsync, 3020, Address to, Address from, std::size_t bytes, StreamHandle* stream)                       \
    X(MemsetD8Async, 3020, Address to, unsigned char value, std::size_t bytes, StreamHandle* stream)                  \
    X(PointerGetAttribute, 4000, void* value, int attribute, Address pointer)                                         \
    X(MemGetAddressRange, 3020, Address* base, std::size_t* bytes, Address pointer)                                   \
    X(StreamCreate, 2000, StreamHandle** stream, unsigned flags)                                                      \
    X(StreamDestroy, 4000, StreamHandle* stream)                                                                      \
    X(StreamSynchronize, 2000, StreamHandle* stream)                                                                  \
    X(StreamWaitEvent, 3020, StreamHandle* stream, EventHandle* event, unsigned flags)                                \
    X(StreamGetCtx, 9020, StreamHandle* stream, ContextHandle** context)                                              \
    X(StreamBeginCapture, 10010, StreamHandle* stream, int mode)                                                      \
    X(StreamEndCapture, 10000, StreamHandle* stream, GraphHandle** graph)                                             \
    X(ThreadExchangeStreamCaptureMode, 10010, int* mode)                                                              \
    X(EventCreate, 2000, EventHandle** event, unsigned flags)                                                         \
    X(EventDestroy, 4000, EventHandle* event)                                                                         \
    X(EventRecord, 2000, EventHandle* event, StreamHandle* stream)                                                    \
    X(EventQuery, 2000, EventHandle* event)                                                                           \
    X(EventSynchronize, 2000, EventHandle* event)                                                                     \
    X(EventElapsedTime, 2000, float* milliseconds, EventHandle* from, EventHandle* to)                                \
    X(GraphGetNodes, 10000, GraphHandle* graph, NodeHandle** nodes, std::size_t* count)                               \
    X(GraphInstantiateWithFlags, 11040, GraphExecHandle** exec, GraphHandle* graph, unsigned long long flags)         \
    X(GraphLaunch, 10000, GraphExecHandle* exec, StreamHandle* stream)                                                \
    X(GraphDestroy, 10000, GraphHandle* graph)                                                                        \
    X(GraphExecDestroy, 10000, GraphExecHandle* exec)                                                                 \
    X(ModuleLoadDataEx, 2010, ModuleHandle** module, const void* image, unsigned count, int* options, void** values)  \
    X(ModuleUnload, 2000, ModuleHandle* module)                                                                       \
    X(ModuleGetFunction, 2000, FunctionHandle** function, ModuleHandle* module, const char* name)                     \
    X(LaunchKernel, 4000, FunctionHandle* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,                \
      unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle* stream,              \
      void** parameters, void** extra)

// A function of the driver and the name that errors give it.
template <typename... P>
struct Call {
    const char* name;
    int (*function)(P...);

    int operator()(P... parameters) const noexcept { return function(parameters...); }
};

// Parameter types out of a parameter list.
template <typename F>
struct CallOf;
template <typename... P>
struct CallOf<int(P...)> {
    using type = Call<P...>;
};

class Driver {
  public:
#define SEATRIAL_CUDA_MEMBER(name, since, ...) CallOf<int(__VA_ARGS__)>::type name{"cu" #name, nullptr};
    SEATRIAL_CUDA_API(SEATRIAL_CUDA_MEMBER)
#undef SEATRIAL_CUDA_MEMBER

    // The library at `path`, loaded once and never unloaded: it has threads of its own. It is not asked for a device yet.
    // Throws Error(unavailable) where it cannot be loaded, is no CUDA driver, or is older than kLeastVersion.
    static const Driver& load(const std::string& path);

    // The CUDA version that the driver serves, as 12020 for 12.2.
    int version() const noexcept { return version_; }
    const std::string& path() const noexcept { return path_; }

    // Throws Error(unavailable): "TensorRT-RTX for CUDA 13 needs driver >= 13.0, found 12.2".
    void require(int version, const std::string& who) const;

    // cuInit, once it has succeeded no more. Throws Error(unavailable): no device, or one that this process may not have.
    void initialise() const;

    // Calls, and throws Error with the function's name where it fails.
    template <typename... P, typename... A>
    void run(const Call<P...>& call, A... arguments) const {
        if (const int code = call(arguments...)) fail(call.name, code);
    }

    // "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory".
    std::string said(const char* call, int code) const;
    // `about`: what was asked for, such as a kernel's name.
    [[noreturn]] void fail(const char* call, int code, const std::string& about = "") const;

  private:
    explicit Driver(const std::string& path);

    std::string path_;
    int version_ = 0;
    mutable std::atomic<bool> initialised_{false};
};

// "12.2" for 12020.
std::string version_text(int version);

}  // namespace seatrial::cuda
