#include "taps.hpp"

#include <algorithm>
#include <cmath>

namespace seatrial {

namespace {

// OpenCV's factor is the inverse of an inverse: not always source / resized to the last bit.
double factor(const Axis& axis) { return 1.0 / (static_cast<double>(axis.resized) / static_cast<double>(axis.source)); }

std::int16_t fixed11(float weight) { return static_cast<std::int16_t>(std::nearbyintf(weight * 2048.0f)); }

void push(TwoTaps& taps, std::int64_t index, float fraction, const Axis& axis, bool columns) {
    if (columns && index < 0) index = 0, fraction = 0;
    if (columns && index >= axis.source - 1) index = axis.source - 1, fraction = 0;
    taps.first.push_back(index);
    taps.weights.push_back(fixed11(1.0f - fraction));
    taps.weights.push_back(fixed11(fraction));
}

double triangle(double x) { return std::max(0.0, 1.0 - std::fabs(x)); }

double keys_cubic(double x) {
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

}  // namespace

Axis visible(std::int64_t source, std::int64_t resized, std::int64_t offset, std::int64_t out) {
    const std::int64_t begin = std::max<std::int64_t>(0, -offset), end = std::min(resized, out - offset);
    return {source, resized, begin, std::max<std::int64_t>(0, end - begin)};
}

bool halves(const Axis& axis) { return axis.source == 2 * axis.resized; }

bool divides(const Axis& axis) { return std::fabs(factor(axis) - std::nearbyint(factor(axis))) < 2.220446049250313e-16; }

bool height_goes_first(const Axis& columns, const Axis& rows) {
    const std::int64_t less_high = rows.source - rows.resized, less_wide = columns.source - columns.resized;
    return less_high > 0 && less_high > 2 * less_wide;
}

std::vector<std::int64_t> nearest_taps(const Axis& axis) {
    std::vector<std::int64_t> taps(axis.count);
    for (std::int64_t i = 0; i < axis.count; ++i)
        taps[i] = std::min(
            static_cast<std::int64_t>(std::floor(static_cast<double>(axis.begin + i) * factor(axis))), axis.source - 1);
    return taps;
}

TwoTaps linear_taps(const Axis& axis, bool columns) {
    TwoTaps taps;
    const double scale = factor(axis);
    for (std::int64_t i = axis.begin; i < axis.begin + axis.count; ++i) {
        const float x = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
        const float whole = std::floor(x);
        push(taps, static_cast<std::int64_t>(whole), x - whole, axis, columns);
    }
    return taps;
}

TwoTaps area_enlarging_taps(const Axis& axis, bool columns) {
    TwoTaps taps;
    const double inverse = static_cast<double>(axis.resized) / static_cast<double>(axis.source);
    const double scale = 1.0 / inverse;
    for (std::int64_t i = axis.begin; i < axis.begin + axis.count; ++i) {
        const double whole = std::floor(static_cast<double>(i) * scale);
        float fraction = static_cast<float>(static_cast<double>(i + 1) - (whole + 1) * inverse);
        fraction = fraction <= 0 ? 0.0f : fraction - std::floor(fraction);
        push(taps, static_cast<std::int64_t>(whole), fraction, axis, columns);
    }
    return taps;
}

ManyTaps cubic_taps(const Axis& axis) {
    ManyTaps taps;
    taps.stride = 4;
    const double scale = factor(axis);
    constexpr float a = -0.75f;
    for (std::int64_t i = axis.begin; i < axis.begin + axis.count; ++i) {
        const float position = static_cast<float>((static_cast<double>(i) + 0.5) * scale - 0.5);
        const float whole = std::floor(position), x = position - whole;
        const float w0 = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a;
        const float w1 = ((a + 2) * x - (a + 3)) * x * x + 1;
        const float w2 = ((a + 2) * (1 - x) - (a + 3)) * (1 - x) * (1 - x) + 1;
        taps.first.push_back(static_cast<std::int64_t>(whole) - 1);
        taps.length.push_back(4);
        for (float w : {w0, w1, w2, 1.0f - w0 - w1 - w2}) taps.weights.push_back(fixed11(w));
    }
    return taps;
}

ManyTaps antialias_taps(const Axis& axis, bool cubic) {
    ManyTaps taps;
    const double scale = static_cast<double>(axis.source) / static_cast<double>(axis.resized);
    const double widened = std::max(scale, 1.0), support = (cubic ? 2.0 : 1.0) * widened, inverse = 1.0 / widened;
    taps.stride = static_cast<std::int64_t>(std::ceil(support)) * 2 + 1;
    taps.weights.assign(static_cast<std::size_t>(taps.stride * axis.count), 0);
    std::vector<double> weights(static_cast<std::size_t>(taps.stride));
    for (std::int64_t i = 0; i < axis.count; ++i) {
        const double centre = (static_cast<double>(axis.begin + i) + 0.5) * scale;
        const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(centre - support + 0.5), 0);
        const auto last = std::min(static_cast<std::int64_t>(centre + support + 0.5), axis.source);
        double total = 0;
        for (std::int64_t t = 0; t < last - first; ++t) {
            const double x = (static_cast<double>(t + first) - centre + 0.5) * inverse;
            total += weights[t] = cubic ? keys_cubic(x) : triangle(x);
        }
        for (std::int64_t t = 0; t < last - first; ++t) {
            const double w = (total != 0 ? weights[t] / total : weights[t]) * (1 << 22);
            taps.weights[i * taps.stride + t] = static_cast<std::int32_t>(w < 0 ? w - 0.5 : w + 0.5);
        }
        taps.first.push_back(first);
        taps.length.push_back(static_cast<std::int32_t>(last - first));
    }
    return taps;
}

AreaRuns area_runs(const Axis& axis) {
    AreaRuns area;
    const double scale = factor(axis), source = static_cast<double>(axis.source);
    const auto add = [&](std::int64_t index, double weight) {
        area.index.push_back(index);
        area.weights.push_back(static_cast<float>(weight));
    };
    for (std::int64_t i = axis.begin; i < axis.begin + axis.count; ++i) {
        area.runs.push_back(static_cast<std::int32_t>(area.index.size()));
        const double begin = static_cast<double>(i) * scale, end = begin + scale;
        const double width = std::min(scale, source - begin);
        const auto last = std::min(static_cast<std::int64_t>(std::floor(end)), axis.source - 1);
        const auto first = std::min(static_cast<std::int64_t>(std::ceil(begin)), last);
        if (static_cast<double>(first) - begin > 1e-3) add(first - 1, (static_cast<double>(first) - begin) / width);
        for (std::int64_t s = first; s < last; ++s) add(s, 1.0 / width);
        if (end - static_cast<double>(last) > 1e-3)
            add(last, std::min(std::min(end - static_cast<double>(last), 1.0), width) / width);
    }
    area.runs.push_back(static_cast<std::int32_t>(area.index.size()));
    return area;
}

}  // namespace seatrial
