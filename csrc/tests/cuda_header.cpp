// Whether what csrc/cuda declares is what NVIDIA's own header says. Compiled, never run: needs cuda.h, of any CUDA 12 or 13.
#include <cuda.h>
#include <cudaTypedefs.h>

#include <type_traits>

#include "../cuda/driver.hpp"

using namespace seatrial::cuda;

// Alike in a call: pointers are pointers, and numbers as wide and as signed.
template <typename A, typename B>
constexpr bool alike() {
    if constexpr (std::is_pointer_v<A> || std::is_pointer_v<B>) return std::is_pointer_v<A> && std::is_pointer_v<B>;
    else if constexpr (std::is_enum_v<B>) return std::is_same_v<A, int> && sizeof(B) == sizeof(int);
    else return sizeof(A) == sizeof(B) && std::is_signed_v<A> == std::is_signed_v<B>;
}

template <typename Ours, typename Theirs>
struct Same;
template <typename... A, typename... B>
struct Same<int(A...), CUresult (*)(B...)> {
    static constexpr bool value = [] {
        if constexpr (sizeof...(A) != sizeof...(B)) return false;
        else return (alike<A, B>() && ...);
    }();
};

// The header names each form of a function with the version in which it came.
#define CHECK(name, since, ...) \
    static_assert(Same<int(__VA_ARGS__), PFN_cu##name##_v##since>::value, "cu" #name " is declared otherwise in cuda.h");
SEATRIAL_CUDA_API(CHECK)

static_assert(kSuccess == CUDA_SUCCESS && kOutOfMemory == CUDA_ERROR_OUT_OF_MEMORY && kNoDevice == CUDA_ERROR_NO_DEVICE &&
              kNotReady == CUDA_ERROR_NOT_READY && sizeof(Address) == sizeof(CUdeviceptr));

int main() {}
