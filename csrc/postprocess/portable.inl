// The loops in plain C++: see ../preprocess/portable.inl for how this file is used.

inline void best_of_columns_from(const float* values, std::int64_t stride, std::int64_t rows, std::int64_t begin,
                                 std::int64_t count, float* best, std::int32_t* start) {
    for (std::int64_t i = begin; i < count; ++i) best[i] = values[i], start[i] = 0;
    for (std::int64_t r = 1; r < rows; ++r)
        for (std::int64_t i = begin; i < count; ++i) {
            const float v = values[r * stride + i];
            // A NaN is not below anything, and nothing is above it: once there, it stays.
            const bool higher = best[i] == best[i] && !(v <= best[i]);
            best[i] = higher ? v : best[i];
            start[i] = higher ? static_cast<std::int32_t>(r) : start[i];
        }
}

inline void best_of_columns(const float* values, std::int64_t stride, std::int64_t rows, std::int64_t count,
                            float* best, std::int32_t* start) {
    best_of_columns_from(values, stride, rows, 0, count, best, start);
}

inline float best_of_row(const float* values, std::int64_t count) {
    float best = values[0];
    for (std::int64_t i = 1; i < count && best == best; ++i)
        if (!(values[i] <= best)) best = values[i];
    return best;
}

inline std::int64_t above_from(const float* values, std::int64_t begin, std::int64_t count, float threshold,
                               std::int32_t* indices, std::int64_t found) {
    for (std::int64_t i = begin; i < count; ++i) {
        // Written always, counted sometimes: no branch to mispredict.
        indices[found] = static_cast<std::int32_t>(i);
        found += values[i] > threshold;
    }
    return found;
}

inline std::int64_t above(const float* values, std::int64_t count, float threshold, std::int32_t* indices) {
    return above_from(values, 0, count, threshold, indices, 0);
}

// max(v, 0) as in NumPy: NaN stays.
inline float positive(float v) { return v < 0.0f ? 0.0f : v; }

inline void suppress(const BoxColumns& b, std::int64_t kept, std::int64_t begin, std::int64_t end, float iou,
                     bool class_agnostic) {
    for (std::int64_t i = begin; i < end; ++i) {
        const float w = (b.x2[kept] < b.x2[i] ? b.x2[kept] : b.x2[i]) - (b.x1[kept] > b.x1[i] ? b.x1[kept] : b.x1[i]);
        const float h = (b.y2[kept] < b.y2[i] ? b.y2[kept] : b.y2[i]) - (b.y1[kept] > b.y1[i] ? b.y1[kept] : b.y1[i]);
        const float intersection = positive(w) * positive(h);
        const float united = b.area[kept] + b.area[i] - intersection;
        const bool same = class_agnostic || b.class_id[kept] == b.class_id[i];
        b.dead[i] |= static_cast<std::uint8_t>(same && united > 0.0f && intersection / united > iou);
    }
}

// Half to even, for |v| below 2^22.
inline float rounded(float v) { return (v + 12582912.0f) - 12582912.0f; }

inline float power_of_two(std::int32_t n) {
    const std::int32_t bits = (n + 127) << 23;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

// exp by Cody and Waite's reduction and Cephes' polynomial, each operation rounded to float32: the same bits on every
// machine, less than 1 ulp from the true value. See reference.exp32.
constexpr float LOG2_E = 1.44269504088896341f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
constexpr float EXP_POLYNOMIAL[6] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                     4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

inline float exponential(float x) {
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    c = x == x ? c : 0.0f;
    const float n = rounded(c * LOG2_E);
    const float r = (c - n * LN2_HIGH) - n * LN2_LOW;
    float p = EXP_POLYNOMIAL[0];
    for (int i = 1; i < 6; ++i) p = p * r + EXP_POLYNOMIAL[i];
    const float y = (p * (r * r) + r) + 1.0f;
    // In two steps: 2^n alone leaves the range that y * 2^n is in.
    const auto whole = static_cast<std::int32_t>(n), half = whole >> 1;
    const float out = y * power_of_two(half) * power_of_two(whole - half);
    return x == x ? out : x;
}

inline void exponentials(const float* values, float shift, std::int64_t count, float* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = exponential(values[i] - shift);
}

inline void sigmoids(const float* values, std::int64_t count, float* out) {
    for (std::int64_t i = 0; i < count; ++i) {
        const float x = values[i], e = exponential(x < 0.0f ? x : -x);
        out[i] = (x >= 0.0f ? 1.0f : e) / (1.0f + e);
    }
}

// Adds the last elements, fewer than 16, and then the lanes in halves.
inline double sum_of_lanes(double* lane, const float* values, std::int64_t count) {
    for (std::int64_t l = 0; l < count; ++l) lane[l] += static_cast<double>(values[l]);
    for (int width = 8; width; width /= 2)
        for (int l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
}

inline double sum(const float* values, std::int64_t count) {
    double lane[16] = {};
    std::int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int l = 0; l < 16; ++l) lane[l] += static_cast<double>(values[i + l]);
    return sum_of_lanes(lane, values + i, count - i);
}

inline void divide(const float* values, float divisor, std::int64_t count, float* out) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = values[i] / divisor;
}

template <typename T>
inline void argmax_of_columns_from(const T* values, std::int64_t stride, std::int64_t rows, std::int64_t begin,
                                   std::int64_t count, std::uint16_t* classes) {
    for (std::int64_t i = begin; i < count; ++i) {
        T best = values[i];
        std::uint16_t at = 0;
        for (std::int64_t r = 1; r < rows && best == best; ++r)
            if (!(values[r * stride + i] <= best)) best = values[r * stride + i], at = static_cast<std::uint16_t>(r);
        classes[i] = at;
    }
}

template <typename T>
inline void argmax_of_columns(const void* values, std::int64_t stride, std::int64_t rows, std::int64_t count,
                              std::uint16_t* classes) {
    // A block's planes are read in turn, not all at once: they lie a power of two apart, in the same cache sets.
    constexpr std::int64_t BLOCK = 1024;
    T best[BLOCK];
    for (std::int64_t begin = 0; begin < count; begin += BLOCK) {
        const T* block = static_cast<const T*>(values) + begin;
        std::uint16_t* at = classes + begin;
        const std::int64_t size = count - begin < BLOCK ? count - begin : BLOCK;
        for (std::int64_t i = 0; i < size; ++i) best[i] = block[i], at[i] = 0;
        for (std::int64_t r = 1; r < rows; ++r)
            for (std::int64_t i = 0; i < size; ++i) {
                const T v = block[r * stride + i];
                const bool higher = best[i] == best[i] && !(v <= best[i]);
                best[i] = higher ? v : best[i];
                at[i] = higher ? static_cast<std::uint16_t>(r) : at[i];
            }
    }
}

inline void draw_columns(const float* above, const float* below, std::int64_t stride, std::int64_t classes,
                         const PixelColumns& at, float* from, float* step) {
    for (std::int64_t k = 0; k < classes; ++k, above += stride, below += stride, from += PIXELS, step += PIXELS)
        for (std::int64_t i = 0; i < PIXELS; ++i) {
            const float a = above[at.first[i]], b = below[at.first[i]];
            from[i] = a + (above[at.second[i]] - a) * at.share[i];
            step[i] = (b + (below[at.second[i]] - b) * at.share[i]) - from[i];
        }
}

inline void argmax_between(const float* from, const float* step, std::int64_t classes, float share, std::uint16_t* best) {
    float highest[PIXELS];
    for (std::int64_t i = 0; i < PIXELS; ++i) highest[i] = -std::numeric_limits<float>::infinity(), best[i] = 0;
    for (std::int64_t k = 0; k < classes; ++k, from += PIXELS, step += PIXELS)
        for (std::int64_t i = 0; i < PIXELS; ++i) {
            const float v = from[i] + step[i] * share;
            const bool higher = v > highest[i];
            highest[i] = higher ? v : highest[i];
            best[i] = higher ? static_cast<std::uint16_t>(k) : best[i];
        }
}
