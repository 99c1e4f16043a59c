#include "resize.hpp"

#include <algorithm>
#include <cmath>

namespace seatrial {

namespace {

// A row of the pass's own memory: kernels may go ROW_SLACK bytes past its end.
template <typename T>
std::vector<T> row_of(std::int64_t count) {
    return std::vector<T>(static_cast<std::size_t>(count) + ROW_SLACK);
}

std::vector<std::int32_t> byte_offsets(const std::vector<std::int64_t>& pixels, int channels) {
    std::vector<std::int32_t> offsets;
    offsets.reserve(pixels.size());
    // The caller admits no row of 2^31 bytes.
    for (std::int64_t p : pixels) offsets.push_back(static_cast<std::int32_t>(p * channels));
    return offsets;
}

int lanes(int channels) { return channels == 1 ? 1 : 4; }

// Whole numbers only: OpenCV compares the factor with its rounding.
bool divides(const Axis& axis) {
    const double factor = 1.0 / (static_cast<double>(axis.resized) / static_cast<double>(axis.source));
    return std::fabs(factor - std::nearbyint(factor)) < 2.220446049250313e-16;
}

bool half(const Axis& axis) { return axis.source == 2 * axis.resized; }

struct Base : ResizedRows {
    Base(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : k(kernels), source(source), channels(source.channels()), columns(columns), rows(rows),
          values(columns.count * lanes(channels)), pixels(row_of<std::uint8_t>(values)) {}

    // The y-th resized row is the (y - rows.begin)-th of the taps.
    const RowKernels& k;
    SourceRows& source;
    int channels;
    Axis columns, rows;
    std::int64_t values;  // bytes of a pixel row, or numbers of a row between the passes
    std::vector<std::uint8_t> pixels;
};

struct CopiedRows : Base {
    using Base::Base;
    const std::uint8_t* row(std::int64_t y) override {
        const std::uint8_t* from = source.row(y) + columns.begin * channels;
        if (channels != 3) return from;
        k.widen(from, columns.count, pixels.data());
        return pixels.data();
    }
};

struct NearestRows : Base {
    NearestRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : Base(kernels, source, columns, rows), offsets(byte_offsets(nearest_taps(columns), channels)),
          picked(nearest_taps(rows)) {}

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t wanted = picked[y - rows.begin];
        if (wanted != made) k.gather(source.row(wanted), source.bytes(), channels, offsets.data(), columns.count, pixels.data());
        made = wanted;
        return pixels.data();
    }

    std::vector<std::int32_t> offsets;
    std::vector<std::int64_t> picked;
    std::int64_t made = -1;
};

struct HalvedRows : Base {
    using Base::Base;
    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t skipped = 2 * columns.begin * channels;
        const std::uint8_t* upper = source.row(2 * y);
        if (source.buffered()) {
            kept.assign(upper, upper + source.bytes());
            upper = kept.data();
        }
        const std::uint8_t* lower = source.row(2 * y + 1);
        k.halve(upper + skipped, lower + skipped, source.bytes() - skipped, channels, columns.count, pixels.data());
        return pixels.data();
    }
    std::vector<std::uint8_t> kept;
};

// The columns' taps as the row kernels take them.
struct LinearTables {
    LinearTables(const TwoTaps& taps, int channels, std::int64_t bytes)
        : offsets(byte_offsets(taps.first, channels)), count(static_cast<std::int64_t>(offsets.size())) {
        const std::int64_t groups = (count + 3) / 4;
        weights.assign(static_cast<std::size_t>(32 * groups), 0);
        for (std::int64_t i = 0; i < count; ++i) {
            std::int16_t* pairs = weights.data() + 8 * place(i);
            for (int lane = 0; lane < 4; ++lane) {
                pairs[2 * lane] = taps.weights[2 * i];
                pairs[2 * lane + 1] = taps.weights[2 * i + 1];
            }
            copies = copies && taps.weights[2 * i + 1] == 0;
        }
        if (channels != 1 && bytes >= WINDOW) find_windows(channels, bytes);
    }

    LinearTaps view() const {
        return {offsets.data(), weights.data(), windows.data(), picks.empty() ? nullptr : picks.data(), count};
    }

    std::vector<std::int32_t> offsets, windows;
    std::vector<std::int16_t> weights;
    std::vector<std::uint8_t> picks;
    std::int64_t count;
    bool copies = true;  // all weight on first taps

  private:
    static constexpr std::int64_t WINDOW = 16;

    static std::int64_t place(std::int64_t i) { return i / 4 * 4 + GROUP_ORDER[i % 4]; }

    void find_windows(int channels, std::int64_t bytes) {
        windows.assign(static_cast<std::size_t>((count + 3) / 4 * 2), 0);
        picks.assign(weights.size() * 2, 0x80);  // a byte of zero
        for (std::int64_t i = 0; i < count; ++i) {
            std::int32_t& window = windows[static_cast<std::size_t>(i / 2)];
            // Not past the end of the row: the last windows begin earlier.
            if (i % 2 == 0) window = static_cast<std::int32_t>(std::min<std::int64_t>(offsets[i], bytes - WINDOW));
            const std::int64_t first = offsets[i] - window;
            const bool alone = offsets[i] + channels >= bytes;  // the last pixel has no neighbour
            if (first + (alone ? 1 : 2) * channels > WINDOW) return picks.clear();
            std::uint8_t* pick = picks.data() + 16 * place(i);
            for (int c = 0; c < channels; ++c) {
                pick[4 * c] = static_cast<std::uint8_t>(first + c);
                if (!alone) pick[4 * c + 2] = static_cast<std::uint8_t>(first + channels + c);
            }
        }
    }
};

struct LinearRows : Base {
    LinearRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, const TwoTaps& x,
               TwoTaps y)
        : Base(kernels, source, columns, rows), across_taps(x, channels, source.bytes()), down(std::move(y)) {
        for (auto& slot : slots) slot.values = row_of<std::int16_t>(values);
    }

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const int w0 = down.weights[2 * i], w1 = down.weights[2 * i + 1];
        const std::int64_t first = std::clamp<std::int64_t>(down.first[i], 0, rows.source - 1);
        const std::int64_t second = std::clamp<std::int64_t>(down.first[i] + 1, 0, rows.source - 1);
        if (across_taps.copies && w1 == 0) {
            // An odd whole factor hits pixel centres: all weight on one pixel gives that pixel.
            k.gather(source.row(first), source.bytes(), channels, across_taps.offsets.data(), columns.count, pixels.data());
            return pixels.data();
        }
        // A row without weight is neither read nor resized.
        const std::int16_t* upper = across(first, second);
        const std::int16_t* lower = w1 == 0 ? upper : across(second, first);
        k.linear_rows(upper, lower, w0, w1, values, pixels.data());
        return pixels.data();
    }

  private:
    struct Slot {
        std::int64_t y = -1;
        std::vector<std::int16_t> values;
    };

    // The source row resized across; two are kept, since the next row needs mostly the same.
    const std::int16_t* across(std::int64_t y, std::int64_t keep) {
        for (auto& slot : slots)
            if (slot.y == y) return slot.values.data();
        Slot& slot = slots[slots[0].y == keep ? 1 : 0];
        k.linear_columns(source.row(y), source.bytes(), channels, across_taps.view(), slot.values.data());
        slot.y = y;
        return slot.values.data();
    }

    LinearTables across_taps;
    TwoTaps down;
    Slot slots[2];
};

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

struct CubicRows : Base {
    CubicRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : Base(kernels, source, columns, rows), across(clamped(cubic_taps(columns), columns.source), channels, false),
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

// Pillow 13's order: a height that shrinks by more than twice what the width does goes first. The rounding between the
// passes makes the order visible.
bool height_first(const Axis& columns, const Axis& rows) {
    const std::int64_t less_high = rows.source - rows.resized, less_wide = columns.source - columns.resized;
    return less_high > 0 && less_high > 2 * less_wide;
}

struct WidthFirstRows : Base {
    WidthFirstRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, bool cubic)
        : Base(kernels, source, columns, rows), across(antialias_taps(columns, cubic), channels, true),
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

struct HeightFirstRows : Base {
    HeightFirstRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, bool cubic)
        : Base(kernels, source, columns, rows), across(antialias_taps(columns, cubic), channels, true),
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

struct BoxRows : Base {
    BoxRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : Base(kernels, source, columns, rows), wide(static_cast<int>(columns.source / columns.resized)),
          high(rows.source / rows.resized), sums(row_of<std::int64_t>(values)) {}

    const std::uint8_t* row(std::int64_t y) override {
        for (std::int64_t i = 0; i < high; ++i)
            k.box_add(source.row(y * high + i) + columns.begin * wide * channels, channels, wide, i == 0, columns.count, sums.data());
        k.box_round(sums.data(), static_cast<float>(1.0 / static_cast<double>(wide * high)), values, pixels.data());
        return pixels.data();
    }

    int wide;
    std::int64_t high;
    std::vector<std::int64_t> sums;
};

struct AreaRows : Base {
    AreaRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : Base(kernels, source, columns, rows), across(area_runs(columns)), down(area_runs(rows)),
          offsets(byte_offsets(across.index, channels)), line(row_of<float>(values)), sums(row_of<float>(values)) {}

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const AreaTaps taps{across.runs.data(), offsets.data(), across.weights.data(), columns.count};
        for (std::int32_t t = down.runs[i]; t < down.runs[i + 1]; ++t) {
            // A row that two output rows share is the last of one and the first of the next.
            if (made != down.index[t]) k.area_columns(source.row(down.index[t]), channels, taps, line.data());
            made = down.index[t];
            k.area_add(line.data(), down.weights[t], t == down.runs[i], values, sums.data());
        }
        k.area_round(sums.data(), values, pixels.data());
        return pixels.data();
    }

    AreaRuns across, down;
    std::vector<std::int32_t> offsets;
    std::vector<float> line, sums;
    std::int64_t made = -1;
};

}  // namespace

SourceRows::SourceRows(const RowKernels& kernels, const Image& image) : kernels_(kernels), image_(image) {
    if (image.u) converted_ = row_of<std::uint8_t>(4 * image.width);
}

const std::uint8_t* SourceRows::row(std::int64_t y) {
    const std::uint8_t* pixels = image_.pixels + y * image_.row_stride;
    if (!image_.u) return pixels;
    if (y != converted_y_) {
        const std::ptrdiff_t chroma = (y / 2) * image_.chroma_stride;
        kernels_.yuv_to_pixels(
            pixels, image_.u + chroma, image_.v + chroma, image_.chroma_step, image_.width, image_.yuv, converted_.data());
        converted_y_ = y;
    }
    return converted_.data();
}

std::unique_ptr<ResizedRows> resized_rows(
    const RowKernels& kernels, SourceRows& source, Interpolation interpolation, const Axis& columns, const Axis& rows) {
    const auto made = [](ResizedRows* rows) { return std::unique_ptr<ResizedRows>(rows); };
    if (columns.source == columns.resized && rows.source == rows.resized)
        return made(new CopiedRows(kernels, source, columns, rows));
    const bool halved = half(columns) && half(rows);
    switch (interpolation) {
        case Interpolation::nearest:
            return made(new NearestRows(kernels, source, columns, rows));
        case Interpolation::linear:
            if (halved) return made(new HalvedRows(kernels, source, columns, rows));
            return made(new LinearRows(
                kernels, source, columns, rows, linear_taps(columns, true), linear_taps(rows, false)));
        case Interpolation::area:
            if (halved) return made(new HalvedRows(kernels, source, columns, rows));
            if (columns.source < columns.resized || rows.source < rows.resized)
                return made(new LinearRows(
                    kernels, source, columns, rows, area_enlarging_taps(columns, true),
                    area_enlarging_taps(rows, false)));
            if (divides(columns) && divides(rows)) return made(new BoxRows(kernels, source, columns, rows));
            return made(new AreaRows(kernels, source, columns, rows));
        case Interpolation::cubic:
            return made(new CubicRows(kernels, source, columns, rows));
        case Interpolation::antialias_linear:
        case Interpolation::antialias_cubic: {
            const bool cubic = interpolation == Interpolation::antialias_cubic;
            if (height_first(columns, rows)) return made(new HeightFirstRows(kernels, source, columns, rows, cubic));
            return made(new WidthFirstRows(kernels, source, columns, rows, cubic));
        }
    }
    return nullptr;
}

}  // namespace seatrial
