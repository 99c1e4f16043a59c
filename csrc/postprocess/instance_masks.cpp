// Masks of instances from coefficients and prototypes, as runs: no mask is ever held as pixels.
#include <algorithm>
#include <cmath>
#include <vector>

#include "instance_masks.hpp"

namespace seatrial {

namespace {

// Whether all that is drawn out between two cells is above zero, as far as rounding lets it be known: a step of the sum errs by
// 2^-22 of the greater at most.
bool surely_above(float a, float b) { return a > b * 1e-6f && b > a * 1e-6f && a > 0.0f; }

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
    // By name: C++17 lets no lambda have a part of a structured binding.
    const auto across = pixels_within(m.box_xyxy[0], m.box_xyxy[2], m.columns.source);
    const auto down = pixels_within(m.box_xyxy[1], m.box_xyxy[3], height);
    const std::int64_t x = across.first, x_end = across.second, y = down.first, y_end = down.second;
    if (x == x_end || y == y_end) {
        found.end(pixels);
        return;
    }
    const Between rows = between(m.rows, m.cell_rows, y, y_end), columns = between(m.columns, m.cell_columns, x, x_end);
    const std::vector<std::size_t> begins = spans(rows);
    // Only the cells that the box needs, one column of them behind the other.
    const std::int64_t top = rows.first.front(), bottom = rows.second.back() + 1;
    const std::int64_t left = columns.first.front(), right = columns.second.back() + 1;
    const auto deep = static_cast<std::size_t>(bottom - top), wide = static_cast<std::size_t>(right - left);
    std::vector<float> row_by_row(deep * wide, 0.0f), sums(deep * wide), column(deep);
    for (std::int64_t k = 0; k < m.channels; ++k) {
        const float coefficient = m.coefficients[k * m.coefficient_stride];
        const float* prototype = m.prototypes + (k * m.cell_rows + top) * m.cell_columns + left;
        for (std::size_t r = 0; r < deep; ++r) {
            float* out = row_by_row.data() + r * wide;
            const float* in = prototype + static_cast<std::int64_t>(r) * m.cell_columns;
            for (std::size_t c = 0; c < wide; ++c) out[c] += coefficient * in[c];
        }
    }
    for (std::size_t r = 0; r < deep; ++r)
        for (std::size_t c = 0; c < wide; ++c) sums[c * deep + r] = row_by_row[r * wide + c];
    for (std::int64_t i = x; i < x_end; ++i) {
        const auto at = static_cast<std::size_t>(i - x);
        const float *first = sums.data() + static_cast<std::size_t>(columns.first[at] - left) * deep,
                    *second = sums.data() + static_cast<std::size_t>(columns.second[at] - left) * deep;
        for (std::size_t r = 0; r < deep; ++r) column[r] = first[r] + (second[r] - first[r]) * columns.share[at];
        bool set = false;
        const auto turn = [&](bool now, std::size_t row) {
            if (now != set) found.change(i * height + y + static_cast<std::int64_t>(row));
            set = now;
        };
        for (std::size_t s = 0; s + 1 < begins.size(); ++s) {
            const float above = column[static_cast<std::size_t>(rows.first[begins[s]] - top)],
                        below = column[static_cast<std::size_t>(rows.second[begins[s]] - top)];
            // Most cells lie within the object or outside of it; only at its edge each pixel is asked.
            if (above <= 0.0f && below <= 0.0f) turn(false, begins[s]);
            else if (surely_above(above, below)) turn(true, begins[s]);
            else
                for (std::size_t row = begins[s]; row < begins[s + 1]; ++row)
                    turn(above + (below - above) * rows.share[row] > 0.0f, row);
        }
        if (set) found.change(i * height + y_end);
    }
    found.end(pixels);
}

}  // namespace seatrial
