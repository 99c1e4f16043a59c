// Area, shrinking: means of boxes, or of runs with weights where a factor is no whole number.
#include "resize_rows.hpp"

namespace seatrial {

namespace {

struct BoxRows : RowsOfColumns {
    BoxRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : RowsOfColumns(kernels, source, columns, rows), wide(static_cast<int>(columns.source / columns.resized)),
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

struct AreaRows : RowsOfColumns {
    AreaRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : RowsOfColumns(kernels, source, columns, rows), across(area_runs(columns)), down(area_runs(rows)),
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

Made area_rows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows) {
    if (divides(columns) && divides(rows)) return std::make_unique<BoxRows>(kernels, source, columns, rows);
    return std::make_unique<AreaRows>(kernels, source, columns, rows);
}

}  // namespace seatrial
