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
};

}  // namespace seatrial
