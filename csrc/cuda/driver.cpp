#include "driver.hpp"

#include <map>
#include <memory>
#include <mutex>

#include <dlfcn.h>

namespace seatrial::cuda {

namespace {

using DriverGetVersion = int (*)(int*);
// Since 12.0, and the one of 11.3, which has no status.
using GetProcAddress2 = int (*)(const char*, void**, int version, std::uint64_t flags, int* status);
using GetProcAddress = int (*)(const char*, void**, int version, std::uint64_t flags);

// The stream 0 of these functions is the legacy one, whatever the caller was compiled for.
constexpr std::uint64_t kLegacyStream = 1;

[[noreturn]] void too_old(const std::string& path, const std::string& what, int needed, int found) {
    throw Error(Kind::unavailable, path + ": " + what + " needs driver >= " + version_text(needed) + ", found " +
                                       version_text(found) + "; update the NVIDIA driver");
}

void* symbol(void* library, const char* name) { return dlsym(library, name); }

}  // namespace

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

Driver::Driver(const std::string& path) : path_(path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char* reason = dlerror();
        throw Error(Kind::unavailable, path + ": the NVIDIA driver's library cannot be loaded (" +
                                           (reason ? reason : "no reason given") +
                                           "); install the driver, or start the container with the GPU (`--gpus all`)");
    }
    const auto get_version = reinterpret_cast<DriverGetVersion>(symbol(library, "cuDriverGetVersion"));
    if (!get_version)
        throw Error(Kind::unavailable, path + ": expected the NVIDIA driver's library, but it has no cuDriverGetVersion; "
                                              "name the driver's libcuda.so.1");
    if (const int code = get_version(&version_))
        throw Error(Kind::unavailable, path + ": cuDriverGetVersion gave error " + std::to_string(code) + "; " + cure(code),
                    "cuDriverGetVersion", code);
    if (version_ < kLeastVersion) too_old(path, "seatrial", kLeastVersion, version_);
    const auto get2 = reinterpret_cast<GetProcAddress2>(symbol(library, "cuGetProcAddress_v2"));
    const auto get1 = reinterpret_cast<GetProcAddress>(symbol(library, "cuGetProcAddress"));
    if (!get2 && !get1)
        throw Error(Kind::unavailable, path + ": it says that it serves CUDA " + version_text(version_) +
                                           ", but has no cuGetProcAddress, which came with 11.3; install the whole driver anew");
    const auto find = [&](const char* name, int since) {
        void* function = nullptr;
        int status = 0;
        const int code = get2 ? get2(name, &function, since, kLegacyStream, &status) : get1(name, &function, since, kLegacyStream);
        if (code != kSuccess || !function)
            throw Error(Kind::unavailable,
                        path + ": " + name + " needs driver >= " + version_text(since) + ", found " + version_text(version_) +
                            ", which has no such function; install the whole NVIDIA driver anew",
                        "cuGetProcAddress", code);
        return function;
    };
#define SEATRIAL_CUDA_FILL(name, since, ...) \
    name.function = reinterpret_cast<decltype(name.function)>(find("cu" #name, since));
    SEATRIAL_CUDA_API(SEATRIAL_CUDA_FILL)
#undef SEATRIAL_CUDA_FILL
}

const Driver& Driver::load(const std::string& path) {
    static std::mutex mutex;
    // Never freed: objects that the interpreter forgets at its very end still use their driver.
    static auto& loaded = *new std::map<std::string, std::unique_ptr<Driver>>;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto known = loaded.find(path);
    if (known != loaded.end()) return *known->second;
    std::unique_ptr<Driver> driver(new Driver(path));
    return *(loaded[path] = std::move(driver));
}

void Driver::require(int version, const std::string& who) const {
    if (version_ < version) too_old(path_, who, version, version_);
}

void Driver::initialise() const {
    if (initialised_.load(std::memory_order_acquire)) return;
    if (const int code = Init(0)) fail(Init.name, code);
    initialised_.store(true, std::memory_order_release);
}

std::string Driver::said(const char* call, int code) const {
    const char *name = nullptr, *text = nullptr;
    if (GetErrorName(code, &name) || !name) name = "unknown to this driver";
    if (GetErrorString(code, &text) || !text) text = "no description";
    return std::string(call) + ": " + name + " (" + std::to_string(code) + "): " + text;
}

void Driver::fail(const char* call, int code, const std::string& about) const {
    const Kind kind = code == kOutOfMemory ? Kind::memory : is_unavailable(code) ? Kind::unavailable : Kind::failed;
    std::string message = said(call, code);
    if (!about.empty()) message += "; " + about;
    throw Error(kind, message + "; " + cure(code), call, code);
}

}  // namespace seatrial::cuda
