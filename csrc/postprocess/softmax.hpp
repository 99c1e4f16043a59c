// exp(x - max) / sum, as reference.softmax. For: the two who need it.
#pragma once

#include "loops.hpp"

namespace seatrial {

inline void softmax(const LoopKernels& kernels, const float* logits, std::int64_t count, float* out) {
    kernels.exponentials(logits, kernels.best_of_row(logits, count), count, out);
    kernels.divide(out, static_cast<float>(kernels.sum(out, count)), count, out);
}

}  // namespace seatrial
