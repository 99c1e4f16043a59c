// Which source pixels make an output pixel, and with which weights: the arithmetic of OpenCV 4.14 and 5.0 and of Pillow
// 12 and 13, along one axis. Not for: pixels.
#pragma once

#include <cstdint>
#include <vector>

#include "preprocess.hpp"

namespace seatrial {

// One axis: `source` pixels become `resized`, of which [begin, begin + count) are wanted.
struct Axis {
    std::int64_t source, resized, begin, count;
};

// The part of a resized axis that the tensor shows.
Axis visible(std::int64_t source, std::int64_t resized, std::int64_t offset, std::int64_t out);

// Which method an axis asks for. OpenCV routes linear and area to means of 2 x 2 pixels at exactly half size; it compares a
// factor with its rounding to know whole ones.
bool halves(const Axis& axis);
bool divides(const Axis& axis);
// Pillow 13's order: a height that shrinks by more than twice what the width does goes first. The rounding between the
// passes makes the order visible.
bool height_goes_first(const Axis& columns, const Axis& rows);

// Two taps: index of the first, which may be -1 or source - 1 on a row axis, and two 11-bit weights.
struct TwoTaps {
    std::vector<std::int64_t> first;
    std::vector<std::int16_t> weights;  // pairs
};

// Any number of taps: pixel i reads [first, first + length) with weights from i * stride on.
struct ManyTaps {
    std::vector<std::int64_t> first;
    std::vector<std::int32_t> length;
    std::vector<std::int32_t> weights;
    std::int64_t stride;
};

struct AreaRuns {
    std::vector<std::int32_t> runs;  // count + 1
    std::vector<std::int64_t> index;
    std::vector<float> weights;
};

std::vector<std::int64_t> nearest_taps(const Axis& axis);
// `columns`: OpenCV clamps the taps of columns at the border and moves all weight to the border's pixel; for rows it
// keeps the weights and repeats the row, which rounds otherwise.
TwoTaps linear_taps(const Axis& axis, bool columns);
// What OpenCV's area does where it enlarges: two taps, sharp at the pixels' edges.
TwoTaps area_enlarging_taps(const Axis& axis, bool columns);
// Four taps from floor(x) - 1 on, not clamped; 11-bit weights.
ManyTaps cubic_taps(const Axis& axis);
// Pillow's: the triangle or cubic filter, widened by the factor where the axis shrinks; 22-bit weights.
ManyTaps antialias_taps(const Axis& axis, bool cubic);
AreaRuns area_runs(const Axis& axis);

}  // namespace seatrial
