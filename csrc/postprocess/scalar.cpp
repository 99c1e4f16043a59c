// Plain C++, for any CPU: what every other level must equal.
#include <cstring>
#include <limits>

#include "loops.hpp"

namespace seatrial::loops::scalar {

#include "portable.inl"

}  // namespace seatrial::loops::scalar

namespace seatrial {

extern const LoopKernels scalar_loops = {
    loops::scalar::best_of_columns, loops::scalar::best_of_row, loops::scalar::above, loops::scalar::suppress, loops::scalar::exponentials,
    loops::scalar::sigmoids, loops::scalar::sum, loops::scalar::divide,
    {loops::scalar::argmax_of_columns<float>, loops::scalar::argmax_of_columns<double>, loops::scalar::argmax_of_columns<std::int32_t>,
     loops::scalar::argmax_of_columns<std::int64_t>, loops::scalar::argmax_of_columns<std::uint8_t>},
    loops::scalar::draw_columns, loops::scalar::argmax_between,
};

}  // namespace seatrial
