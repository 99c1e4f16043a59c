"""A soak's windows, with what the machine did meanwhile, to its part of the record. Arithmetic, no processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.history.records import SoakEnergy, SoakResult, SoakWindow
from seatrial.loads.energy import Span, energy_of
from seatrial.loads.soak.figures import figures_of
from seatrial.loads.soak.task import MALLOC_STEP, WARM_UP_SHARE
from seatrial.loads.soak.windows import Left
from seatrial.machine.nvml import reasons_said
from seatrial.noise.report import NoiseReport
from seatrial.noise.timeline import Timeline
from seatrial.stats.log_histogram import BIN_WIDTH

I64 = npt.NDArray[np.int64]
# A window's figure, the watch's column, and what it is multiplied by.
_GPU_FIELDS = {
    "gpu_mhz": ("gpu_clock_mhz", 1.0),
    "gpu_memory_mhz": ("gpu_memory_clock_mhz", 1.0),
    "gpu_celsius": ("gpu_celsius", 1.0),
    "gpu_watts": ("gpu_power_mw", 1e-3),
    "gpu_memory_bytes": ("gpu_memory_bytes", 1.0),
}


def soak_result(
    left: Left, asked_s: float, noise: NoiseReport | None, on_gpu: bool, gpu_missing: str, cut_short: str
) -> SoakResult:
    """gpu_missing: why a GPU's figures are not there, where the load is on one; '' where they may be."""
    windows = _with_machine(left.windows, noise.timeline if noise else None)
    out = math.ceil(WARM_UP_SHARE * len(windows))
    figures, missing = figures_of(windows[out:], asked_s, on_gpu, left.start.memory_step if left.start else MALLOC_STEP)
    if gpu_missing:
        missing = {name: gpu_missing if name.startswith("gpu-") else why for name, why in missing.items()}
    return SoakResult(
        asked_s=asked_s,
        measured_s=sum(w.seconds for w in windows),
        window_s=windows[0].seconds if windows else 0.0,
        left_out_s=sum(w.seconds for w in windows[:out]),
        requests=max(sum(w.requests for w in windows), len(left.rows)),
        kept=len(left.rows),
        bin_width=BIN_WIDTH,
        figures=tuple(figures),
        missing=missing,
        energy=_energy(left, windows[out:], noise) if on_gpu else None,
        cut_short=cut_short,
        windows=tuple(windows),
    )


def _energy(left: Left, windows: Sequence[SoakWindow], noise: NoiseReport | None) -> SoakEnergy | None:
    """None where no counter was read: the missing power says why."""
    energy_mj = noise.timeline.column("gpu_energy_mj") if noise else None
    if noise is None or energy_mj is None or left.start is None:
        return None
    spans = [Span(w.start_ns, w.start_ns + int(w.seconds * 1e9), w.requests) for w in windows]
    idle = (left.start.idle_from_ns, left.start.idle_to_ns) if left.start.idle_to_ns else None
    return energy_of(noise.timeline.time_ns, energy_mj, spans, idle)


def _with_machine(windows: Sequence[SoakWindow], timeline: Timeline | None) -> list[SoakWindow]:
    """Each window with the readings of the watch that lie in it."""
    if timeline is None or not len(timeline.table):
        return list(windows)
    times = timeline.time_ns
    clock, throttled, heat = (timeline.column(n) for n in ("frequency_khz", "throttled_ns", "thermal_events"))
    gpu = {field: (timeline.column(name), factor) for field, (name, factor) in _GPU_FIELDS.items()}
    reasons = timeline.column("gpu_clock_reasons")
    found = []
    for w in windows:
        first, last = np.searchsorted(times, [w.start_ns, w.start_ns + int(w.seconds * 1e9)])
        if last <= first:
            found.append(w)
            continue
        here, ends = slice(int(first), int(last)), (max(0, int(first) - 1), int(last) - 1)
        own: dict[str, Any] = {
            "cpu_mhz": None if clock is None else float(np.median(clock[here])) / 1e3,
            "throttled_s": None
            if throttled is None
            else max(0.0, float(throttled[ends[1]] - throttled[ends[0]]) / 1e9),
            "heat_events": None if heat is None else max(0, int(heat[ends[1]] - heat[ends[0]])),
        }
        own |= {f: None if c is None else float(np.median(c[here])) * factor for f, (c, factor) in gpu.items()}
        if reasons is not None:
            own["gpu_slowed"] = reasons_said(int(np.bitwise_or.reduce(reasons[here])), slowing=True)
        found.append(w.model_copy(update=own))
    return found
