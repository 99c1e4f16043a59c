// A kernel that holds a stream until the host lets it go, so that what is enqueued meanwhile runs without gaps between.
//
// It gives up after a limit, and says so: what is enqueued behind it may itself wait for the stream, as a copy from memory that
// is not pinned does, and both would wait for ever.
#pragma once

#include <cstdint>

#include "objects.hpp"

namespace seatrial::cuda {

class Hold {
  public:
    // Loads the kernel and runs it once, on `stream`, released: loading later would wait for the stream that it holds.
    Hold(const Stream& stream, std::int64_t limit_ns);

    // Gives the driver's code. The stream must not be held already.
    int hold(StreamHandle* stream) noexcept;
    // Harmless where nothing is held.
    void release() noexcept;
    // Of the last one, once its stream was waited for.
    bool gave_up() const noexcept;
    std::int64_t limit_ns() const noexcept { return static_cast<std::int64_t>(limit_ns_); }

  private:
    std::uint32_t* flags() const noexcept { return static_cast<std::uint32_t*>(flags_.data()); }

    const Driver& driver_;
    Module module_;
    FunctionHandle* function_;
    PinnedMemory flags_;  // released, gave up
    Address address_;
    std::uint64_t limit_ns_;
};

}  // namespace seatrial::cuda
