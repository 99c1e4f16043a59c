#include "preprocess.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "rows.hpp"
#include "resize.hpp"

namespace seatrial {

namespace {

std::int64_t size_of(ElementType type) { return type == ElementType::f32 ? 4 : type == ElementType::f16 ? 2 : 1; }

// Writes rows of the tensor: padding and pixels. Columns are the tensor's.
class TensorRows {
  public:
    TensorRows(const RowKernels& kernels, const Job& job, const Values& values)
        : k_(kernels), values_(values), output_(job.output), pad_(job.placement.pad),
          reversed_(values.reversed != job.image.reversed), source_gray_(!job.image.u && job.image.channels == 1) {
        if (values.gray) gray_.resize(static_cast<std::size_t>(job.placement.out_width) + ROW_SLACK);
    }

    void pad(std::int64_t y, std::int64_t begin, std::int64_t end) {
        if (values_.type == ElementType::f32) fill<float>(y, begin, end);
        else if (values_.type == ElementType::f16) fill<std::uint16_t>(y, begin, end);
        else fill<std::uint8_t>(y, begin, end);
    }

    void write(std::int64_t y, std::int64_t begin, std::int64_t count, const std::uint8_t* pixels) {
        const int type = static_cast<int>(values_.type);
        int step = source_gray_ ? 1 : 4;
        if (values_.gray) {
            k_.to_gray(pixels, reversed_, count, gray_.data());
            pixels = gray_.data();
            step = 1;
        }
        if (values_.channels == 3 && !values_.planar) {
            const int forward[3] = {0, 1, 2}, backward[3] = {2, 1, 0};
            k_.packed[type](
                pixels, reversed_ ? backward : forward, count, values_.form, values_.channel, at(0, y, begin));
            return;
        }
        for (int c = 0; c < values_.channels; ++c) {
            const int from = values_.channels == 3 && reversed_ ? 2 - c : c;
            k_.plane[type](pixels, step, from, count, values_.form, values_.channel[c], at(c, y, begin));
        }
    }

  private:
    char* at(int channel, std::int64_t y, std::int64_t x) const {
        const std::int64_t pixel = size_of(values_.type) * (values_.planar ? 1 : values_.channels);
        return static_cast<char*>(output_.data) + channel * output_.channel_stride + y * output_.row_stride + x * pixel;
    }

    template <typename T>
    void fill(std::int64_t y, std::int64_t begin, std::int64_t end) const {
        T level[3] = {};
        for (int c = 0; c < values_.channels; ++c) level[c] = static_cast<const T*>(values_.channel[c].table)[pad_];
        if (values_.planar) {
            for (int c = 0; c < values_.channels; ++c)
                std::fill_n(reinterpret_cast<T*>(at(c, y, begin)), end - begin, level[c]);
            return;
        }
        T* out = reinterpret_cast<T*>(at(0, y, begin));
        for (std::int64_t x = begin; x < end; ++x)
            for (int c = 0; c < values_.channels; ++c) *out++ = level[c];
    }

    const RowKernels& k_;
    const Values& values_;
    const Output& output_;
    std::uint8_t pad_;
    bool reversed_, source_gray_;
    std::vector<std::uint8_t> gray_;
};

}  // namespace

Form cheapest_form(const Values& values, const float* floats) noexcept {
    if (values.type == ElementType::u8) {
        for (int c = 0; c < values.channels; ++c) {
            const auto* table = static_cast<const std::uint8_t*>(values.channel[c].table);
            for (int level = 0; level < 256; ++level)
                if (table[level] != static_cast<std::uint8_t>(level + table[0])) return Form::table;
        }
        return Form::add;
    }
    // Bit by bit: -0 is not 0, and a NaN that arithmetic repeats is no reason against it.
    const auto equals = [&](auto value) {
        for (int c = 0; c < values.channels; ++c)
            for (int level = 0; level < 256; ++level) {
                const float given = value(static_cast<float>(level), values.channel[c]);
                if (std::memcmp(&given, &floats[256 * c + level], sizeof given) != 0) return false;
            }
        return true;
    };
    if (equals([](float x, const Channel& c) { return x * c.scale; })) return Form::scale;
    if (equals([](float x, const Channel& c) { return x * c.scale - c.mean; })) return Form::scale_mean;
    // A product with the reciprocal, corrected by its exact remainder, is the quotient in nearly all cases.
    if (equals([](float x, const Channel& c) {
            const float centred = x * c.scale - c.mean, near = centred * c.reciprocal;
            return std::fma(std::fma(-near, c.std, centred), c.reciprocal, near);
        }))
        return Form::scale_mean_std;
    return Form::table;
}

void preprocess(const RowKernels& kernels, const Job& job, const Values& values) {
    const Placement& p = job.placement;
    const Axis columns = visible(job.image.width, p.resized_width, p.offset_x, p.out_width);
    const Axis rows = visible(job.image.height, p.resized_height, p.offset_y, p.out_height);
    const std::int64_t left = columns.begin + p.offset_x, right = left + columns.count;
    const std::int64_t top = rows.begin + p.offset_y, bottom = top + rows.count;
    SourceRows source(kernels, job.image);
    TensorRows tensor(kernels, job, values);
    const auto resized = resized_rows(kernels, source, p.interpolation, columns, rows);
    for (std::int64_t y = 0; y < p.out_height; ++y) {
        if (y < top || y >= bottom || columns.count == 0) {
            tensor.pad(y, 0, p.out_width);
            continue;
        }
        tensor.pad(y, 0, left);
        tensor.write(y, left, columns.count, resized->row(y - p.offset_y));
        tensor.pad(y, right, p.out_width);
    }
}

void preprocess_batch(const RowKernels& kernels, const Job* jobs, std::size_t count, const Values& values, int threads) {
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;
    std::mutex error_lock;
    const auto work = [&] {
        for (std::size_t i; !failed && (i = next++) < count;) try {
                preprocess(kernels, jobs[i], values);
            } catch (...) {
                const std::lock_guard<std::mutex> held(error_lock);
                if (!failed.exchange(true)) error = std::current_exception();
                return;
            }
    };
    std::vector<std::thread> helpers;
    const auto wanted = std::min<std::size_t>(threads < 1 ? 1 : static_cast<std::size_t>(threads), count);
    helpers.reserve(wanted);
    try {
        while (helpers.size() + 1 < wanted) helpers.emplace_back(work);
    } catch (...) {
        // The system has no thread left to give: those that run do the work.
    }
    work();
    for (auto& helper : helpers) helper.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace seatrial
