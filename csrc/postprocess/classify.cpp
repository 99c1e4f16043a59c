// The best classes of each row.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "loops.hpp"

namespace seatrial {

namespace {

// Descending, ties by lower index, NaN last; `order` is scratch.
void top_k(const float* scores, std::int64_t count, std::int64_t k, std::vector<std::int64_t>& order, std::int64_t* best) {
    constexpr std::int64_t FEW = 32;
    if (k > FEW) {
        order.resize(static_cast<std::size_t>(count));
        std::iota(order.begin(), order.end(), 0);
        const auto before = [&](std::int64_t a, std::int64_t b) {
            const bool nan_a = std::isnan(scores[a]), nan_b = std::isnan(scores[b]);
            if (nan_a != nan_b) return nan_b;
            if (!nan_a && scores[a] != scores[b]) return scores[a] > scores[b];
            return a < b;
        };
        std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
        std::copy_n(order.begin(), k, best);
        return;
    }
    // A short list in order; nearly every score falls at its last place.
    std::int64_t held = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const float score = scores[i];
        if (std::isnan(score) || (held == k && !(score > scores[best[k - 1]]))) continue;
        std::int64_t place = held < k ? held++ : k - 1;
        for (; place > 0 && score > scores[best[place - 1]]; --place) best[place] = best[place - 1];
        best[place] = i;
    }
    for (std::int64_t i = 0; held < k; ++i)
        if (std::isnan(scores[i])) best[held++] = i;
}

}  // namespace

void classify(
    const LoopKernels& kernels, const float* logits, std::int64_t rows, std::int64_t classes, Activation activation,
    std::int64_t k, std::int64_t* class_ids, float* scores) {
    std::vector<float> activated(static_cast<std::size_t>(classes));
    std::vector<std::int64_t> order;
    for (std::int64_t r = 0; r < rows; ++r, logits += classes, class_ids += k, scores += k) {
        const float* values = activated.data();
        if (activation == Activation::softmax) {
            kernels.exponentials(logits, kernels.best_of_row(logits, classes), classes, activated.data());
            kernels.divide(values, static_cast<float>(kernels.sum(values, classes)), classes, activated.data());
        } else if (activation == Activation::sigmoid) {
            kernels.sigmoids(logits, classes, activated.data());
        } else {
            values = logits;
        }
        top_k(values, classes, k, order, class_ids);
        for (std::int64_t i = 0; i < k; ++i) scores[i] = values[class_ids[i]];
    }
}

}  // namespace seatrial
