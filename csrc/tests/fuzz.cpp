// libFuzzer's target: its bytes choose the case. Build with clang++ -fsanitize=fuzzer,address,undefined.
#include "cases.hpp"

namespace {

struct Bytes : seatrial::tests::Choices {
    Bytes(const std::uint8_t* data, std::size_t size) : data(data), left(size) {}
    // When the bytes end, a stream goes on from what they were: short inputs are whole cases.
    std::uint32_t word() override {
        std::uint32_t value = 0;
        if (left >= 2) {
            value = static_cast<std::uint32_t>(data[0] | data[1] << 8);
            data += 2, left -= 2;
        }
        state = (state ^ value) * 2654435761u + 12345u;
        return left >= 2 ? value * 65537u : state >> 7 | state << 25;
    }
    const std::uint8_t* data;
    std::size_t left;
    std::uint32_t state = 1;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes bytes(data, size);
    if (!seatrial::tests::any_case(bytes)) __builtin_trap();
    return 0;
}
