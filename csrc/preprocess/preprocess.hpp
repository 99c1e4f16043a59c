// One image to one tensor in a single pass: resize, place, recolour, scale, lay out. No temporary of image size.
// Not for: decoding, or deciding where the image lies in the tensor (the caller's geometry). Knows no Python.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seatrial {

struct RowKernels;

enum class Interpolation { nearest, linear, area, cubic, antialias_linear, antialias_cubic };
enum class ElementType { f32, f16, u8 };  // i8 is u8 with another table

// Integer YCbCr to BGR: (y' * y_gain + chroma gains + 2^19) >> 20, with y' = max(0, y - y_offset), chroma - 128.
struct YuvCoefficients {
    std::int32_t y_offset, y_gain, u_to_b, u_to_g, v_to_g, v_to_r;
};

// uint8 pixels. `channels` 1, 3 or 4 interleaved; or a luma plane with chroma planes at half resolution where `u` is
// set: then the channels are B, G, R. Strides are in bytes and may be negative.
struct Image {
    const std::uint8_t* pixels;
    std::ptrdiff_t row_stride;
    std::int64_t height, width;
    int channels;
    bool reversed;  // three channels in memory from last to first
    const std::uint8_t *u, *v;
    std::ptrdiff_t chroma_stride;
    int chroma_step;  // 2 where U and V share a plane (NV12), 1 where each has its own (I420)
    YuvCoefficients yuv;
};

// Where the resized image lies in the tensor. Offsets are negative where it is cropped.
struct Placement {
    std::int64_t resized_height, resized_width;
    std::int64_t offset_y, offset_x;
    std::int64_t out_height, out_width;
    Interpolation interpolation;
    std::uint8_t pad;
};

// How one channel's levels become values: `table` holds all 256 results, in the output's type. Where arithmetic gives
// the same 256 results, SIMD code may use that: x * scale, (x * scale - mean), that over std; or, for bytes, x + table[0].
enum class Form { table, scale, scale_mean, scale_mean_std, add };
struct Channel {
    const void* table;
    float scale, mean, std, reciprocal;
};

struct Values {
    ElementType type;
    bool planar;       // NCHW; else NHWC
    bool gray;         // three channels to one, BT.601 as OpenCV's cvtColor; source order B, G, R unless `reversed`
    bool reversed;     // output channel c comes from source channel 2 - c; with gray: the source is R, G, B
    int channels;      // of the output: 1 or 3
    Form form;         // of every channel
    Channel channel[3];
};

struct Output {
    void* data;
    std::ptrdiff_t channel_stride, row_stride;  // bytes; pixels of a row are contiguous
};

struct Job {
    Image image;
    Placement placement;
    Output output;
};

// The cheapest arithmetic that equals the tables of all channels at every level, else Form::table. `floats` are the
// 256 results a channel before they are rounded to the output's type; bytes have none and may pass null.
Form cheapest_form(const Values& values, const float* floats) noexcept;

// Throws std::bad_alloc where there is no memory for a few rows.
void preprocess(const RowKernels& kernels, const Job& job, const Values& values);

// Every job, on `threads` threads at most. Rethrows the first error once all threads have stopped.
void preprocess_batch(const RowKernels& kernels, const Job* jobs, std::size_t count, const Values& values, int threads);

}  // namespace seatrial
