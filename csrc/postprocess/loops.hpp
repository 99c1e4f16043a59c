// The inner loops of postprocessing: one table of function pointers an instruction set. A loop reads and writes exactly
// the elements it is given.
#pragma once

#include <cstddef>
#include <cstdint>

#include "postprocess.hpp"

namespace seatrial {

// Boxes as columns, in order of score; `dead` marks the suppressed.
struct BoxColumns {
    float *x1, *y1, *x2, *y2, *area;
    std::int32_t* class_id;
    std::uint8_t* dead;
};

// Sixteen pixels of a row drawn out between cells: pixel i between first[i] and second[i], behind the first by share[i] of the way.
constexpr std::int64_t PIXELS = 16;
struct PixelColumns {
    std::int32_t first[PIXELS], second[PIXELS];
    float share[PIXELS];
};

struct LoopKernels {
    // best[i] = the highest of values[r * stride + i] over `rows` rows; NaN where one of them is. No row before start[i]
    // holds it, and one of the next four does (undefined for NaN).
    void (*best_of_columns)(
        const float* values, std::int64_t stride, std::int64_t rows, std::int64_t count, float* best,
        std::int32_t* start);
    // The same over one row.
    float (*best_of_row)(const float* values, std::int64_t count);
    // Indices of the values above the threshold, ascending; their number. `indices` has room for `count`.
    std::int64_t (*above)(const float* values, std::int64_t count, float threshold, std::int32_t* indices);
    // Marks the boxes in [begin, end) whose IoU with box `kept` is above `iou`: of its class, unless class_agnostic.
    void (*suppress)(
        const BoxColumns& boxes, std::int64_t kept, std::int64_t begin, std::int64_t end, float iou,
        bool class_agnostic);
    // out[i] = exp(values[i] - shift); may work in place.
    void (*exponentials)(const float* values, float shift, std::int64_t count, float* out);
    void (*sigmoids)(const float* values, std::int64_t count, float* out);
    // In 16 float64 sums, element i in sum i % 16, which are then added in halves.
    double (*sum)(const float* values, std::int64_t count);
    void (*divide)(const float* values, float divisor, std::int64_t count, float* out);
    // Indexed by ScoreType. classes[i] = the first r whose values[r * stride + i] is highest; the first NaN wins.
    void (*argmax_of_columns[5])(
        const void* values, std::int64_t stride, std::int64_t rows, std::int64_t count, std::uint16_t* classes);
    // Of each class the pixels drawn out of a row of cells, from[k * 16 + i], and how far it is from there to those of the row
    // below. Rows of class k begin at k * stride, with 8 elements behind the last cell that may be read and mean nothing.
    void (*draw_columns)(
        const float* above, const float* below, std::int64_t stride, std::int64_t classes, const PixelColumns& at,
        float* from, float* step);
    // best[i] = the first k with the highest from[k * 16 + i] + step[k * 16 + i] * share, sixteen of them; NaN and -infinity are
    // above nothing, and where there is nothing else it is 0.
    void (*argmax_between)(
        const float* from, const float* step, std::int64_t classes, float share, std::uint16_t* best);
};

}  // namespace seatrial
