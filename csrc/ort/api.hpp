// The part of ONNX Runtime's C API that a measurement needs, taken from the installed wheel's own library by dlopen.
//
// The API is a table of functions that only ever grows at its end (onnxruntime_c_api.h), so a function is known by its
// place in it, and what is built here runs with every later version. Nothing of ONNX Runtime is linked or included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

namespace seatrial::ort {

// Opaque on this side.
struct Status;
struct Env;
struct Options;
struct Session;
struct Value;
struct MemoryInfo;
struct Binding;
struct Allocator;
struct TypeInfo;
struct TensorInfo;
struct CudaOptions;
struct TensorRtOptions;
struct RunOptions;
struct EpDevice;
struct HardwareDevice;
struct Subgraph;
struct Node;

// The version of the table that is asked for: onnxruntime 1.12. Each entry below is as old or older.
constexpr std::uint32_t kApiVersion = 12;

// X(name, place, result, parameters)
#define SEATRIAL_ORT_API(X)                                                                                             \
    X(GetErrorMessage, 2, const char*, (const Status*))                                                                 \
    X(CreateEnv, 3, Status*, (int severity, const char* id, Env**))                                                     \
    X(CreateSession, 7, Status*, (const Env*, const char* path, const Options*, Session**))                             \
    X(CreateSessionOptions, 10, Status*, (Options**))                                                                   \
    X(SetSessionExecutionMode, 13, Status*, (Options*, int))                                                            \
    X(EnableMemPattern, 16, Status*, (Options*))                                                                        \
    X(DisableMemPattern, 17, Status*, (Options*))                                                                       \
    X(EnableCpuMemArena, 18, Status*, (Options*))                                                                       \
    X(DisableCpuMemArena, 19, Status*, (Options*))                                                                      \
    X(SetSessionLogSeverityLevel, 22, Status*, (Options*, int))                                                         \
    X(SetSessionGraphOptimizationLevel, 23, Status*, (Options*, int))                                                   \
    X(SetIntraOpNumThreads, 24, Status*, (Options*, int))                                                               \
    X(SetInterOpNumThreads, 25, Status*, (Options*, int))                                                               \
    X(SessionGetInputCount, 30, Status*, (const Session*, std::size_t*))                                                \
    X(SessionGetOutputCount, 31, Status*, (const Session*, std::size_t*))                                               \
    X(SessionGetInputTypeInfo, 33, Status*, (const Session*, std::size_t, TypeInfo**))                                  \
    X(SessionGetOutputTypeInfo, 34, Status*, (const Session*, std::size_t, TypeInfo**))                                 \
    X(SessionGetInputName, 36, Status*, (const Session*, std::size_t, Allocator*, char**))                              \
    X(SessionGetOutputName, 37, Status*, (const Session*, std::size_t, Allocator*, char**))                             \
    X(CreateRunOptions, 39, Status*, (RunOptions**))                                                                    \
    X(CreateTensorWithDataAsOrtValue, 49, Status*,                                                                      \
      (const MemoryInfo*, void*, std::size_t bytes, const std::int64_t* shape, std::size_t rank, int type, Value**))    \
    X(GetTensorMutableData, 51, Status*, (Value*, void**))                                                              \
    X(CastTypeInfoToTensorInfo, 55, Status*, (const TypeInfo*, const TensorInfo**))                                     \
    X(GetTensorElementType, 60, Status*, (const TensorInfo*, int*))                                                     \
    X(GetDimensionsCount, 61, Status*, (const TensorInfo*, std::size_t*))                                               \
    X(GetDimensions, 62, Status*, (const TensorInfo*, std::int64_t*, std::size_t))                                      \
    X(GetTensorTypeAndShape, 65, Status*, (const Value*, TensorInfo**))                                                 \
    X(CreateMemoryInfo, 68, Status*, (const char* name, int allocator, int device, int memory, MemoryInfo**))           \
    X(CreateCpuMemoryInfo, 69, Status*, (int allocator, int memory, MemoryInfo**))                                      \
    X(AllocatorFree, 76, Status*, (Allocator*, void*))                                                                  \
    X(GetAllocatorWithDefaultOptions, 78, Status*, (Allocator**))                                                       \
    X(ReleaseStatus, 93, void, (Status*))                                                                               \
    X(ReleaseMemoryInfo, 94, void, (MemoryInfo*))                                                                       \
    X(ReleaseSession, 95, void, (Session*))                                                                             \
    X(ReleaseValue, 96, void, (Value*))                                                                                 \
    X(ReleaseRunOptions, 97, void, (RunOptions*))                                                                       \
    X(ReleaseTypeInfo, 98, void, (TypeInfo*))                                                                           \
    X(ReleaseTensorTypeAndShapeInfo, 99, void, (TensorInfo*))                                                           \
    X(ReleaseSessionOptions, 100, void, (Options*))                                                                     \
    X(AddFreeDimensionOverrideByName, 124, Status*, (Options*, const char*, std::int64_t))                              \
    X(AddSessionConfigEntry, 130, Status*, (Options*, const char*, const char*))                                        \
    X(RunWithBinding, 133, Status*, (Session*, const RunOptions*, const Binding*))                                      \
    X(CreateIoBinding, 134, Status*, (Session*, Binding**))                                                             \
    X(ReleaseIoBinding, 135, void, (Binding*))                                                                          \
    X(BindInput, 136, Status*, (Binding*, const char*, const Value*))                                                   \
    X(BindOutput, 137, Status*, (Binding*, const char*, const Value*))                                                  \
    X(BindOutputToDevice, 138, Status*, (Binding*, const char*, const MemoryInfo*))                                     \
    X(GetBoundOutputValues, 140, Status*, (const Binding*, Allocator*, Value***, std::size_t*))                         \
    X(AddRunConfigEntry, 165, Status*, (RunOptions*, const char*, const char*))                                         \
    X(SessionOptionsAppendExecutionProvider_TensorRT_V2, 170, Status*, (Options*, const TensorRtOptions*))              \
    X(CreateTensorRTProviderOptions, 171, Status*, (TensorRtOptions**))                                                 \
    X(UpdateTensorRTProviderOptions, 172, Status*,                                                                      \
      (TensorRtOptions*, const char* const* keys, const char* const* values, std::size_t))                              \
    X(ReleaseTensorRTProviderOptions, 174, void, (TensorRtOptions*))                                                    \
    X(SynchronizeBoundInputs, 202, Status*, (Binding*))                                                                 \
    X(SynchronizeBoundOutputs, 203, Status*, (Binding*))                                                                \
    X(SessionOptionsAppendExecutionProvider_CUDA_V2, 204, Status*, (Options*, const CudaOptions*))                      \
    X(CreateCUDAProviderOptions, 205, Status*, (CudaOptions**))                                                         \
    X(UpdateCUDAProviderOptions, 206, Status*,                                                                          \
      (CudaOptions*, const char* const* keys, const char* const* values, std::size_t))                                  \
    X(ReleaseCUDAProviderOptions, 208, void, (CudaOptions*))

// What onnxruntime 1.24 brought: providers by plugin, and the record of which node runs on which.
constexpr std::uint32_t kNewerVersion = 24;

#define SEATRIAL_ORT_NEWER_API(X)                                                                                       \
    X(RegisterExecutionProviderLibrary, 301, Status*, (Env*, const char* name, const char* path))                       \
    X(GetEpDevices, 303, Status*, (const Env*, const EpDevice* const**, std::size_t*))                                  \
    X(SessionOptionsAppendExecutionProvider_V2, 304, Status*,                                                           \
      (Options*, Env*, const EpDevice* const*, std::size_t, const char* const* keys, const char* const* values, std::size_t)) \
    X(HardwareDevice_Type, 307, int, (const HardwareDevice*))                                                           \
    X(EpDevice_EpName, 312, const char*, (const EpDevice*))                                                             \
    X(EpDevice_Device, 316, const HardwareDevice*, (const EpDevice*))                                                   \
    X(EpDevice_MemoryInfo, 374, const MemoryInfo*, (const EpDevice*, int memory))                                       \
    X(Session_GetEpGraphAssignmentInfo, 407, Status*, (const Session*, const Subgraph* const**, std::size_t*))          \
    X(EpAssignedSubgraph_GetEpName, 408, Status*, (const Subgraph*, const char**))                                      \
    X(EpAssignedSubgraph_GetNodes, 409, Status*, (const Subgraph*, const Node* const**, std::size_t*))                  \
    X(EpAssignedNode_GetName, 410, Status*, (const Node*, const char**))                                                \
    X(EpAssignedNode_GetDomain, 411, Status*, (const Node*, const char**))                                              \
    X(EpAssignedNode_GetOperatorType, 412, Status*, (const Node*, const char**))

struct Api {
#define SEATRIAL_ORT_MEMBER(name, place, result, parameters) result(*name) parameters;
    SEATRIAL_ORT_API(SEATRIAL_ORT_MEMBER)
#undef SEATRIAL_ORT_MEMBER

    explicit Api(const void* table);
};

struct NewerApi {
#define SEATRIAL_ORT_MEMBER(name, place, result, parameters) result(*name) parameters;
    SEATRIAL_ORT_NEWER_API(SEATRIAL_ORT_MEMBER)
#undef SEATRIAL_ORT_MEMBER

    explicit NewerApi(const void* table);
};

// What ONNX Runtime said; or why its library does not serve.
struct Error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A library that was loaded, with its one environment. Loaded once a path, never unloaded: it has threads of its own.
struct Library {
    Api api;
    std::string version;
    Env* env;
    std::unique_ptr<NewerApi> newer;  // null: this library is older than kNewerVersion

    // Throws Error where the file is not ONNX Runtime, or is older than kApiVersion.
    static const Library& load(const std::string& path);

    // Throws Error with the status's message, and releases it. Null is success.
    void check(Status* status) const;
};

}  // namespace seatrial::ort
