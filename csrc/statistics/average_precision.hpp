// COCO's average precision of one class on many weighted copies of a set of images: the inner loop of a bootstrap.
#pragma once

#include <cstdint>

namespace seatrial {

// Detections of one class over all images, best score first; equal scores stay in their order. Bit t of matched and ignored
// is of the t-th IoU threshold: whether the detection has an object of its own, and whether it counts at all.
struct Found {
    const std::int32_t* image;
    const std::uint32_t* matched;
    const std::uint32_t* ignored;
    std::int64_t count;
};

// out[sample * thresholds + t]: the mean over recall_levels of the best precision at that recall or above, as pycocotools'
// COCOeval.accumulate has it. weights[sample * images + i]: how often image i was drawn, a
// whole number. objects[sample]: what there is to find on them.
// NaN where that is none. recall_levels rises.
void average_precision(
    const Found& found, const double* objects, std::int64_t images, const double* weights, std::int64_t samples,
    int thresholds, const double* recall_levels, int levels, double* out);

}  // namespace seatrial
