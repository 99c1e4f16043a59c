"""What disturbed a run, in totals, and which of them are worth a warning.

For: the record of a watched run. Not for: watching (watch.py), or which sample a disturbance hit (spikes.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.noise.counters import COLUMNS
from seatrial.noise.timeline import Timeline
from seatrial.units import format_seconds
from seatrial.warning import Warning

# Of the time: a quarter of the 2 % that a gate takes for a change by default.
LOST_SHARE = 0.005
# Of each core: a quiet system's own services stay under it.
OTHER_SHARE = 0.05
# A second: each reads a disk for 0.1 to 10 ms, so that one a second reaches a p99.
MAJOR_FAULTS_PER_S = 1.0
# A second: at a quarter of a microsecond or more each, over 2 % of a core goes into fresh pages.
MINOR_FAULTS_PER_S = 100_000
# Of the median: latency follows the clock, and twice the default margin of 2 % is no longer the model's doing.
CLOCK_SPREAD = 0.04
# Slewing never moves the date against the monotonic clock; this is a step, and not two readings an interrupt apart.
JUMP_NS = 50_000_000


@dataclass(frozen=True)
class NoiseReport:
    """Totals over the watched time; None where this machine does not tell. Counts of a process are over all its threads."""

    watched_s: float
    cores: tuple[int, ...]
    cpu_s: float | None
    voluntary_switches: int | None
    involuntary_switches: int | None
    minor_faults: int | None
    major_faults: int | None
    run_queue_wait_s: float | None  # ready to run, without a core; summed over threads
    other_load_cores: float | None  # mean number of the cores that did other work
    steal_s: float | None  # summed over the cores
    throttled_s: float | None
    thermal_events: int | None
    cpu_pressure_s: float | None  # time in which some task of the whole machine waited for a core
    frequency_mhz: tuple[float, float, float] | None  # of the fastest core: least, median, most
    clock_jump_s: float | None  # the date's largest step, forward or back; 0: none over 50 ms
    suspended_s: float | None
    own_cost_s: float  # CPU time of the watch itself
    disturbances: tuple[Warning, ...] = ()
    timeline: Timeline = field(default=Timeline((), np.zeros((0, len(COLUMNS)), np.int64)), repr=False, compare=False)

    def between(self, first_ns: int, last_ns: int) -> NoiseReport:
        """Of a part of the watched time, with a reading before it and one behind it where there are."""
        times = self.timeline.time_ns
        first = max(0, int(np.searchsorted(times, first_ns, side="right")) - 1)
        last = int(np.searchsorted(times, last_ns, side="left")) + 1
        return summarise(Timeline(self.timeline.cores, self.timeline.table[first:last]), self.own_cost_s)

    def to_dict(self) -> dict[str, Any]:
        """For a record: all but the timeline."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "timeline"}
        return plain | {
            "cores": list(self.cores),
            "frequency_mhz": list(self.frequency_mhz) if self.frequency_mhz else None,
            "disturbances": [asdict(d) for d in self.disturbances],
        }


def summarise(timeline: Timeline, own_cost_s: float = 0.0) -> NoiseReport:
    """The report on a watched stretch of time."""
    watched_s = timeline.watched_ns / 1e9

    def seconds(name: str) -> float | None:
        total = timeline.total(name)
        return None if total is None else total / 1e9

    other = timeline.other_ns()
    clocks = timeline.column("frequency_khz")
    boot, date = timeline.column("boottime_minus_monotonic_ns"), timeline.column("realtime_minus_monotonic_ns")
    # The date goes on while the machine sleeps, the monotonic clock does not: only what is left is a jump.
    date_steps = _steps_over(date if date is None or boot is None else date - boot)
    sleeps = _steps_over(boot)
    report = NoiseReport(
        watched_s=watched_s,
        cores=timeline.cores,
        cpu_s=seconds("cpu_ns"),
        voluntary_switches=timeline.total("voluntary_switches"),
        involuntary_switches=timeline.total("involuntary_switches"),
        minor_faults=timeline.total("minor_faults"),
        major_faults=timeline.total("major_faults"),
        run_queue_wait_s=seconds("run_queue_wait_ns"),
        other_load_cores=None if other is None or not watched_s else max(0.0, float(other[-1]) / 1e9 / watched_s),
        steal_s=seconds("steal_ns"),
        throttled_s=seconds("throttled_ns"),
        thermal_events=timeline.total("thermal_events"),
        cpu_pressure_s=seconds("cpu_pressure_ns"),
        frequency_mhz=None if clocks is None else _least_median_most(clocks / 1e3),
        clock_jump_s=None if date_steps is None else float(max(date_steps, key=abs, default=0)) / 1e9,
        suspended_s=None if sleeps is None else float(sleeps.sum()) / 1e9,
        own_cost_s=own_cost_s,
        timeline=timeline,
    )
    return replace(report, disturbances=tuple(_disturbances(report)))


def _least_median_most(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values.min()), float(np.median(values)), float(values.max())


def _steps_over(values: npt.NDArray[np.int64] | None) -> npt.NDArray[np.int64] | None:
    """The steps of an offset between two clocks that are no reading error."""
    if values is None:
        return None
    steps = np.diff(values)
    return np.asarray(steps[np.abs(steps) > JUMP_NS])


def _disturbances(r: NoiseReport) -> Iterator[Warning]:
    """Each total beyond its threshold, with its cure."""
    core_s = r.watched_s * max(1, len(r.cores))
    if r.steal_s and r.steal_s > LOST_SHARE * core_s:
        yield Warning(
            "steal",
            f"the hypervisor gave others {format_seconds(r.steal_s)} of the measured cores ({r.steal_s / core_s:.1%})",
            "use a machine or cores of its own, or compare only interleaved runs",
        )
    wait_s, ran_s = r.run_queue_wait_s or 0.0, r.cpu_s or 0.0
    if wait_s > LOST_SHARE * (wait_s + ran_s):
        preempted = (
            ""
            if r.involuntary_switches is None
            else f", preempted {r.involuntary_switches:,} time{'' if r.involuntary_switches == 1 else 's'}"
        )
        yield Warning(
            "run-queue",
            f"the process waited {format_seconds(wait_s)} for a core ({wait_s / (wait_s + ran_s):.1%} of its work{preempted})",
            "stop other work, pin the run to cores that nothing else uses, or use no more threads than cores",
        )
    if r.other_load_cores is not None and r.other_load_cores > OTHER_SHARE * len(r.cores):
        yield Warning(
            "other-load",
            f"other work took {r.other_load_cores:.2f} of the {count_of(len(r.cores), 'measured core')}",
            "stop it, or keep it off these cores (taskset, cpuset)",
        )
    if r.throttled_s:
        yield Warning(
            "throttle",
            f"the control group's CPU limit stopped the process for {format_seconds(r.throttled_s)}",
            "raise the container's CPU limit, or use fewer threads",
        )
    if (r.major_faults or 0) > MAJOR_FAULTS_PER_S * r.watched_s:
        yield Warning(
            "disk-reads",
            f"{r.major_faults:,} major page fault{'s' if r.major_faults != 1 else ''}: memory was read from the disk",
            "warm up longer, free memory, turn swap off",
        )
    if (r.minor_faults or 0) > MINOR_FAULTS_PER_S * r.watched_s:
        yield Warning(
            "fresh-pages",
            f"{r.minor_faults:,} minor page faults: memory is given back and fetched anew in every run",
            "set MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ (bytes) above the largest tensor; in a stage of your own, "
            "reuse buffers",
        )
    if r.thermal_events:
        yield Warning(
            "heat",
            f"heat slowed the cores {r.thermal_events:,} time{'' if r.thermal_events == 1 else 's'}",
            "cool the machine, or pause between runs",
        )
    clocks = r.timeline.column("frequency_khz")
    if clocks is not None:
        low, middle, high = (float(f) / 1e6 for f in np.quantile(clocks, [0.05, 0.5, 0.95]))
        if high - low > CLOCK_SPREAD * middle:
            yield Warning(
                "clock-frequency",
                f"the cores' clock moved between {low:.2f} and {high:.2f} GHz",
                "cpupower frequency-set -g performance, turn turbo off, cool the machine",
            )
    if r.clock_jump_s:
        yield Warning(
            "clock-jump",
            f"the system clock jumped by {r.clock_jump_s:+.3f} s: dates before and after it disagree",
            "timings stand, their clock is another; let the time service finish its first step before a run",
        )
    if r.suspended_s:
        yield Warning(
            "sleep", f"the machine slept for {format_seconds(r.suspended_s)}", "run again under systemd-inhibit"
        )
