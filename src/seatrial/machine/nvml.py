"""What NVIDIA's driver tells about its GPUs, by NVML: facts for a record, readings for a watch.

For: whoever asks a device something, through the package nvidia-ml-py, which is imported when it is asked for. Not for:
changing anything (gpu_clocks.py), or when to read (noise/). In containers and on MIG instances any call may be refused, and a
driver may be older than a function: a fact that was not told is None, never zero, and `missing` says why.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
PACKAGE_CURE = "pip install nvidia-ml-py"
# Error numbers of nvml.h whose own words do not say what to do.
_CURES = {
    3: "this GPU, container or MIG instance does not tell it",
    4: "the user has no right to; ask as root, or in a container with the driver's capability 'utility'",
    9: "load the kernel module (nvidia-smi), or run the container with --gpus all",
    12: "install NVIDIA's driver; in a container, its capability 'utility' (NVIDIA_DRIVER_CAPABILITIES)",
    13: "this driver is older than the function; install a newer one",
    15: "the GPU fell off its bus: reset it, or restart the machine",
    18: "the kernel module and the library are of unlike versions: restart the machine",
}
# Why a GPU's clock is not higher, by the bits of nvml.h (nvmlClocksEventReason...), in words; and whether that slows a load
# that would run faster without.
CLOCK_REASONS = {
    0x1: ("idle", False),
    0x2: ("the clocks that were set", False),
    0x4: ("the power cap", True),
    0x8: ("a hardware slowdown: heat, power or its cable", True),
    0x10: ("the slowest GPU of a sync group", True),
    0x20: ("heat, by the driver", True),
    0x40: ("heat, by the hardware", True),
    0x80: ("an external power brake", True),
    0x100: ("the clocks of a display", False),
    0x200: ("the board's limit", True),
    0x400: ("the voltage's limit", False),
}


class NvmlUnavailableError(Exception):
    """NVML cannot be asked here. cure: what would change that."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


@dataclass(frozen=True)
class GpuFacts:
    """What does not change while something is measured, and the clocks of the moment. None: not told, and `missing` says
    why."""

    index: int
    name: str | None = None
    driver: str | None = None
    uuid: str | None = None
    memory_bytes: int | None = None
    persistence: bool | None = None
    ecc: bool | None = None
    mig: bool | None = None
    power_limit_w: float | None = None
    sm_clock_mhz: int | None = None
    max_sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuReading:
    """One look. energy_mj: since the driver was loaded. clock_reasons: bits of CLOCK_REASONS. None: not told."""

    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    clock_reasons: int | None = None
    power_mw: int | None = None
    celsius: int | None = None
    energy_mj: int | None = None
    memory_used_bytes: int | None = None


class Device:
    """One GPU. `missing` has the last reason of each fact that was not told."""

    def __init__(self, library: Any, index: int, handle: Any) -> None:
        self.library, self.index, self.handle = library, index, handle
        self.missing: dict[str, str] = {}

    def name(self) -> str | None:
        return self.ask("name", lambda: _text(self.library.nvmlDeviceGetName(self.handle)))

    def uuid(self) -> str | None:
        return self.ask("uuid", lambda: _text(self.library.nvmlDeviceGetUUID(self.handle)))

    def base_clock_mhz(self) -> int | None:
        """Of the SMs, as the driver sets it where nobody says."""
        n = self.library
        return self.ask(
            "base_clock_mhz", lambda: int(n.nvmlDeviceGetDefaultApplicationsClock(self.handle, n.NVML_CLOCK_GRAPHICS))
        )

    def facts(self, driver: str | None = None) -> GpuFacts:
        n, h = self.library, self.handle
        found: dict[str, Any] = {}
        found["name"], found["uuid"] = self.name(), self.uuid()
        found["memory_bytes"] = self.ask("memory_bytes", lambda: int(n.nvmlDeviceGetMemoryInfo(h).total))
        found["persistence"] = self.ask("persistence", lambda: bool(n.nvmlDeviceGetPersistenceMode(h)))
        found["ecc"] = self.ask("ecc", lambda: bool(n.nvmlDeviceGetEccMode(h)[0]))
        found["mig"] = self.ask("mig", lambda: bool(n.nvmlDeviceGetMigMode(h)[0]))
        found["power_limit_w"] = self.ask("power_limit_w", lambda: n.nvmlDeviceGetEnforcedPowerLimit(h) / 1e3)
        found["sm_clock_mhz"] = self.ask("sm_clock_mhz", lambda: int(n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM)))
        found["max_sm_clock_mhz"] = self.ask(
            "max_sm_clock_mhz", lambda: int(n.nvmlDeviceGetMaxClockInfo(h, n.NVML_CLOCK_SM))
        )
        found["memory_clock_mhz"] = self.ask(
            "memory_clock_mhz", lambda: int(n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM))
        )
        missing = {name: self.missing[name] for name, value in found.items() if value is None}
        return GpuFacts(index=self.index, driver=driver, missing=missing, **found)

    def read(self) -> GpuReading:
        n, h = self.library, self.handle
        return GpuReading(
            sm_clock_mhz=self.ask("sm_clock_mhz", lambda: int(n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM))),
            memory_clock_mhz=self.ask("memory_clock_mhz", lambda: int(n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_MEM))),
            clock_reasons=self.ask("clock_reasons", self._clock_reasons),
            power_mw=self.ask("power_mw", lambda: int(n.nvmlDeviceGetPowerUsage(h))),
            celsius=self.ask("celsius", lambda: int(n.nvmlDeviceGetTemperature(h, n.NVML_TEMPERATURE_GPU))),
            energy_mj=self.ask("energy_mj", lambda: int(n.nvmlDeviceGetTotalEnergyConsumption(h))),
            memory_used_bytes=self.ask("memory_used_bytes", lambda: int(n.nvmlDeviceGetMemoryInfo(h).used)),
        )

    def ask(self, name: str, question: Callable[[], T]) -> T | None:
        """The answer; None where it was refused, with the reason in `missing`."""
        try:
            return question()
        except (self.library.NVMLError, AttributeError, UnicodeDecodeError) as e:
            self.missing[name] = words_of(e)
            return None

    def _clock_reasons(self) -> int:
        """By the function's name of today, or that of drivers before 535."""
        n = self.library
        try:
            return int(n.nvmlDeviceGetCurrentClocksEventReasons(self.handle))
        except (n.NVMLError, AttributeError) as e:
            if getattr(e, "value", 13) != 13:
                raise
            return int(n.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle))


class Nvml:
    """An open library: `with Nvml() as nvml:`. NvmlUnavailableError where there is none to ask."""

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError:
            raise NvmlUnavailableError("nvidia-ml-py is not installed", PACKAGE_CURE) from None
        self._library: Any = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as e:
            raise NvmlUnavailableError(f"NVML: {e}", _CURES.get(e.value, "see nvidia-smi")) from None
        self._open = True

    def driver(self) -> str | None:
        try:
            return _text(self._library.nvmlSystemGetDriverVersion())
        except (self._library.NVMLError, AttributeError):
            return None

    def devices(self) -> list[Device]:
        """All that the driver shows to this process, in the order of their bus. NvmlUnavailableError where it tells none."""
        n = self._library
        try:
            return [Device(n, i, n.nvmlDeviceGetHandleByIndex(i)) for i in range(n.nvmlDeviceGetCount())]
        except n.NVMLError as e:
            raise NvmlUnavailableError(f"NVML: {e}", _CURES.get(e.value, "see nvidia-smi")) from None

    def used_device(self, variables: Mapping[str, str] = os.environ, ordinal: int = 0) -> Device:
        """The GPU that is CUDA's device of that number in this environment. NvmlUnavailableError where nobody can say which
        that is."""
        devices = self.devices()
        if not devices:
            raise NvmlUnavailableError("NVML: the driver shows no GPU", "see nvidia-smi -L")
        asked = variables.get("CUDA_VISIBLE_DEVICES")
        visible = [str(d.index) for d in devices] if asked is None else [part.strip() for part in asked.split(",")]
        if ordinal >= len(visible):
            among = "the driver" if asked is None else f"CUDA_VISIBLE_DEVICES={asked}"
            raise NvmlUnavailableError(f"{among} shows no device {ordinal}", "name one from 0 on that it shows")
        first = visible[ordinal]
        cure = "set CUDA_VISIBLE_DEVICES to its UUID, as nvidia-smi -L has it"
        if first.isdigit() and int(first) < len(devices):
            if (
                len(devices) == 1
                or variables.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
                or len({d.name() for d in devices}) == 1
            ):
                return devices[int(first)]
            raise NvmlUnavailableError("CUDA numbers unlike GPUs by speed, NVML by their place on the bus", cure)
        for device in devices:
            uuid = device.uuid()
            if first and uuid and uuid.startswith(first):
                return device
        raise NvmlUnavailableError(f"no whole GPU is {first!r} of CUDA_VISIBLE_DEVICES={asked}", cure)

    def close(self) -> None:
        if self._open:
            self._open = False
            with contextlib.suppress(self._library.NVMLError):
                self._library.nvmlShutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def gpu_facts() -> tuple[tuple[GpuFacts, ...], str]:
    """Of every GPU; and where there is none to ask, why and the cure."""
    try:
        with Nvml() as nvml:
            driver = nvml.driver()
            return tuple(d.facts(driver) for d in nvml.devices()), ""
    except NvmlUnavailableError as e:
        return (), str(e)


def why_unread(ordinal: int = 0) -> str:
    """Why nobody can read the GPU that CUDA's device of that number is, and the cure; '' where it can be."""
    try:
        with Nvml() as nvml:
            nvml.used_device(ordinal=ordinal)
    except NvmlUnavailableError as e:
        return str(e)
    return ""


def reasons_said(bits: int, slowing: bool = False) -> tuple[str, ...]:
    """What holds the clock where it is, in words; a bit that nobody here knows is named too. slowing: only what slows a
    load."""
    said = [words for bit, (words, slows) in CLOCK_REASONS.items() if bits & bit and (slows or not slowing)]
    unknown = bits & ~sum(CLOCK_REASONS)
    return (*said, *([f"a reason that is not known here (0x{unknown:x})"] if unknown else []))


def words_of(error: Exception) -> str:
    """The library's own words, and what they mean."""
    number = getattr(error, "value", None)
    if number is None:
        return "this nvidia-ml-py does not have it; install a newer one"
    cure = _CURES.get(number)
    return f"{error}: {cure}" if cure else str(error)


def _text(answer: str | bytes) -> str:
    """Older versions of the package answer in bytes."""
    return answer.decode() if isinstance(answer, bytes) else str(answer)
