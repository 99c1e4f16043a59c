// Plain C++, for any CPU: what every other level must equal.
#include <cstring>

#include "loops.hpp"

namespace seatrial::scalar {

#include "portable.inl"

}  // namespace seatrial::scalar

namespace seatrial {

extern const LoopKernels scalar_loops = {
    scalar::best_of_columns, scalar::best_of_row, scalar::above, scalar::suppress, scalar::exponentials,
    scalar::sigmoids, scalar::sum, scalar::divide,
    {scalar::argmax_of_columns<float>, scalar::argmax_of_columns<double>, scalar::argmax_of_columns<std::int32_t>,
     scalar::argmax_of_columns<std::int64_t>, scalar::argmax_of_columns<std::uint8_t>},
};

}  // namespace seatrial
