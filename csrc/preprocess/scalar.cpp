// Plain C++, for any CPU: what every other level must equal.
#include <cmath>
#include <cstring>

#include "rows.hpp"

namespace seatrial::scalar {

#include "portable.inl"

}  // namespace seatrial::scalar

namespace seatrial {

extern const RowKernels scalar_rows = {
    scalar::widen, scalar::yuv_to_pixels,
    scalar::gather, scalar::halve, scalar::linear_columns, scalar::linear_rows, scalar::cubic_columns,
    scalar::cubic_rows, scalar::filter_columns, scalar::filter_rows, scalar::area_columns, scalar::area_add,
    scalar::area_round, scalar::box_add, scalar::box_round,
    scalar::to_gray,
    {scalar::plane<float>, scalar::plane<std::uint16_t>, scalar::plane<std::uint8_t>},
    {scalar::packed<float>, scalar::packed<std::uint16_t>, scalar::packed<std::uint8_t>},
};

}  // namespace seatrial
