/* The least code that runs a model through ONNX Runtime's C API and times it: what single_stream.py compares with.
 *
 * Written apart from csrc/ on purpose, in plain C, with nothing of seatrial in it. Places in the function table are those
 * of onnxruntime_c_api.h, which only ever grows at its end.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

typedef struct { const void* (*GetApi)(uint32_t); const char* (*GetVersionString)(void); } Base;
static void* const* api;
static void *session, *binding;
#define CALL(place, ...) (((void* (*)())api[place])(__VA_ARGS__))
#define CHECK(call)                                                                        \
    do {                                                                                   \
        void* status = (call);                                                             \
        if (status) {                                                                      \
            fprintf(stderr, "%s\n", ((const char* (*)(const void*))api[2])(status));       \
            return 1;                                                                      \
        }                                                                                  \
    } while (0)

int bare_open(const char* library, const char* model, const char* input, float* x, const int64_t* x_shape, size_t x_rank,
              size_t x_bytes, const char* output, float* y, const int64_t* y_shape, size_t y_rank, size_t y_bytes) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), *env, *options, *memory, *in, *out;
    if (!handle) return 2;
    api = ((const Base* (*)(void))dlsym(handle, "OrtGetApiBase"))()->GetApi(12);
    CHECK(CALL(3, 3, "bare", &env));
    CHECK(CALL(10, &options));
    CHECK(CALL(24, options, 1));
    CHECK(CALL(25, options, 1));
    CHECK(CALL(7, env, model, options, &session));
    CHECK(CALL(69, 0, 0, &memory));
    CHECK(CALL(49, memory, x, x_bytes, x_shape, x_rank, 1, &in));
    CHECK(CALL(49, memory, y, y_bytes, y_shape, y_rank, 1, &out));
    CHECK(CALL(134, session, &binding));
    CHECK(CALL(136, binding, input, in));
    CHECK(CALL(137, binding, output, out));
    return 0;
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Each run timed on its own. */
int bare_timed(int count, int64_t* out_ns) {
    void* (*run)(void*, const void*, const void*) = (void* (*)(void*, const void*, const void*))api[133];
    for (int i = 0; i < count; ++i) {
        const int64_t began = now();
        if (run(session, NULL, binding)) return 1;
        out_ns[i] = now() - began;
    }
    return 0;
}

/* All runs together, no clock between them. */
int64_t bare_total_ns(int count) {
    void* (*run)(void*, const void*, const void*) = (void* (*)(void*, const void*, const void*))api[133];
    const int64_t began = now();
    for (int i = 0; i < count; ++i)
        if (run(session, NULL, binding)) return -1;
    return now() - began;
}
