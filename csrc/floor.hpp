// The least that any kernel must do: a load from every cache line of the rows it needs. For: the floor in the benchmark.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seatrial {

// The sum of one byte a cache line, so that the compiler keeps the loads.
inline std::int64_t read_rows(
    const std::uint8_t* pixels, std::ptrdiff_t row_stride, std::int64_t row_bytes, const std::int64_t* rows,
    std::int64_t count) noexcept {
    constexpr std::int64_t LINE = 64;
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const std::uint8_t* row = pixels + rows[i] * row_stride;
        for (std::int64_t b = 0; b < row_bytes; b += LINE) sum += row[b];
    }
    return sum;
}

}  // namespace seatrial
