// The source's rows, the methods that take few lines, and the choice among all.
#include "resize_rows.hpp"

namespace seatrial {

namespace {

struct CopiedRows : RowsOfColumns {
    using RowsOfColumns::RowsOfColumns;
    const std::uint8_t* row(std::int64_t y) override {
        const std::uint8_t* from = source.row(y) + columns.begin * channels;
        if (channels != 3) return from;
        k.widen(from, columns.count, pixels.data());
        return pixels.data();
    }
};

struct NearestRows : RowsOfColumns {
    NearestRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows)
        : RowsOfColumns(kernels, source, columns, rows), offsets(byte_offsets(nearest_taps(columns), channels)),
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

struct HalvedRows : RowsOfColumns {
    using RowsOfColumns::RowsOfColumns;
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
    if (columns.source == columns.resized && rows.source == rows.resized)
        return std::make_unique<CopiedRows>(kernels, source, columns, rows);
    const bool shrinks = columns.source >= columns.resized && rows.source >= rows.resized;
    const bool averages = interpolation == Interpolation::linear || interpolation == Interpolation::area;
    // OpenCV routes both here.
    if (averages && halves(columns) && halves(rows)) return std::make_unique<HalvedRows>(kernels, source, columns, rows);
    switch (interpolation) {
        case Interpolation::nearest:
            return std::make_unique<NearestRows>(kernels, source, columns, rows);
        case Interpolation::linear:
            return linear_rows(kernels, source, columns, rows, linear_taps(columns, true), linear_taps(rows, false));
        case Interpolation::area:
            if (shrinks) return area_rows(kernels, source, columns, rows);
            return linear_rows(
                kernels, source, columns, rows, area_enlarging_taps(columns, true), area_enlarging_taps(rows, false));
        case Interpolation::cubic:
            return cubic_rows(kernels, source, columns, rows);
        case Interpolation::antialias_linear:
        case Interpolation::antialias_cubic:
            return antialias_rows(kernels, source, columns, rows, interpolation == Interpolation::antialias_cubic);
    }
    return nullptr;
}

}  // namespace seatrial
