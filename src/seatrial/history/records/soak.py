"""A soak of a bench: a long load, cut into windows, and how fast its figures move."""

from __future__ import annotations

from typing import Literal

from seatrial.history.records.values import Frozen

SteadyWord = Literal["moves", "steady", "unknown"]


class SoakWindow(Frozen):
    """What one window of a soak showed. start_ns: by the monotonic clock. None where this machine does not tell, or where the
    requests were too few (p99_s: below 100).

    memory_bytes: resident and swapped out, of the process and all that it started. throttled_s: by a control group's CPU limit.
    heat_events: how often heat slowed the cores. gpu_slowed: what held the GPU's clock down, in words.
    """

    start_ns: int
    seconds: float
    requests: int
    p50_s: float | None = None
    p99_s: float | None = None
    longest_s: float | None = None
    memory_bytes: int | None = None
    processes: int = 1
    cpu_mhz: float | None = None
    cpu_celsius: float | None = None
    throttled_s: float | None = None
    heat_events: int | None = None
    gpu_mhz: float | None = None
    gpu_memory_mhz: float | None = None
    gpu_celsius: float | None = None
    gpu_watts: float | None = None
    gpu_memory_bytes: float | None = None
    gpu_slowed: tuple[str, ...] = ()


class SoakFigure(Frozen):
    """How fast one figure moves: its change an hour, with a 95 % interval, over windows behind the warm-up.

    level: its median. n_eff: how many independent windows those `n` are worth. by_range: the interval is how far the figure
    could move at all, since neighbouring windows are too alike for a line. late_interval_per_h: of the later half alone,
    None where that has too few windows. word: whether zero is outside of the interval ('moves'), inside of a narrow one
    ('steady'), or neither can be told ('unknown'). said: the same for people.
    """

    name: str
    unit: str
    change_per_h: float | None = None
    interval_per_h: tuple[float, float] | None = None
    level: float | None = None
    n: int = 0
    n_eff: int = 0
    by_range: bool = False
    late_interval_per_h: tuple[float, float] | None = None
    word: SteadyWord
    said: str


class SoakEnergy(Frozen):
    """Energy of one request on the GPU, in joules, by its counter, with 95 % intervals over windows of several seconds.

    gross: all that the board took; net: less what it took while it waited, idle_watts, with the model loaded. missing: why one
    is not told."""

    gross_j: float | None = None
    gross_interval_j: tuple[float, float] | None = None
    net_j: float | None = None
    net_interval_j: tuple[float, float] | None = None
    idle_watts: float | None = None
    windows: int = 0
    missing: str = ""


class SoakResult(Frozen):
    """A soak's slopes and what they are of. left_out_s: of the beginning, in no slope. kept: samples in the run's files, of all
    `requests`; bin_width: how far beside the exact one a window's percentile may lie, over it. missing: figures that nobody
    could read, by name, each with the reason. cut_short: why it ended before its time.
    """

    asked_s: float
    measured_s: float
    window_s: float
    left_out_s: float
    requests: int
    kept: int
    bin_width: float
    figures: tuple[SoakFigure, ...] = ()
    energy: SoakEnergy | None = None
    missing: dict[str, str] = {}
    cut_short: str = ""
    windows: tuple[SoakWindow, ...] = ()

    def figure(self, name: str) -> SoakFigure | None:
        return next((f for f in self.figures if f.name == name), None)
