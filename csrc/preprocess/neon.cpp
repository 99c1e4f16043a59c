// 64-bit ARM's baseline. Plain twins: portable.inl, which also does what is left over at the end of a row.
#include "../target.hpp"

#if SEATRIAL_NEON

#include <arm_neon.h>

#include <cmath>
#include <cstring>

#include "rows.hpp"

namespace seatrial::rows::neon {

#include "portable.inl"

inline void widen_simd(const std::uint8_t* source, std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const uint8x16x3_t v = vld3q_u8(source + 3 * i);
        vst4q_u8(pixels + 4 * i, uint8x16x4_t{{v.val[0], v.val[1], v.val[2], vdupq_n_u8(0)}});
    }
    widen(source + 3 * i, count - i, pixels + 4 * i);
}

inline void gather_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const std::int32_t* offsets,
                        std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    if (channels != 1)
        // Offsets never fall: once four bytes do not fit into the row, they do not fit for the rest.
        for (; i < count && offsets[i] <= bytes - 4; ++i) std::memcpy(pixels + 4 * i, source + offsets[i], 4);
    gather_from(source, channels, offsets, i, count, pixels);
}

inline uint8x8_t mean_of_four(uint8x16_t upper, uint8x16_t lower) {
    return vrshrn_n_u16(vpadalq_u8(vpaddlq_u8(upper), lower), 2);
}

inline void halve_simd(const std::uint8_t* upper, const std::uint8_t* lower, std::int64_t, int channels,
                       std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    if (channels == 3) {
        for (; i + 8 <= count; i += 8) {
            const uint8x16x3_t a = vld3q_u8(upper + 6 * i), b = vld3q_u8(lower + 6 * i);
            uint8x8x4_t out{{mean_of_four(a.val[0], b.val[0]), mean_of_four(a.val[1], b.val[1]),
                             mean_of_four(a.val[2], b.val[2]), vdup_n_u8(0)}};
            vst4_u8(pixels + 4 * i, out);
        }
    } else if (channels == 4) {
        for (; i + 8 <= count; i += 8) {
            const uint8x16x4_t a = vld4q_u8(upper + 8 * i), b = vld4q_u8(lower + 8 * i);
            uint8x8x4_t out{{mean_of_four(a.val[0], b.val[0]), mean_of_four(a.val[1], b.val[1]),
                             mean_of_four(a.val[2], b.val[2]), mean_of_four(a.val[3], b.val[3])}};
            vst4_u8(pixels + 4 * i, out);
        }
    } else {
        for (; i + 8 <= count; i += 8) vst1_u8(pixels + i, mean_of_four(vld1q_u8(upper + 2 * i), vld1q_u8(lower + 2 * i)));
    }
    halve_from(upper, lower, channels, i, count, pixels);
}

// One pixel's words in pairs (first tap, second tap) times its weights, to four 16-bit values.
inline void store_linear(uint8x16_t pairs, const std::int16_t* weights, std::int16_t* out) {
    const int16x8_t words = vreinterpretq_s16_u8(pairs), w = vld1q_s16(weights);
    const int32x4_t sums = vpaddq_s32(vmull_s16(vget_low_s16(words), vget_low_s16(w)), vmull_high_s16(words, w));
    vst1_s16(out, vshrn_n_s32(sums, 4));
}

inline void linear_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const LinearTaps& taps,
                                std::int16_t* out) {
    std::int64_t i = 0;
    if (taps.picks) {
        for (; i + 4 <= taps.count; i += 4) {
            const uint8x16_t windows[2] = {vld1q_u8(source + taps.windows[i / 2]), vld1q_u8(source + taps.windows[i / 2 + 1])};
            for (int place = 0; place < 4; ++place) {
                const int pixel = GROUP_ORDER[place];
                const uint8x16_t pairs = vqtbl1q_u8(windows[pixel / 2], vld1q_u8(taps.picks + 16 * (i + place)));
                store_linear(pairs, taps.weights + 8 * (i + place), out + 4 * (i + pixel));
            }
        }
    } else if (channels != 1) {
        static const std::uint8_t three[16] = {0, 255, 3, 255, 1, 255, 4, 255, 2, 255, 5, 255, 255, 255, 255, 255};
        static const std::uint8_t four[16] = {0, 255, 4, 255, 1, 255, 5, 255, 2, 255, 6, 255, 3, 255, 7, 255};
        const uint8x16_t pick = vld1q_u8(channels == 3 ? three : four);
        for (; i + 4 <= taps.count && taps.offsets[i + 3] <= bytes - 8; i += 4)
            for (int place = 0; place < 4; ++place) {
                const int pixel = GROUP_ORDER[place];
                const uint8x8_t both_taps = vld1_u8(source + taps.offsets[i + pixel]);
                store_linear(vqtbl1q_u8(vcombine_u8(both_taps, both_taps), pick), taps.weights + 8 * (i + place),
                             out + 4 * (i + pixel));
            }
    }
    linear_columns_from(source, bytes, channels, taps, i, out);
}

inline void linear_rows_simd(const std::int16_t* first, const std::int16_t* second, int w0, int w1, std::int64_t count,
                             std::uint8_t* pixels) {
    const int16x4_t a = vdup_n_s16(static_cast<std::int16_t>(w0)), b = vdup_n_s16(static_cast<std::int16_t>(w1));
    for (std::int64_t i = 0; i < count; i += 8) {  // into the slack
        const int16x8_t x = vld1q_s16(first + i), y = vld1q_s16(second + i);
        const int16x8_t upper = vcombine_s16(vshrn_n_s32(vmull_s16(vget_low_s16(x), a), 16), vshrn_n_s32(vmull_s16(vget_high_s16(x), a), 16));
        const int16x8_t lower = vcombine_s16(vshrn_n_s32(vmull_s16(vget_low_s16(y), b), 16), vshrn_n_s32(vmull_s16(vget_high_s16(y), b), 16));
        vst1_u8(pixels + i, vqrshrun_n_s16(vaddq_s16(upper, lower), 2));  // rounds: + 2 >> 2
    }
}

// Four taps of four channels: two registers with the words of channels 0, 1 and 2, 3, four taps each.
struct FourTaps {
    explicit FourTaps(int channels) {
        static const std::uint8_t three[32] = {0, 255, 3, 255, 6, 255, 9, 255, 1, 255, 4, 255, 7, 255, 10, 255,
                                               2, 255, 5, 255, 8, 255, 11, 255, 255, 255, 255, 255, 255, 255, 255, 255};
        static const std::uint8_t four[32] = {0, 255, 4, 255, 8, 255, 12, 255, 1, 255, 5, 255, 9, 255, 13, 255,
                                              2, 255, 6, 255, 10, 255, 14, 255, 3, 255, 7, 255, 11, 255, 15, 255};
        const std::uint8_t* picks = channels == 3 ? three : four;
        pick[0] = vld1q_u8(picks), pick[1] = vld1q_u8(picks + 16);
    }

    void words(const std::uint8_t* p, int16x4_t* channel) const {
        const uint8x16_t bytes = vld1q_u8(p);
        for (int half = 0; half < 2; ++half) {
            const int16x8_t two = vreinterpretq_s16_u8(vqtbl1q_u8(bytes, pick[half]));
            channel[2 * half] = vget_low_s16(two), channel[2 * half + 1] = vget_high_s16(two);
        }
    }

    uint8x16_t pick[2];
};

inline void cubic_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps,
                               std::int32_t* out) {
    std::int64_t i = 0;
    if (channels != 1) {
        const FourTaps four(channels);
        int16x4_t words[4];
        for (; i < taps.count && taps.offsets[i] <= bytes - 16; ++i) {
            four.words(source + taps.offsets[i], words);
            const int16x4_t weights = vld1_s16(taps.high + 4 * taps.groups * i);
            for (int c = 0; c < 4; ++c) out[4 * i + c] = vaddvq_s32(vmull_s16(words[c], weights));
        }
    }
    cubic_columns_from(source, channels, taps, i, out);
}

inline void filter_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps,
                                std::uint8_t* pixels) {
    std::int64_t i = 0;
    if (channels != 1) {
        const FourTaps four(channels);
        const FilterTaps t = taps;
        int16x4_t words[4];
        for (; i < t.count; ++i) {
            const int groups = (t.lengths[i] + 3) / 4;
            if (t.offsets[i] + static_cast<std::int64_t>(4 * channels) * (groups - 1) + 16 > bytes) break;
            int32x4_t upper[4] = {}, lower[4] = {};
            for (int g = 0; g < groups; ++g) {
                four.words(source + t.offsets[i] + 4 * channels * g, words);
                const int16x4_t high = vld1_s16(t.high + 4 * (t.groups * i + g)), low = vld1_s16(t.low + 4 * (t.groups * i + g));
                for (int c = 0; c < 4; ++c) upper[c] = vmlal_s16(upper[c], words[c], high), lower[c] = vmlal_s16(lower[c], words[c], low);
            }
            for (int c = 0; c < 4; ++c) {
                const int32x4_t sums = vaddq_s32(vshlq_n_s32(upper[c], 11), lower[c]);
                pixels[4 * i + c] = clamped((vaddvq_s32(sums) + (1 << 21)) >> 22);
            }
        }
    }
    filter_columns_from(source, channels, taps, i, pixels);
}

inline void filter_rows_simd(const std::uint8_t* const* rows, const std::int16_t* high, const std::int16_t* low,
                             int taps, std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        int32x4_t upper[2] = {}, lower[2] = {};
        for (int t = 0; t < taps; ++t) {
            const int16x8_t words = vreinterpretq_s16_u16(vmovl_u8(vld1_u8(rows[t] + i)));
            upper[0] = vmlal_n_s16(upper[0], vget_low_s16(words), high[t]), upper[1] = vmlal_n_s16(upper[1], vget_high_s16(words), high[t]);
            lower[0] = vmlal_n_s16(lower[0], vget_low_s16(words), low[t]), lower[1] = vmlal_n_s16(lower[1], vget_high_s16(words), low[t]);
        }
        int16x4_t level[2];
        for (int half = 0; half < 2; ++half) {
            const int32x4_t sum = vaddq_s32(vshlq_n_s32(upper[half], 11), lower[half]);
            level[half] = vmovn_s32(vshrq_n_s32(vaddq_s32(sum, vdupq_n_s32(1 << 21)), 22));
        }
        vst1_u8(pixels + i, vqmovun_s16(vcombine_s16(level[0], level[1])));
    }
    filter_rows_from(rows, high, low, taps, i, count, pixels);
}

inline void to_gray_simd(const std::uint8_t* pixels, bool reversed, std::int64_t count, std::uint8_t* gray) {
    const std::uint16_t blue = reversed ? 9798 : 3735, red = reversed ? 3735 : 9798;
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const uint8x8x4_t v = vld4_u8(pixels + 4 * i);
        const uint16x8_t b = vmovl_u8(v.val[0]), g = vmovl_u8(v.val[1]), r = vmovl_u8(v.val[2]);
        uint16x4_t level[2];
        for (int half = 0; half < 2; ++half) {
            const auto part = [&](uint16x8_t c) { return half ? vget_high_u16(c) : vget_low_u16(c); };
            uint32x4_t sum = vdupq_n_u32(1 << 14);
            sum = vmlal_n_u16(sum, part(b), blue);
            sum = vmlal_n_u16(sum, part(g), 19235);
            level[half] = vmovn_u32(vshrq_n_u32(vmlal_n_u16(sum, part(r), red), 15));
        }
        vst1_u8(gray + i, vmovn_u16(vcombine_u16(level[0], level[1])));
    }
    to_gray_from(pixels, reversed, i, count, gray);
}

template <Form FORM>
inline float32x4_t valued(uint32x4_t levels, const Channel& c) {
    const float32x4_t scaled = vmulq_n_f32(vcvtq_f32_u32(levels), c.scale);
    if constexpr (FORM == Form::scale) return scaled;
    const float32x4_t centred = vsubq_f32(scaled, vdupq_n_f32(c.mean));
    if constexpr (FORM == Form::scale_mean) return centred;
    const float32x4_t near = vmulq_n_f32(centred, c.reciprocal);
    const float32x4_t remainder = vfmsq_f32(centred, near, vdupq_n_f32(c.std));
    return vfmaq_f32(near, remainder, vdupq_n_f32(c.reciprocal));
}

inline uint32x4_t half_of(uint8x8_t levels, int half) {
    const uint16x8_t words = vmovl_u8(levels);
    return vmovl_u16(half ? vget_high_u16(words) : vget_low_u16(words));
}

inline void store_values(float* out, float32x4_t v) { vst1q_f32(out, v); }
inline void store_values(std::uint16_t* out, float32x4_t v) { vst1_u16(out, vreinterpret_u16_f16(vcvt_f16_f32(v))); }

inline void store_three(float* out, const float32x4_t* v) { vst3q_f32(out, float32x4x3_t{{v[0], v[1], v[2]}}); }
inline void store_three(std::uint16_t* out, const float32x4_t* v) {
    uint16x4x3_t halves;
    for (int c = 0; c < 3; ++c) halves.val[c] = vreinterpret_u16_f16(vcvt_f16_f32(v[c]));
    vst3_u16(out, halves);
}

template <typename T, Form FORM>
inline void plane_of(const std::uint8_t* pixels, int step, int byte, std::int64_t count, const Channel& channel, T* out) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint8x8_t levels;
        if (step == 1) {
            levels = vld1_u8(pixels + i);
        } else {
            const uint8x8x4_t v = vld4_u8(pixels + 4 * i);
            levels = byte == 0 ? v.val[0] : byte == 1 ? v.val[1] : v.val[2];
        }
        for (int half = 0; half < 2; ++half) store_values(out + i + 4 * half, valued<FORM>(half_of(levels, half), channel));
    }
    plane_from<T>(pixels, step, byte, i, count, channel, out);
}

template <typename T>
inline void plane_simd(const std::uint8_t* pixels, int step, int byte, std::int64_t count, Form form,
                       const Channel& channel, void* out) {
    T* values = static_cast<T*>(out);
    switch (form) {
        case Form::scale: return plane_of<T, Form::scale>(pixels, step, byte, count, channel, values);
        case Form::scale_mean: return plane_of<T, Form::scale_mean>(pixels, step, byte, count, channel, values);
        case Form::scale_mean_std: return plane_of<T, Form::scale_mean_std>(pixels, step, byte, count, channel, values);
        default: return plane<T>(pixels, step, byte, count, form, channel, out);
    }
}

template <typename T, Form FORM>
inline void packed_of(const std::uint8_t* pixels, const int* order, std::int64_t count, const Channel* channels, T* out) {
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const uint8x8x4_t v = vld4_u8(pixels + 4 * i);
        for (int half = 0; half < 2; ++half) {
            const float32x4_t values[3] = {valued<FORM>(half_of(v.val[order[0]], half), channels[0]),
                                           valued<FORM>(half_of(v.val[order[1]], half), channels[1]),
                                           valued<FORM>(half_of(v.val[order[2]], half), channels[2])};
            store_three(out + 3 * (i + 4 * half), values);
        }
    }
    packed_from<T>(pixels, order, i, count, channels, out);
}

template <typename T>
inline void packed_simd(const std::uint8_t* pixels, const int* order, std::int64_t count, Form form,
                        const Channel* channels, void* out) {
    T* values = static_cast<T*>(out);
    switch (form) {
        case Form::scale: return packed_of<T, Form::scale>(pixels, order, count, channels, values);
        case Form::scale_mean: return packed_of<T, Form::scale_mean>(pixels, order, count, channels, values);
        case Form::scale_mean_std: return packed_of<T, Form::scale_mean_std>(pixels, order, count, channels, values);
        default: return packed<T>(pixels, order, count, form, channels, out);
    }
}

}  // namespace seatrial::rows::neon

namespace seatrial {

extern const RowKernels neon_rows = {
    rows::neon::widen_simd, rows::neon::yuv_to_pixels,
    rows::neon::gather_simd, rows::neon::halve_simd, rows::neon::linear_columns_simd, rows::neon::linear_rows_simd, rows::neon::cubic_columns_simd,
    rows::neon::cubic_rows, rows::neon::filter_columns_simd, rows::neon::filter_rows_simd, rows::neon::area_columns, rows::neon::area_add,
    rows::neon::area_round, rows::neon::box_add, rows::neon::box_round,
    rows::neon::to_gray_simd,
    {rows::neon::plane_simd<float>, rows::neon::plane_simd<std::uint16_t>, rows::neon::plane<std::uint8_t>},
    {rows::neon::packed_simd<float>, rows::neon::packed_simd<std::uint16_t>, rows::neon::packed<std::uint8_t>},
};

}  // namespace seatrial

#endif
