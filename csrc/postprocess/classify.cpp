// The best classes of each row.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "softmax.hpp"

namespace seatrial {

namespace {

constexpr std::int64_t FEW = 32;  // beyond, insertion into a list costs more than sorting

// The k best so far, descending; ties by lower index, since scores come in the order of their indices.
class ShortList {
  public:
    ShortList(const float* scores, std::int64_t k, std::int64_t* best) : scores_(scores), k_(k), best_(best) {}

    bool full() const noexcept { return held_ == k_; }
    float worst() const noexcept { return scores_[best_[k_ - 1]]; }

    void offer(std::int64_t i) noexcept {
        const float score = scores_[i];
        if (std::isnan(score) || (full() && !(score > worst()))) return;
        std::int64_t place = full() ? k_ - 1 : held_++;
        for (; place > 0 && score > scores_[best_[place - 1]]; --place) best_[place] = best_[place - 1];
        best_[place] = i;
    }

    // NaN comes last.
    void fill_with_nan() noexcept {
        for (std::int64_t i = 0; !full(); ++i)
            if (std::isnan(scores_[i])) best_[held_++] = i;
    }

  private:
    const float* scores_;
    std::int64_t k_;
    std::int64_t* best_;
    std::int64_t held_ = 0;
};

void few_best(const LoopKernels& kernels, const float* scores, std::int64_t count, std::int64_t k, std::int64_t* best) {
    constexpr std::int64_t BLOCK = 64;
    std::int32_t indices[BLOCK];
    ShortList list(scores, k, best);
    for (std::int64_t begin = 0; begin < count; begin += BLOCK) {
        const std::int64_t size = std::min(BLOCK, count - begin);
        if (!list.full()) {
            for (std::int64_t i = 0; i < size; ++i) list.offer(begin + i);
            continue;
        }
        // Once the list is full, nearly every score falls at its last place: eight are asked at once.
        const std::int64_t found = kernels.above(scores + begin, size, list.worst(), indices);
        for (std::int64_t j = 0; j < found; ++j) list.offer(begin + indices[j]);
    }
    list.fill_with_nan();
}

void many_best(const float* scores, std::int64_t count, std::int64_t k, std::vector<std::int64_t>& order, std::int64_t* best) {
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
            softmax(kernels, logits, classes, activated.data());
        } else if (activation == Activation::sigmoid) {
            kernels.sigmoids(logits, classes, activated.data());
        } else {
            values = logits;
        }
        if (k <= FEW) few_best(kernels, values, classes, k, class_ids);
        else many_best(values, classes, k, order, class_ids);
        for (std::int64_t i = 0; i < k; ++i) scores[i] = values[class_ids[i]];
    }
}

}  // namespace seatrial
