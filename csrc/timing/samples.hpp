// A table of stage times, one row a request, in memory that its owner gives. Nothing allocates, locks or throws between
// begin() and end(). Not for statistics: it only keeps what the clock said, the host's or a device's.
//
// The memory may be shared with another process: the count of whole rows stands in its first word and is published
// after each row, so that whoever outlives this process still finds every row that was finished.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "clock.hpp"

namespace seatrial {

class StageSamples {
  public:
    // Words of the table's head: the row count, and a cache line to itself.
    static constexpr std::size_t kHeadWords = 8;

    // int64 words that a table takes. Throws std::bad_alloc where their bytes are more than any object may have: a product
    // that wraps round would give a small table and rows far behind its end.
    static std::size_t words(std::size_t capacity, std::size_t stages) {
        const std::size_t row_length = stages + 2;
        if (row_length < 2 || capacity > (PTRDIFF_MAX / sizeof(std::int64_t) - kHeadWords) / row_length) throw std::bad_alloc();
        return kHeadWords + capacity * row_length;
    }

    // Writes every word now, so that no first page fault falls into a timed section.
    StageSamples(std::int64_t* memory, std::size_t capacity, std::size_t stages) noexcept
        : memory_(memory), capacity_(capacity), stages_(stages), row_length_(stages + 2) {
        for (std::size_t i = 0; i < kHeadWords + capacity * row_length_; ++i) memory[i] = 0;
    }

    // Starts a row now. False where the table is full; the row is then not recorded.
    bool begin() noexcept { return begin_at(now_ns()); }

    // Starts a row at a given time: a request's latency counts from its scheduled arrival, which may be past.
    bool begin_at(std::int64_t start_ns) noexcept {
        open_ = rows_ < capacity_;
        lap_ = 0;
        over_ = false;
        last_ = start_ns;
        if (open_) row()[0] = start_ns;
        return open_;
    }

    // Ends the current stage; the next one begins at the same reading, so that no time falls between stages.
    void lap() noexcept {
        const std::int64_t t = now_ns();
        if (open_ && lap_ < stages_) row()[1 + lap_] = t - last_;
        ++lap_;
        last_ = t;
    }

    // Fills the next stage with a duration that somebody else's clock measured, such as a device's events. The host's stages do
    // not move: the one that runs goes on until its lap(). So given stages lie within the host's or beside them, and a row that
    // has any need not add up to its end-to-end time.
    void give(std::int64_t duration_ns) noexcept {
        if (open_ && lap_ < stages_) row()[1 + lap_] = duration_ns;
        ++lap_;
    }

    // The request is over; what follows before end() is no part of it, such as reading a device's events. Only give() may
    // come between.
    void finish() noexcept {
        last_ = now_ns();
        over_ = true;
    }

    // Ends the row, or what finish() ended. The end-to-end time comes from a reading of its own, not from a sum. False, and the
    // row is dropped, unless every stage was ended or given exactly once.
    bool end() noexcept {
        if (!over_) last_ = now_ns();
        const bool complete = open_ && lap_ == stages_;
        if (complete) {
            row()[row_length_ - 1] = last_ - row()[0];
            ++rows_;
            __atomic_store_n(memory_, static_cast<std::int64_t>(rows_), __ATOMIC_RELEASE);
        }
        open_ = false;
        return complete;
    }

    // The last reading that was taken.
    std::int64_t last_ns() const noexcept { return last_; }
    bool full() const noexcept { return rows_ == capacity_; }
    std::size_t rows() const noexcept { return static_cast<std::size_t>(__atomic_load_n(memory_, __ATOMIC_ACQUIRE)); }
    std::size_t capacity() const noexcept { return capacity_; }
    std::size_t stages() const noexcept { return stages_; }
    std::size_t row_length() const noexcept { return row_length_; }
    // Row-major: start, one duration a stage, end to end; nanoseconds.
    const std::int64_t* data() const noexcept { return memory_ + kHeadWords; }

  private:
    std::int64_t* row() noexcept { return memory_ + kHeadWords + rows_ * row_length_; }

    std::int64_t* memory_;
    std::size_t capacity_, stages_, row_length_;
    std::size_t rows_ = 0, lap_ = 0;
    std::int64_t last_ = 0;
    bool open_ = false, over_ = false;
};

}  // namespace seatrial
