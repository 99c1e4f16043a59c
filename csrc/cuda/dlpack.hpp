// DLPack's structures, of its versions 0 (unversioned) and 1: how tensors of one library are handed to another without a copy.
// https://dmlc.github.io/dlpack/latest/c_api.html. Data only; ownership is whoever fills in the deleter's.
#pragma once

#include <cstdint>

namespace seatrial::cuda {

constexpr std::int32_t kDlCuda = 2, kDlCudaHost = 3, kDlCudaManaged = 13;
constexpr std::uint64_t kDlReadOnly = 1;

struct DlDevice {
    std::int32_t type, id;
};

struct DlType {
    std::uint8_t code, bits;
    std::uint16_t lanes;
};

struct DlTensor {
    void* data;
    DlDevice device;
    std::int32_t ndim;
    DlType dtype;
    std::int64_t* shape;
    std::int64_t* strides;  // in elements; null: C order
    std::uint64_t byte_offset;
};

struct DlManaged {
    DlTensor tensor;
    void* owner;
    void (*deleter)(DlManaged*);
};

struct DlVersioned {
    std::uint32_t major, minor;
    void* owner;
    void (*deleter)(DlVersioned*);
    std::uint64_t flags;
    DlTensor tensor;
};

}  // namespace seatrial::cuda
