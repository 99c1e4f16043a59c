// Masks of instances from coefficients and prototypes, as runs: no mask is ever held as pixels.
#include <algorithm>
#include <cmath>
#include <vector>

#include "instance_masks.hpp"

namespace seatrial {

namespace {

// Where centres of source rows, or columns, from `begin` on lie between cells.
struct Between {
    std::vector<std::int64_t> first, second;
    std::vector<float> share;
};

Between between(const Axis& axis, std::int64_t cells, std::int64_t begin, std::int64_t end) {
    const double scale = static_cast<double>(axis.resized) / static_cast<double>(axis.source);
    const double a_pixel = static_cast<double>(cells) / static_cast<double>(axis.input);
    const auto offset = static_cast<double>(axis.offset), last = static_cast<double>(axis.offset + axis.resized);
    const auto most = static_cast<double>(cells - 1);
    // Cells whose centres lie in the image: what a padding holds is nothing of it.
    const double low = std::min(most, std::max(0.0, std::ceil(offset * a_pixel - 0.5)));
    const double high = std::min(most, std::max(low, std::ceil(last * a_pixel - 0.5) - 1.0));
    Between found;
    const auto count = static_cast<std::size_t>(end - begin);
    found.first.resize(count), found.second.resize(count), found.share.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto pixel = static_cast<double>(begin + static_cast<std::int64_t>(i));
        const double at = std::min(std::max(((pixel + 0.5) * scale + offset) * a_pixel - 0.5, low), high);
        const double floor = std::floor(at);
        found.first[i] = static_cast<std::int64_t>(floor);
        found.second[i] = static_cast<std::int64_t>(std::min(floor + 1.0, high));
        found.share[i] = static_cast<float>(at - floor);
    }
    return found;
}

// First and end of the whole numbers from `low` on, below `high`, of 0 to size; both ends are finite.
std::pair<std::int64_t, std::int64_t> pixels_within(float low, float high, std::int64_t size) {
    const auto most = static_cast<double>(size);
    const double first = std::min(most, std::max(0.0, std::ceil(static_cast<double>(low))));
    const double end = std::min(most, std::max(first, std::ceil(static_cast<double>(high))));
    return {static_cast<std::int64_t>(first), static_cast<std::int64_t>(end)};
}

// Runs in column order, unset ones first, from the places where pixels change.
class Runs {
  public:
    explicit Runs(std::vector<std::uint32_t>& out) : out_(out) {}

    void change(std::int64_t at) {
        // A run that ended with its column goes on.
        if (count_ > 0 && at == last_) {
            last_ -= static_cast<std::int64_t>(out_.back());
            out_.pop_back();
            --count_;
            return;
        }
        out_.push_back(static_cast<std::uint32_t>(at - last_));
        last_ = at;
        ++count_;
    }

    void end(std::int64_t pixels) {
        if (count_ == 0 || pixels > last_) out_.push_back(static_cast<std::uint32_t>(pixels - last_));
    }

  private:
    std::vector<std::uint32_t>& out_;
    std::int64_t last_ = 0, count_ = 0;
};

}  // namespace

void instance_mask(const PrototypeMask& m, std::vector<std::uint32_t>& runs) {
    Runs found(runs);
    const std::int64_t height = m.rows.source, pixels = height * m.columns.source;
    const auto [x, x_end] = pixels_within(m.box_xyxy[0], m.box_xyxy[2], m.columns.source);
    const auto [y, y_end] = pixels_within(m.box_xyxy[1], m.box_xyxy[3], height);
    if (x == x_end || y == y_end) {
        found.end(pixels);
        return;
    }
    const Between rows = between(m.rows, m.cell_rows, y, y_end), columns = between(m.columns, m.cell_columns, x, x_end);
    // Only the cells that the box needs, one column of them behind the other.
    const std::int64_t top = rows.first.front(), bottom = rows.second.back() + 1;
    const std::int64_t left = columns.first.front(), right = columns.second.back() + 1;
    const auto deep = static_cast<std::size_t>(bottom - top);
    std::vector<float> sums(deep * static_cast<std::size_t>(right - left), 0.0f), column(deep);
    for (std::int64_t k = 0; k < m.channels; ++k) {
        const float coefficient = m.coefficients[k * m.coefficient_stride];
        const float* prototype = m.prototypes + k * m.cell_rows * m.cell_columns;
        for (std::int64_t c = left; c < right; ++c) {
            float* out = sums.data() + static_cast<std::size_t>(c - left) * deep;
            for (std::size_t r = 0; r < deep; ++r)
                out[r] += coefficient * prototype[(top + static_cast<std::int64_t>(r)) * m.cell_columns + c];
        }
    }
    for (std::int64_t i = x; i < x_end; ++i) {
        const auto at = static_cast<std::size_t>(i - x);
        const float *first = sums.data() + static_cast<std::size_t>(columns.first[at] - left) * deep,
                    *second = sums.data() + static_cast<std::size_t>(columns.second[at] - left) * deep;
        for (std::size_t r = 0; r < deep; ++r) column[r] = first[r] + (second[r] - first[r]) * columns.share[at];
        bool set = false;
        for (std::int64_t j = y; j < y_end; ++j) {
            const auto row = static_cast<std::size_t>(j - y);
            const float above = column[static_cast<std::size_t>(rows.first[row] - top)],
                        below = column[static_cast<std::size_t>(rows.second[row] - top)];
            const bool now = above + (below - above) * rows.share[row] > 0.0f;
            if (now != set) found.change(i * height + j);
            set = now;
        }
        if (set) found.change(i * height + y_end);
    }
    found.end(pixels);
}

}  // namespace seatrial
