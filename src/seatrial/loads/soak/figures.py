"""Windows of a soak to slopes, and slopes to words: what moves, what surely does not, and what was too short to tell.

For: arithmetic and sentences. Not for: judging a limit (limits.py), or where the windows come from (results.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from seatrial.errors import count_of, flag
from seatrial.history.records import SoakFigure, SoakWindow
from seatrial.loads.soak.task import LEAST_FOR_P99, MALLOC_STEP
from seatrial.stats.log_histogram import BIN_WIDTH
from seatrial.stats.slope import LEAST_READINGS, Slope, slope_of

HOUR_S = 3600.0
# Of its level an hour: a figure that is not known more closely is not said to stand still.
STEADY_PER_H = 0.1
# Of windows without a figure: those that lack it are the slow ones, and what is left is no fair picture.
MOST_LACKING = 0.05
_SIZES = ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))


@dataclass(frozen=True)
class Series:
    """One figure of a window. resolution: how finely it moves, given its level. missing: why it may not be there at all;
    lacks: what a window without it has."""

    name: str
    unit: str
    of: Callable[[SoakWindow], float | None]
    resolution: Callable[[float], float]
    missing: str = ""
    lacks: str = ""
    on_gpu: bool = False


_NO_GPU_FACT = "the driver does not tell it"
SERIES = (
    Series("latency-p50", "s", lambda w: w.p50_s, lambda level: BIN_WIDTH * level, lacks="saw no request end"),
    Series(
        "latency-p99",
        "s",
        lambda w: w.p99_s,
        lambda level: BIN_WIDTH * level,
        f"a window has fewer than {LEAST_FOR_P99} requests, of which a p99 would be the slowest",
        f"has fewer than {LEAST_FOR_P99} requests",
    ),
    Series("memory", "B", lambda w: w.memory_bytes, lambda _: MALLOC_STEP, "/proc does not tell it"),
    Series(
        "cpu-clock",
        "MHz",
        lambda w: w.cpu_mhz,
        lambda _: 1.0,
        "the kernel does not tell it here, as on most virtual machines",
    ),
    Series(
        "cpu-temperature",
        "°C",
        lambda w: w.cpu_celsius,
        lambda _: 1.0,
        "no sensor of the processor can be read here, as on most virtual machines",
    ),
    Series("gpu-clock", "MHz", lambda w: w.gpu_mhz, lambda _: 15.0, _NO_GPU_FACT, on_gpu=True),
    Series("gpu-memory", "B", lambda w: w.gpu_memory_bytes, lambda _: 2.0 * 2**20, _NO_GPU_FACT, on_gpu=True),
    Series("gpu-temperature", "°C", lambda w: w.gpu_celsius, lambda _: 1.0, _NO_GPU_FACT, on_gpu=True),
    Series("gpu-power", "W", lambda w: w.gpu_watts, lambda _: 0.1, _NO_GPU_FACT, on_gpu=True),
)


def figures_of(
    windows: Sequence[SoakWindow], asked_s: float, gpu: bool, memory_step: float = MALLOC_STEP
) -> tuple[list[SoakFigure], dict[str, str]]:
    """windows: behind the warm-up. gpu: whether the load is on one, so that its figures are expected. memory_step: bytes by
    which memory grows at once at least. And what is missing."""
    found, missing = [], {}
    for series in SERIES:
        if series.on_gpu and not gpu:
            continue
        pairs = [(w, v) for w in windows if (v := series.of(w)) is not None]
        if windows and not pairs:
            missing[series.name] = series.missing or "no window has it"
            continue
        if (lacking := len(windows) - len(pairs)) > MOST_LACKING * len(windows):
            found.append(_lacking(series, lacking, len(windows)))
            continue
        values = np.array([v for _, v in pairs], np.float64)
        at_h = np.array([(w.start_ns / 1e9 + w.seconds / 2) / HOUR_S for w, _ in pairs])
        if not len(values):
            found.append(_unknown(series, 0, None, asked_s))
            continue
        resolution = memory_step if series.name == "memory" else series.resolution(float(np.median(values)))
        half = len(values) // 2
        late = slope_of(at_h[half:], values[half:], resolution)
        found.append(_figure(series, slope_of(at_h, values, resolution), late, asked_s))
    return found, missing


def _lacking(series: Series, lacking: int, n: int) -> SoakFigure:
    why = f", each of which {series.lacks}" if series.lacks else ""
    said = f"{named(series.name)}: not told: {lacking} of {count_of(n, 'window')} lack it{why}"
    return SoakFigure(name=series.name, unit=series.unit, n=n - lacking, word="unknown", said=said)


def _unknown(series: Series, n: int, level: float | None, asked_s: float) -> SoakFigure:
    said = f"{named(series.name)}: not enough: {count_of(n, 'window')} behind the warm-up, and a slope takes {LEAST_READINGS}"
    said += f"; raise {flag('soak')} to {_time(_round_up(max(asked_s, 1.0) * 1.2 * LEAST_READINGS / max(n, 1)))}"
    return SoakFigure(name=series.name, unit=series.unit, level=level, n=n, word="unknown", said=said)


def _figure(series: Series, slope: Slope, late: Slope, asked_s: float) -> SoakFigure:
    """late: of the later half alone."""
    if slope.low is None or slope.high is None:
        return _unknown(series, slope.n, slope.level, asked_s)
    known = {
        "name": series.name,
        "unit": series.unit,
        "change_per_h": slope.value,
        "interval_per_h": (slope.low, slope.high),
        "level": slope.level,
        "n": slope.n,
        "n_eff": slope.n_eff,
        "by_range": slope.by_range,
        "late_interval_per_h": None if late.low is None or late.high is None else (late.low, late.high),
    }
    name, scale = named(series.name), _Scale.of(series.unit, slope.level, (slope.value, slope.low, slope.high))
    if slope.moves:
        way = "grows" if slope.value > 0 else "falls"
        near, far = sorted((abs(slope.low), abs(slope.high)))
        said = f"{name} {way} by {scale.said(abs(slope.value))} [{scale.bare(near)}, {scale.bare(far)}]"
        if late.low is not None and late.high is not None and (late.high < slope.low or late.low > slope.high):
            said += f"; in the later half alone it moves by {scale.bare(late.low)} to {scale.said(late.high)}"
        return SoakFigure(word="moves", said=said, **known)
    half = max(abs(slope.low), abs(slope.high))
    if half <= STEADY_PER_H * abs(slope.level):
        return SoakFigure(word="steady", said=f"{name} did not move: slope within ±{scale.said(half)}", **known)
    said = f"{name}: not enough to tell: the slope lies between {scale.bare(slope.low)} and {scale.said(slope.high)}"
    times = half / (STEADY_PER_H * abs(slope.level)) if slope.level else 0.0
    # A line's error falls with the time to the power of three halves, a range over the time with the time.
    needed = asked_s * (times if slope.by_range else times ** (2 / 3))
    if 0 < needed <= 24 * HOUR_S:
        said += f"; {flag('soak')} of about {_time(_round_up(needed))} would"
    return SoakFigure(word="unknown", said=said, **known)


@dataclass(frozen=True)
class _Scale:
    """In what a slope is told: a latency's as a share of itself, memory's in bytes that suit it."""

    factor: float
    unit: str

    @classmethod
    def of(cls, unit: str, level: float, values: Sequence[float]) -> _Scale:
        if unit == "s" and level:
            return cls(level / 100, "%/h")
        if unit == "B":
            most = max(map(abs, values))
            size, word = next(((f, u) for f, u in _SIZES if most >= f), (1.0, "B"))
            return cls(size, f"{word}/h")
        return cls(1.0, f"{unit}/h")

    def bare(self, value: float) -> str:
        shown = value / self.factor
        return f"{shown:.3g}" if abs(shown) < 1000 else f"{shown:,.0f}"

    def said(self, value: float) -> str:
        return f"{self.bare(value)} {self.unit}"


def between(figure: SoakFigure) -> str:
    """'memory grows by -1.2 to 3.4 MiB/h': its interval, whether or not that tells a drift. ValueError where it has none."""
    if figure.interval_per_h is None:
        raise ValueError(f"{figure.name}: expected a figure with an interval")
    return f"{named(figure.name)} grows by {spoken(figure, figure.interval_per_h)}"


def spoken(figure: SoakFigure, interval: tuple[float, float]) -> str:
    """'-1.2 to 3.4 MiB/h'."""
    low, high = interval
    scale = _Scale.of(figure.unit, figure.level or 0.0, interval)
    return f"{scale.bare(low)} to {scale.said(high)}"


def named(name: str) -> str:
    """'latency p50' of 'latency-p50'."""
    return name.replace("-", " ").replace("cpu", "CPU").replace("gpu", "GPU")


def _round_up(seconds: float) -> float:
    """To the next of 1, 2, 5, 10, 15, 30 of seconds, minutes or hours: what is only roughly known should not look exact."""
    rounds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]
    return float(next((r for r in rounds if r >= seconds), seconds))


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
