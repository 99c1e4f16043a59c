#include "session.hpp"

#include <algorithm>
#include <atomic>

namespace seatrial::ort {

namespace {

constexpr int kDeviceAllocator = 0, kDefaultMemory = 0;
constexpr char kCpu[] = "CPUExecutionProvider";

// ONNX Runtime takes any number but -1 for a graph; each request on the device has one of its own.
std::string next_graph() {
    static std::atomic<int> last{0};
    return std::to_string(++last);
}

Port described(const Library& library, const TensorInfo* tensor) {
    const Api& api = library.api;
    Port port;
    if (!tensor) return port;
    std::size_t rank = 0;
    library.check(api.GetTensorElementType(tensor, &port.type));
    library.check(api.GetDimensionsCount(tensor, &rank));
    port.shape.resize(rank);
    if (rank) library.check(api.GetDimensions(tensor, port.shape.data(), rank));
    return port;
}

template <typename GetInfo, typename GetName>
std::vector<Port> ports(const Library& library, const Session* session, std::size_t count, GetInfo get_info, GetName get_name) {
    const Api& api = library.api;
    Allocator* allocator = nullptr;
    library.check(api.GetAllocatorWithDefaultOptions(&allocator));
    std::vector<Port> found;
    for (std::size_t i = 0; i < count; ++i) {
        Held<TypeInfo> info(api.ReleaseTypeInfo);
        library.check(get_info(session, i, &info.pointer));
        const TensorInfo* tensor = nullptr;
        library.check(api.CastTypeInfoToTensorInfo(info.pointer, &tensor));
        Port port = described(library, tensor);
        char* name = nullptr;
        library.check(get_name(session, i, allocator, &name));
        port.name = name;
        library.check(api.AllocatorFree(allocator, name));
        found.push_back(std::move(port));
    }
    return found;
}

}  // namespace

bool reads_host_memory(const std::string& provider) { return provider == kCpu; }

LoadedModel::LoadedModel(const Library& library, const std::string& path, const SessionSettings& settings)
    : library_(library), reads_host_memory_(ort::reads_host_memory(settings.provider)), captured_(settings.captured) {
    const Api& api = library.api;
    Held<Options> options(api.ReleaseSessionOptions);
    library.check(api.CreateSessionOptions(&options.pointer));
    const EpDevice* plugin = fill(library, options.pointer, settings);
    library.check(api.CreateSession(library.env, path.c_str(), options.pointer, &session_));
    try {
        std::size_t count = 0;
        library.check(api.SessionGetInputCount(session_, &count));
        inputs_ = ports(library, session_, count, api.SessionGetInputTypeInfo, api.SessionGetInputName);
        library.check(api.SessionGetOutputCount(session_, &count));
        outputs_ = ports(library, session_, count, api.SessionGetOutputTypeInfo, api.SessionGetOutputName);
        if (plugin) {
            device_memory_ = library.newer->EpDevice_MemoryInfo(plugin, kDefaultMemory);
        } else if (!reads_host_memory_) {
            library.check(api.CreateMemoryInfo("Cuda", kDeviceAllocator, settings.device, kDefaultMemory, &own_memory_));
            device_memory_ = own_memory_;
        }
    } catch (...) {
        api.ReleaseSession(session_);
        throw;
    }
}

LoadedModel::~LoadedModel() {
    if (own_memory_) library_.api.ReleaseMemoryInfo(own_memory_);
    library_.api.ReleaseSession(session_);
}

std::vector<Assigned> LoadedModel::assigned() const {
    if (!library_.newer) throw Error("ONNX Runtime " + library_.version + " keeps no record of nodes; 1.24 or newer does");
    const NewerApi& api = *library_.newer;
    std::vector<Assigned> found;
    const Subgraph* const* parts = nullptr;
    std::size_t count = 0;
    library_.check(api.Session_GetEpGraphAssignmentInfo(session_, &parts, &count));
    for (std::size_t i = 0; i < count; ++i) {
        const char *provider = nullptr, *domain = nullptr, *kind = nullptr, *name = nullptr;
        library_.check(api.EpAssignedSubgraph_GetEpName(parts[i], &provider));
        const Node* const* nodes = nullptr;
        std::size_t size = 0;
        library_.check(api.EpAssignedSubgraph_GetNodes(parts[i], &nodes, &size));
        for (std::size_t n = 0; n < size; ++n) {
            library_.check(api.EpAssignedNode_GetDomain(nodes[n], &domain));
            library_.check(api.EpAssignedNode_GetOperatorType(nodes[n], &kind));
            library_.check(api.EpAssignedNode_GetName(nodes[n], &name));
            found.push_back({provider, domain, kind, name});
        }
    }
    return found;
}

Request::Request(const LoadedModel& model, bool on_device)
    : model_(model),
      api_(model.library().api),
      on_device_(on_device),
      inputs_(model.inputs().size()),
      outputs_(model.outputs().size()) {
    if (on_device && !model.device_memory()) throw Error("the device has no memory of its own to bind tensors in");
    try {
        model.library().check(api_.CreateCpuMemoryInfo(kDeviceAllocator, kDefaultMemory, &host_));
        model.library().check(api_.CreateIoBinding(model.session(), &binding_));
        if (model.captured()) {
            model.library().check(api_.CreateRunOptions(&run_options_));
            // A run that copies its inputs binds them at new addresses, which a captured graph would not read.
            const std::string graph = on_device ? next_graph() : "-1";
            model.library().check(api_.AddRunConfigEntry(run_options_, "gpu_graph_id", graph.c_str()));
        }
    } catch (...) {
        release();
        throw;
    }
}

Request::~Request() {
    release_fetched();
    release();
}

void Request::release() noexcept {
    if (binding_) api_.ReleaseIoBinding(binding_);
    for (const auto* values : {&inputs_, &outputs_})
        for (Value* value : *values)
            if (value) api_.ReleaseValue(value);
    if (run_options_) api_.ReleaseRunOptions(run_options_);
    if (host_) api_.ReleaseMemoryInfo(host_);
}

void Request::bind(std::vector<Value*>& values, std::size_t index, const Port& port, void* data, std::size_t bytes,
                   const std::vector<std::int64_t>& shape) {
    Value* value = nullptr;
    model_.library().check(
        api_.CreateTensorWithDataAsOrtValue(host_, data, bytes, shape.data(), shape.size(), port.type, &value));
    if (values[index]) api_.ReleaseValue(values[index]);
    values[index] = value;
}

void Request::bind_input(std::size_t index, void* data, std::size_t bytes, const std::vector<std::int64_t>& shape) {
    const Port& port = model_.inputs().at(index);
    bind(inputs_, index, port, data, bytes, shape);
    // Where binding copies, a run binds.
    if (!model_.reads_host_memory() && !on_device_) return;
    model_.library().check(api_.BindInput(binding_, port.name.c_str(), inputs_[index]));
    // A provider may only have queued its copy, and the caller may write to the array from here on.
    if (on_device_) model_.library().check(api_.SynchronizeBoundInputs(binding_));
}

void Request::bind_output(std::size_t index, void* data, std::size_t bytes, const std::vector<std::int64_t>& shape) {
    const Port& port = model_.outputs().at(index);
    bind(outputs_, index, port, data, bytes, shape);
    model_.library().check(api_.BindOutput(binding_, port.name.c_str(), outputs_[index]));
    left_.erase(std::remove(left_.begin(), left_.end(), index), left_.end());
    note(index);
}

void Request::leave_output(std::size_t index) {
    const Port& port = model_.outputs().at(index);
    const MemoryInfo* memory = on_device_ ? model_.device_memory() : host_;
    model_.library().check(api_.BindOutputToDevice(binding_, port.name.c_str(), memory));
    // The first run gives it memory that later ones write to again: a captured graph needs it where it is.
    if (on_device_) return;
    if (std::find(left_.begin(), left_.end(), index) == left_.end()) left_.push_back(index);
    note(index);
}

void Request::note(std::size_t output) {
    if (std::find(order_.begin(), order_.end(), output) == order_.end()) order_.push_back(output);
}

// Part of every run: bound once, all of them would answer for the first input, without having moved a byte.
Status* Request::upload() noexcept {
    Status* status = nullptr;
    for (std::size_t i = 0; i < inputs_.size() && !status; ++i)
        if (inputs_[i]) status = api_.BindInput(binding_, model_.inputs()[i].name.c_str(), inputs_[i]);
    // A provider may only have queued its copies.
    return status ? status : api_.SynchronizeBoundInputs(binding_);
}

bool Request::run() noexcept {
    Status* status = nullptr;
    if (!model_.reads_host_memory() && !on_device_) status = upload();
    // A bound output would keep the shape of its last run.
    for (const std::size_t index : left_)
        if (!status) status = api_.BindOutputToDevice(binding_, model_.outputs()[index].name.c_str(), host_);
    if (!status) status = api_.RunWithBinding(model_.session(), run_options_, binding_);
    if (!status && on_device_) status = api_.SynchronizeBoundOutputs(binding_);
    if (!status) return true;
    try {
        error_ = api_.GetErrorMessage(status);
        if (error_.empty()) error_ = "no reason given";
    } catch (...) {
        error_ = "out of memory";  // short enough to need none
    }
    api_.ReleaseStatus(status);
    return false;
}

void Request::release_fetched() noexcept {
    for (Value* value : fetched_) api_.ReleaseValue(value);
    fetched_.clear();
}

void Request::fetch() {
    if (on_device_) throw Error("the outputs lie on the device: no run copies them back");
    release_fetched();
    Allocator* allocator = nullptr;
    model_.library().check(api_.GetAllocatorWithDefaultOptions(&allocator));
    Value** values = nullptr;
    std::size_t count = 0;
    model_.library().check(api_.GetBoundOutputValues(binding_, allocator, &values, &count));
    if (!values) return;
    fetched_.assign(values, values + count);
    model_.library().check(api_.AllocatorFree(allocator, values));
}

Value* Request::fetched_value(std::size_t index) const {
    const auto place = std::find(order_.begin(), order_.end(), index) - order_.begin();
    if (static_cast<std::size_t>(place) >= fetched_.size()) throw Error("output " + std::to_string(index) + " was not bound");
    return fetched_[static_cast<std::size_t>(place)];
}

Port Request::fetched_port(std::size_t index) const {
    Held<TensorInfo> info(api_.ReleaseTensorTypeAndShapeInfo);
    model_.library().check(api_.GetTensorTypeAndShape(fetched_value(index), &info.pointer));
    return described(model_.library(), info.pointer);
}

const void* Request::fetched_data(std::size_t index) const {
    void* data = nullptr;
    model_.library().check(api_.GetTensorMutableData(fetched_value(index), &data));
    return data;
}

int Request::call(void* self, StageSamples& samples) noexcept {
    if (!static_cast<Request*>(self)->run()) return 1;
    samples.lap();
    return 0;
}

}  // namespace seatrial::ort
