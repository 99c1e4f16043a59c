// What the methods of resizing share: memory for rows, and the two axes. Internal to resize*.cpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "resize.hpp"

namespace seatrial {

// A row of the pass's own memory: kernels may go ROW_SLACK bytes past its end.
template <typename T>
std::vector<T> row_of(std::int64_t count) {
    return std::vector<T>(static_cast<std::size_t>(count) + ROW_SLACK);
}

inline std::vector<std::int32_t> byte_offsets(const std::vector<std::int64_t>& pixels, int channels) {
    std::vector<std::int32_t> offsets;
    offsets.reserve(pixels.size());
    // The caller admits no row of 2^31 bytes.
    for (std::int64_t p : pixels) offsets.push_back(static_cast<std::int32_t>(p * channels));
    return offsets;
}

// Rows of the visible columns; the y-th resized row is the (y - rows.begin)-th of the taps.
struct RowsOfColumns : ResizedRows {
    RowsOfColumns(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : k(kernels), source(source), channels(source.channels()), columns(columns), rows(rows),
          values(columns.count * lanes(channels)), pixels(row_of<std::uint8_t>(values)) {}

    const RowKernels& k;
    SourceRows& source;
    int channels;
    Axis columns, rows;
    std::int64_t values;  // bytes of a pixel row, or numbers of a row between the passes
    std::vector<std::uint8_t> pixels;
};

using Made = std::unique_ptr<ResizedRows>;

Made linear_rows(const RowKernels&, SourceRows&, const Axis& columns, const Axis& rows, const TwoTaps& x, TwoTaps y);
Made cubic_rows(const RowKernels&, SourceRows&, const Axis& columns, const Axis& rows);
Made antialias_rows(const RowKernels&, SourceRows&, const Axis& columns, const Axis& rows, bool cubic);
// Shrinking only: boxes where both factors are whole numbers, weighted runs where not.
Made area_rows(const RowKernels&, SourceRows&, const Axis& columns, const Axis& rows);

}  // namespace seatrial
