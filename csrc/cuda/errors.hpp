// What the driver's error codes mean, and what helps. For: messages. Not for: deciding what to do about them.
#pragma once

#include <stdexcept>
#include <string>

namespace seatrial::cuda {

constexpr int kSuccess = 0, kOutOfMemory = 2, kNoDevice = 100, kNotReady = 600;

// unavailable: there is no driver or device to work with; memory: there is not enough; clock: the device's and the host's
// disagree; misuse: seatrial's caller asked for what cannot be; failed: all else.
enum class Kind : int { failed = 0, unavailable = 1, memory = 2, clock = 3, misuse = 4 };

// `call` and `code` are empty and 0 where no function of the driver failed.
struct Error : std::runtime_error {
    Error(Kind k, const std::string& message, const std::string& function = "", int number = 0)
        : std::runtime_error(message), kind(k), call(function), code(number) {}

    Kind kind;
    std::string call;
    int code;
};

// What helps against a code, as an imperative; never empty.
const char* cure(int code) noexcept;

// Whether the code says that this process cannot have a device, whatever it asks for.
bool is_unavailable(int code) noexcept;

// "1.5 GiB", "512 bytes".
std::string bytes_text(unsigned long long bytes);

}  // namespace seatrial::cuda
