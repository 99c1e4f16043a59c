"""Energy of one request on a GPU, by the driver's counter of millijoules, with an interval. Arithmetic, no device.

For: a load that was watched. Not for: reading the counter (noise/gpu.py). The counter (nvmlDeviceGetTotalEnergyConsumption,
Volta and newer) is the whole board's since the driver was loaded, and moves every 20 to 100 ms: between two moves it tells
nothing. So a span counts from one move to another, not from end to end:

    power  P = (C(b) - C(a)) / (b - a)         a, b: when the first and the last move within the span were seen
    gross    = P * span / requests
    net      = (P - P_idle) * span / requests  P_idle likewise, with the model loaded and nothing asked of it

A move is seen at a reading, and came after the one before: b - a is uncertain by the gaps d_a and d_b between those readings,
and C by its resolution r, so that P lies between (E - r) / (b - a + d_a) and (E + r) / (b - a - d_b). The interval is
Student's over spans of several seconds, 95 %, and on each side the mean of those bounds more: they do not shrink with the
number of spans where readings keep step with the counter. The error of idle is added in quadrature, its bounds in sum.

Not in the interval: what the sensor itself is wrong by, which NVIDIA states for old GPUs only (5 %); on A100 and H100 a quarter
of the time is sampled (Yang, Adamek, Armour, "Part-time Power Measurements", SC 2024), so that loads in step with the sampling
are wrong by more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.history.records import SoakEnergy
from seatrial.stats.means import student_half_width

I64 = npt.NDArray[np.int64]
# A span with fewer moves of the counter is mostly its ends.
LEAST_MOVES = 10
LEAST_SPANS = 4
# Readings next to each other are alike: their means over so many stretches at most are taken for independent.
MOST_SPANS = 10
SPAN_S = 2.0
# The counter's unit.
RESOLUTION_MJ = 1.0


@dataclass(frozen=True)
class Power:
    """Of one span, in watts, with its bounds."""

    watts: float
    low: float
    high: float

    @property
    def doubt(self) -> float:
        return max(self.watts - self.low, self.high - self.watts)


@dataclass(frozen=True)
class Span:
    """A stretch of the load: when, and how many requests ended in it."""

    from_ns: int
    to_ns: int
    requests: int


def power_of(time_ns: I64, energy_mj: I64, from_ns: int, to_ns: int) -> Power | None:
    """Mean power between the first and the last move of the counter within the span. None where it moved too seldom, or fell,
    as when the driver was loaded anew."""
    first, last = (int(i) for i in np.searchsorted(time_ns, [from_ns, to_ns]))
    t, c = time_ns[first:last], energy_mj[first:last]
    if len(t) < 2 or (np.diff(c) < 0).any():
        return None
    moves = np.flatnonzero(np.diff(c)) + 1
    if len(moves) < LEAST_MOVES:
        return None
    a, b = int(moves[0]), int(moves[-1])
    energy_mj_moved, taken_ms = float(c[b] - c[a]), float(t[b] - t[a]) / 1e6
    late_a, late_b = (float(t[i] - t[i - 1]) / 1e6 for i in (a, b))
    # Millijoules over milliseconds are watts.
    return Power(
        watts=energy_mj_moved / taken_ms,
        low=(energy_mj_moved - RESOLUTION_MJ) / (taken_ms + late_a),
        high=(energy_mj_moved + RESOLUTION_MJ) / max(taken_ms - late_b, 1e-3),
    )


def energy_of(time_ns: I64, energy_mj: I64, spans: Sequence[Span], idle: tuple[int, int] | None) -> SoakEnergy:
    """Of one request, gross and net. idle: from when to when nothing was asked; None where nobody waited."""
    whole = _longer(spans)
    powers = [power_of(time_ns, energy_mj, s.from_ns, s.to_ns) for s in whole]
    known = [(s, p) for s, p in zip(whole, powers, strict=True) if p is not None and s.requests]
    left_out = len(whole) - len(known)
    why = [f"{count_of(left_out, 'window')} left out: the counter fell or hardly moved in them"] if left_out else []
    if len(known) < LEAST_SPANS:
        said = f"{count_of(len(known), 'window')} of {SPAN_S:g} s or more with a counter that moves; {LEAST_SPANS} are needed"
        return SoakEnergy(windows=len(known), missing="; ".join([said, *why]))
    a_request = np.array([(s.to_ns - s.from_ns) / 1e9 / s.requests for s, _ in known])
    gross = np.array([p.watts for _, p in known]) * a_request
    half, doubt = _half_width(gross), float(np.mean([p.doubt * s for (_, p), s in zip(known, a_request, strict=True)]))
    value = float(gross.mean())
    found = SoakEnergy(gross_j=value, gross_interval_j=(value - half - doubt, value + half + doubt), windows=len(known))
    resting = _idle_powers(time_ns, energy_mj, idle) if idle else []
    if len(resting) < LEAST_SPANS:
        why.append(
            "net of idle is not told: the GPU was not watched at rest for long enough, or its counter hardly moved then"
        )
        return found.model_copy(update={"missing": "; ".join(why)})
    watts = float(np.mean([p.watts for p in resting]))
    each_s = float(a_request.mean())
    net = value - watts * each_s
    idle_half = _half_width(np.array([p.watts for p in resting])) * each_s
    idle_doubt = float(np.mean([p.doubt for p in resting])) * each_s
    error = math.hypot(half, idle_half) + doubt + idle_doubt
    update = {
        "net_j": net,
        "net_interval_j": (net - error, net + error),
        "idle_watts": watts,
        "missing": "; ".join(why),
    }
    return found.model_copy(update=update)


def _half_width(values: npt.NDArray[np.float64]) -> float:
    means = [float(part.mean()) for part in np.array_split(values, min(len(values), MOST_SPANS))]
    return student_half_width(means)


def _longer(spans: Sequence[Span]) -> list[Span]:
    """Neighbours put together until each is long enough."""
    found: list[Span] = []
    for s in spans:
        if found and found[-1].to_ns - found[-1].from_ns < SPAN_S * 1e9:
            last = found.pop()
            s = Span(last.from_ns, s.to_ns, last.requests + s.requests)
        found.append(s)
    return found[:-1] if found and found[-1].to_ns - found[-1].from_ns < SPAN_S * 1e9 else found


def _idle_powers(time_ns: I64, energy_mj: I64, idle: tuple[int, int]) -> list[Power]:
    count = int((idle[1] - idle[0]) / (SPAN_S * 1e9))
    edges = np.linspace(idle[0], idle[1], count + 1).astype(np.int64) if count else np.zeros(0, np.int64)
    powers = (power_of(time_ns, energy_mj, int(a), int(b)) for a, b in pairwise(edges))
    return [p for p in powers if p is not None]
