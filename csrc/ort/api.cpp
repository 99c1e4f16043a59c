#include "api.hpp"

#include <cstdio>
#include <map>
#include <memory>
#include <mutex>

#if !defined(_WIN32)
#include <dlfcn.h>
#endif

namespace seatrial::ort {

namespace {

struct ApiBase {
    const void* (*GetApi)(std::uint32_t version);
    const char* (*GetVersionString)();
};

constexpr int kErrorsOnly = 3;

using GetApiBase = const ApiBase* (*)();

GetApiBase find(const std::string& path) {
#if defined(_WIN32)
    throw Error(path + ": loading ONNX Runtime's library is not supported on Windows");
#else
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw Error(path + ": the library cannot be loaded: " + dlerror());
    const auto get = reinterpret_cast<GetApiBase>(dlsym(handle, "OrtGetApiBase"));
    if (!get) throw Error(path + ": expected ONNX Runtime's library, but it has no OrtGetApiBase");
    return get;
#endif
}

// By its number: a library that is asked for a version that it has not says so on the terminal.
bool is_new(const std::string& version) {
    int major = 0, minor = 0;
    return std::sscanf(version.c_str(), "%d.%d", &major, &minor) == 2 &&
           (major > 1 || minor >= static_cast<int>(kNewerVersion));
}

}  // namespace

Api::Api(const void* table) {
    const auto* places = static_cast<void* const*>(table);
#define SEATRIAL_ORT_FILL(name, place, result, parameters) name = reinterpret_cast<result(*) parameters>(places[place]);
    SEATRIAL_ORT_API(SEATRIAL_ORT_FILL)
#undef SEATRIAL_ORT_FILL
}

NewerApi::NewerApi(const void* table) {
    const auto* places = static_cast<void* const*>(table);
#define SEATRIAL_ORT_FILL(name, place, result, parameters) name = reinterpret_cast<result(*) parameters>(places[place]);
    SEATRIAL_ORT_NEWER_API(SEATRIAL_ORT_FILL)
#undef SEATRIAL_ORT_FILL
}

const Library& Library::load(const std::string& path) {
    static std::mutex mutex;
    static std::map<std::string, std::unique_ptr<Library>> loaded;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto known = loaded.find(path);
    if (known != loaded.end()) return *known->second;
    const ApiBase* base = find(path)();
    const void* table = base->GetApi(kApiVersion);
    if (!table) throw Error(path + ": ONNX Runtime " + base->GetVersionString() + " is too old; 1.12 or newer is needed");
    auto library = std::make_unique<Library>(Library{Api(table), base->GetVersionString(), nullptr, nullptr});
    const void* newer = is_new(library->version) ? base->GetApi(kNewerVersion) : nullptr;
    if (newer) library->newer = std::make_unique<NewerApi>(newer);
    library->check(library->api.CreateEnv(kErrorsOnly, "seatrial", &library->env));
    return *(loaded[path] = std::move(library));
}

void Library::check(Status* status) const {
    if (!status) return;
    const std::string message = api.GetErrorMessage(status);
    api.ReleaseStatus(status);
    throw Error(message);
}

}  // namespace seatrial::ort
