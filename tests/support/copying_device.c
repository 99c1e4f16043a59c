/* ONNX Runtime as it is with a device that copies inputs when they are bound, on a machine without one.

   The real library runs everything; only its CUDA provider is this file's: asked for, nothing is added, so that the CPU
   computes, and BindInput gives the real one a copy of what the host holds at that time, as csrc/ort/session.hpp says. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#ifndef REAL
#error "REAL: the path of the real library"
#endif
#define PLACES 209 /* of the table at version 12 and a few behind it, as csrc/ort/api.hpp uses them */
#define FLOAT 1

typedef struct {
    const void* (*api)(uint32_t version);
    const char* (*version)(void);
} Base;
typedef void* Status;

static void* real[PLACES];
static void* table[PLACES];
static long bound_count, synchronized_count;

long copying_device_bound(void) { return bound_count; }
long copying_device_synchronized(void) { return synchronized_count; }

#define CALL(place, type) ((Status(*) type)real[place])
#define TRY(call)                            \
    do {                                     \
        const Status status = (call);        \
        if (status) return status;           \
    } while (0)

static Status bind_copy(void* binding, const char* name, void* value) {
    void *info, *allocator, *copy, *from, *to;
    int64_t shape[16];
    size_t rank, count = 1;
    int type;
    TRY(CALL(65, (void*, void**))(value, &info)); /* GetTensorTypeAndShape */
    TRY(CALL(60, (void*, int*))(info, &type));    /* GetTensorElementType */
    TRY(CALL(61, (void*, size_t*))(info, &rank)); /* GetDimensionsCount */
    TRY(CALL(62, (void*, int64_t*, size_t))(info, shape, rank));
    ((void (*)(void*))real[99])(info);
    if (type != FLOAT) return CALL(0, (int, const char*))(1, "this device copies floats"); /* CreateStatus */
    for (size_t i = 0; i < rank; ++i) count *= (size_t)shape[i];
    TRY(CALL(78, (void**))(&allocator)); /* GetAllocatorWithDefaultOptions */
    TRY(CALL(48, (void*, const int64_t*, size_t, int, void**))(allocator, shape, rank, type, &copy));
    TRY(CALL(51, (void*, void**))(value, &from)); /* GetTensorMutableData */
    TRY(CALL(51, (void*, void**))(copy, &to));
    memcpy(to, from, count * sizeof(float));
    TRY(CALL(136, (void*, const char*, void*))(binding, name, copy)); /* BindInput, which keeps it alive */
    ((void (*)(void*))real[96])(copy);
    ++bound_count;
    return 0;
}

static Status synchronized_inputs(void* binding) {
    ++synchronized_count;
    return CALL(202, (void*))(binding);
}
static Status append_cuda(void* options, const void* cuda) { return (void)options, (void)cuda, (Status)0; }
static Status create_options(void** options) { return *options = real, (Status)0; }
static void release_options(void* options) { (void)options; }
/* All nodes are the CPU's here, and the session must not refuse them. */
static Status no_entry(void* options, const char* key, const char* value) {
    return (void)options, (void)key, (void)value, (Status)0;
}

static const Base* base(void) {
    void* library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    return library ? ((const Base* (*)(void))dlsym(library, "OrtGetApiBase"))() : 0;
}

static const void* api(uint32_t version) {
    memcpy(real, base()->api(version), sizeof real);
    memcpy(table, real, sizeof real);
    table[130] = (void*)no_entry;
    table[136] = (void*)bind_copy;
    table[202] = (void*)synchronized_inputs;
    table[204] = (void*)append_cuda;
    table[205] = (void*)create_options;
    table[208] = (void*)release_options;
    return table;
}

static const char* version(void) { return base()->version(); }
static const Base ours = {api, version};

const Base* OrtGetApiBase(void) { return &ours; }
