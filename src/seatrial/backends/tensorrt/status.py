"""Whether a TensorRT backend can run here; where not, why and the cure. Not for: building, which RTX does without a device."""

from __future__ import annotations

from seatrial.backends.base import Availability
from seatrial.backends.tensorrt.driver import Device, find_device
from seatrial.backends.tensorrt.library import Library, import_library
from seatrial.errors import BackendUnavailableError


def availability_of(name: str) -> Availability:
    """Asks for the package first, then for the driver and its device; touches nothing of TensorRT that needs either."""
    try:
        library = import_library(name)
    except BackendUnavailableError as e:
        reason, _, cure = e.text.removeprefix(f"{name}: ").rpartition("; ")
        return Availability(name, False, reason=reason, cure=cure)
    device = find_device()
    if not isinstance(device, Device):
        builds = "; seatrial build makes its engines here all the same" if library.rtx else ""
        return Availability(name, False, library.label, device.reason + builds, device.cure)
    if why := library.runs_on(device):
        reason, _, cure = why.partition(": ")
        return Availability(name, False, library.label, reason, cure)
    return Availability(name, True, library.label)


def usable(name: str) -> tuple[Library, Device]:
    """BackendUnavailableError where it cannot run."""
    status = availability_of(name)
    device = find_device() if status.ok else None
    if not isinstance(device, Device):
        raise BackendUnavailableError(f"{name}: {status.reason}; {status.cure}")
    return import_library(name), device
