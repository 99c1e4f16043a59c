// The kernels' body run on the host, thread by thread: what tests compare with the CPU kernels and with the interpreted PTX.
// Not for: speed, or use in place of the CPU kernels.
#pragma once

#include "body.hpp"

namespace seatrial {
namespace device {

// One launch: every thread of its grid. Addresses are the host's.
void run_on_host(int method, int kind, const Image* images, u8* out, const Settings& settings);

}  // namespace device
}  // namespace seatrial
