#include "statistics/average_precision.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace seatrial {

namespace {

// The detections of the images that were drawn, with how often.
struct Drawn {
    std::vector<double> weight;
    std::vector<std::uint32_t> matched, ignored;

    void collect(const Found& found, const double* weights) {
        weight.clear();
        matched.clear();
        ignored.clear();
        for (std::int64_t d = 0; d < found.count; ++d) {
            const double w = weights[found.image[d]];
            if (w == 0) continue;
            weight.push_back(w);
            matched.push_back(found.matched[d]);
            ignored.push_back(found.ignored[d]);
        }
    }
};

// How many objects have to be found for each level of recall: divided as pycocotools divides, so that a level which is met
// exactly is met here too.
void needed(const double* recall_levels, int levels, double objects, std::vector<double>& counts) {
    counts.resize(levels);
    double count = 0;
    for (int i = 0; i < levels; ++i) {
        count = std::max(count, std::floor(recall_levels[i] * objects) - 1);
        while (count / objects < recall_levels[i]) ++count;
        counts[i] = count;
    }
}

// Points of the curve of precision over recall. Those at wrong detections lie below the one before and are left out; a
// detection that was drawn w times steps w times at once, since the points between lie below its last.
struct Curve {
    std::vector<double> right, precision;

    void trace(const Drawn& drawn, int threshold) {
        const double epsilon = std::numeric_limits<double>::epsilon();
        double found = 0, all = 0;
        right.clear();
        precision.clear();
        for (std::size_t d = 0; d < drawn.weight.size(); ++d) {
            if (drawn.ignored[d] >> threshold & 1) continue;
            all += drawn.weight[d];
            if (!(drawn.matched[d] >> threshold & 1)) continue;
            found += drawn.weight[d];
            right.push_back(found);
            precision.push_back(found / (all + epsilon));
        }
    }

    double mean_over(const std::vector<double>& counts) const {
        double total = 0, best = 0;
        int level = static_cast<int>(counts.size()) - 1;
        const double most = right.empty() ? 0 : right.back();
        while (level >= 0 && counts[level] > most) --level;
        for (std::size_t i = right.size(); i-- > 0;) {
            best = std::max(best, precision[i]);
            const double before = i > 0 ? right[i - 1] : -1;
            for (; level >= 0 && counts[level] > before; --level) total += best;
        }
        return total / static_cast<double>(counts.size());
    }
};

}  // namespace

void average_precision(
    const Found& found, const double* objects, std::int64_t images, const double* weights, std::int64_t samples,
    int thresholds, const double* recall_levels, int levels, double* out) {
    Drawn drawn;
    Curve curve;
    std::vector<double> counts;
    for (std::int64_t s = 0; s < samples; ++s) {
        const double* sample = weights + s * images;
        const double there = objects[s];
        double* values = out + s * thresholds;
        if (there <= 0) {
            std::fill(values, values + thresholds, std::numeric_limits<double>::quiet_NaN());
            continue;
        }
        drawn.collect(found, sample);
        needed(recall_levels, levels, there, counts);
        for (int t = 0; t < thresholds; ++t) {
            curve.trace(drawn, t);
            values[t] = curve.mean_over(counts);
        }
    }
}

}  // namespace seatrial
