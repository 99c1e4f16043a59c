// The row kernels of preprocessing: one table of function pointers an instruction set.
//
// A *pixel row* has 1 byte a pixel (grey) or 4 (three channels and a spare byte, whose value is undefined). A kernel
// reads nothing past the end of a source row or a pixel row, which may be the caller's own, and writes nothing past the
// end of the tensor's. The rows it makes itself, and those between the passes of a resize, live in the pass's own memory,
// where it may go up to ROW_SLACK elements past the end.
#pragma once

#include <cstddef>
#include <cstdint>

#include "preprocess.hpp"

namespace seatrial {

constexpr std::size_t ROW_SLACK = 64;

// Bytes of a pixel in a pixel row, for `channels` of the source.
constexpr int lanes(int channels) { return channels == 1 ? 1 : 4; }

// Two taps a pixel, in groups of four pixels; tables are zero-filled to whole groups.
struct LinearTaps {
    const std::int32_t* offsets;  // bytes from the row's start to the first tap
    // The pair (first, second) in 11-bit fixed point, once for each byte of a pixel row: 8 a pixel. In a group the pixels
    // come as 0, 2, 1, 3: where two registers' words are packed, they fall in order.
    const std::int16_t* weights;
    // Where every two neighbours' taps lie within 16 bytes (null otherwise): `windows` has the start of these for pixels 0
    // and 2 of a group; `picks`, in the order of the weights, says which bytes of it become the pairs as 16-bit words.
    const std::int32_t* windows;
    const std::uint8_t* picks;
    std::int64_t count;
};
constexpr int GROUP_ORDER[4] = {0, 2, 1, 3};  // its own inverse

// N taps a pixel, in groups of four. Weights are split as high * 2^11 + low with 0 <= low < 2^11, so that products stay
// exact in 16-bit multiplications: Pillow's weights have 22 bits.
struct FilterTaps {
    const std::int32_t* offsets;
    const std::int16_t *high, *low;  // groups * 4 a pixel, zero-filled
    std::int64_t count;
    int taps, groups;  // taps: the most that any pixel has
    const std::int32_t* lengths;  // taps of each pixel
};

// Weighted sums over runs of pixels; a run is [first, last) in `source` and `weight`.
struct AreaTaps {
    const std::int32_t* runs;     // count + 1 indices
    const std::int32_t* offsets;  // bytes
    const float* weights;
    std::int64_t count;
};

struct RowKernels {
    // Source row to pixel row. `channels` of the source is 1, 3 or 4 throughout; `bytes` is the source row's length.
    void (*widen)(const std::uint8_t* source, std::int64_t count, std::uint8_t* pixels);
    void (*yuv_to_pixels)(
        const std::uint8_t* y, const std::uint8_t* u, const std::uint8_t* v, int chroma_step, std::int64_t count,
        const YuvCoefficients& coefficients, std::uint8_t* pixels);

    // Resize.
    void (*gather)(
        const std::uint8_t* source, std::int64_t bytes, int channels, const std::int32_t* offsets, std::int64_t count,
        std::uint8_t* pixels);
    void (*halve)(
        const std::uint8_t* upper, const std::uint8_t* lower, std::int64_t bytes, int channels, std::int64_t count,
        std::uint8_t* pixels);
    void (*linear_columns)(
        const std::uint8_t* source, std::int64_t bytes, int channels, const LinearTaps& taps, std::int16_t* out);
    void (*linear_rows)(
        const std::int16_t* first, const std::int16_t* second, int first_weight, int second_weight, std::int64_t count,
        std::uint8_t* pixels);
    void (*cubic_columns)(
        const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps, std::int32_t* out);
    void (*cubic_rows)(
        const std::int32_t* const* rows, const float* weights, std::int64_t count, std::uint8_t* pixels);
    void (*filter_columns)(
        const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps, std::uint8_t* pixels);
    void (*filter_rows)(
        const std::uint8_t* const* rows, const std::int16_t* high, const std::int16_t* low, int taps, std::int64_t count,
        std::uint8_t* pixels);
    void (*area_columns)(const std::uint8_t* source, int channels, const AreaTaps& taps, float* out);
    void (*area_add)(const float* row, float weight, bool first, std::int64_t count, float* sums);
    void (*area_round)(const float* sums, std::int64_t count, std::uint8_t* pixels);
    void (*box_add)(
        const std::uint8_t* source, int channels, int factor, bool first, std::int64_t count, std::int64_t* sums);
    void (*box_round)(const std::int64_t* sums, float scale, std::int64_t count, std::uint8_t* pixels);

    // Pixel row to values.
    void (*to_gray)(const std::uint8_t* pixels, bool reversed, std::int64_t count, std::uint8_t* gray);
    // One channel, the `byte`-th of pixels of `step` bytes (1 or 4). Indexed by ElementType.
    void (*plane[3])(
        const std::uint8_t* pixels, int step, int byte, std::int64_t count, Form form, const Channel& channel,
        void* out);
    // Three channels, interleaved; `order` says which byte of a pixel is output channel c.
    void (*packed[3])(
        const std::uint8_t* pixels, const int* order, std::int64_t count, Form form, const Channel* channels, void* out);
};

}  // namespace seatrial
