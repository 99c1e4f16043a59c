#include "between.hpp"

#include <algorithm>
#include <cmath>

namespace seatrial {

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

std::vector<std::size_t> spans(const Between& rows) {
    std::vector<std::size_t> begins;
    for (std::size_t i = 0; i < rows.first.size(); ++i)
        if (i == 0 || rows.first[i] != rows.first[i - 1]) begins.push_back(i);
    begins.push_back(rows.first.size());
    return begins;
}

}  // namespace seatrial
