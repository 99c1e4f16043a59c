// The row kernels in plain C++: the definition that hand-written SIMD must equal bit for bit, and the code of what does
// not pay to write by hand. Included once an instruction set, inside its namespace and TARGET region, so that the
// compiler vectorises it for that set; no header may be included from here.

inline std::uint8_t clamped(std::int32_t v) { return static_cast<std::uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v); }

inline void widen(const std::uint8_t* source, std::int64_t count, std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i) {
        pixels[4 * i] = source[3 * i];
        pixels[4 * i + 1] = source[3 * i + 1];
        pixels[4 * i + 2] = source[3 * i + 2];
        pixels[4 * i + 3] = 0;
    }
}

inline void yuv_pixel(int y, int u, int v, const YuvCoefficients& k, std::uint8_t* pixel) {
    const std::int32_t luma = (y > k.y_offset ? y - k.y_offset : 0) * k.y_gain + (1 << 19);
    u -= 128;
    v -= 128;
    pixel[0] = clamped((luma + k.u_to_b * u) >> 20);
    pixel[1] = clamped((luma + k.u_to_g * u + k.v_to_g * v) >> 20);
    pixel[2] = clamped((luma + k.v_to_r * v) >> 20);
    pixel[3] = 0;
}

inline void yuv_to_pixels(
    const std::uint8_t* y, const std::uint8_t* u, const std::uint8_t* v, int chroma_step, std::int64_t count,
    const YuvCoefficients& k, std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t c = (i / 2) * chroma_step;
        yuv_pixel(y[i], u[c], v[c], k, pixels + 4 * i);
    }
}

template <int CHANNELS>
inline void gather_of(const std::uint8_t* source, const std::int32_t* offsets, std::int64_t begin, std::int64_t count,
                      std::uint8_t* pixels) {
    constexpr int LANES = CHANNELS == 1 ? 1 : 4;
    for (std::int64_t i = begin; i < count; ++i)
        for (int c = 0; c < CHANNELS; ++c) pixels[LANES * i + c] = source[offsets[i] + c];
}

inline void gather_from(const std::uint8_t* source, int channels, const std::int32_t* offsets, std::int64_t begin,
                        std::int64_t count, std::uint8_t* pixels) {
    if (channels == 1) gather_of<1>(source, offsets, begin, count, pixels);
    else if (channels == 3) gather_of<3>(source, offsets, begin, count, pixels);
    else gather_of<4>(source, offsets, begin, count, pixels);
}

inline void gather(const std::uint8_t* source, std::int64_t, int channels, const std::int32_t* offsets,
                   std::int64_t count, std::uint8_t* pixels) {
    gather_from(source, channels, offsets, 0, count, pixels);
}

// The mean of 2 x 2 pixels, halves up: OpenCV's area at exactly half size, which its linear is routed to as well.
inline void halve_from(const std::uint8_t* a, const std::uint8_t* b, int channels, std::int64_t begin,
                       std::int64_t count, std::uint8_t* pixels) {
    const int step = lanes(channels);
    for (std::int64_t i = begin; i < count; ++i)
        for (int c = 0; c < channels; ++c) {
            const std::int64_t s = 2 * i * channels + c;
            pixels[step * i + c] =
                static_cast<std::uint8_t>((a[s] + a[s + channels] + b[s] + b[s + channels] + 2) >> 2);
        }
}

inline void halve(const std::uint8_t* upper, const std::uint8_t* lower, std::int64_t, int channels, std::int64_t count,
                  std::uint8_t* pixels) {
    halve_from(upper, lower, channels, 0, count, pixels);
}

// OpenCV's linear in 11-bit fixed point: the sum of a row keeps its upper bits ...
inline void linear_columns_from(const std::uint8_t* source, std::int64_t bytes, int channels, const LinearTaps& taps,
                                std::int64_t begin, std::int16_t* out) {
    const int step = lanes(channels);
    for (std::int64_t i = begin; i < taps.count; ++i) {
        const std::int64_t first = taps.offsets[i];
        // The last pixel has no neighbour; its second weight is zero.
        const std::int64_t second = first + channels < bytes ? first + channels : first;
        const std::int16_t* weights = taps.weights + 8 * (i / 4 * 4 + GROUP_ORDER[i % 4]);
        const int w0 = weights[0], w1 = weights[1];
        for (int c = 0; c < channels; ++c)
            out[step * i + c] = static_cast<std::int16_t>((source[first + c] * w0 + source[second + c] * w1) >> 4);
    }
}

inline void linear_columns(const std::uint8_t* source, std::int64_t bytes, int channels, const LinearTaps& taps,
                           std::int16_t* out) {
    linear_columns_from(source, bytes, channels, taps, 0, out);
}

// ... and each row's product its upper half, before the two are added and rounded.
inline void linear_rows(const std::int16_t* first, const std::int16_t* second, int w0, int w1, std::int64_t count,
                        std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i)
        pixels[i] = static_cast<std::uint8_t>((((first[i] * w0) >> 16) + ((second[i] * w1) >> 16) + 2) >> 2);
}

inline void cubic_columns_from(const std::uint8_t* source, int channels, const FilterTaps& taps, std::int64_t begin,
                               std::int32_t* out) {
    const int step = lanes(channels);
    for (std::int64_t i = begin; i < taps.count; ++i)
        for (int c = 0; c < channels; ++c) {
            std::int32_t sum = 0;
            for (int t = 0; t < taps.lengths[i]; ++t)
                sum += source[taps.offsets[i] + t * channels + c] * taps.high[4 * taps.groups * i + t];
            out[step * i + c] = sum;
        }
}

inline void cubic_columns(const std::uint8_t* source, std::int64_t, int channels, const FilterTaps& taps,
                          std::int32_t* out) {
    cubic_columns_from(source, channels, taps, 0, out);
}

// Sums from the last row to the first, each product and sum rounded to float: OpenCV's own vector code does so.
inline void cubic_rows(const std::int32_t* const* rows, const float* weights, std::int64_t count,
                       std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i) {
        float sum = static_cast<float>(rows[3][i]) * weights[3];
        sum = static_cast<float>(rows[2][i]) * weights[2] + sum;
        sum = static_cast<float>(rows[1][i]) * weights[1] + sum;
        sum = static_cast<float>(rows[0][i]) * weights[0] + sum;
        pixels[i] = clamped(static_cast<std::int32_t>(std::nearbyintf(sum)));
    }
}

// Pillow's two passes: 22-bit weights, each pass rounded to a byte. The split weights are joined for the sum.
inline void filter_columns_from(const std::uint8_t* source, int channels, const FilterTaps& taps, std::int64_t begin,
                                std::uint8_t* pixels) {
    const int step = lanes(channels);
    for (std::int64_t i = begin; i < taps.count; ++i) {
        const std::int16_t *high = taps.high + 4 * taps.groups * i, *low = taps.low + 4 * taps.groups * i;
        std::int32_t sums[4] = {1 << 21, 1 << 21, 1 << 21, 1 << 21};
        for (int t = 0; t < taps.lengths[i]; ++t) {
            const std::int32_t weight = high[t] * 2048 + low[t];
            for (int c = 0; c < channels; ++c) sums[c] += source[taps.offsets[i] + t * channels + c] * weight;
        }
        for (int c = 0; c < channels; ++c) pixels[step * i + c] = clamped(sums[c] >> 22);
    }
}

inline void filter_columns(const std::uint8_t* source, std::int64_t, int channels, const FilterTaps& taps,
                           std::uint8_t* pixels) {
    filter_columns_from(source, channels, taps, 0, pixels);
}

inline void filter_rows_from(const std::uint8_t* const* rows, const std::int16_t* high, const std::int16_t* low, int taps,
                             std::int64_t begin, std::int64_t count, std::uint8_t* pixels) {
    for (std::int64_t i = begin; i < count; ++i) {
        std::int32_t sum = 1 << 21;
        for (int t = 0; t < taps; ++t) sum += rows[t][i] * (high[t] * 2048 + low[t]);
        pixels[i] = clamped(sum >> 22);
    }
}

inline void filter_rows(const std::uint8_t* const* rows, const std::int16_t* high, const std::int16_t* low, int taps,
                        std::int64_t count, std::uint8_t* pixels) {
    filter_rows_from(rows, high, low, taps, 0, count, pixels);
}

// OpenCV's area for a factor that is no whole number: float sums in the order of the source, column pass first.
inline void area_columns(const std::uint8_t* source, int channels, const AreaTaps& taps, float* out) {
    const int step = lanes(channels);
    for (std::int64_t i = 0; i < taps.count; ++i)
        for (int c = 0; c < channels; ++c) {
            float sum = 0;
            for (std::int32_t t = taps.runs[i]; t < taps.runs[i + 1]; ++t)
                sum += static_cast<float>(source[taps.offsets[t] + c]) * taps.weights[t];
            out[step * i + c] = sum;
        }
}

inline void area_add(const float* row, float weight, bool first, std::int64_t count, float* sums) {
    if (first)
        for (std::int64_t i = 0; i < count; ++i) sums[i] = row[i] * weight;
    else
        for (std::int64_t i = 0; i < count; ++i) sums[i] += row[i] * weight;
}

inline void area_round(const float* sums, std::int64_t count, std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i) pixels[i] = clamped(static_cast<std::int32_t>(std::nearbyintf(sums[i])));
}

// OpenCV's area for a whole factor: the sum of a box times 1 / area, halves to even. In 64 bits: OpenCV's own 32 overflow
// where a box has more than 2^23 pixels.
inline void box_add(const std::uint8_t* source, int channels, int factor, bool first, std::int64_t count,
                    std::int64_t* sums) {
    const int step = lanes(channels);
    for (std::int64_t i = 0; i < count; ++i)
        for (int c = 0; c < channels; ++c) {
            std::int64_t sum = first ? 0 : sums[step * i + c];
            for (int f = 0; f < factor; ++f) sum += source[(i * factor + f) * channels + c];
            sums[step * i + c] = sum;
        }
}

inline void box_round(const std::int64_t* sums, float scale, std::int64_t count, std::uint8_t* pixels) {
    for (std::int64_t i = 0; i < count; ++i)
        pixels[i] = clamped(static_cast<std::int32_t>(std::nearbyintf(static_cast<float>(sums[i]) * scale)));
}

// 15-bit BT.601, as OpenCV's cvtColor.
inline void to_gray_from(const std::uint8_t* pixels, bool reversed, std::int64_t begin, std::int64_t count,
                         std::uint8_t* gray) {
    const int blue = reversed ? 9798 : 3735, red = reversed ? 3735 : 9798;
    for (std::int64_t i = begin; i < count; ++i)
        gray[i] = static_cast<std::uint8_t>(
            (pixels[4 * i] * blue + pixels[4 * i + 1] * 19235 + pixels[4 * i + 2] * red + (1 << 14)) >> 15);
}

inline void to_gray(const std::uint8_t* pixels, bool reversed, std::int64_t count, std::uint8_t* gray) {
    to_gray_from(pixels, reversed, 0, count, gray);
}

template <typename T>
inline void plane_from(const std::uint8_t* pixels, int step, int byte, std::int64_t begin, std::int64_t count,
                       const Channel& channel, void* out) {
    const T* table = static_cast<const T*>(channel.table);
    T* values = static_cast<T*>(out);
    for (std::int64_t i = begin; i < count; ++i) values[i] = table[pixels[step * i + byte]];
}

template <typename T>
inline void plane(const std::uint8_t* pixels, int step, int byte, std::int64_t count, Form, const Channel& channel,
                  void* out) {
    plane_from<T>(pixels, step, byte, 0, count, channel, out);
}

template <typename T>
inline void packed_from(const std::uint8_t* pixels, const int* order, std::int64_t begin, std::int64_t count,
                        const Channel* channels, void* out) {
    T* values = static_cast<T*>(out);
    for (std::int64_t i = begin; i < count; ++i)
        for (int c = 0; c < 3; ++c)
            values[3 * i + c] = static_cast<const T*>(channels[c].table)[pixels[4 * i + order[c]]];
}

template <typename T>
inline void packed(const std::uint8_t* pixels, const int* order, std::int64_t count, Form, const Channel* channels,
                   void* out) {
    packed_from<T>(pixels, order, 0, count, channels, out);
}
