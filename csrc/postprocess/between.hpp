// Where source pixels lie between the cells of a map that covers the input, to draw its values out linearly. The twin of
// seatrial.kernels.reference_masks.cells_between. Knows no Python.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace seatrial {

// One side of the way from source to input: pixels of the source, of the whole source resized, where that begins, and of the input.
struct Axis {
    std::int64_t source, resized, offset, input;
};

// Of source rows, or columns: each lies behind the centre of cell `first` by `share` of the way to that of `second`.
struct Between {
    std::vector<std::int64_t> first, second;
    std::vector<float> share;
};

// Of pixels `begin` to `end`, of so many cells.
Between between(const Axis& axis, std::int64_t cells, std::int64_t begin, std::int64_t end);

// Of pixels in turn that lie behind the same cell: the first, and where the next ones begin; last how many there are.
std::vector<std::size_t> spans(const Between& rows);

}  // namespace seatrial
