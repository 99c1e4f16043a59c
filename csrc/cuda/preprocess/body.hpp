// The arithmetic of preprocessing on a card, one body for nvcc, NVRTC and g++: the bits of csrc/preprocess, pixel by pixel.
// Not for: launching (seatrial.cuda), which taps and weights (csrc/preprocess/taps.cpp makes the tables that this reads).
//
// A plain subset of C++ without headers on the device side. Products and sums of floats are written out as functions that
// round once each: a compiler may not fuse them, and the host is compiled with -ffp-contract=off.
#pragma once

#if defined(__CUDACC__)
#define SEATRIAL_DEVICE __device__ __forceinline__
#define SEATRIAL_UNROLL _Pragma("unroll")
#define SEATRIAL_NO_UNROLL _Pragma("unroll 1")
#else
#include <cmath>
#include <cstring>
#define SEATRIAL_DEVICE inline
#define SEATRIAL_UNROLL
#define SEATRIAL_NO_UNROLL
#endif

namespace seatrial {
namespace device {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using i32 = int;
using i64 = long long;
using u64 = unsigned long long;

// How the resized image is made. The words are csrc/preprocess/README.md's.
enum Method { copy, nearest, linear, halve, box, runs, cubic, width_first, height_first };
constexpr int METHODS = 9;
// What a source pixel is: one byte, three of three or four bytes, or luma and chroma of planes (then B, G, R).
enum Kind { gray, color, planes };
constexpr int KINDS = 3;
enum Type { f32, f16, bytes };
// As csrc/preprocess/preprocess.hpp's Form: what equals the table's 256 results.
enum Form { from_table, scale_only, scale_mean, scale_mean_std, add };

// Of a thread block: 32 columns side by side, and four rows a thread, which share the column's taps.
constexpr int BLOCK_COLUMNS = 32, BLOCK_THREADS_DOWN = 8, ROWS_A_THREAD = 4;

// Taps of the shown part of one axis: the i-th reads source pixels from first[i] on, length[i] of them (methods with a
// fixed number have no lengths), with the weights from i * stride on: integers, or the bits of floats where the method is
// `runs`. Where it is `linear`, the weights are TapPairs, and there is nothing else.
struct Taps {
    const i32 *first, *length, *weights;
    i64 stride;
};

// Two source pixels and their 11-bit weights: 16 bytes, loaded at once. A pixel without weight is the other one again.
struct alignas(16) TapPair {
    i32 first, second, w0, w1;
};

// One image of a batch, and where it lies in its tensor. Strides are bytes; addresses are the device's.
struct Image {
    const u8 *pixels, *u, *v;
    i64 slot;  // bytes from the output's start to this image's tensor
    Taps columns, rows;
    i32 row_stride, chroma_stride;
    i32 width, height;              // of the source
    i32 channels, chroma_step;      // bytes from pixel to pixel; from chroma sample to chroma sample
    i32 left, top, shown_width, shown_height;  // of the shown part, in the tensor
    i32 begin_x, begin_y;           // the first resized column and row that are shown
    i32 box_width, box_height;
    float box_scale;
    i32 padding;                    // to whole eight bytes
};

// What all images of a launch share.
struct Settings {
    const void* tables;  // 256 results a channel, of the output's type
    i64 channel_stride;
    i32 row_stride, out_width, out_height, images;
    i32 type, form;
    // reversed: the source's channels run from the tensor's last to its first; all that is one a channel here, and the
    // tables, are in the source's order. Where three channels become grey: they are R, G, B.
    i32 planar, makes_gray, reversed, channels;
    i32 pad;  // a level
    i32 y_offset, y_gain, u_to_b, u_to_g, v_to_g, v_to_r;
    i32 added[3];
    float scale, mean[3], std[3], reciprocal[3];
};

static_assert(sizeof(Image) == 160 && sizeof(Settings) == 136, "src/seatrial/cuda/layouts.py packs these");

// ---- One rounding an operation ----

#if defined(__CUDA_ARCH__)
SEATRIAL_DEVICE float product(float a, float b) { return __fmul_rn(a, b); }
SEATRIAL_DEVICE float sum(float a, float b) { return __fadd_rn(a, b); }
SEATRIAL_DEVICE float fused(float a, float b, float c) { return __fmaf_rn(a, b, c); }
SEATRIAL_DEVICE i32 rounded(float a) { return __float2int_rn(a); }
SEATRIAL_DEVICE float as_float(i32 bits) { return __int_as_float(bits); }
template <typename T>
SEATRIAL_DEVICE T read(const T* p) { return __ldg(p); }
SEATRIAL_DEVICE TapPair read(const TapPair* p) {
    const int4 v = __ldg(reinterpret_cast<const int4*>(p));
    return {v.x, v.y, v.z, v.w};
}
// One instruction. Of the plain product the compiler makes one of 64 by 64 bits where it has widened the stride early.
SEATRIAL_DEVICE const u8* row_from(const u8* base, i32 y, i32 stride) {
    u64 address;
    asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(address) : "r"(y), "r"(stride), "l"(base));
    return reinterpret_cast<const u8*>(address);
}
SEATRIAL_DEVICE u16 half_bits(float a) {
    u16 bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(a));
    return bits;
}
#elif !defined(__CUDACC__)
inline float product(float a, float b) { return a * b; }
inline float sum(float a, float b) { return a + b; }
inline float fused(float a, float b, float c) { return std::fma(a, b, c); }
inline i32 rounded(float a) { return static_cast<i32>(std::nearbyintf(a)); }
inline float as_float(i32 bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
template <typename T>
inline T read(const T* p) { return *p; }
inline const u8* row_from(const u8* base, i32 y, i32 stride) { return base + static_cast<i64>(y) * stride; }
// To nearest, halves to even; at and above 65520 infinity. A NaN never comes here: such tables are looked up.
inline u16 half_bits(float a) {
    u32 bits;
    std::memcpy(&bits, &a, sizeof bits);
    const u32 sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x47800000) return static_cast<u16>(sign | 0x7c00);
    // Subnormal halves are whole multiples of 2^-24.
    if (magnitude < 0x38800000) return static_cast<u16>(sign | static_cast<u32>(std::nearbyintf(std::fabs(a) * 16777216.0f)));
    return static_cast<u16>(sign | ((magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13));
}
#else
// nvcc's pass over the host's code compiles no device function; it wants their names all the same.
__device__ float product(float, float);
__device__ float sum(float, float);
__device__ float fused(float, float, float);
__device__ i32 rounded(float);
__device__ float as_float(i32);
template <typename T>
__device__ T read(const T*);
__device__ const u8* row_from(const u8*, i32, i32);
__device__ u16 half_bits(float);
#endif

SEATRIAL_DEVICE i32 within(i32 v, i32 low, i32 high) { return v < low ? low : v > high ? high : v; }
SEATRIAL_DEVICE i32 byte_of(i32 v) { return within(v, 0, 255); }

// ---- Source pixels ----

// Levels of one pixel: B, G, R or R, G, B as the source has them; a grey one's in the first.
struct Pixel {
    i32 level[3];
};

SEATRIAL_DEVICE constexpr int levels_of(int kind) { return kind == gray ? 1 : 3; }

struct SourceRow {
    const u8 *pixels, *u, *v;
};

template <int KIND>
SEATRIAL_DEVICE SourceRow row_at(const Image& image, i32 y) {
    SourceRow row{row_from(image.pixels, y, image.row_stride), nullptr, nullptr};
    if (KIND == planes) {
        row.u = row_from(image.u, y >> 1, image.chroma_stride);
        row.v = row_from(image.v, y >> 1, image.chroma_stride);
    }
    return row;
}

// Where a column's bytes lie in any row.
struct Place {
    i32 offset, chroma;
};

template <int KIND>
SEATRIAL_DEVICE Place place_of(const Image& image, i32 x) {
    if (KIND == gray) return {x, 0};
    if (KIND == color) return {x * image.channels, 0};
    return {x, (x >> 1) * image.chroma_step};
}

template <int KIND>
SEATRIAL_DEVICE Pixel pixel_at(const Settings& s, const SourceRow& row, const Place& x) {
    const u8* p = row.pixels + x.offset;
    if (KIND == gray) return {{read(p), 0, 0}};
    if (KIND == color) return {{read(p), read(p + 1), read(p + 2)}};
    const i32 above = read(p) - s.y_offset, u = read(row.u + x.chroma) - 128, v = read(row.v + x.chroma) - 128;
    const i32 luma = (above > 0 ? above : 0) * s.y_gain + (1 << 19);
    return {{byte_of((luma + s.u_to_b * u) >> 20), byte_of((luma + s.u_to_g * u + s.v_to_g * v) >> 20),
             byte_of((luma + s.v_to_r * v) >> 20)}};
}

// ---- Resizing: a column's taps, kept for its rows; then one pixel ----

struct Column {
    Place first, second;    // of two neighbours; methods that need no second leave it
    i32 index, length;      // of the first tap
    i32 w0, w1;
    const i32* weights;
};

SEATRIAL_DEVICE constexpr bool has_lengths(int method) {
    return method == runs || method == width_first || method == height_first;
}

template <int METHOD, int KIND>
SEATRIAL_DEVICE Column column_at(const Image& image, i32 i) {
    Column column{};
    const Taps& taps = image.columns;
    if (METHOD == copy) column.index = image.begin_x + i;
    else if (METHOD == halve) column.index = 2 * (image.begin_x + i);
    else if (METHOD == box) column.index = (image.begin_x + i) * image.box_width;
    else if (METHOD != linear) column.index = read(taps.first + i);
    if (METHOD != linear) column.first = place_of<KIND>(image, column.index);
    if (METHOD == halve) column.second = place_of<KIND>(image, column.index + 1);
    if (METHOD == linear) {
        const TapPair two = read(reinterpret_cast<const TapPair*>(taps.weights) + i);
        column.first = place_of<KIND>(image, two.first);
        column.second = place_of<KIND>(image, two.second);
        column.w0 = two.w0;
        column.w1 = two.w1;
    }
    if (METHOD == cubic) column.weights = taps.weights + 4 * i;
    if (has_lengths(METHOD)) {
        column.length = read(taps.length + i);
        column.weights = taps.weights + i * taps.stride;
    }
    return column;
}

template <int KIND>
SEATRIAL_DEVICE Pixel linear_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    const TapPair y = read(reinterpret_cast<const TapPair*>(image.rows.weights) + i);
    const SourceRow above = row_at<KIND>(image, y.first), below = row_at<KIND>(image, y.second);
    const Pixel a = pixel_at<KIND>(s, above, x.first), b = pixel_at<KIND>(s, above, x.second);
    const Pixel d = pixel_at<KIND>(s, below, x.first), e = pixel_at<KIND>(s, below, x.second);
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) {
        // 11 bits of fraction: the sum of a row keeps its upper bits, and each row's product its upper half.
        const i32 t = (a.level[c] * x.w0 + b.level[c] * x.w1) >> 4, u = (d.level[c] * x.w0 + e.level[c] * x.w1) >> 4;
        out.level[c] = (((t * y.w0) >> 16) + ((u * y.w1) >> 16) + 2) >> 2;
    }
    return out;
}

template <int KIND>
SEATRIAL_DEVICE Pixel halved_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    const i32 y = 2 * (image.begin_y + i);
    const SourceRow upper = row_at<KIND>(image, y), lower = row_at<KIND>(image, y + 1);
    const Pixel a = pixel_at<KIND>(s, upper, x.first), b = pixel_at<KIND>(s, upper, x.second);
    const Pixel d = pixel_at<KIND>(s, lower, x.first), e = pixel_at<KIND>(s, lower, x.second);
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) out.level[c] = (a.level[c] + b.level[c] + d.level[c] + e.level[c] + 2) >> 2;
    return out;
}

template <int KIND>
SEATRIAL_DEVICE Pixel box_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    i64 sums[3] = {0, 0, 0};
    SEATRIAL_NO_UNROLL
    for (i32 down = 0; down < image.box_height; ++down) {
        const SourceRow row = row_at<KIND>(image, (image.begin_y + i) * image.box_height + down);
        SEATRIAL_NO_UNROLL
        for (i32 across = 0; across < image.box_width; ++across) {
            const Pixel p = pixel_at<KIND>(s, row, place_of<KIND>(image, x.index + across));
            SEATRIAL_UNROLL
            for (int c = 0; c < levels_of(KIND); ++c) sums[c] += p.level[c];
        }
    }
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c)
        out.level[c] = byte_of(rounded(product(static_cast<float>(sums[c]), image.box_scale)));
    return out;
}

// Float sums in the order of the source, a row first.
template <int KIND>
SEATRIAL_DEVICE Pixel run_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    const i32 first = read(image.rows.first + i), length = read(image.rows.length + i);
    const i32* weights = image.rows.weights + i * image.rows.stride;
    float sums[3] = {0, 0, 0};
    SEATRIAL_NO_UNROLL
    for (i32 down = 0; down < length; ++down) {
        const SourceRow row = row_at<KIND>(image, first + down);
        float line[3] = {0, 0, 0};
        SEATRIAL_NO_UNROLL
        for (i32 t = 0; t < x.length; ++t) {
            const float weight = as_float(read(x.weights + t));
            const Pixel p = pixel_at<KIND>(s, row, place_of<KIND>(image, x.index + t));
            SEATRIAL_UNROLL
            for (int c = 0; c < levels_of(KIND); ++c) line[c] = sum(line[c], product(static_cast<float>(p.level[c]), weight));
        }
        const float weight = as_float(read(weights + down));
        SEATRIAL_UNROLL
        for (int c = 0; c < levels_of(KIND); ++c) sums[c] = sum(sums[c], product(line[c], weight));
    }
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) out.level[c] = byte_of(rounded(sums[c]));
    return out;
}

// Across in integers; down in floats from the last row to the first.
template <int KIND>
SEATRIAL_DEVICE Pixel cubic_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    const i32 first = read(image.rows.first + i);
    float sums[3] = {0, 0, 0};
    SEATRIAL_NO_UNROLL
    for (i32 down = 3; down >= 0; --down) {
        const SourceRow row = row_at<KIND>(image, within(first + down, 0, image.height - 1));
        i32 line[3] = {0, 0, 0};
        SEATRIAL_UNROLL
        for (i32 t = 0; t < 4; ++t) {
            const i32 weight = read(x.weights + t);
            const Pixel p = pixel_at<KIND>(s, row, place_of<KIND>(image, within(x.index + t, 0, image.width - 1)));
            SEATRIAL_UNROLL
            for (int c = 0; c < levels_of(KIND); ++c) line[c] += p.level[c] * weight;
        }
        const float weight = product(static_cast<float>(read(image.rows.weights + 4 * i + down)), 1.0f / (2048.0f * 2048.0f));
        SEATRIAL_UNROLL
        for (int c = 0; c < levels_of(KIND); ++c) sums[c] = sum(product(static_cast<float>(line[c]), weight), sums[c]);
    }
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) out.level[c] = byte_of(rounded(sums[c]));
    return out;
}

// Pillow's two passes, a byte after each. The inner pass is made again for each row that reads it: at most four times.
template <int KIND, bool WIDTH_FIRST>
SEATRIAL_DEVICE Pixel antialias_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    const i32 top = read(image.rows.first + i), high = read(image.rows.length + i);
    const i32* down_weights = image.rows.weights + i * image.rows.stride;
    const i32 outer = WIDTH_FIRST ? high : x.length, inner = WIDTH_FIRST ? x.length : high;
    const i32* outer_weights = WIDTH_FIRST ? down_weights : x.weights;
    const i32* inner_weights = WIDTH_FIRST ? x.weights : down_weights;
    i32 sums[3] = {1 << 21, 1 << 21, 1 << 21};
    SEATRIAL_NO_UNROLL
    for (i32 o = 0; o < outer; ++o) {
        i32 line[3] = {1 << 21, 1 << 21, 1 << 21};
        SEATRIAL_NO_UNROLL
        for (i32 t = 0; t < inner; ++t) {
            const SourceRow row = row_at<KIND>(image, top + (WIDTH_FIRST ? o : t));
            const Pixel p = pixel_at<KIND>(s, row, place_of<KIND>(image, x.index + (WIDTH_FIRST ? t : o)));
            const i32 weight = read(inner_weights + t);
            SEATRIAL_UNROLL
            for (int c = 0; c < levels_of(KIND); ++c) line[c] += p.level[c] * weight;
        }
        const i32 weight = read(outer_weights + o);
        SEATRIAL_UNROLL
        for (int c = 0; c < levels_of(KIND); ++c) sums[c] += byte_of(line[c] >> 22) * weight;
    }
    Pixel out{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) out.level[c] = byte_of(sums[c] >> 22);
    return out;
}

template <int METHOD, int KIND>
SEATRIAL_DEVICE Pixel resized_pixel(const Image& image, const Settings& s, const Column& x, i32 i) {
    if (METHOD == copy) return pixel_at<KIND>(s, row_at<KIND>(image, image.begin_y + i), x.first);
    if (METHOD == nearest) return pixel_at<KIND>(s, row_at<KIND>(image, read(image.rows.first + i)), x.first);
    if (METHOD == linear) return linear_pixel<KIND>(image, s, x, i);
    if (METHOD == halve) return halved_pixel<KIND>(image, s, x, i);
    if (METHOD == box) return box_pixel<KIND>(image, s, x, i);
    if (METHOD == runs) return run_pixel<KIND>(image, s, x, i);
    if (METHOD == cubic) return cubic_pixel<KIND>(image, s, x, i);
    return antialias_pixel<KIND, METHOD == width_first>(image, s, x, i);
}

// ---- Levels to values ----

// 15-bit BT.601, as OpenCV's cvtColor.
SEATRIAL_DEVICE i32 gray_of(const Settings& s, const Pixel& p) {
    const i32 blue = s.reversed ? 9798 : 3735, red = s.reversed ? 3735 : 9798;
    return (p.level[0] * blue + p.level[1] * 19235 + p.level[2] * red + (1 << 14)) >> 15;
}

// One level where the tensor has one channel.
template <int KIND>
SEATRIAL_DEVICE Pixel recolored(const Settings& s, const Pixel& p) {
    return KIND != gray && s.makes_gray ? Pixel{{gray_of(s, p), 0, 0}} : p;
}

// What arithmetic gives for each channel; the form is one that equals the table.
struct Reals {
    float value[3];
};

template <int KIND>
SEATRIAL_DEVICE Reals reals_of(const Settings& s, const Pixel& p) {
    Reals r{};
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) r.value[c] = product(static_cast<float>(p.level[c]), s.scale);
    if (s.form == scale_only) return r;
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) r.value[c] = sum(r.value[c], -s.mean[c]);
    if (s.form == scale_mean) return r;
    SEATRIAL_UNROLL
    for (int c = 0; c < levels_of(KIND); ++c) {
        // The quotient, by the reciprocal and the exact remainder.
        const float near = product(r.value[c], s.reciprocal[c]);
        r.value[c] = fused(fused(-near, s.std[c], r.value[c]), s.reciprocal[c], near);
    }
    return r;
}

// One value of each channel, `step` bytes apart. Only the first where there is one channel.
template <int KIND, typename T>
SEATRIAL_DEVICE void put(u8* at, const Settings& s, i64 step, T first, T second, T third) {
    *reinterpret_cast<T*>(at) = first;
    if (KIND == gray || s.channels == 1) return;
    *reinterpret_cast<T*>(at + step) = second;
    *reinterpret_cast<T*>(at + 2 * step) = third;
}

template <int KIND, typename T>
SEATRIAL_DEVICE void put_looked_up(u8* at, const Settings& s, i64 step, const Pixel& p) {
    const T* table = static_cast<const T*>(s.tables);
    if (KIND == gray || s.channels == 1) return put<KIND, T>(at, s, step, read(table + p.level[0]), T(), T());
    put<KIND, T>(at, s, step, read(table + p.level[0]), read(table + 256 + p.level[1]), read(table + 512 + p.level[2]));
}

template <int KIND>
SEATRIAL_DEVICE void put_pixel(u8* at, const Settings& s, i64 step, const Pixel& p) {
    if (s.form == from_table) {
        if (s.type == f32) return put_looked_up<KIND, float>(at, s, step, p);
        if (s.type == f16) return put_looked_up<KIND, u16>(at, s, step, p);
        return put_looked_up<KIND, u8>(at, s, step, p);
    }
    if (s.type == bytes)
        return put<KIND, u8>(at, s, step, static_cast<u8>(p.level[0] + s.added[0]), static_cast<u8>(p.level[1] + s.added[1]),
                             static_cast<u8>(p.level[2] + s.added[2]));
    const Reals r = reals_of<KIND>(s, p);
    if (s.type == f32) return put<KIND, float>(at, s, step, r.value[0], r.value[1], r.value[2]);
    put<KIND, u16>(at, s, step, half_bits(r.value[0]), half_bits(r.value[1]), half_bits(r.value[2]));
}

// What one thread does: ROWS_A_THREAD pixels of column x of the tensor, from row y on.
template <int METHOD, int KIND>
SEATRIAL_DEVICE void thread_body(const Image* images, i32 index, u8* out, const Settings& s, i32 x, i32 y) {
    if (x >= s.out_width || y >= s.out_height || index >= s.images) return;
    // A copy: nothing is read again after a store, which for all that the compiler knows goes into the images.
    const Image image = images[index];
    const i32 column = x - image.left;
    const bool inside = column >= 0 && column < image.shown_width;
    Column taps{};
    if (inside) taps = column_at<METHOD, KIND>(image, column);
    const i64 size = s.type == f32 ? 4 : s.type == f16 ? 2 : 1;
    i64 step = s.planar ? s.channel_stride : size;
    u8* at = out + image.slot + static_cast<i64>(y) * s.row_stride + x * (s.planar ? size : size * s.channels);
    if (KIND != gray && s.reversed && s.channels == 3) {
        at += 2 * step;
        step = -step;
    }
    const i32 end = y + ROWS_A_THREAD < s.out_height ? y + ROWS_A_THREAD : s.out_height;
    SEATRIAL_NO_UNROLL
    for (; y < end; ++y, at += s.row_stride) {
        const i32 row = y - image.top;
        Pixel levels{{s.pad, s.pad, s.pad}};
        if (inside && row >= 0 && row < image.shown_height)
            levels = recolored<KIND>(s, resized_pixel<METHOD, KIND>(image, s, taps, row));
        put_pixel<KIND>(at, s, step, levels);
    }
}

}  // namespace device
}  // namespace seatrial
