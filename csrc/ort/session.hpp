// A model loaded by ONNX Runtime, and requests to it whose inputs and outputs are bound before they are timed.
// Knows shapes and element types as ONNX numbers them; names for them are Python's.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "../timing/work.hpp"
#include "api.hpp"
#include "options.hpp"

namespace seatrial::ort {

struct Port {
    std::string name;
    int type = 0;                     // ONNXTensorElementDataType; 0: not a tensor
    std::vector<std::int64_t> shape;  // -1: known only in a run
};

// A node, and the provider that runs it: by ONNX Runtime's record, where the session was told to keep one.
struct Assigned {
    std::string provider, domain, kind, name;
};

// Whether inputs bound for a provider are read where they lie in host memory, in each run. For every other one ONNX Runtime
// copies them to the device WHEN THEY ARE BOUND: a run later reads that copy, whatever the host's memory holds by then.
// OpenVINO's plugin too, also on the CPU.
bool reads_host_memory(const std::string& provider);

class LoadedModel {
  public:
    // Throws Error with ONNX Runtime's own words.
    LoadedModel(const Library& library, const std::string& path, const SessionSettings& settings);
    ~LoadedModel();
    LoadedModel(const LoadedModel&) = delete;
    LoadedModel& operator=(const LoadedModel&) = delete;

    const std::vector<Port>& inputs() const { return inputs_; }
    const std::vector<Port>& outputs() const { return outputs_; }
    const Library& library() const { return library_; }
    Session* session() const { return session_; }
    bool reads_host_memory() const { return reads_host_memory_; }
    bool captured() const { return captured_; }
    // Throws Error where the session keeps no record.
    std::vector<Assigned> assigned() const;
    // Where tensors of the device lie; null where it reads host memory.
    const MemoryInfo* device_memory() const { return device_memory_; }

  private:
    const Library& library_;
    bool reads_host_memory_, captured_;
    MemoryInfo* own_memory_ = nullptr;
    const MemoryInfo* device_memory_ = nullptr;
    Session* session_ = nullptr;
    std::vector<Port> inputs_, outputs_;
};

// One client's buffers. Several requests may run at once on one LoadedModel; one request runs once at a time.
//
// on_device: inputs are copied to the device when they are bound, once, and outputs stay there: no run moves anything.
class Request {
  public:
    explicit Request(const LoadedModel& model, bool on_device = false);
    ~Request();
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    // The memory stays the caller's, and must live as long as runs use it. Every run sees what an input holds when it starts; on
    // the device, what it held when it was bound.
    void bind_input(std::size_t index, void* data, std::size_t bytes, const std::vector<std::int64_t>& shape);
    void bind_output(std::size_t index, void* data, std::size_t bytes, const std::vector<std::int64_t>& shape);
    // ONNX Runtime gives the memory of this output, anew each run: its shape depends on the data. On the device, once.
    void leave_output(std::size_t index);

    // One inference. False: take_error() says why.
    bool run() noexcept;
    // The same, once: a later run that succeeds leaves it empty.
    std::string take_error() noexcept { return std::exchange(error_, std::string()); }

    // An output that was bound or left to ONNX Runtime: fetch() after a run, then shape and data until the next fetch.
    void fetch();
    Port fetched_port(std::size_t index) const;
    const void* fetched_data(std::size_t index) const;

    // For the timing loops: self is a Request.
    static int call(void* self, StageSamples& samples) noexcept;

  private:
    Status* upload() noexcept;
    void release() noexcept;
    void release_fetched() noexcept;
    void note(std::size_t output);
    Value* fetched_value(std::size_t index) const;
    void bind(std::vector<Value*>& values, std::size_t index, const Port& port, void* data, std::size_t bytes,
              const std::vector<std::int64_t>& shape);

    const LoadedModel& model_;
    const Api& api_;
    bool on_device_;
    Binding* binding_ = nullptr;
    MemoryInfo* host_ = nullptr;
    RunOptions* run_options_ = nullptr;
    std::vector<Value*> inputs_, outputs_, fetched_;
    std::vector<std::size_t> order_;  // outputs as ONNX Runtime gives them back: in the order of their first binding
    std::vector<std::size_t> left_;
    std::string error_;
};

}  // namespace seatrial::ort
