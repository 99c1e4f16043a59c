// Linear: two rows resized across are kept, since the next row down needs mostly the same.
#include "resize_rows.hpp"

namespace seatrial {

namespace {

// The columns' taps as the row kernels take them.
struct LinearTables {
    LinearTables(const TwoTaps& taps, int channels, std::int64_t bytes)
        : offsets(byte_offsets(taps.first, channels)), count(static_cast<std::int64_t>(offsets.size())) {
        const std::int64_t groups = (count + 3) / 4;
        weights.assign(static_cast<std::size_t>(32 * groups), 0);
        for (std::int64_t i = 0; i < count; ++i) {
            std::int16_t* pairs = weights.data() + 8 * place(i);
            for (int lane = 0; lane < 4; ++lane) {
                pairs[2 * lane] = taps.weights[2 * i];
                pairs[2 * lane + 1] = taps.weights[2 * i + 1];
            }
            copies = copies && taps.weights[2 * i + 1] == 0;
        }
        if (channels != 1 && bytes >= WINDOW) find_windows(channels, bytes);
    }

    LinearTaps view() const {
        return {offsets.data(), weights.data(), windows.data(), picks.empty() ? nullptr : picks.data(), count};
    }

    std::vector<std::int32_t> offsets, windows;
    std::vector<std::int16_t> weights;
    std::vector<std::uint8_t> picks;
    std::int64_t count;
    bool copies = true;  // all weight on first taps

  private:
    static constexpr std::int64_t WINDOW = 16;

    static std::int64_t place(std::int64_t i) { return i / 4 * 4 + GROUP_ORDER[i % 4]; }

    void find_windows(int channels, std::int64_t bytes) {
        windows.assign(static_cast<std::size_t>((count + 3) / 4 * 2), 0);
        picks.assign(weights.size() * 2, 0x80);  // a byte of zero
        for (std::int64_t i = 0; i < count; ++i) {
            std::int32_t& window = windows[static_cast<std::size_t>(i / 2)];
            // Not past the end of the row: the last windows begin earlier.
            if (i % 2 == 0) window = static_cast<std::int32_t>(std::min<std::int64_t>(offsets[i], bytes - WINDOW));
            const std::int64_t first = offsets[i] - window;
            const bool alone = offsets[i] + channels >= bytes;  // the last pixel has no neighbour
            if (first + (alone ? 1 : 2) * channels > WINDOW) return picks.clear();
            std::uint8_t* pick = picks.data() + 16 * place(i);
            for (int c = 0; c < channels; ++c) {
                pick[4 * c] = static_cast<std::uint8_t>(first + c);
                if (!alone) pick[4 * c + 2] = static_cast<std::uint8_t>(first + channels + c);
            }
        }
    }
};

struct LinearRows : RowsOfColumns {
    LinearRows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, const TwoTaps& x,
               TwoTaps y)
        : RowsOfColumns(kernels, source, columns, rows), across_taps(x, channels, source.bytes()), down(std::move(y)) {
        for (auto& slot : slots) slot.values = row_of<std::int16_t>(values);
    }

    const std::uint8_t* row(std::int64_t y) override {
        const std::int64_t i = y - rows.begin;
        const int w0 = down.weights[2 * i], w1 = down.weights[2 * i + 1];
        const std::int64_t first = std::clamp<std::int64_t>(down.first[i], 0, rows.source - 1);
        const std::int64_t second = std::clamp<std::int64_t>(down.first[i] + 1, 0, rows.source - 1);
        if (across_taps.copies && w1 == 0) {
            // An odd whole factor hits pixel centres: all weight on one pixel gives that pixel.
            k.gather(source.row(first), source.bytes(), channels, across_taps.offsets.data(), columns.count, pixels.data());
            return pixels.data();
        }
        // A row without weight is neither read nor resized.
        const std::int16_t* upper = across(first, second);
        const std::int16_t* lower = w1 == 0 ? upper : across(second, first);
        k.linear_rows(upper, lower, w0, w1, values, pixels.data());
        return pixels.data();
    }

  private:
    struct Slot {
        std::int64_t y = -1;
        std::vector<std::int16_t> values;
    };

    // The source row resized across; two are kept, since the next row needs mostly the same.
    const std::int16_t* across(std::int64_t y, std::int64_t keep) {
        for (auto& slot : slots)
            if (slot.y == y) return slot.values.data();
        Slot& slot = slots[slots[0].y == keep ? 1 : 0];
        k.linear_columns(source.row(y), source.bytes(), channels, across_taps.view(), slot.values.data());
        slot.y = y;
        return slot.values.data();
    }

    LinearTables across_taps;
    TwoTaps down;
    Slot slots[2];
};

}  // namespace

Made linear_rows(const RowKernels& kernels, SourceRows& source, const Axis& columns, const Axis& rows, const TwoTaps& x,
                 TwoTaps y) {
    return std::make_unique<LinearRows>(kernels, source, columns, rows, x, std::move(y));
}

}  // namespace seatrial
