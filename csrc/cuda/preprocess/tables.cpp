#include "tables.hpp"

#include <algorithm>
#include <cstring>

namespace seatrial {
namespace device {

namespace {

std::vector<std::int32_t> narrowed(const std::vector<std::int64_t>& wide) {
    // The caller admits no image with a side of 2^31 pixels.
    std::vector<std::int32_t> out;
    out.reserve(wide.size());
    for (std::int64_t v : wide) out.push_back(static_cast<std::int32_t>(v));
    return out;
}

std::int32_t clamped(std::int64_t index, const Axis& axis) {
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(index, 0, axis.source - 1));
}

// Records of four numbers, as body.hpp's TapPair. What has no weight is not read: the other one is twice.
TapTable table_of(const TwoTaps& taps, const Axis& axis) {
    TapTable table;
    for (std::size_t i = 0; i < taps.first.size(); ++i) {
        const std::int32_t w0 = taps.weights[2 * i], w1 = taps.weights[2 * i + 1];
        std::int32_t first = clamped(taps.first[i], axis), second = clamped(taps.first[i] + 1, axis);
        if (w1 == 0) second = first;
        if (w0 == 0) first = second;
        table.weights.insert(table.weights.end(), {first, second, w0, w1});
    }
    return table;
}

bool all_weight_on_firsts(const TwoTaps& taps) {
    for (std::size_t i = 0; i < taps.first.size(); ++i)
        if (taps.weights[2 * i + 1] != 0) return false;
    return true;
}

TapTable firsts_of(const TwoTaps& taps, const Axis& axis) {
    TapTable table;
    for (std::int64_t first : taps.first) table.first.push_back(clamped(first, axis));
    return table;
}

// An odd whole factor, such as 1080p's to 640 x 360, hits pixel centres: all weight on one pixel gives that pixel.
Tables linear_tables(const TwoTaps& across, const TwoTaps& down, const Axis& columns, const Axis& rows) {
    if (all_weight_on_firsts(across) && all_weight_on_firsts(down))
        return {nearest, firsts_of(across, columns), firsts_of(down, rows)};
    return {linear, table_of(across, columns), table_of(down, rows)};
}

// A fixed number of taps needs no lengths; the body knows four.
TapTable table_of(ManyTaps taps, bool lengths) {
    return {narrowed(taps.first), lengths ? std::move(taps.length) : std::vector<std::int32_t>(), std::move(taps.weights),
            taps.stride};
}

// A run's pixels are neighbours: its first and its length say which.
TapTable table_of(const AreaRuns& area) {
    TapTable table;
    const std::size_t count = area.runs.size() - 1;
    for (std::size_t i = 0; i < count; ++i) table.stride = std::max<std::int64_t>(table.stride, area.runs[i + 1] - area.runs[i]);
    table.weights.assign(count * static_cast<std::size_t>(table.stride), 0);
    for (std::size_t i = 0; i < count; ++i) {
        const std::int32_t begin = area.runs[i], length = area.runs[i + 1] - begin;
        table.first.push_back(static_cast<std::int32_t>(area.index[begin]));
        table.length.push_back(length);
        std::memcpy(table.weights.data() + i * static_cast<std::size_t>(table.stride), area.weights.data() + begin,
                    static_cast<std::size_t>(length) * sizeof(float));
    }
    return table;
}

Tables area_tables(const Axis& columns, const Axis& rows) {
    Tables tables{runs, {}, {}};
    if (!divides(columns) || !divides(rows)) {
        tables.columns = table_of(area_runs(columns));
        tables.rows = table_of(area_runs(rows));
        return tables;
    }
    tables.method = box;
    tables.box_width = static_cast<std::int32_t>(columns.source / columns.resized);
    tables.box_height = static_cast<std::int32_t>(rows.source / rows.resized);
    const std::int64_t pixels = static_cast<std::int64_t>(tables.box_width) * tables.box_height;
    tables.box_scale = static_cast<float>(1.0 / static_cast<double>(pixels));
    return tables;
}

}  // namespace

Tables tables_of(Interpolation interpolation, const Axis& columns, const Axis& rows) {
    if (columns.source == columns.resized && rows.source == rows.resized) return {copy, {}, {}};
    const bool shrinks = columns.source >= columns.resized && rows.source >= rows.resized;
    const bool averages = interpolation == Interpolation::linear || interpolation == Interpolation::area;
    if (averages && halves(columns) && halves(rows)) return {halve, {}, {}};
    switch (interpolation) {
        case Interpolation::nearest:
            return {nearest, {narrowed(nearest_taps(columns)), {}, {}}, {narrowed(nearest_taps(rows)), {}, {}}};
        case Interpolation::linear:
            return linear_tables(linear_taps(columns, true), linear_taps(rows, false), columns, rows);
        case Interpolation::area:
            if (shrinks) return area_tables(columns, rows);
            return linear_tables(area_enlarging_taps(columns, true), area_enlarging_taps(rows, false), columns, rows);
        case Interpolation::cubic:
            return {cubic, table_of(cubic_taps(columns), false), table_of(cubic_taps(rows), false)};
        case Interpolation::antialias_linear:
        case Interpolation::antialias_cubic:
            break;
    }
    const bool sharp = interpolation == Interpolation::antialias_cubic;
    return {height_goes_first(columns, rows) ? height_first : width_first, table_of(antialias_taps(columns, sharp), true),
            table_of(antialias_taps(rows, sharp), true)};
}

}  // namespace device
}  // namespace seatrial
