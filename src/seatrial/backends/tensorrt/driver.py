"""Whether a CUDA driver and a device are here, asked of the driver itself before a library that wants them is touched.

TensorRT 11.4's lean runtime says that there is no driver, gives back an object all the same, and then crashes the process.
For: one question before, in words. Not for: using a device (_native.cuda).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

DRIVER_LIBRARY = "libcuda.so.1"
INSTALL = "install NVIDIA's driver; in a container, start it with the GPU (docker run --gpus all)"
# cuInit's own answers that a user can do something about.
_ANSWERS = {
    3: ("the CUDA driver is shutting down", "start again"),
    34: (
        "libcuda.so.1 is the stub that toolkits are linked against",
        "take the toolkit's lib64/stubs out of LD_LIBRARY_PATH",
    ),
    100: ("the CUDA driver sees no device", "look for the card with nvidia-smi; CUDA_VISIBLE_DEVICES may hide it"),
    802: ("the device is not ready yet", "wait for the fabric manager, or ask nvidia-smi"),
    803: ("the CUDA driver and its kernel module are of different versions", "restart the machine after the update"),
    804: ("the CUDA driver is newer than its kernel module can serve", "update the kernel module"),
    999: ("the CUDA driver fails with an unknown error", "look at dmesg; the nvidia_uvm module may be missing"),
}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Device:
    """The first device. capability: as 'sm89'. driver: the CUDA version that the driver speaks, as (13, 0)."""

    name: str
    capability: str
    memory_bytes: int
    driver: tuple[int, int]


@dataclass(frozen=True)
class NoDevice:
    """Why there is none, and the cure."""

    reason: str
    cure: str


def find_device() -> Device | NoDevice:
    """Asks the driver. Makes no context, and takes no memory on the device."""
    try:
        driver = ctypes.CDLL(DRIVER_LIBRARY)
    except OSError as e:
        return NoDevice(f"there is no CUDA driver ({e})", INSTALL)
    code = driver.cuInit(0)
    if code:
        return NoDevice(*_ANSWERS.get(code, (f"cuInit fails with error {code}", "look at nvidia-smi and dmesg")))
    count, device, version, memory = ctypes.c_int(), ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value or driver.cuDeviceGet(ctypes.byref(device), 0):
        return NoDevice(*_ANSWERS[100])
    name = ctypes.create_string_buffer(256)
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    major, minor = (_attribute(driver, which, device) for which in (_MAJOR, _MINOR))
    speaks = divmod(version.value, 1000)
    return Device(
        name.value.decode("utf-8", "replace"), f"sm{major}{minor}", memory.value, (speaks[0], speaks[1] // 10)
    )


def _attribute(driver: ctypes.CDLL, which: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    driver.cuDeviceGetAttribute(ctypes.byref(value), which, device)
    return value.value
