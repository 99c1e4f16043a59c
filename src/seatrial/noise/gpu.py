"""A GPU's clocks, power, heat and energy as columns of the watch, and which requests ran in a lower clock state.

For: the GPU that the watched process uses, by NVML. Not for: what a fact means (machine/nvml.py), or energy (loads/energy.py).
A request in a lower state is marked and stays: where all of them are, all are marked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.machine.nvml import Nvml, NvmlUnavailableError, reasons_said

I64 = npt.NDArray[np.int64]
GPU_COLUMNS = (
    "gpu_clock_mhz",  # of the SMs
    "gpu_memory_clock_mhz",
    "gpu_clock_reasons",  # bits of machine.nvml.CLOCK_REASONS
    "gpu_power_mw",
    "gpu_celsius",
    "gpu_energy_mj",  # since the driver was loaded; moves every 20 to 100 ms
    "gpu_memory_bytes",  # used by all processes
)
# Of the highest clock of the time: steps of 15 MHz are the GPU's own.
LOWER_CLOCK = 0.03


class GpuCounters:
    """One GPU, by CUDA's number, open for as long as the watch is. `why`: why there is none to read; '' where there is."""

    def __init__(self, ordinal: int = 0) -> None:
        self.why = ""
        self._nvml: Nvml | None = None
        try:
            self._nvml = Nvml()
            self._device = self._nvml.used_device(ordinal=ordinal)
        except NvmlUnavailableError as e:
            self.why = str(e)
            self.close()

    def read(self, unread: int) -> list[int]:
        """In the order of GPU_COLUMNS; `unread` where something is not told."""
        if self._nvml is None:
            return [unread] * len(GPU_COLUMNS)
        r = self._device.read()
        values = (
            *(r.sm_clock_mhz, r.memory_clock_mhz, r.clock_reasons, r.power_mw),
            *(r.celsius, r.energy_mj, r.memory_used_bytes),
        )
        return [unread if v is None else v for v in values]

    def close(self) -> None:
        if self._nvml is not None:
            self._nvml.close()
            self._nvml = None


@dataclass(frozen=True)
class LowerClocks:
    """requests: which of them, of all, ran while the clock was lower than at its best; share: of the readings; clock_mhz:
    least, median and most; reasons: in words, the commonest first."""

    requests: npt.NDArray[np.bool_]
    share: float
    clock_mhz: tuple[float, float, float]
    reasons: tuple[str, ...]


def lower_clocks(
    time_ns: I64, clock_mhz: I64 | None, reasons: I64 | None, start_ns: I64, duration_ns: I64
) -> LowerClocks | None:
    """None where no clock was told. A state is lower where the clock lies 3 % below the highest of these readings, or the
    driver names what slows it; a request is in it where the reading before it, behind it, or one between is."""
    if clock_mhz is None or not len(time_ns):
        return None
    highest = float(clock_mhz.max())
    lower = clock_mhz < (1 - LOWER_CLOCK) * highest
    said: dict[str, int] = {}
    if reasons is not None:
        kinds, counts = np.unique(reasons, return_counts=True)
        for bits, count in zip(kinds, counts, strict=True):
            slowing = reasons_said(int(bits), slowing=True)
            if slowing:
                lower = lower | (reasons == bits)
            for words in slowing:
                said[words] = said.get(words, 0) + int(count)
    before = np.clip(np.searchsorted(time_ns, start_ns, side="right") - 1, 0, len(time_ns) - 1)
    behind = np.clip(np.searchsorted(time_ns, start_ns + duration_ns), 0, len(time_ns) - 1)
    total = np.concatenate([[0], np.cumsum(lower)])
    return LowerClocks(
        requests=np.asarray(total[behind + 1] > total[before]),
        share=float(lower.mean()),
        clock_mhz=(float(clock_mhz.min()), float(np.median(clock_mhz)), highest),
        reasons=tuple(sorted(said, key=lambda words: -said[words])),
    )
