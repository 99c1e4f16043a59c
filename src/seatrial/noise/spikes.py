"""Which samples are spikes, and what the machine did meanwhile.

For: outliers of one stage beside the timeline of its run. Not for: removing them: a spike is a result, and stays one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.noise.timeline import Timeline
from seatrial.units import format_seconds

# Ten robust standard deviations (statistics.md): MAD * 1.4826 is one of normal samples.
MODIFIED_Z = 14.826
# A cause is named if it explains at least this share of what the spike took beyond the median.
_SHARE = 0.2
# Usual is what nine of ten quiet intervals stay within; with fewer than five of them, what the calmest tenth of all does.
_USUAL_QUANTILE = 0.9
_FEWEST_QUIET = 5
# The kernel credits steal and idle time at ticks: the credit may come after the spike.
_LATE_NS = 10_000_000
# Idle time comes in steps of 10 ms a core, so a difference is off by 4 ms a core (standard deviation); five of them.
_OTHER_NOISE_NS = 20_000_000
# A running thread's CPU time is brought up to date at ticks, up to 10 ms apart.
_CPU_NOISE_NS = 10_000_000
# At the least: the kernel finds a page, zeroes it and maps it. (A major fault reads a disk, and needs no minimum.)
_MINOR_FAULT_NS = 250
_CUMULATIVE = (
    *("cpu_ns", "steal_ns", "throttled_ns", "run_queue_wait_ns"),
    *("involuntary_switches", "major_faults", "minor_faults", "thermal_events"),
)
UNEXPLAINED = "unexplained"
UNWATCHED = "not watched"


@dataclass(frozen=True)
class Spike:
    """A sample far above the others, and what coincided with it: a reason to believe, not a proof."""

    start_ns: int
    duration_s: float
    times_median: float
    causes: tuple[str, ...]


def outliers(duration_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(x - median) / MAD > 14.826. Where over half are the same and MAD is zero: over ten times 1.2533 mean deviations."""
    if not duration_ns.size:
        return np.zeros(0, np.bool_)
    above = duration_ns - np.median(duration_ns)
    deviation = np.abs(above)
    mad = float(np.median(deviation))
    return np.asarray(above > (MODIFIED_Z * mad if mad > 0 else 12.533 * float(deviation.mean())))


def attribute_spikes(
    start_ns: npt.NDArray[np.int64], duration_ns: npt.NDArray[np.int64], timeline: Timeline, most: int = 20
) -> list[Spike]:
    """The longest outliers, longest first, each with the causes whose counters rose beyond their usual meanwhile."""
    start, duration = np.asarray(start_ns, np.int64), np.asarray(duration_ns, np.int64)
    if start.shape != duration.shape or start.ndim != 1:
        raise ValueError(f"expected a start for each duration, got {start.shape} starts and {duration.shape} durations")
    spikes = np.flatnonzero(outliers(duration))
    chosen = spikes[np.argsort(-duration[spikes], kind="stable")][:most]
    if not chosen.size:
        return []
    median = float(np.median(duration))
    # Beside spikes of 30 ms, outliers of one are part of the quiet.
    least = _SHARE * (duration[chosen[-1]] - median)
    judge = _Judge(timeline, start, duration, spikes[duration[spikes] - median >= least])

    def spike(start_ns: int, duration_ns: int) -> Spike:
        times_median = duration_ns / median if median else float("inf")
        return Spike(start_ns, duration_ns / 1e9, times_median, judge.causes(start_ns, duration_ns, median))

    return [spike(int(start[i]), int(duration[i])) for i in chosen]


@dataclass(frozen=True)
class _Counter:
    """A cumulative counter, what it does per nanosecond in quiet, and the most that is still usual."""

    values: npt.NDArray[np.int64]
    rate: float
    most: float


class _Judge:
    def __init__(
        self,
        timeline: Timeline,
        start_ns: npt.NDArray[np.int64],
        duration_ns: npt.NDArray[np.int64],
        spikes: npt.NDArray[np.intp],
    ) -> None:
        self._timeline = timeline
        self._time = time = timeline.time_ns
        self._spans = np.diff(time)
        self._quiet = _quiet_intervals(time, start_ns, duration_ns, spikes)
        self._counters = {name: self._counter(timeline.column(name)) for name in _CUMULATIVE}
        self._counters["other_ns"] = self._counter(timeline.other_ns())

    def _counter(self, values: npt.NDArray[np.int64] | None) -> _Counter | None:
        if values is None or not self._spans.size:
            return None
        rates = np.diff(values) / self._spans
        if np.count_nonzero(self._quiet) < _FEWEST_QUIET:
            calm = float(np.quantile(rates, 1 - _USUAL_QUANTILE))
            return _Counter(values, calm, calm)
        quiet = rates[self._quiet]
        return _Counter(values, float(np.median(quiet)), float(np.quantile(quiet, _USUAL_QUANTILE)))

    def causes(self, start_ns: int, duration_ns: int, median_ns: float) -> tuple[str, ...]:
        time, end_ns = self._time, start_ns + duration_ns
        if len(time) < 2 or end_ns <= time[0] or start_ns >= time[-1]:
            return (UNWATCHED,)
        first = max(0, int(np.searchsorted(time, start_ns, side="right")) - 1)
        last = min(len(time) - 1, int(np.searchsorted(time, end_ns + _LATE_NS)))
        span = int(time[last] - time[first])
        lost = duration_ns - median_ns  # what is to be explained
        cores = len(self._timeline.cores)

        def amount(ns: float) -> str:
            """A counter's rise; other samples between the same two readings may have had their part of a long one."""
            return _time(ns) if ns <= duration_ns else f"{_time(ns)} within {_time(span)}"

        def beyond(name: str) -> float:
            """How far a counter rose beyond its quiet rate; zero where it stayed within its usual, or was not read."""
            counter = self._counters[name]
            if counter is None:
                return 0.0
            rise = float(counter.values[last] - counter.values[first])
            return rise - counter.rate * span if rise > counter.most * span else 0.0

        steal, throttled, waited, other = (
            beyond(n) for n in ("steal_ns", "throttled_ns", "run_queue_wait_ns", "other_ns")
        )
        preempted, major, minor = (beyond(n) for n in ("involuntary_switches", "major_faults", "minor_faults"))
        enough = _SHARE * lost
        found = []
        if steal > enough:
            found.append(f"{amount(steal)} of steal: the hypervisor ran something else")
        if throttled > enough:
            found.append(f"cgroup throttled {amount(throttled)}")
        if waited > enough:
            found.append(f"the process waited for a core (run queue): {amount(waited)}")
        if preempted >= 1 and self._counters["run_queue_wait_ns"] is None:
            found.append(f"preempted {_times(preempted)}")
        if other > max(enough, _OTHER_NOISE_NS * cores**0.5):
            share = min(self._busiest_share("other_ns", first, last), cores)
            found.append(f"other work took {share:.1f} of {'the core' if cores == 1 else f'the {cores} cores'}")
        if major >= 0.5:
            found.append(f"{round(major):,} major page fault{'s' if round(major) > 1 else ''} (read from disk)")
        if minor * _MINOR_FAULT_NS > enough:
            found.append(f"{round(minor):,} minor page faults (fresh memory)")
        found += self._slower_clock(first, last, lost / median_ns if median_ns else float("inf"))
        if beyond("thermal_events") > 0:
            found.append("heat slowed the core")
        return tuple(found) or self._standing_still(first, last, lost)

    def _busiest_share(self, name: str, first: int, last: int) -> float:
        """A counter's rate in the busiest of some intervals: the spike may be in a corner of two."""
        counter = self._counters[name]
        return 0.0 if counter is None else float((np.diff(counter.values) / self._spans)[first:last].max())

    def _slower_clock(self, first: int, last: int, slowdown: float) -> list[str]:
        clock = self._timeline.column("frequency_khz")
        if clock is None:
            return []
        calm = clock[1:][self._quiet] if self._quiet.any() else clock
        usual, lowest = float(np.median(calm)), float(clock[first : last + 1].min())
        # Readings differ by a per cent or two on their own.
        if lowest <= 0 or usual / lowest - 1 < max(0.05, _SHARE * slowdown):
            return []
        return [f"frequency fell from {usual / 1e6:.1f} to {lowest / 1e6:.1f} GHz"]

    def _standing_still(self, first: int, last: int, lost_ns: float) -> tuple[str, ...]:
        """Where no counter rose, something may have been missing: the watch's own wake-up, or the process's CPU time."""
        late = float(self._spans[first:last].max() - np.median(self._spans))
        if late > max(0.5 * lost_ns, _OTHER_NOISE_NS):
            return (f"the watch was held up too, by {_time(late)}: the whole machine stood still",)
        cpu = self._counters["cpu_ns"]
        if cpu is not None and cpu.rate > 0.5:
            usual = cpu.rate * float(self._time[last] - self._time[first])
            missing = usual - float(cpu.values[last] - cpu.values[first])
            for name in ("run_queue_wait_ns", "steal_ns"):
                if (lacked := self._counters[name]) is not None:
                    missing -= float(lacked.values[last] - lacked.values[first])
            if missing > max(0.5 * lost_ns, _CPU_NOISE_NS):
                return ("the process slept: it waited for a device, a lock or another process",)
        return (UNEXPLAINED,)


def _quiet_intervals(
    time: npt.NDArray[np.int64],
    start_ns: npt.NDArray[np.int64],
    duration_ns: npt.NDArray[np.int64],
    spikes: npt.NDArray[np.intp],
) -> npt.NDArray[np.bool_]:
    """Intervals of the watch within the samples' time that no spike touches."""
    count = max(0, len(time) - 1)
    # +1 where a spike begins, -1 after it ends: the running sum is the number of spikes in an interval.
    edges = np.zeros(count + 1, np.int64)
    first = np.clip(np.searchsorted(time, start_ns[spikes], side="right") - 1, 0, count)
    after = np.clip(np.searchsorted(time, (start_ns + duration_ns)[spikes] + _LATE_NS), 0, count)
    np.add.at(edges, first, 1)
    np.add.at(edges, after, -1)
    inside = (time[1:] > start_ns.min()) & (time[:-1] < (start_ns + duration_ns).max())
    return np.asarray((edges[:count].cumsum() == 0) & inside)


def _time(ns: float) -> str:
    return format_seconds(ns / 1e9)


def _times(count: float) -> str:
    return "once" if round(count) <= 1 else f"{round(count)} times"
