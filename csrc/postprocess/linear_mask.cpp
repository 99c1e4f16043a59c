// A class a source pixel of scores drawn out between their cells: what is held are two rows of cells and sixteen pixels of a row.
#include <algorithm>
#include <cstring>
#include <vector>

#include "loops.hpp"

namespace seatrial {

namespace {

// draw_columns may read so many elements behind a row's last cell.
constexpr std::int64_t BEHIND = 8;

// One row of cells, class by class. Taken out of the tensor, whose classes often lie a power of two apart, in the same cache sets.
struct CellRow {
    explicit CellRow(const LinearMaskJob& job)
        : stride(job.cell_columns + BEHIND), cells(static_cast<std::size_t>(job.classes * stride)) {}

    void read(const LinearMaskJob& job, std::int64_t row) {
        if (row == at) return;
        at = row;
        for (std::int64_t k = 0; k < job.classes; ++k)
            std::memcpy(
                cells.data() + k * stride, job.scores + (k * job.cell_rows + row) * job.cell_columns,
                static_cast<std::size_t>(job.cell_columns) * sizeof(float));
    }

    std::int64_t stride, at = -1;
    std::vector<float> cells;
};

// By sixteen; behind the last column that column again.
std::vector<PixelColumns> by_sixteen(const Between& columns) {
    const auto width = static_cast<std::int64_t>(columns.first.size());
    std::vector<PixelColumns> found(static_cast<std::size_t>((width + PIXELS - 1) / PIXELS));
    for (std::size_t b = 0; b < found.size(); ++b)
        for (std::int64_t i = 0; i < PIXELS; ++i) {
            const auto x = static_cast<std::size_t>(std::min(width - 1, static_cast<std::int64_t>(b) * PIXELS + i));
            found[b].first[i] = static_cast<std::int32_t>(columns.first[x]);
            found[b].second[i] = static_cast<std::int32_t>(columns.second[x]);
            found[b].share[i] = columns.share[x];
        }
    return found;
}

template <typename T>
void fill_mask(const LoopKernels& kernels, const LinearMaskJob& job) {
    const std::int64_t width = job.across.source;
    const Between rows = between(job.down, job.cell_rows, 0, job.down.source);
    const std::vector<PixelColumns> blocks = by_sixteen(between(job.across, job.cell_columns, 0, width));
    const std::vector<std::size_t> begins = spans(rows);
    CellRow above(job), below(job);
    std::vector<float> from(static_cast<std::size_t>(job.classes * PIXELS)), step(from.size());
    std::uint16_t best[PIXELS];
    T* mask = static_cast<T*>(job.mask);
    for (std::size_t s = 0; s + 1 < begins.size(); ++s) {
        // The row below is mostly the next one above.
        if (rows.first[begins[s]] == below.at) std::swap(above, below);
        above.read(job, rows.first[begins[s]]);
        below.read(job, rows.second[begins[s]]);
        for (std::size_t b = 0; b < blocks.size(); ++b) {
            kernels.draw_columns(
                above.cells.data(), below.cells.data(), above.stride, job.classes, blocks[b], from.data(), step.data());
            const std::int64_t x = static_cast<std::int64_t>(b) * PIXELS, count = std::min(PIXELS, width - x);
            for (std::size_t y = begins[s]; y < begins[s + 1]; ++y) {
                kernels.argmax_between(from.data(), step.data(), job.classes, rows.share[y], best);
                T* out = mask + static_cast<std::int64_t>(y) * width + x;
                for (std::int64_t i = 0; i < count; ++i)
                    out[i] = static_cast<T>(job.cut_rows[y] | job.cut_columns[x + i] ? job.ignore : best[i]);
            }
        }
    }
}

}  // namespace

void argmax_linear(const LoopKernels& kernels, const LinearMaskJob& job) {
    if (job.wide) fill_mask<std::uint16_t>(kernels, job);
    else fill_mask<std::uint8_t>(kernels, job);
}

}  // namespace seatrial
