#include "options.hpp"

#include <map>
#include <mutex>

namespace seatrial::ort {

namespace {

constexpr int kErrorsOnly = 3;
constexpr char kCpu[] = "CPUExecutionProvider";

// Keys and values as the API takes them; they live as long as the entries do.
struct Words {
    explicit Words(const Entries& entries) {
        for (const auto& [key, value] : entries) {
            keys.push_back(key.c_str());
            values.push_back(value.c_str());
        }
    }
    std::vector<const char*> keys, values;
};

// Once in an environment, and under its provider's name, which some plugins take from there.
void register_plugin(const Library& library, const std::string& provider, const std::string& path) {
    static std::mutex mutex;
    static std::map<std::pair<const Library*, std::string>, bool> known;
    const std::lock_guard<std::mutex> lock(mutex);
    bool& registered = known[{&library, path}];
    if (!registered) library.check(library.newer->RegisterExecutionProviderLibrary(library.env, provider.c_str(), path.c_str()));
    registered = true;
}

const EpDevice* append_plugin(const Library& library, Options* options, const SessionSettings& settings) {
    if (!library.newer) throw Error("ONNX Runtime " + library.version + " takes no provider by plugin; 1.24 or newer does");
    register_plugin(library, settings.provider, settings.plugin);
    const NewerApi& api = *library.newer;
    const EpDevice* const* devices = nullptr;
    std::size_t count = 0;
    library.check(api.GetEpDevices(library.env, &devices, &count));
    const Words words(settings.provider_options);
    for (std::size_t i = 0; i < count; ++i) {
        if (api.EpDevice_EpName(devices[i]) != settings.provider) continue;
        if (api.HardwareDevice_Type(api.EpDevice_Device(devices[i])) != settings.plugin_device) continue;
        library.check(api.SessionOptionsAppendExecutionProvider_V2(options, library.env, devices + i, 1, words.keys.data(),
                                                                   words.values.data(), words.keys.size()));
        return devices[i];
    }
    throw Error("the plugin offers no device for " + settings.provider);
}

const EpDevice* append_provider(const Library& library, Options* options, const SessionSettings& settings) {
    const Api& api = library.api;
    const Words words(settings.provider_options);
    if (!settings.plugin.empty()) return append_plugin(library, options, settings);
    // The table's entries leave the pointer alone where the build has no such provider.
    if (settings.provider == "CUDAExecutionProvider") {
        Held<CudaOptions> own(api.ReleaseCUDAProviderOptions);
        library.check(api.CreateCUDAProviderOptions(&own.pointer));
        library.check(api.UpdateCUDAProviderOptions(own.pointer, words.keys.data(), words.values.data(), words.keys.size()));
        library.check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, own.pointer));
    } else if (settings.provider == "TensorrtExecutionProvider") {
        Held<TensorRtOptions> own(api.ReleaseTensorRTProviderOptions);
        library.check(api.CreateTensorRTProviderOptions(&own.pointer));
        library.check(
            api.UpdateTensorRTProviderOptions(own.pointer, words.keys.data(), words.values.data(), words.keys.size()));
        library.check(api.SessionOptionsAppendExecutionProvider_TensorRT_V2(options, own.pointer));
    } else if (settings.provider != kCpu) {
        throw Error("no way is known to ask for " + settings.provider);
    }
    return nullptr;
}

}  // namespace

const EpDevice* fill(const Library& library, Options* options, const SessionSettings& settings) {
    const Api& api = library.api;
    library.check(api.SetIntraOpNumThreads(options, settings.threads));
    library.check(api.SetInterOpNumThreads(options, settings.inter_threads));
    library.check(api.SetSessionExecutionMode(options, settings.parallel));
    library.check(api.SetSessionLogSeverityLevel(options, kErrorsOnly));
    library.check(api.SetSessionGraphOptimizationLevel(options, settings.graph_optimization));
    library.check(settings.arena ? api.EnableCpuMemArena(options) : api.DisableCpuMemArena(options));
    library.check(settings.memory_pattern ? api.EnableMemPattern(options) : api.DisableMemPattern(options));
    for (const auto& [key, value] : settings.config)
        library.check(api.AddSessionConfigEntry(options, key.c_str(), value.c_str()));
    for (const auto& [name, size] : settings.named_sizes)
        library.check(api.AddFreeDimensionOverrideByName(options, name.c_str(), size));
    return append_provider(library, options, settings);
}

}  // namespace seatrial::ort
