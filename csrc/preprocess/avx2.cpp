// AVX2, FMA and F16C. Plain twins: portable.inl, which also does what is left over at the end of a row.
#include "../target.hpp"

#if SEATRIAL_X86

#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "rows.hpp"

TARGET_BEGIN("avx2,fma,f16c")

namespace seatrial::rows::avx2 {

#include "portable.inl"

namespace {

inline __m128i load8(const std::uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
inline __m128i load16(const std::uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
inline __m256i load32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store32(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
inline __m256i pair(__m128i low, __m128i high) { return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1); }
inline __m256i both(__m128i v) { return _mm256_broadcastsi128_si256(v); }

// Four 3-byte pixels at the start of 16 bytes to four 4-byte pixels.
inline __m256i spread_mask() {
    return both(_mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1));
}

}  // namespace

inline void widen_simd(const std::uint8_t* source, std::int64_t count, std::uint8_t* pixels) {
    const __m256i mask = spread_mask();
    std::int64_t i = 0;
    // Eight pixels are 24 bytes; the second load ends 4 bytes behind them.
    for (; 3 * i + 28 <= 3 * count; i += 8) {
        const __m256i eight = pair(load16(source + 3 * i), load16(source + 3 * i + 12));
        store32(pixels + 4 * i, _mm256_shuffle_epi8(eight, mask));
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

// Four output pixels a step: their 4 x 2 source pixels lie in 2 x 16 bytes of each row.
inline void halve_simd(const std::uint8_t* upper, const std::uint8_t* lower, std::int64_t bytes, int channels,
                       std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    if (channels != 1) {
        const __m256i mask = both(
            channels == 3 ? _mm_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 6, 9, 7, 10, 8, 11, -1, -1)
                          : _mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15));
        const __m256i ones = _mm256_set1_epi8(1), two = _mm256_set1_epi16(2);
        const std::int64_t two_pixels = 4 * channels;  // bytes of the source behind two output pixels
        const auto sums = [&](const std::uint8_t* p) {
            const __m256i four = pair(load16(p), load16(p + two_pixels));
            return _mm256_maddubs_epi16(_mm256_shuffle_epi8(four, mask), ones);
        };
        for (; i + 4 <= count && 2 * i * channels + two_pixels + 16 <= bytes; i += 4) {
            const std::int64_t s = 2 * i * channels;
            const __m256i mean =
                _mm256_srli_epi16(_mm256_add_epi16(_mm256_add_epi16(sums(upper + s), sums(lower + s)), two), 2);
            // Lanes hold pixels 0, 1 and 2, 3 as words.
            const __m128i packed = _mm_packus_epi16(_mm256_castsi256_si128(mean), _mm256_extracti128_si256(mean, 1));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels + 4 * i), packed);
        }
    }
    halve_from(upper, lower, channels, i, count, pixels);
}

// Four pixels of words in pairs (first tap, second tap), times the weights, to 16-bit values in order.
inline void store_linear(__m256i even, __m256i odd, const std::int16_t* weights, std::int16_t* out) {
    const __m256i a = _mm256_srai_epi32(_mm256_madd_epi16(even, load32(weights)), 4);
    const __m256i b = _mm256_srai_epi32(_mm256_madd_epi16(odd, load32(weights + 16)), 4);
    store32(out, _mm256_packs_epi32(a, b));
}

inline void linear_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const LinearTaps& taps,
                                std::int16_t* out) {
    if (taps.picks) {
        // One load serves two pixels. The last group writes into the slack. Copies of the pointers: the compiler can't
        // know that `out` does not overwrite them.
        const auto *windows = taps.windows, *end = windows + (taps.count + 3) / 4 * 2;
        const auto* picks = taps.picks;
        const auto* weights = taps.weights;
        for (; windows != end; windows += 2, picks += 64, weights += 32, out += 16) {
            const __m256i four = pair(load16(source + windows[0]), load16(source + windows[1]));
            store_linear(_mm256_shuffle_epi8(four, load32(picks)), _mm256_shuffle_epi8(four, load32(picks + 32)), weights, out);
        }
        return;
    }
    std::int64_t i = 0;
    if (channels != 1) {
        // Both taps of a pixel are within 8 bytes; two pixels lie in each half of a register.
        const __m256i even = both(
            channels == 3 ? _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1)
                          : _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1));
        const __m256i odd = both(
            channels == 3 ? _mm_setr_epi8(8, -1, 11, -1, 9, -1, 12, -1, 10, -1, 13, -1, -1, -1, -1, -1)
                          : _mm_setr_epi8(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1));
        const auto two = [&](const std::int32_t* at) {
            return _mm_castpd_si128(_mm_loadh_pd(
                _mm_castsi128_pd(load8(source + at[0])), reinterpret_cast<const double*>(source + at[1])));
        };
        const auto* offsets = taps.offsets;
        const auto* weights = taps.weights;
        for (const std::int64_t count = taps.count; i + 4 <= count && offsets[i + 3] <= bytes - 8; i += 4) {
            const __m256i four = pair(two(offsets + i), two(offsets + i + 2));
            store_linear(_mm256_shuffle_epi8(four, even), _mm256_shuffle_epi8(four, odd), weights + 8 * i, out + 4 * i);
        }
    }
    linear_columns_from(source, bytes, channels, taps, i, out);
}

inline void linear_rows_simd(const std::int16_t* first, const std::int16_t* second, int w0, int w1, std::int64_t count,
                             std::uint8_t* pixels) {
    const __m256i a = _mm256_set1_epi16(static_cast<short>(w0)), b = _mm256_set1_epi16(static_cast<short>(w1));
    const __m256i two = _mm256_set1_epi16(2);
    const auto mixed = [&](std::int64_t i) {
        const __m256i sum =
            _mm256_add_epi16(_mm256_mulhi_epi16(load32(first + i), a), _mm256_mulhi_epi16(load32(second + i), b));
        return _mm256_srai_epi16(_mm256_add_epi16(sum, two), 2);
    };
    for (std::int64_t i = 0; i < count; i += 32)  // into the slack
        store32(pixels + i, _mm256_permute4x64_epi64(_mm256_packus_epi16(mixed(i), mixed(i + 16)), 0b11011000));
}

// Sums of four taps a step for one output pixel. Register halves: channels 0, 1 and 2, 3; in each, four words of
// consecutive taps a channel, so that one 8-byte weight group serves all.
struct FourTaps {
    explicit FourTaps(int channels)
        : mask(channels == 3
                   ? _mm256_setr_epi8(0, -1, 3, -1, 6, -1, 9, -1, 1, -1, 4, -1, 7, -1, 10, -1,
                                      2, -1, 5, -1, 8, -1, 11, -1, -1, -1, -1, -1, -1, -1, -1, -1)
                   : _mm256_setr_epi8(0, -1, 4, -1, 8, -1, 12, -1, 1, -1, 5, -1, 9, -1, 13, -1,
                                      2, -1, 6, -1, 10, -1, 14, -1, 3, -1, 7, -1, 11, -1, 15, -1)) {}

    __m256i words(const std::uint8_t* p) const { return _mm256_shuffle_epi8(both(load16(p)), mask); }

    static __m256i times(__m256i words, const std::int16_t* weights) {
        std::int64_t group;
        std::memcpy(&group, weights, 8);
        return _mm256_madd_epi16(words, _mm256_set1_epi64x(group));
    }

    // The two halves of each channel's sum added: four 32-bit sums.
    static __m128i total(__m256i sums) {
        const __m256i added = _mm256_add_epi32(sums, _mm256_srli_epi64(sums, 32));
        const __m256i joined = _mm256_permutevar8x32_epi32(added, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        return _mm256_castsi256_si128(joined);
    }

    __m256i mask;
};

inline void cubic_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps,
                               std::int32_t* out) {
    std::int64_t i = 0;
    if (channels != 1) {
        const FourTaps four(channels);
        for (; i < taps.count && taps.offsets[i] <= bytes - 16; ++i) {
            const __m128i sum = FourTaps::total(FourTaps::times(four.words(source + taps.offsets[i]), taps.high + 4 * taps.groups * i));
            _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * i), sum);
        }
    }
    cubic_columns_from(source, channels, taps, i, out);
}

inline void filter_columns_simd(const std::uint8_t* source, std::int64_t bytes, int channels, const FilterTaps& taps,
                                std::uint8_t* pixels) {
    std::int64_t i = 0;
    if (channels != 1) {
        const FourTaps four(channels);
        const __m128i half = _mm_set1_epi32(1 << 21);
        const FilterTaps t = taps;  // a copy: the compiler can't know that `pixels` does not overwrite it
        for (; i < t.count; ++i) {
            const int groups = (t.lengths[i] + 3) / 4;
            if (t.offsets[i] + static_cast<std::int64_t>(4 * channels) * (groups - 1) + 16 > bytes) break;
            const std::uint8_t* p = source + t.offsets[i];
            const std::int16_t *high = t.high + 4 * t.groups * i, *low = t.low + 4 * t.groups * i;
            __m256i upper = _mm256_setzero_si256(), lower = upper;
            for (int g = 0; g < groups; ++g) {
                const __m256i words = four.words(p + 4 * channels * g);
                upper = _mm256_add_epi32(upper, FourTaps::times(words, high + 4 * g));
                lower = _mm256_add_epi32(lower, FourTaps::times(words, low + 4 * g));
            }
            const __m128i sum = FourTaps::total(_mm256_add_epi32(_mm256_slli_epi32(upper, 11), lower));
            const __m128i words = _mm_packs_epi32(_mm_srai_epi32(_mm_add_epi32(sum, half), 22), half);
            const int pixel = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
            std::memcpy(pixels + 4 * i, &pixel, 4);
        }
    }
    filter_columns_from(source, channels, taps, i, pixels);
}

inline __m256i two_weights(const std::int16_t* w, bool paired) {
    return _mm256_set1_epi32((paired ? w[1] * 65536 : 0) + (w[0] & 0xffff));
}

inline void filter_rows_simd(const std::uint8_t* const* rows, const std::int16_t* high, const std::int16_t* low,
                             int taps, std::int64_t count, std::uint8_t* pixels) {
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i upper[2] = {}, lower[2] = {};
        for (int t = 0; t < taps; t += 2) {
            const bool paired = t + 1 < taps;
            const __m128i a = load16(rows[t] + i), b = load16(rows[paired ? t + 1 : t] + i);
            const __m256i h = two_weights(high + t, paired), l = two_weights(low + t, paired);
            const __m256i words[2] = {_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)),
                                      _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b))};
            for (int half = 0; half < 2; ++half) {
                upper[half] = _mm256_add_epi32(upper[half], _mm256_madd_epi16(words[half], h));
                lower[half] = _mm256_add_epi32(lower[half], _mm256_madd_epi16(words[half], l));
            }
        }
        __m256i sums[2];
        for (int half = 0; half < 2; ++half) {
            const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(upper[half], 11), lower[half]);
            sums[half] = _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 21)), 22);
        }
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(sums[0], sums[1]), 0b11011000);
        const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(pixels + i), bytes);
    }
    filter_rows_from(rows, high, low, taps, i, count, pixels);
}

inline void to_gray_simd(const std::uint8_t* pixels, bool reversed, std::int64_t count, std::uint8_t* gray) {
    const int blue = reversed ? 9798 : 3735, red = reversed ? 3735 : 9798;
    const __m256i outer = _mm256_set1_epi32(blue | red << 16), green = _mm256_set1_epi32(19235);
    const __m256i bytes = _mm256_set1_epi32(0x00ff00ff), byte = _mm256_set1_epi32(0xff);
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256i quads = load32(pixels + 4 * i);
        const __m256i sum = _mm256_add_epi32(
            _mm256_madd_epi16(_mm256_and_si256(quads, bytes), outer),
            _mm256_madd_epi16(_mm256_and_si256(_mm256_srli_epi32(quads, 8), byte), green));
        const __m256i level = _mm256_srli_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(1 << 14)), 15);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(level), _mm256_extracti128_si256(level, 1));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(gray + i), _mm_packus_epi16(words, words));
    }
    to_gray_from(pixels, reversed, i, count, gray);
}

template <Form FORM>
inline __m256 valued(__m256i levels, __m256 scale, __m256 mean, __m256 std, __m256 reciprocal) {
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(levels), scale);
    if constexpr (FORM == Form::scale) return scaled;
    const __m256 centred = _mm256_sub_ps(scaled, mean);
    if constexpr (FORM == Form::scale_mean) return centred;
    const __m256 near = _mm256_mul_ps(centred, reciprocal);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(near, std, centred), reciprocal, near);
}

inline void store_values(float* out, __m256 values) { _mm256_storeu_ps(out, values); }
inline void store_values(std::uint16_t* out, __m256 values) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
}

// Byte `byte` of each 4-byte pixel, as 32-bit numbers.
inline __m256i byte_mask(int byte) {
    const auto b = static_cast<char>(byte);
    return both(_mm_setr_epi8(b, -1, -1, -1, static_cast<char>(b + 4), -1, -1, -1, static_cast<char>(b + 8), -1, -1, -1,
                              static_cast<char>(b + 12), -1, -1, -1));
}

// Asks for the output's cache line a page ahead, for writing. Stores retire in order, and those of an output that has
// left the caches would wait for one line after another: measured, half the time of a whole letterbox to 640 x 640. In
// whole numbers, since the address may lie past the end; a prefetch of such a one does nothing.
inline void prefetch_output(const void* out) {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(out) + 4096), 1);
}

template <typename T, Form FORM>
inline void plane_of(const std::uint8_t* pixels, int step, int byte, std::int64_t count, const Channel& channel, T* out) {
    const __m256 scale = _mm256_set1_ps(channel.scale), mean = _mm256_set1_ps(channel.mean);
    const __m256 std = _mm256_set1_ps(channel.std), reciprocal = _mm256_set1_ps(channel.reciprocal);
    const __m256i mask = byte_mask(byte);
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256i levels = step == 4 ? _mm256_shuffle_epi8(load32(pixels + 4 * i), mask)
                                         : _mm256_cvtepu8_epi32(load8(pixels + i));
        if (i * sizeof(T) % 64 == 0) prefetch_output(out + i);
        store_values(out + i, valued<FORM>(levels, scale, mean, std, reciprocal));
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

inline void plane_bytes(const std::uint8_t* pixels, int step, int byte, std::int64_t count, Form form,
                        const Channel& channel, void* out) {
    auto* values = static_cast<std::uint8_t*>(out);
    std::int64_t i = 0;
    if (form == Form::add) {
        const __m128i added = _mm_set1_epi8(static_cast<char>(static_cast<const std::uint8_t*>(channel.table)[0]));
        const __m256i mask = byte_mask(byte);
        for (; i + 16 <= count; i += 16) {
            __m128i levels;
            if (step == 1) {
                levels = load16(pixels + i);
            } else {
                const __m256i words = _mm256_packus_epi32(
                    _mm256_shuffle_epi8(load32(pixels + 4 * i), mask), _mm256_shuffle_epi8(load32(pixels + 4 * i + 32), mask));
                const __m256i ordered = _mm256_permute4x64_epi64(words, 0b11011000);
                levels = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
            }
            _mm_storeu_si128(reinterpret_cast<__m128i*>(values + i), _mm_add_epi8(levels, added));
        }
    }
    plane_from<std::uint8_t>(pixels, step, byte, i, count, channel, out);
}

// Eight pixels a step: 24 values, whose channels repeat every three registers.
template <typename T, Form FORM>
inline void packed_of(const std::uint8_t* pixels, const int* order, std::int64_t count, const Channel* channels, T* out) {
    __m256 scale[3], mean[3], std[3], reciprocal[3];
    alignas(32) float lanes_of[4][8];
    for (int r = 0; r < 3; ++r) {
        for (int lane = 0; lane < 8; ++lane) {
            const Channel& c = channels[(8 * r + lane) % 3];
            lanes_of[0][lane] = c.scale, lanes_of[1][lane] = c.mean;
            lanes_of[2][lane] = c.std, lanes_of[3][lane] = c.reciprocal;
        }
        scale[r] = _mm256_load_ps(lanes_of[0]), mean[r] = _mm256_load_ps(lanes_of[1]);
        std[r] = _mm256_load_ps(lanes_of[2]), reciprocal[r] = _mm256_load_ps(lanes_of[3]);
    }
    const auto a = static_cast<char>(order[0]), b = static_cast<char>(order[1]), c = static_cast<char>(order[2]);
    const auto at = [](char channel, int pixel) { return static_cast<char>(channel + 4 * pixel); };
    const __m128i mask = _mm_setr_epi8(a, b, c, at(a, 1), at(b, 1), at(c, 1), at(a, 2), at(b, 2), at(c, 2), at(a, 3),
                                       at(b, 3), at(c, 3), -1, -1, -1, -1);
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m128i first = _mm_shuffle_epi8(load16(pixels + 4 * i), mask);
        const __m128i second = _mm_shuffle_epi8(load16(pixels + 4 * i + 16), mask);
        const __m128i bytes[3] = {first, _mm_alignr_epi8(second, _mm_slli_si128(first, 4), 12), _mm_srli_si128(second, 4)};
        prefetch_output(out + 3 * i);
        for (int r = 0; r < 3; ++r)
            store_values(out + 3 * i + 8 * r, valued<FORM>(_mm256_cvtepu8_epi32(bytes[r]), scale[r], mean[r], std[r], reciprocal[r]));
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

inline void packed_bytes(const std::uint8_t* pixels, const int* order, std::int64_t count, Form form,
                         const Channel* channels, void* out) {
    auto* values = static_cast<std::uint8_t*>(out);
    std::int64_t i = 0;
    if (form == Form::add) {
        alignas(16) char mask[16], added[16];
        for (int b = 0; b < 16; ++b) {
            mask[b] = static_cast<char>(b < 12 ? 4 * (b / 3) + order[b % 3] : -1);
            added[b] = static_cast<const char*>(channels[b % 3].table)[0];
        }
        const __m128i pick = _mm_load_si128(reinterpret_cast<const __m128i*>(mask));
        const __m128i constant = _mm_load_si128(reinterpret_cast<const __m128i*>(added));
        for (; 3 * i + 16 <= 3 * count; i += 4) {
            const __m128i four = _mm_add_epi8(_mm_shuffle_epi8(load16(pixels + 4 * i), pick), constant);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 3 * i), four);
        }
    }
    packed_from<std::uint8_t>(pixels, order, i, count, channels, out);
}

}  // namespace seatrial::rows::avx2

TARGET_END

namespace seatrial {

extern const RowKernels avx2_rows = {
    rows::avx2::widen_simd, rows::avx2::yuv_to_pixels,
    rows::avx2::gather_simd, rows::avx2::halve_simd, rows::avx2::linear_columns_simd, rows::avx2::linear_rows_simd, rows::avx2::cubic_columns_simd,
    rows::avx2::cubic_rows, rows::avx2::filter_columns_simd, rows::avx2::filter_rows_simd, rows::avx2::area_columns, rows::avx2::area_add,
    rows::avx2::area_round, rows::avx2::box_add, rows::avx2::box_round,
    rows::avx2::to_gray_simd,
    {rows::avx2::plane_simd<float>, rows::avx2::plane_simd<std::uint16_t>, rows::avx2::plane_bytes},
    {rows::avx2::packed_simd<float>, rows::avx2::packed_simd<std::uint16_t>, rows::avx2::packed_bytes},
};

}  // namespace seatrial

#endif
