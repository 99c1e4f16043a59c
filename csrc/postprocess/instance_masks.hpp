// Masks of instances from a detector's coefficients and prototypes, as COCO's runs. Every mask equals that of the twin in
// seatrial.kernels.reference_masks. Knows no Python.
#pragma once

#include <cstdint>
#include <vector>

#include "between.hpp"

namespace seatrial {

// float32. coefficients: `channels` of them, `coefficient_stride` elements apart. prototypes (channels, cell_rows, cell_columns),
// contiguous, cover the input. box_xyxy: in source pixels.
struct PrototypeMask {
    const float* coefficients;
    std::int64_t coefficient_stride;
    const float* prototypes;
    std::int64_t channels, cell_rows, cell_columns;
    Axis rows, columns;
    float box_xyxy[4];
};

// Appends the mask's runs: lengths in column order of unset and set pixels in turn, unset first. Throws std::bad_alloc.
void instance_mask(const PrototypeMask& mask, std::vector<std::uint32_t>& runs);

}  // namespace seatrial
