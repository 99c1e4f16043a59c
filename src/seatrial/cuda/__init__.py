"""NVIDIA's driver API without a build dependency: devices, memory, streams, graphs, kernels, and timing by a device's events.

For: whoever runs something on a GPU, and for arrays of torch, cupy and pycuda (interop). Not for: any particular runtime, nor
for clocks, power and temperature. Importing it touches no driver; the first use loads it and says what is missing.
"""

from __future__ import annotations

from seatrial._native.cuda import (
    LEAST_VERSION,
    ClockDisagreementError,
    Context,
    CudaError,
    CudaUnavailableError,
    Device,
    DeviceBuffer,
    Driver,
    Event,
    EventTimer,
    Function,
    Graph,
    Module,
    OutOfDeviceMemoryError,
    PinnedBuffer,
    Request,
    Stream,
    device_count,
    driver_version,
    load,
    version_text,
)
from seatrial.cuda.interop import DeviceArray, as_device_array, as_stream
from seatrial.cuda.request import Slot, captured, check_transfers

__all__ = [
    "LEAST_VERSION",
    "ClockDisagreementError",
    "Context",
    "CudaError",
    "CudaUnavailableError",
    "Device",
    "DeviceArray",
    "DeviceBuffer",
    "Driver",
    "Event",
    "EventTimer",
    "Function",
    "Graph",
    "Module",
    "OutOfDeviceMemoryError",
    "PinnedBuffer",
    "Request",
    "Slot",
    "Stream",
    "as_device_array",
    "as_stream",
    "captured",
    "check_transfers",
    "device_count",
    "driver_version",
    "load",
    "version_text",
]
