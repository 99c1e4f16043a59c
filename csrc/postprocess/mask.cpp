// A class a source pixel: the argmax of a row of cells is taken when the first source row needs it.
#include <cstring>
#include <vector>

#include "loops.hpp"

namespace seatrial {

namespace {

constexpr std::int64_t SIZES[5] = {4, 8, 4, 8, 1};  // of ScoreType

template <typename T>
void fill_mask(const LoopKernels& kernels, const MaskJob& job) {
    const int type = static_cast<int>(job.type);
    std::vector<std::uint16_t> classes(static_cast<std::size_t>(job.cell_columns));
    const std::int64_t *rows = job.rows, *columns = job.columns;
    T* mask = static_cast<T*>(job.mask);
    for (std::int64_t y = 0; y < job.height; ++y, mask += job.width) {
        if (y > 0 && rows[y] == rows[y - 1]) {
            std::memcpy(mask, mask - job.width, static_cast<std::size_t>(job.width) * sizeof(T));
            continue;
        }
        if (rows[y] < 0) {
            for (std::int64_t x = 0; x < job.width; ++x) mask[x] = static_cast<T>(job.ignore);
            continue;
        }
        const char* cells = static_cast<const char*>(job.scores) + rows[y] * job.cell_columns * SIZES[type];
        kernels.argmax_of_columns[type](
            cells, job.cell_rows * job.cell_columns, job.classes, job.cell_columns, classes.data());
        for (std::int64_t x = 0; x < job.width; ++x)
            mask[x] = static_cast<T>(columns[x] < 0 ? job.ignore : classes[columns[x]]);
    }
}

}  // namespace

void argmax_mask(const LoopKernels& kernels, const MaskJob& job) {
    if (job.wide) fill_mask<std::uint16_t>(kernels, job);
    else fill_mask<std::uint8_t>(kernels, job);
}

}  // namespace seatrial
