// A table of stage times, one row an iteration. All memory is taken before the first sample; nothing allocates,
// locks or throws between begin() and end(). Not for statistics: it only keeps what the clock said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "clock.hpp"

namespace seatrial {

class StageSamples {
  public:
    // Touches every page now, so that no page fault falls into a timed section.
    StageSamples(std::size_t capacity, std::size_t stages)
        : capacity_(capacity), stages_(stages), row_length_(stages + 2), table_(checked_size(capacity, row_length_), 0) {}

    // Starts a row. False where the table is full; the row is then not recorded.
    bool begin() noexcept {
        open_ = rows_ < capacity_;
        lap_ = 0;
        last_ = now_ns();
        if (open_) row()[0] = last_;
        return open_;
    }

    // Ends the current stage; the next one begins at the same reading, so that no time falls between stages.
    void lap() noexcept {
        const std::int64_t t = now_ns();
        if (open_ && lap_ < stages_) row()[1 + lap_] = t - last_;
        ++lap_;
        last_ = t;
    }

    // Ends the row. The end-to-end time comes from a reading of its own, not from a sum. False, and the row is
    // dropped, unless every stage was ended exactly once.
    bool end() noexcept {
        const std::int64_t t = now_ns();
        const bool complete = open_ && lap_ == stages_;
        if (complete) {
            row()[row_length_ - 1] = t - row()[0];
            ++rows_;
        }
        open_ = false;
        return complete;
    }

    std::size_t rows() const noexcept { return rows_; }
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t stages() const noexcept { return stages_; }
    std::size_t row_length() const noexcept { return row_length_; }
    // Row-major: start, one duration a stage, end to end; nanoseconds.
    const std::int64_t* data() const noexcept { return table_.data(); }

  private:
    static std::size_t checked_size(std::size_t rows, std::size_t row_length) {
        // A product that wraps round would give a small table and rows far behind its end.
        if (row_length < 2 || rows > SIZE_MAX / sizeof(std::int64_t) / row_length) throw std::bad_alloc();
        return rows * row_length;
    }

    std::int64_t* row() noexcept { return table_.data() + rows_ * row_length_; }

    std::size_t capacity_, stages_, row_length_;
    std::vector<std::int64_t> table_;
    std::size_t rows_ = 0, lap_ = 0;
    std::int64_t last_ = 0;
    bool open_ = false;
};

}  // namespace seatrial
