#include "session.hpp"

#include <algorithm>

namespace seatrial::ort {

namespace {

constexpr int kSequential = 0, kErrorsOnly = 3;
constexpr int kDeviceAllocator = 0, kDefaultMemory = 0;
constexpr char kCpu[] = "CPUExecutionProvider";

// Released on every way out.
template <typename T>
class Held {
  public:
    explicit Held(void (*release)(T*)) : release_(release) {}
    ~Held() {
        if (pointer) release_(pointer);
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    T* pointer = nullptr;

  private:
    void (*release_)(T*);
};

void append_provider(const Library& library, Options* options, const std::string& provider) {
    const Api& api = library.api;
    // The table's entries leave the pointer alone where the build has no such provider.
    if (provider == "CUDAExecutionProvider") {
        Held<CudaOptions> own(api.ReleaseCUDAProviderOptions);
        library.check(api.CreateCUDAProviderOptions(&own.pointer));
        library.check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(options, own.pointer));
    } else if (provider == "TensorrtExecutionProvider") {
        Held<TensorRtOptions> own(api.ReleaseTensorRTProviderOptions);
        library.check(api.CreateTensorRTProviderOptions(&own.pointer));
        library.check(api.SessionOptionsAppendExecutionProvider_TensorRT_V2(options, own.pointer));
    } else if (provider != kCpu) {
        throw Error("no way is known to ask for " + provider);
    }
    // Nodes that the device cannot run would otherwise go to the CPU without a word.
    if (provider != kCpu)
        library.check(api.AddSessionConfigEntry(options, "session.disable_cpu_ep_fallback", "1"));
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
    : library_(library), reads_host_memory_(ort::reads_host_memory(settings.provider)) {
    const Api& api = library.api;
    Held<Options> options(api.ReleaseSessionOptions);
    library.check(api.CreateSessionOptions(&options.pointer));
    library.check(api.SetIntraOpNumThreads(options.pointer, settings.threads));
    library.check(api.SetInterOpNumThreads(options.pointer, 1));
    library.check(api.SetSessionExecutionMode(options.pointer, kSequential));
    library.check(api.SetSessionLogSeverityLevel(options.pointer, kErrorsOnly));
    append_provider(library, options.pointer, settings.provider);
    for (const auto& [name, size] : settings.named_sizes)
        library.check(api.AddFreeDimensionOverrideByName(options.pointer, name.c_str(), size));
    library.check(api.CreateSession(library.env, path.c_str(), options.pointer, &session_));
    try {
        std::size_t count = 0;
        library.check(api.SessionGetInputCount(session_, &count));
        inputs_ = ports(library, session_, count, api.SessionGetInputTypeInfo, api.SessionGetInputName);
        library.check(api.SessionGetOutputCount(session_, &count));
        outputs_ = ports(library, session_, count, api.SessionGetOutputTypeInfo, api.SessionGetOutputName);
    } catch (...) {
        api.ReleaseSession(session_);
        throw;
    }
}

LoadedModel::~LoadedModel() { library_.api.ReleaseSession(session_); }

Request::Request(const LoadedModel& model)
    : model_(model), api_(model.library().api), inputs_(model.inputs().size()), outputs_(model.outputs().size()) {
    model.library().check(api_.CreateCpuMemoryInfo(kDeviceAllocator, kDefaultMemory, &host_));
    try {
        model.library().check(api_.CreateIoBinding(model.session(), &binding_));
    } catch (...) {
        api_.ReleaseMemoryInfo(host_);
        throw;
    }
}

Request::~Request() {
    release_fetched();
    api_.ReleaseIoBinding(binding_);
    for (const auto* values : {&inputs_, &outputs_})
        for (Value* value : *values)
            if (value) api_.ReleaseValue(value);
    api_.ReleaseMemoryInfo(host_);
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
    if (model_.reads_host_memory()) model_.library().check(api_.BindInput(binding_, port.name.c_str(), inputs_[index]));
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
    model_.library().check(api_.BindOutputToDevice(binding_, port.name.c_str(), host_));
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
    if (!model_.reads_host_memory()) status = upload();
    // A bound output would keep the shape of its last run.
    for (const std::size_t index : left_)
        if (!status) status = api_.BindOutputToDevice(binding_, model_.outputs()[index].name.c_str(), host_);
    if (!status) status = api_.RunWithBinding(model_.session(), nullptr, binding_);
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
