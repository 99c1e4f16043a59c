// AVX2, by hand where the compiler does not find it: the rest of portable.inl is compiled for AVX2 as it is.
#include "../target.hpp"

#if SEATRIAL_X86

#include <immintrin.h>

#include <cstring>
#include <limits>

#include "loops.hpp"

TARGET_BEGIN("avx2,fma,f16c")

namespace seatrial::loops::avx2 {

#include "portable.inl"

inline __m256 nan_where(__m256 values, __m256 is_nan) { return _mm256_or_ps(values, is_nan); }

// Four rows a step, so that the running best is loaded and stored once for four.
inline void best_of_columns_simd(const float* values, std::int64_t stride, std::int64_t rows, std::int64_t count,
                                 float* best, std::int32_t* start) {
    const std::int64_t whole = count / 8 * 8;
    std::memcpy(best, values, static_cast<std::size_t>(whole) * sizeof(float));
    std::memset(start, 0, static_cast<std::size_t>(whole) * sizeof(std::int32_t));
    for (std::int64_t r = 0; r < rows; r += 4) {
        const float* row = values + r * stride;
        // The last step may have fewer than four: a row twice is as good as once.
        const std::int64_t s1 = r + 1 < rows ? stride : 0, s2 = r + 2 < rows ? 2 * stride : s1, s3 = r + 3 < rows ? 3 * stride : s2;
        const __m256i from = _mm256_set1_epi32(static_cast<int>(r));
        for (std::int64_t i = 0; i < whole; i += 8) {
            const __m256 a = _mm256_loadu_ps(row + i), b = _mm256_loadu_ps(row + s1 + i);
            const __m256 c = _mm256_loadu_ps(row + s2 + i), d = _mm256_loadu_ps(row + s3 + i);
            const __m256 old = _mm256_loadu_ps(best + i);
            auto* at = reinterpret_cast<__m256i*>(start + i);
            // One comparison asks two registers. All bits set is a NaN.
            const __m256 is_nan = _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), _mm256_cmp_ps(c, d, _CMP_UNORD_Q));
            const __m256 highest = _mm256_max_ps(_mm256_max_ps(a, b), _mm256_max_ps(c, d));
            const __m256i higher = _mm256_castps_si256(_mm256_cmp_ps(highest, old, _CMP_GT_OQ));
            // The second operand is returned where one is NaN: an old NaN stays.
            _mm256_storeu_ps(best + i, nan_where(_mm256_max_ps(highest, old), is_nan));
            _mm256_storeu_si256(at, _mm256_blendv_epi8(_mm256_loadu_si256(at), from, higher));
        }
    }
    best_of_columns_from(values, stride, rows, whole, count, best, start);
}

inline float best_of_row_simd(const float* values, std::int64_t count) {
    if (count < 8) return best_of_row(values, count);
    __m256 best = _mm256_loadu_ps(values), is_nan = _mm256_cmp_ps(best, best, _CMP_UNORD_Q);
    for (std::int64_t i = 8; i < count; i += 8) {
        // The last step overlaps the one before.
        const __m256 v = _mm256_loadu_ps(values + (i + 8 <= count ? i : count - 8));
        is_nan = _mm256_or_ps(is_nan, _mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        best = _mm256_max_ps(v, best);
    }
    best = nan_where(best, is_nan);
    if (_mm256_movemask_ps(is_nan)) return __builtin_nanf("");
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(best), _mm256_extractf128_ps(best, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
}

inline std::int64_t above_simd(const float* values, std::int64_t count, float threshold, std::int32_t* indices) {
    const __m256 limit = _mm256_set1_ps(threshold);
    std::int64_t i = 0, found = 0;
    for (; i + 8 <= count; i += 8) {
        auto mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(values + i), limit, _CMP_GT_OQ)));
        for (; mask; mask &= mask - 1) indices[found++] = static_cast<std::int32_t>(i) + __builtin_ctz(mask);
    }
    return above_from(values, i, count, threshold, indices, found);
}

inline void suppress_simd(const BoxColumns& boxes, std::int64_t kept, std::int64_t begin, std::int64_t end, float iou,
                          bool class_agnostic) {
    const BoxColumns b = boxes;
    const __m256 x1 = _mm256_set1_ps(b.x1[kept]), y1 = _mm256_set1_ps(b.y1[kept]);
    const __m256 x2 = _mm256_set1_ps(b.x2[kept]), y2 = _mm256_set1_ps(b.y2[kept]), area = _mm256_set1_ps(b.area[kept]);
    const __m256i class_id = _mm256_set1_epi32(b.class_id[kept]);
    const __m256 zero = _mm256_setzero_ps(), limit = _mm256_set1_ps(iou);
    std::int64_t i = begin;
    for (; i + 8 <= end; i += 8) {
        const __m256 w = _mm256_sub_ps(_mm256_min_ps(x2, _mm256_loadu_ps(b.x2 + i)), _mm256_max_ps(x1, _mm256_loadu_ps(b.x1 + i)));
        const __m256 h = _mm256_sub_ps(_mm256_min_ps(y2, _mm256_loadu_ps(b.y2 + i)), _mm256_max_ps(y1, _mm256_loadu_ps(b.y1 + i)));
        __m256 candidates = _mm256_and_ps(_mm256_cmp_ps(w, zero, _CMP_GT_OQ), _mm256_cmp_ps(h, zero, _CMP_GT_OQ));
        if (!class_agnostic) {
            const __m256i theirs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b.class_id + i));
            candidates = _mm256_and_ps(candidates, _mm256_castsi256_ps(_mm256_cmpeq_epi32(class_id, theirs)));
        }
        // Most boxes do not meet, and without an intersection the IoU is not above a threshold of zero or more.
        if (!_mm256_movemask_ps(candidates)) continue;
        const __m256 intersection = _mm256_mul_ps(w, h);
        const __m256 united = _mm256_sub_ps(_mm256_add_ps(area, _mm256_loadu_ps(b.area + i)), intersection);
        const __m256 over = _mm256_and_ps(
            _mm256_cmp_ps(united, zero, _CMP_GT_OQ),
            _mm256_cmp_ps(_mm256_div_ps(intersection, united), limit, _CMP_GT_OQ));
        auto mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_and_ps(over, candidates)));
        for (; mask; mask &= mask - 1) b.dead[i + __builtin_ctz(mask)] = 1;
    }
    suppress(b, kept, i, end, iou, class_agnostic);
}

// exponential() of portable.inl, eight at a time: the compiler leaves it scalar.
inline __m256 all(float v) { return _mm256_set1_ps(v); }
inline __m256 two_to(__m256i n) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23)); }

inline __m256 exponential_simd(__m256 x) {
    // The second operand is returned where one is NaN: NaN stays NaN to the end, whatever the conversion makes of it.
    const __m256 c = _mm256_min_ps(all(89.0f), _mm256_max_ps(all(-104.0f), x));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(c, all(LOG2_E)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m256 r = _mm256_sub_ps(_mm256_sub_ps(c, _mm256_mul_ps(n, all(LN2_HIGH))), _mm256_mul_ps(n, all(LN2_LOW)));
    __m256 p = all(EXP_POLYNOMIAL[0]);
    for (int i = 1; i < 6; ++i) p = _mm256_add_ps(_mm256_mul_ps(p, r), all(EXP_POLYNOMIAL[i]));
    const __m256 y = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r), all(1.0f));
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(y, two_to(half)), two_to(_mm256_sub_epi32(whole, half)));
}

inline void exponentials_simd(const float* values, float shift, std::int64_t count, float* out) {
    const __m256 s = _mm256_set1_ps(shift);
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(out + i, exponential_simd(_mm256_sub_ps(_mm256_loadu_ps(values + i), s)));
    exponentials(values + i, shift, count - i, out + i);
}

inline void sigmoids_simd(const float* values, std::int64_t count, float* out) {
    const __m256 one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
    std::int64_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256 x = _mm256_loadu_ps(values + i), e = exponential_simd(_mm256_or_ps(x, sign));
        const __m256 above_zero = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_GE_OQ);
        _mm256_storeu_ps(out + i, _mm256_div_ps(_mm256_blendv_ps(e, one, above_zero), _mm256_add_ps(one, e)));
    }
    sigmoids(values + i, count - i, out + i);
}

inline double sum_simd(const float* values, std::int64_t count) {
    __m256d lanes[4] = {};
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int l = 0; l < 4; ++l) lanes[l] = _mm256_add_pd(lanes[l], _mm256_cvtps_pd(_mm_loadu_ps(values + i + 4 * l)));
    alignas(32) double lane[16];
    for (int l = 0; l < 4; ++l) _mm256_store_pd(lane + 4 * l, lanes[l]);
    return sum_of_lanes(lane, values + i, count - i);
}

inline void argmax_of_columns_simd(const void* scores, std::int64_t stride, std::int64_t rows, std::int64_t count,
                                   std::uint16_t* classes) {
    const auto* values = static_cast<const float*>(scores);
    constexpr std::int64_t BLOCK = 1024;
    alignas(32) float best[BLOCK];
    alignas(32) std::int32_t at[BLOCK];
    std::int64_t begin = 0;
    for (; begin + 16 <= count; begin += BLOCK) {
        const float* block = values + begin;
        const std::int64_t size = (count - begin < BLOCK ? count - begin : BLOCK) / 16 * 16;
        std::memcpy(best, block, static_cast<std::size_t>(size) * sizeof(float));
        std::memset(at, 0, static_cast<std::size_t>(size) * sizeof(std::int32_t));
        for (std::int64_t r = 1; r < rows; r += 2) {
            const float* row = block + r * stride;
            const std::int64_t next = r + 1 < rows ? stride : 0;  // a row twice is as good as once
            const __m256i first = _mm256_set1_epi32(static_cast<int>(r));
            const __m256i second = _mm256_set1_epi32(static_cast<int>(next ? r + 1 : r));
            for (std::int64_t i = 0; i < size; i += 8) {
                __m256 top = _mm256_load_ps(best + i);
                __m256i index = _mm256_load_si256(reinterpret_cast<const __m256i*>(at + i));
                const auto better = [&](__m256 v, __m256i r_of_v) {
                    // Higher, or the first NaN.
                    const __m256 higher = _mm256_and_ps(_mm256_cmp_ps(v, top, _CMP_NLE_UQ), _mm256_cmp_ps(top, top, _CMP_ORD_Q));
                    top = _mm256_blendv_ps(top, v, higher);
                    index = _mm256_blendv_epi8(index, r_of_v, _mm256_castps_si256(higher));
                };
                better(_mm256_loadu_ps(row + i), first);
                better(_mm256_loadu_ps(row + next + i), second);
                _mm256_store_ps(best + i, top);
                _mm256_store_si256(reinterpret_cast<__m256i*>(at + i), index);
            }
        }
        for (std::int64_t i = 0; i < size; i += 16) {
            const __m256i words = _mm256_packus_epi32(
                _mm256_load_si256(reinterpret_cast<const __m256i*>(at + i)),
                _mm256_load_si256(reinterpret_cast<const __m256i*>(at + i + 8)));
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(classes + begin + i), _mm256_permute4x64_epi64(words, 0b11011000));
        }
    }
    argmax_of_columns_from(values, stride, rows, count / 16 * 16, count, classes);
}

// Where eight pixels lie within eight cells, as they do of any map that is drawn out, two loads and four shuffles are enough.
inline void draw_columns_simd(const float* above, const float* below, std::int64_t stride, std::int64_t classes,
                              const PixelColumns& at, float* from, float* step) {
    std::int64_t left[2];
    __m256i first[2], second[2];
    __m256 share[2];
    for (int half = 0; half < 2; ++half) {
        const std::int32_t* columns = at.first + 8 * half;
        left[half] = columns[0];
        // Ascending: the last is the farthest.
        if (at.second[8 * half + 7] - columns[0] > 7) return draw_columns(above, below, stride, classes, at, from, step);
        const __m256i begin = _mm256_set1_epi32(columns[0]);
        first[half] = _mm256_sub_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(columns)), begin);
        second[half] = _mm256_sub_epi32(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at.second + 8 * half)), begin);
        share[half] = _mm256_loadu_ps(at.share + 8 * half);
    }
    for (std::int64_t k = 0; k < classes; ++k, above += stride, below += stride, from += PIXELS, step += PIXELS)
        for (int half = 0; half < 2; ++half) {
            const auto drawn = [&](const float* cells) {
                const __m256 eight = _mm256_loadu_ps(cells + left[half]);
                const __m256 a = _mm256_permutevar8x32_ps(eight, first[half]);
                const __m256 b = _mm256_permutevar8x32_ps(eight, second[half]);
                return _mm256_add_ps(a, _mm256_mul_ps(_mm256_sub_ps(b, a), share[half]));
            };
            const __m256 top = drawn(above);
            _mm256_storeu_ps(from + 8 * half, top);
            _mm256_storeu_ps(step + 8 * half, _mm256_sub_ps(drawn(below), top));
        }
}

inline void argmax_between_simd(const float* from, const float* step, std::int64_t classes, float share,
                                std::uint16_t* best) {
    const __m256 at = _mm256_set1_ps(share);
    __m256 highest[2] = {all(-std::numeric_limits<float>::infinity()), all(-std::numeric_limits<float>::infinity())};
    __m256i index[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    for (std::int64_t k = 0; k < classes; ++k, from += PIXELS, step += PIXELS) {
        const __m256i own = _mm256_set1_epi32(static_cast<int>(k));
        for (int half = 0; half < 2; ++half) {
            const __m256 v = _mm256_add_ps(
                _mm256_loadu_ps(from + 8 * half), _mm256_mul_ps(_mm256_loadu_ps(step + 8 * half), at));
            const __m256 higher = _mm256_cmp_ps(v, highest[half], _CMP_GT_OQ);
            // The second operand is returned where one is NaN.
            highest[half] = _mm256_max_ps(v, highest[half]);
            index[half] = _mm256_blendv_epi8(index[half], own, _mm256_castps_si256(higher));
        }
    }
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(index[0], index[1]), 0b11011000);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(best), words);
}

}  // namespace seatrial::loops::avx2

TARGET_END

namespace seatrial {

extern const LoopKernels avx2_loops = {
    loops::avx2::best_of_columns_simd, loops::avx2::best_of_row_simd, loops::avx2::above_simd, loops::avx2::suppress_simd, loops::avx2::exponentials_simd,
    loops::avx2::sigmoids_simd, loops::avx2::sum_simd, loops::avx2::divide,
    {loops::avx2::argmax_of_columns_simd, loops::avx2::argmax_of_columns<double>, loops::avx2::argmax_of_columns<std::int32_t>,
     loops::avx2::argmax_of_columns<std::int64_t>, loops::avx2::argmax_of_columns<std::uint8_t>},
    loops::avx2::draw_columns_simd, loops::avx2::argmax_between_simd,
};

}  // namespace seatrial

#endif
