// Detector outputs to detections: candidates above the threshold, suppression or the best, then source pixels.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "softmax.hpp"

namespace seatrial {

namespace {

struct Candidate {
    float x1, y1, x2, y2, score;
    std::int32_t class_id, row;
};

// A candidate counts where its box is finite with a positive width and height.
class Candidates {
  public:
    void add_corners(float x1, float y1, float x2, float y2, float score, std::int64_t class_id, std::int64_t row) {
        const bool finite = std::isfinite(x1) && std::isfinite(y1) && std::isfinite(x2) && std::isfinite(y2);
        if (finite && x2 > x1 && y2 > y1) 
            found.push_back({x1, y1, x2, y2, score, static_cast<std::int32_t>(class_id), static_cast<std::int32_t>(row)});
    }

    void add_centre(float cx, float cy, float half_w, float half_h, float score, std::int64_t class_id, std::int64_t row) {
        add_corners(cx - half_w, cy - half_h, cx + half_w, cy + half_h, score, class_id, row);
    }

    std::vector<Candidate> found;
};

// The first index from `i` on where `value` stands; it is there.
std::int64_t find(const float* values, std::int64_t stride, float value, std::int64_t i = 0) {
    while (values[i * stride] != value) ++i;
    return i;
}

// The tensor is read once in its own order: row by row within a block of anchors that fits the second cache.
void yolov8(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    constexpr std::int64_t BLOCK = 512;
    float best[BLOCK];
    std::int32_t start[BLOCK], indices[BLOCK];
    const float* scores = o.first + 4 * o.anchors;
    for (std::int64_t begin = 0; begin < o.anchors; begin += BLOCK) {
        const std::int64_t count = std::min(BLOCK, o.anchors - begin);
        k.best_of_columns(scores + begin, o.anchors, o.classes, count, best, start);
        const std::int64_t found = k.above(best, count, confidence, indices);
        for (std::int64_t j = 0; j < found; ++j) {
            const std::int32_t at = indices[j];
            const float* box = o.first + begin + at;
            candidates.add_centre(
                box[0], box[o.anchors], box[2 * o.anchors] / 2, box[3 * o.anchors] / 2, best[at],
                find(scores + begin + at, o.anchors, best[at], start[at]), begin + at);
        }
    }
}

// Rows of (box, objectness, classes): calls add(i, row, score, class) for each above the threshold.
template <typename Add>
void rows_with_objectness(const LoopKernels& k, const DetectorOutput& o, float confidence, Add add) {
    const std::int64_t width = 5 + o.classes + o.extra;
    for (std::int64_t i = 0; i < o.anchors; ++i) {
        const float* row = o.first + i * width;
        const float best = k.best_of_row(row + 5, o.classes), score = best * row[4];
        if (score > confidence) add(i, row, score, find(row + 5, 1, best));
    }
}

void yolov5(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    rows_with_objectness(k, o, confidence, [&](std::int64_t i, const float* row, float score, std::int64_t class_id) {
        candidates.add_centre(row[0], row[1], row[2] / 2, row[3] / 2, score, class_id, i);
    });
}

// Anchors run through the grids of strides 8, 16 and 32, each row by row.
void yolox(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    rows_with_objectness(k, o, confidence, [&](std::int64_t anchor, const float* row, float score, std::int64_t class_id) {
        std::int64_t i = anchor, stride = 8, columns = o.input_width / stride;
        while (i >= (o.input_height / stride) * columns) {
            i -= (o.input_height / stride) * columns;
            stride *= 2;
            columns = o.input_width / stride;
        }
        const auto s = static_cast<float>(stride);
        float size[2];
        k.exponentials(row + 2, 0.0f, 2, size);
        candidates.add_centre(
            (row[0] + static_cast<float>(i % columns)) * s, (row[1] + static_cast<float>(i / columns)) * s,
            size[0] * s / 2, size[1] * s / 2, score, class_id, anchor);
    });
}

void end_to_end(const DetectorOutput& o, float confidence, Candidates& candidates) {
    for (std::int64_t i = 0; i < o.anchors; ++i) {
        const float* row = o.first + (6 + o.extra) * i;
        // NaN and infinity name no class.
        if (row[4] > confidence && std::fabs(row[5]) < 2147483648.0f)
            candidates.add_corners(row[0], row[1], row[2], row[3], row[4], static_cast<std::int64_t>(row[5]), i);
    }
}

void ssd(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    const auto w = static_cast<float>(o.input_width), h = static_cast<float>(o.input_height);
    for (std::int64_t i = 0; i < o.anchors; ++i) {
        // The first column is the background's.
        const float *box = o.first + 4 * i, *scores = o.second + o.classes * i + 1;
        const float best = k.best_of_row(scores, o.classes - 1);
        if (best > confidence)
            candidates.add_corners(box[0] * w, box[1] * h, box[2] * w, box[3] * h, best, find(scores, 1, best), i);
    }
}

void add_scaled_centre(const DetectorOutput& o, std::int64_t i, float score, std::int64_t class_id, Candidates& candidates) {
    const auto w = static_cast<float>(o.input_width), h = static_cast<float>(o.input_height);
    const float* box = o.first + 4 * i;
    const float half_w = box[2] / 2, half_h = box[3] / 2;
    candidates.add_corners(
        (box[0] - half_w) * w, (box[1] - half_h) * h, (box[0] + half_w) * w, (box[1] + half_h) * h, score, class_id, i);
}

void detr(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    std::vector<float> scores(static_cast<std::size_t>(o.classes));
    for (std::int64_t i = 0; i < o.anchors; ++i) {
        softmax(k, o.second + o.classes * i, o.classes, scores.data());
        // The last column says 'no object'.
        const float best = k.best_of_row(scores.data(), o.classes - 1);
        if (best > confidence) add_scaled_centre(o, i, best, find(scores.data(), 1, best), candidates);
    }
}

// Every query offers every class.
void rtdetr(const LoopKernels& k, const DetectorOutput& o, float confidence, Candidates& candidates) {
    std::vector<float> scores(static_cast<std::size_t>(o.classes));
    std::vector<std::int32_t> indices(static_cast<std::size_t>(o.classes));
    for (std::int64_t i = 0; i < o.anchors; ++i) {
        k.sigmoids(o.second + o.classes * i, o.classes, scores.data());
        const std::int64_t found = k.above(scores.data(), o.classes, confidence, indices.data());
        for (std::int64_t j = 0; j < found; ++j)
            add_scaled_centre(o, i, scores[indices[j]], indices[j], candidates);
    }
}

bool overlaps(Format format) {
    return format == Format::yolov8 || format == Format::yolov5 || format == Format::yolox || format == Format::ssd;
}

// Descending score; ties keep their order. Scores are above a confidence of zero or more, so that their bits, read as
// whole numbers, have the order of their values: a radix sort by bytes, which has no branch to mispredict.
std::vector<Candidate> sorted_by_score(const std::vector<Candidate>& found) {
    constexpr std::uint32_t BITS = 8, DIGITS = 4, MASK = (1u << BITS) - 1;
    struct Key {
        std::uint32_t descending, index;
    };
    std::vector<Key> keys(found.size()), other(found.size());
    std::uint32_t counts[DIGITS][MASK + 1] = {};
    for (std::size_t i = 0; i < found.size(); ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, &found[i].score, sizeof bits);
        keys[i] = {~bits, static_cast<std::uint32_t>(i)};
        for (std::uint32_t d = 0; d < DIGITS; ++d) ++counts[d][(~bits >> (BITS * d)) & MASK];
    }
    for (std::uint32_t d = 0; d < DIGITS; ++d) {
        std::uint32_t place = 0;
        for (std::uint32_t& count : counts[d]) place += std::exchange(count, place);
        for (const Key& key : keys) other[counts[d][(key.descending >> (BITS * d)) & MASK]++] = key;
        keys.swap(other);
    }
    std::vector<Candidate> sorted;
    sorted.reserve(found.size());
    for (const Key& key : keys) sorted.push_back(found[key.index]);
    return sorted;
}

// Greedy suppression: the kept ones move to the front, in order; their number.
std::size_t suppress(const LoopKernels& k, const DetectionRules& rules, std::vector<Candidate>& sorted) {
    const std::size_t n = sorted.size();
    std::vector<float> columns(5 * n);
    std::vector<std::int32_t> class_ids(n);
    std::vector<std::uint8_t> dead(n);
    const BoxColumns boxes{columns.data(), columns.data() + n, columns.data() + 2 * n, columns.data() + 3 * n,
                           columns.data() + 4 * n, class_ids.data(), dead.data()};
    for (std::size_t i = 0; i < n; ++i) {
        const Candidate& c = sorted[i];
        boxes.x1[i] = c.x1, boxes.y1[i] = c.y1, boxes.x2[i] = c.x2, boxes.y2[i] = c.y2;
        boxes.area[i] = (c.x2 - c.x1) * (c.y2 - c.y1);
        class_ids[i] = c.class_id;
    }
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n && kept < static_cast<std::size_t>(rules.most); ++i) {
        if (dead[i]) continue;
        sorted[kept++] = sorted[i];
        k.suppress(boxes, static_cast<std::int64_t>(i), static_cast<std::int64_t>(i) + 1, static_cast<std::int64_t>(n),
                   rules.iou, rules.class_agnostic);
    }
    return kept;
}

float in_image(float v, double offset, double scale, double size) {
    return static_cast<float>(std::min(std::max((static_cast<double>(v) - offset) / scale, 0.0), size));
}

}  // namespace

std::int64_t detect(
    const LoopKernels& k, const DetectorOutput& o, const DetectionRules& rules, const ToImage& to, const DetectionArrays& out) {
    Candidates candidates;
    candidates.found.reserve(1024);
    switch (o.format) {
        case Format::yolov8: yolov8(k, o, rules.confidence, candidates); break;
        case Format::yolov5: yolov5(k, o, rules.confidence, candidates); break;
        case Format::yolox: yolox(k, o, rules.confidence, candidates); break;
        case Format::end_to_end: end_to_end(o, rules.confidence, candidates); break;
        case Format::ssd: ssd(k, o, rules.confidence, candidates); break;
        case Format::detr: detr(k, o, rules.confidence, candidates); break;
        case Format::rtdetr: rtdetr(k, o, rules.confidence, candidates); break;
    }
    std::vector<Candidate> found = sorted_by_score(candidates.found);
    const std::size_t kept = overlaps(o.format) ? suppress(k, rules, found)
                                                : std::min(found.size(), static_cast<std::size_t>(rules.most));
    std::int64_t written = 0;
    for (std::size_t i = 0; i < kept; ++i) {
        const Candidate& c = found[i];
        const float x1 = in_image(c.x1, to.offset_x, to.scale_x, to.width), y1 = in_image(c.y1, to.offset_y, to.scale_y, to.height);
        const float x2 = in_image(c.x2, to.offset_x, to.scale_x, to.width), y2 = in_image(c.y2, to.offset_y, to.scale_y, to.height);
        if (!(x2 > x1 && y2 > y1)) continue;  // no area left in the image
        float* box = out.boxes_xyxy + 4 * written;
        box[0] = x1, box[1] = y1, box[2] = x2, box[3] = y2;
        out.scores[written] = c.score;
        out.rows[written] = c.row;
        out.class_ids[written++] = c.class_id;
    }
    return written;
}

}  // namespace seatrial
