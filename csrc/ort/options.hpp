// What a session is opened with, in ONNX Runtime's own terms; which settings there are, and their words, is Python's
// (backends/onnxruntime/settings.py).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "api.hpp"
#include "held.hpp"

namespace seatrial::ort {

using Entries = std::vector<std::pair<std::string, std::string>>;

struct SessionSettings {
    int threads = 1;        // of one operator
    int inter_threads = 1;  // operators that run side by side, where `parallel`
    bool parallel = false;
    int graph_optimization = 99;  // GraphOptimizationLevel: 0 none, 1 basic, 2 extended, 99 all
    bool arena = true;
    bool memory_pattern = true;
    std::string provider = "CPUExecutionProvider";
    Entries config;
    Entries provider_options;
    std::vector<std::pair<std::string, std::int64_t>> named_sizes;
    std::string plugin;     // the library of a provider that is none of ONNX Runtime's own
    int plugin_device = 0;  // OrtHardwareDeviceType: 0 CPU, 1 GPU, 2 NPU
    int device = 0;         // which of the provider's devices, for memory that is bound there
    bool captured = false;  // runs on the device are captured as graphs, and replayed
};

// Throws Error with ONNX Runtime's own words, also where the build or the plugin has no such provider. The device is null for a
// provider that is no plugin.
const EpDevice* fill(const Library& library, Options* options, const SessionSettings& settings);

}  // namespace seatrial::ort
