#include "host.hpp"

namespace seatrial {
namespace device {

namespace {

template <int METHOD, int KIND>
void run(const Image* images, u8* out, const Settings& settings) {
    for (i32 index = 0; index < settings.images; ++index)
        for (i32 y = 0; y < settings.out_height; y += ROWS_A_THREAD)
            for (i32 x = 0; x < settings.out_width; ++x) thread_body<METHOD, KIND>(images, index, out, settings, x, y);
}

using Run = void (*)(const Image*, u8*, const Settings&);
template <int METHOD>
constexpr Run KINDS_OF[KINDS] = {run<METHOD, gray>, run<METHOD, color>, run<METHOD, planes>};

constexpr const Run* RUNS[METHODS] = {KINDS_OF<copy>, KINDS_OF<nearest>, KINDS_OF<linear>, KINDS_OF<halve>, KINDS_OF<box>,
                                      KINDS_OF<runs>, KINDS_OF<cubic>, KINDS_OF<width_first>, KINDS_OF<height_first>};

}  // namespace

void run_on_host(int method, int kind, const Image* images, u8* out, const Settings& settings) {
    RUNS[method][kind](images, out, settings);
}

}  // namespace device
}  // namespace seatrial
