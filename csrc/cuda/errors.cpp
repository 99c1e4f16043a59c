#include "errors.hpp"

#include <cstdio>

namespace seatrial::cuda {

namespace {

struct Cure {
    int code;
    bool unavailable;
    const char* text;
};

// By CUresult's numbers. A sticky error leaves the context of no use to anybody in the process: only a new one helps.
constexpr char kSticky[] = "the device's context is lost for this whole process: end it and start anew; "
                           "`dmesg | grep -i xid` says what the driver saw";
constexpr char kCapture[] = "run what is captured once before, so that all is loaded and allocated, keep synchronisations and "
                            "allocations out of it, or run without a CUDA graph";
constexpr char kPtx[] = "update the driver, or use PTX of an older version";

constexpr Cure kCures[] = {
    {1, false, "an argument is out of its range: check sizes, pointers and the grid"},
    {2, false, "use a smaller batch, or end what else holds the device's memory (`nvidia-smi` lists it)"},
    {3, false, "call cuInit first; after fork() start the process anew (multiprocessing's 'spawn')"},
    {4, false, "the driver is shutting down: release device objects before the interpreter ends"},
    {34, true, "this is the toolkit's stub, not the driver: take its folder off LD_LIBRARY_PATH"},
    {46, true, "another process holds the device, which is in exclusive mode: end it, or `nvidia-smi -c DEFAULT`"},
    {100, true, "check `nvidia-smi`, CUDA_VISIBLE_DEVICES, and that a container was started with the GPU (`--gpus all`)"},
    {101, true, "choose an ordinal below the number of devices; CUDA_VISIBLE_DEVICES renumbers them"},
    {200, false, "the module is no PTX, cubin or fatbin"},
    {201, false, "the context was destroyed, or belongs to no device of this process"},
    {205, false, "the memory cannot be mapped"},
    {209, false, "the module has no code for this device: build it for its compute capability, or as PTX"},
    {214, false, kSticky},
    {218, false, "the PTX does not assemble for this device: its log says the line"},
    {220, false, kSticky},
    {221, false, "install the driver's libnvidia-ptxjitcompiler.so.1 (Debian: libnvidia-ptxjitcompiler1)"},
    {222, false, kPtx},
    {223, false, "unset CUDA_DISABLE_PTX_JIT"},
    {300, false, "the kernel's source is wrong"},
    {304, false, "the operating system refused: check the limits of the process (`ulimit -a`)"},
    {400, false, "the handle is of another context, was destroyed, or its event was never recorded"},
    {401, false, "the object is in a state that does not allow this"},
    {500, false, "no such name in the module: check the kernel's extern \"C\" name"},
    {600, false, "the event has not happened yet, or an event behind it was never recorded: wait for it"},
    {700, false, kSticky},
    {701, false, "use fewer threads a block, or less shared memory"},
    {702, false, kSticky},
    {709, false, kSticky},
    {710, false, kSticky},
    {712, false, "the host memory is registered already"},
    {714, false, kSticky},
    {715, false, kSticky},
    {716, false, kSticky},
    {717, false, kSticky},
    {718, false, kSticky},
    {719, false, kSticky},
    {801, false, "this device or driver does not support it"},
    {802, true, "the device is not ready: start nvidia-fabricmanager, or wait for the driver"},
    {803, true, "the driver's library and its kernel module are of different versions: reboot, or mount the host's library"},
    {804, true, "take the compatibility package's libcuda off LD_LIBRARY_PATH: it serves data-centre cards only"},
    {900, false, kCapture},
    {901, false, kCapture},
    {902, false, kCapture},
    {903, false, kCapture},
    {904, false, kCapture},
    {905, false, kCapture},
    {906, false, kCapture},
    {907, false, kCapture},
    {908, false, kCapture},
    {909, false, "the driver waited too long"},
    {910, false, "capture the graph anew"},
    {911, false, kSticky},
    {999, false, kSticky},
};

}  // namespace

const char* cure(int code) noexcept {
    for (const Cure& each : kCures)
        if (each.code == code) return each.text;
    return "look the code up under CUresult in the CUDA driver API's manual";
}

bool is_unavailable(int code) noexcept {
    for (const Cure& each : kCures)
        if (each.code == code) return each.unavailable;
    return false;
}

std::string bytes_text(unsigned long long bytes) {
    static const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 2048) return std::to_string(bytes) + " bytes";
    double value = static_cast<double>(bytes) / 1024;
    unsigned unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; ++unit) value /= 1024;
    char text[40];
    std::snprintf(text, sizeof text, "%.4g %s", value, units[unit]);
    return text;
}

}  // namespace seatrial::cuda
