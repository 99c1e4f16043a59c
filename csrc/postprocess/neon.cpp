// 64-bit ARM's baseline, by hand where the compiler does not find it.
#include "../target.hpp"

#if SEATRIAL_NEON

#include <arm_neon.h>

#include <cstring>
#include <limits>

#include "loops.hpp"

namespace seatrial::loops::neon {

#include "portable.inl"

// vmaxq returns NaN where either operand is.
inline void best_of_columns_simd(const float* values, std::int64_t stride, std::int64_t rows, std::int64_t count,
                                 float* best, std::int32_t* start) {
    const std::int64_t whole = count / 4 * 4;
    std::memcpy(best, values, static_cast<std::size_t>(whole) * sizeof(float));
    std::memset(start, 0, static_cast<std::size_t>(whole) * sizeof(std::int32_t));
    for (std::int64_t r = 1; r < rows; ++r)
        for (std::int64_t i = 0; i < whole; i += 4) {
            const float32x4_t v = vld1q_f32(values + r * stride + i), old = vld1q_f32(best + i);
            vst1q_s32(start + i, vbslq_s32(vcgtq_f32(v, old), vdupq_n_s32(static_cast<std::int32_t>(r)), vld1q_s32(start + i)));
            vst1q_f32(best + i, vmaxq_f32(v, old));
        }
    best_of_columns_from(values, stride, rows, whole, count, best, start);
}

inline float best_of_row_simd(const float* values, std::int64_t count) {
    if (count < 4) return best_of_row(values, count);
    float32x4_t best = vld1q_f32(values);
    // The last step overlaps the one before.
    for (std::int64_t i = 4; i < count; i += 4) best = vmaxq_f32(best, vld1q_f32(values + (i + 4 <= count ? i : count - 4)));
    return vmaxvq_f32(best);
}

inline float32x4_t two_to(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }

inline float32x4_t exponential_simd(float32x4_t x) {
    // NaN passes both bounds, and as a number it would be 0: it stays NaN through the polynomial.
    const float32x4_t c = vminq_f32(vmaxq_f32(x, vdupq_n_f32(-104.0f)), vdupq_n_f32(89.0f));
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(c, LOG2_E));
    const float32x4_t r = vsubq_f32(vsubq_f32(c, vmulq_n_f32(n, LN2_HIGH)), vmulq_n_f32(n, LN2_LOW));
    float32x4_t p = vdupq_n_f32(EXP_POLYNOMIAL[0]);
    for (int i = 1; i < 6; ++i) p = vaddq_f32(vmulq_f32(p, r), vdupq_n_f32(EXP_POLYNOMIAL[i]));
    const float32x4_t y = vaddq_f32(vaddq_f32(vmulq_f32(p, vmulq_f32(r, r)), r), vdupq_n_f32(1.0f));
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(y, two_to(half)), two_to(vsubq_s32(whole, half)));
}

inline void exponentials_simd(const float* values, float shift, std::int64_t count, float* out) {
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) vst1q_f32(out + i, exponential_simd(vsubq_f32(vld1q_f32(values + i), vdupq_n_f32(shift))));
    exponentials(values + i, shift, count - i, out + i);
}

inline void sigmoids_simd(const float* values, std::int64_t count, float* out) {
    const float32x4_t one = vdupq_n_f32(1.0f);
    std::int64_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float32x4_t x = vld1q_f32(values + i), e = exponential_simd(vnegq_f32(vabsq_f32(x)));
        vst1q_f32(out + i, vdivq_f32(vbslq_f32(vcgeq_f32(x, vdupq_n_f32(0.0f)), one, e), vaddq_f32(one, e)));
    }
    sigmoids(values + i, count - i, out + i);
}

}  // namespace seatrial::loops::neon

namespace seatrial {

extern const LoopKernels neon_loops = {
    loops::neon::best_of_columns_simd, loops::neon::best_of_row_simd, loops::neon::above, loops::neon::suppress, loops::neon::exponentials_simd,
    loops::neon::sigmoids_simd, loops::neon::sum, loops::neon::divide,
    {loops::neon::argmax_of_columns<float>, loops::neon::argmax_of_columns<double>, loops::neon::argmax_of_columns<std::int32_t>,
     loops::neon::argmax_of_columns<std::int64_t>, loops::neon::argmax_of_columns<std::uint8_t>},
    loops::neon::draw_columns, loops::neon::argmax_between,
};

}  // namespace seatrial

#endif
