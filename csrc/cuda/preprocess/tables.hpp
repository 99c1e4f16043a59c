// What a card is told of one image: the method, and the tables of taps along both axes. Made by the CPU kernels' own code
// (csrc/preprocess/taps.cpp). Not for: memory on the card, or the arithmetic of pixels (body.hpp).
#pragma once

#include <cstdint>
#include <vector>

#include "body.hpp"
#include "preprocess/taps.hpp"

namespace seatrial {
namespace device {

// As body.hpp's Taps. What a method does not read is empty.
struct TapTable {
    std::vector<std::int32_t> first, length, weights;  // weights of `runs` are floats' bits, of `linear` whole TapPairs
    std::int64_t stride = 0;
};

struct Tables {
    Method method;
    TapTable columns, rows;
    std::int32_t box_width = 0, box_height = 0;
    float box_scale = 0;
};

// The same choice among methods as resized_rows makes (csrc/preprocess/resize.cpp).
Tables tables_of(Interpolation interpolation, const Axis& columns, const Axis& rows);

}  // namespace device
}  // namespace seatrial
