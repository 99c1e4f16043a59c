// Plain C++, for any CPU: what every other level must equal.
#include <cmath>
#include <cstring>

#include "rows.hpp"

namespace seatrial::rows::scalar {

#include "portable.inl"

}  // namespace seatrial::rows::scalar

namespace seatrial {

extern const RowKernels scalar_rows = {
    rows::scalar::widen, rows::scalar::yuv_to_pixels,
    rows::scalar::gather, rows::scalar::halve, rows::scalar::linear_columns, rows::scalar::linear_rows, rows::scalar::cubic_columns,
    rows::scalar::cubic_rows, rows::scalar::filter_columns, rows::scalar::filter_rows, rows::scalar::area_columns, rows::scalar::area_add,
    rows::scalar::area_round, rows::scalar::box_add, rows::scalar::box_round,
    rows::scalar::to_gray,
    {rows::scalar::plane<float>, rows::scalar::plane<std::uint16_t>, rows::scalar::plane<std::uint8_t>},
    {rows::scalar::packed<float>, rows::scalar::packed<std::uint16_t>, rows::scalar::packed<std::uint8_t>},
};

}  // namespace seatrial
