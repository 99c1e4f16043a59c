// Rows of a resized image, made one at a time from the source rows they need. Not for: padding, values, layout.
#pragma once

#include <memory>
#include <vector>

#include "rows.hpp"
#include "taps.hpp"

namespace seatrial {

// The source's rows as interleaved bytes; YCbCr rows are converted as they are read.
class SourceRows {
  public:
    SourceRows(const RowKernels& kernels, const Image& image);
    const std::uint8_t* row(std::int64_t y);
    int channels() const noexcept { return image_.u ? 4 : image_.channels; }
    std::int64_t bytes() const noexcept { return image_.width * channels(); }
    // Whether a row lies in a buffer that the next one overwrites.
    bool buffered() const noexcept { return image_.u != nullptr; }

  private:
    const RowKernels& kernels_;
    const Image& image_;
    std::vector<std::uint8_t> converted_;
    std::int64_t converted_y_ = -1;
};

// Pixel rows of the resized image, the columns that the placement shows. Rows are asked for from top to bottom.
class ResizedRows {
  public:
    virtual ~ResizedRows() = default;
    // Valid until the next call.
    virtual const std::uint8_t* row(std::int64_t y) = 0;
};

std::unique_ptr<ResizedRows> resized_rows(
    const RowKernels& kernels, SourceRows& source, Interpolation interpolation, const Axis& columns, const Axis& rows);

}  // namespace seatrial
