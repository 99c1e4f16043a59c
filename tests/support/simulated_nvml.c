// A libnvidia-ml.so.1 that plays a script: a text file of "key value" lines, read anew at each call, so that a test changes what
// the next call answers. "KEY.error N" makes a call fail with that number of nvml.h. Time is virtual where "time" is given, in
// seconds; else it is the monotonic clock. The energy counter moves every "period" seconds, by power_mw times that.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { int unused; } Gpu;
static Gpu gpus[8];
typedef struct { unsigned long long total, free, used; } Memory;

static int found(const char* key, char* value, size_t size) {
    const char* path = getenv("SEATRIAL_SIMULATED_NVML");
    FILE* file = path ? fopen(path, "r") : NULL;
    char line[256];
    int is = 0;
    while (file && fgets(line, sizeof line, file)) {
        const size_t length = strlen(key);
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            is = 1;
        }
    }
    if (file) fclose(file);
    return is;
}

static double number(const char* key, double otherwise) {
    char text[128];
    return found(key, text, sizeof text) ? atof(text) : otherwise;
}

static int error_of(const char* key) {
    char name[160];
    snprintf(name, sizeof name, "%s.error", key);
    return (int)number(name, 0);
}

// What was called with which number, a line each.
static void note(const char* what, unsigned first, unsigned second) {
    const char* path = getenv("SEATRIAL_SIMULATED_NVML_LOG");
    FILE* file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s %u %u\n", what, first, second);
    fclose(file);
}

static int text_of(const char* key, const char* otherwise, char* to, unsigned size) {
    char text[128];
    const int error = error_of(key);
    if (error) return error;
    snprintf(to, size, "%s", found(key, text, sizeof text) ? text : otherwise);
    return 0;
}

static int whole_of(const char* key, double otherwise, unsigned* to) {
    const int error = error_of(key);
    if (!error) *to = (unsigned)number(key, otherwise);
    return error;
}

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return number("time", (double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; note("init", 0, 0); return error_of("init"); }
int nvmlInit_v2(void) { return error_of("init"); }
int nvmlShutdown(void) { note("shutdown", 0, 0); return 0; }
const char* nvmlErrorString(int number_of_error) { (void)number_of_error; return "scripted error"; }
int nvmlSystemGetDriverVersion(char* to, unsigned size) { return text_of("driver", "580.65.06", to, size); }
int nvmlDeviceGetCount_v2(unsigned* to) { return whole_of("count", 1, to); }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu** to) {
    *to = &gpus[index % 8];
    return error_of("handle");
}
int nvmlDeviceGetName(Gpu* gpu, char* to, unsigned size) {
    char key[16];
    snprintf(key, sizeof key, "name%d", (int)(gpu - gpus));
    return text_of(found(key, (char[2]){0}, 2) ? key : "name", "NVIDIA Test", to, size);
}
int nvmlDeviceGetUUID(Gpu* gpu, char* to, unsigned size) {
    const int error = error_of("uuid");
    if (!error) snprintf(to, size, "GPU-%08d-0000", (int)(gpu - gpus));
    return error;
}
int nvmlDeviceGetMemoryInfo(Gpu* gpu, Memory* to) {
    (void)gpu;
    const int error = error_of("memory");
    if (error) return error;
    to->total = 16ull << 30;
    to->used = (unsigned long long)number("memory_used", 1 << 30);
    to->free = to->total - to->used;
    return 0;
}
int nvmlDeviceGetPersistenceMode(Gpu* gpu, unsigned* to) { (void)gpu; return whole_of("persistence", 1, to); }
int nvmlDeviceGetEccMode(Gpu* gpu, unsigned* now, unsigned* next) {
    (void)gpu;
    *next = 0;
    return whole_of("ecc", 1, now);
}
int nvmlDeviceGetMigMode(Gpu* gpu, unsigned* now, unsigned* next) {
    (void)gpu;
    *next = 0;
    return whole_of("mig", 0, now);
}
int nvmlDeviceGetEnforcedPowerLimit(Gpu* gpu, unsigned* to) { (void)gpu; return whole_of("power_limit_mw", 300000, to); }
int nvmlDeviceGetClockInfo(Gpu* gpu, int kind, unsigned* to) {
    char key[16];
    snprintf(key, sizeof key, "clock%d", (int)(gpu - gpus));
    return kind == 1 ? whole_of("clock", number(key, 1980), to) : whole_of("memory_clock", 2619, to);
}
int nvmlDeviceGetMaxClockInfo(Gpu* gpu, int kind, unsigned* to) { (void)gpu; (void)kind; return whole_of("max_clock", 1980, to); }
#ifndef OLD_DRIVER
int nvmlDeviceGetCurrentClocksEventReasons(Gpu* gpu, unsigned long long* to) {
    (void)gpu;
    *to = (unsigned long long)number("reasons", 0);
    return error_of("reasons");
}
#endif
int nvmlDeviceGetCurrentClocksThrottleReasons(Gpu* gpu, unsigned long long* to) {
    (void)gpu;
    *to = (unsigned long long)number("reasons", 0);
    return error_of("reasons");
}
int nvmlDeviceGetPowerUsage(Gpu* gpu, unsigned* to) { (void)gpu; return whole_of("power_mw", 100000, to); }
int nvmlDeviceGetTemperature(Gpu* gpu, int sensor, unsigned* to) { (void)gpu; (void)sensor; return whole_of("celsius", 55, to); }
int nvmlDeviceGetTotalEnergyConsumption(Gpu* gpu, unsigned long long* to) {
    (void)gpu;
    const double period = number("period", 0.1);
    *to = (unsigned long long)(number("energy_base", 0) + floor(now_s() / period) * period * number("power_mw", 100000));
    return error_of("energy");
}
int nvmlDeviceGetDefaultApplicationsClock(Gpu* gpu, int kind, unsigned* to) {
    (void)gpu;
    (void)kind;
    return whole_of("base_clock", 1395, to);
}
int nvmlDeviceSetGpuLockedClocks(Gpu* gpu, unsigned least, unsigned most) {
    (void)gpu;
    const int error = error_of("lock");
    if (!error) note("lock", least, most);
    return error;
}
int nvmlDeviceResetGpuLockedClocks(Gpu* gpu) {
    (void)gpu;
    note("unlock", 0, 0);
    return error_of("unlock");
}
