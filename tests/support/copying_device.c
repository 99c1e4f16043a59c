/* ONNX Runtime as it is with a device that copies inputs when they are bound, on a machine without one.

   The real library runs everything; only its CUDA provider is this file's: asked for, nothing is added, so that the CPU
   computes, and BindInput gives the real one a copy of what the host holds at that time, as csrc/ort/session.hpp says. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef REAL
#error "REAL: the path of the real library"
#endif
#define PLACES 413 /* of the table at version 24, as csrc/ort/api.hpp uses them */
#define FLOAT 1

typedef struct {
    const void* (*api)(uint32_t version);
    const char* (*version)(void);
} Base;
typedef void* Status;

static void* real[PLACES];
static void* table[PLACES];
static long bound_count, synchronized_count, awaited_count, left_count;
static char told[4096]; /* provider options, session and run config entries, as "key=value;" */

long copying_device_bound(void) { return bound_count; }
long copying_device_synchronized(void) { return synchronized_count; }
/* Runs that waited for outputs on the device, and outputs that were asked for there. */
long copying_device_awaited(void) { return awaited_count; }
long copying_device_left(void) { return left_count; }
const char* copying_device_told(void) { return told; }
void copying_device_forget(void) { told[0] = 0; }
/* Whether the real library keeps and gives its record, by which all nodes are the CPU's. */
static int records;
void copying_device_records(int on) { records = on; }

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
static void tell(const char* key, const char* value) {
    if (strlen(told) + strlen(key) + strlen(value) + 3 < sizeof told)
        strcat(strcat(strcat(strcat(told, key), "="), value), ";");
}
static Status update_options(void* options, const char* const* keys, const char* const* values, size_t count) {
    (void)options;
    for (size_t i = 0; i < count; ++i) tell(keys[i], values[i]);
    return 0;
}
/* All nodes are the CPU's here, and the session must not refuse them. */
static Status session_entry(void* options, const char* key, const char* value) {
    tell(key, value);
    return records ? CALL(130, (void*, const char*, const char*))(options, key, value) : 0;
}
static Status run_entry(void* options, const char* key, const char* value) {
    (void)options;
    tell(key, value);
    return 0;
}
static Status subgraphs(const void* session, const void* const** parts, size_t* count) {
    if (records) return CALL(407, (const void*, const void* const**, size_t*))(session, parts, count);
    *parts = 0, *count = 0;
    return 0;
}
static Status number(int place, const char* key, void* options, int value) {
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    tell(key, text);
    return CALL(place, (void*, int))(options, value);
}
static Status graph_optimization(void* options, int level) { return number(23, "graph_optimization", options, level); }
static Status mode(void* options, int parallel) { return number(13, "parallel", options, parallel); }
static Status inter(void* options, int threads) { return number(25, "inter_op", options, threads); }
static Status no_pattern(void* options) { return tell("memory_pattern", "0"), CALL(17, (void*))(options); }
static Status no_arena(void* options) { return tell("arena", "0"), CALL(19, (void*))(options); }
static Status awaited_outputs(void* binding) {
    ++awaited_count;
    return CALL(203, (void*))(binding);
}
/* The device's memory is the host's here. */
static Status left_output(void* binding, const char* name, const void* memory) {
    const char* kind;
    void* host;
    TRY(CALL(71, (const void*, const char**))(memory, &kind)); /* MemoryInfoGetName */
    if (strcmp(kind, "Cuda")) return CALL(138, (void*, const char*, const void*))(binding, name, memory);
    ++left_count;
    TRY(CALL(69, (int, int, void**))(0, 0, &host)); /* CreateCpuMemoryInfo */
    const Status status = CALL(138, (void*, const char*, const void*))(binding, name, host);
    ((void (*)(void*))real[94])(host); /* ReleaseMemoryInfo */
    return status;
}

static const Base* base(void) {
    void* library = dlopen(REAL, RTLD_NOW | RTLD_LOCAL);
    return library ? ((const Base* (*)(void))dlsym(library, "OrtGetApiBase"))() : 0;
}

static const void* api(uint32_t version) {
    memcpy(real, base()->api(version), sizeof real);
    memcpy(table, real, sizeof real);
    table[13] = (void*)mode;
    table[17] = (void*)no_pattern;
    table[19] = (void*)no_arena;
    table[23] = (void*)graph_optimization;
    table[25] = (void*)inter;
    table[130] = (void*)session_entry;
    table[136] = (void*)bind_copy;
    table[138] = (void*)left_output;
    table[165] = (void*)run_entry;
    table[202] = (void*)synchronized_inputs;
    table[203] = (void*)awaited_outputs;
    table[204] = (void*)append_cuda;
    table[205] = (void*)create_options;
    table[206] = (void*)update_options;
    table[208] = (void*)release_options;
    table[407] = (void*)subgraphs;
    return table;
}

#ifdef VERSION
static const char* version(void) { return VERSION; }
#else
static const char* version(void) { return base()->version(); }
#endif
static const Base ours = {api, version};

const Base* OrtGetApiBase(void) { return &ours; }
