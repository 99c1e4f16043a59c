// Cubic and antialias: many taps, rows between the passes in a ring.
#include "resize_rows.hpp"

namespace seatrial {

namespace {

// Weights as the row kernels take them: in groups of four, split into high and low parts.
struct Grouped {
    Grouped(const ManyTaps& taps, int channels, bool split)
        : offsets(byte_offsets(taps.first, channels)), lengths(taps.length) {
        for (std::int32_t length : lengths) longest = std::max(longest, length);
        groups = (longest + 3) / 4;
        high.assign(lengths.size() * groups * 4, 0);
        low.assign(high.size(), 0);
        for (std::size_t i = 0; i < lengths.size(); ++i)
            for (std::int32_t t = 0; t < lengths[i]; ++t) {
                const std::int32_t w = taps.weights[i * taps.stride + t];
                // An arithmetic shift rounds down: the low part is never negative.
                high[i * groups * 4 + t] = static_cast<std::int16_t>(split ? w >> 11 : w);
                low[i * groups * 4 + t] = static_cast<std::int16_t>(split ? w & 2047 : 0);
            }
    }

    FilterTaps view() const {
        return {offsets.data(), high.data(), low.data(), static_cast<std::int64_t>(lengths.size()), longest, groups, lengths.data()};
    }

    std::vector<std::int32_t> offsets, lengths;
    std::vector<std::int16_t> high, low;
    std::int32_t longest = 0;
    int groups = 0;
};

// Rows between the passes, by source row; a window of `capacity` neighbouring rows is kept.
template <typename T>
struct Ring {
    Ring(std::int64_t capacity, std::int64_t values)
        : made(static_cast<std::size_t>(capacity), -1), rows(static_cast<std::size_t>(capacity)), values(values) {}

    template <typename Make>
    const T* row(std::int64_t y, Make make) {
        const auto slot = static_cast<std::size_t>(y) % made.size();
        if (made[slot] != y) {
            if (rows[slot].empty()) rows[slot] = row_of<T>(values);
            make(rows[slot].data());
            made[slot] = y;
        }
        return rows[slot].data();
    }

    std::vector<std::int64_t> made;
    std::vector<std::vector<T>> rows;
    std::int64_t values;
};

struct CubicRows : RowsOfColumns {
    CubicRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : RowsOfColumns(kernels, source, columns, rows), across(clamped(cubic_taps(columns), columns.source), channels, false),
          down(cubic_taps(rows)), ring(4, values) {}

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const std::int32_t* window[4];
        float weights[4];
        for (int t = 0; t < 4; ++t) {
            const std::int64_t from = std::clamp<std::int64_t>(down.first[i] + t, 0, rows.source - 1);
            window[t] = ring.row(from, [&](std::int32_t* out) {
                k.cubic_columns(source.row(from), source.bytes(), channels, across.view(), out);
            });
            weights[t] = static_cast<float>(down.weights[4 * i + t]) * (1.0f / (2048.0f * 2048.0f));
        }
        k.cubic_rows(window, weights, values, pixels.data());
        return pixels.data();
    }

    // Taps beyond the border read the border's pixel: its weights are added up.
    static ManyTaps clamped(ManyTaps taps, std::int64_t source) {
        for (std::size_t i = 0; i < taps.first.size(); ++i) {
            const std::int64_t first = std::clamp<std::int64_t>(taps.first[i], 0, source - 1);
            std::int32_t weights[4] = {0, 0, 0, 0};
            std::int32_t length = 1;
            for (int t = 0; t < 4; ++t) {
                const auto at = static_cast<std::int32_t>(std::clamp<std::int64_t>(taps.first[i] + t, 0, source - 1) - first);
                weights[at] += taps.weights[4 * i + t];
                length = std::max(length, at + 1);
            }
            taps.first[i] = first;
            taps.length[i] = length;
            std::copy(weights, weights + 4, taps.weights.begin() + static_cast<std::ptrdiff_t>(4 * i));
        }
        return taps;
    }

    Grouped across;
    ManyTaps down;
    Ring<std::int32_t> ring;
};

struct WidthFirstRows : RowsOfColumns {
    WidthFirstRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, bool cubic)
        : RowsOfColumns(kernels, source, columns, rows), across(antialias_taps(columns, cubic), channels, true),
          down_taps(antialias_taps(rows, cubic)), down(down_taps, 1, true), ring(down.longest, values),
          window(static_cast<std::size_t>(down.longest)) {}

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const int taps = down.lengths[i];
        for (int t = 0; t < taps; ++t) {
            const std::int64_t from = down_taps.first[i] + t;
            window[t] = ring.row(from, [&](std::uint8_t* out) {
                k.filter_columns(source.row(from), source.bytes(), channels, across.view(), out);
            });
        }
        const std::int64_t at = i * down.groups * 4;
        k.filter_rows(window.data(), down.high.data() + at, down.low.data() + at, taps, values, pixels.data());
        return pixels.data();
    }

    Grouped across;
    ManyTaps down_taps;
    Grouped down;
    Ring<std::uint8_t> ring;
    std::vector<const std::uint8_t*> window;
};

struct HeightFirstRows : RowsOfColumns {
    HeightFirstRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, bool cubic)
        : RowsOfColumns(kernels, source, columns, rows), across(antialias_taps(columns, cubic), channels, true),
          down_taps(antialias_taps(rows, cubic)), down(down_taps, 1, true), ring(down.longest, source.bytes()),
          window(static_cast<std::size_t>(down.longest)), line(row_of<std::uint8_t>(source.bytes())) {}

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const int taps = down.lengths[i];
        for (int t = 0; t < taps; ++t) {
            const std::int64_t from = down_taps.first[i] + t;
            window[t] = !source.buffered() ? source.row(from) : ring.row(from, [&](std::uint8_t* kept) {
                std::copy_n(source.row(from), source.bytes(), kept);
            });
        }
        const std::int64_t at = i * down.groups * 4;
        k.filter_rows(window.data(), down.high.data() + at, down.low.data() + at, taps, source.bytes(), line.data());
        k.filter_columns(line.data(), source.bytes(), channels, across.view(), pixels.data());
        return pixels.data();
    }

    Grouped across;
    ManyTaps down_taps;
    Grouped down;
    Ring<std::uint8_t> ring;  // of rows that the source would overwrite
    std::vector<const std::uint8_t*> window;
    std::vector<std::uint8_t> line;
};

}  // namespace

Made cubic_rows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows) {
    return std::make_unique<CubicRows>(kernels, source, columns, rows);
}

Made antialias_rows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, bool cubic) {
    if (height_goes_first(columns, rows)) return std::make_unique<HeightFirstRows>(kernels, source, columns, rows, cubic);
    return std::make_unique<WidthFirstRows>(kernels, source, columns, rows, cubic);
}

}  // namespace seatrial
