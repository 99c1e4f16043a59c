"""The measuring loop: warm up, time every stage of every batch, stop when there is enough.

For: one opened pipeline in one process. Not for: what the samples mean (stats) or several processes (trial).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial._native.timing import StageSamples, now_ns
from seatrial.stats.sample import effective_count, percentile_estimate

WARM_UP_WINDOW = 20
WARM_UP_CAP = 300
CAPACITY = 1 << 17


@dataclass(frozen=True)
class StopRule:
    """Stop at `max_time_ns`; before it where `min_samples` are there and the median is known well enough.

    `precision` is the widest half of the median's 95 % interval, relative to the median. `tails` lists, for each
    budget, the table's column, the quantile and the independent samples it needs: correlated ones count for less.
    """

    max_time_ns: int
    min_samples: int
    precision: float = 0.01
    tails: tuple[tuple[int, float, int], ...] = ()


@dataclass(frozen=True)
class Measurement:
    """table_ns: (iterations, 1 + stages + 1) int64: start, one a stage, end to end. warm_up is how many were thrown away."""

    table_ns: npt.NDArray[np.int64]
    warm_up: int
    elapsed_ns: int
    converged: bool


# Runs one iteration; calls lap() once at the end of each stage.
Iteration = Callable[[Callable[[], None]], None]


def measure(iterate: Iteration, stages: int, rule: StopRule, tell: Callable[[float], None]) -> Measurement:
    """Warms up, then samples until the rule says stop. `tell` hears the share of the time used, between iterations."""
    warm_up = _warm_up(iterate, stages, rule.max_time_ns // 3)
    samples = StageSamples(CAPACITY, stages)
    lap = samples.lap
    converged = False
    with _collector_paused():
        began = now_ns()
        next_look = rule.min_samples
        next_word = began
        while True:
            samples.begin()
            iterate(lap)
            samples.end()
            now = now_ns()
            if now - began >= rule.max_time_ns or len(samples) == CAPACITY:
                break
            if len(samples) >= next_look:
                if _enough(samples.to_array(), rule):
                    converged = True
                    break
                # Few looks, each at half as many samples again: looking often would stop on luck.
                next_look = int(len(samples) * 1.5) + 1
            if now >= next_word:
                tell((now - began) / rule.max_time_ns)
                next_word = now + 200_000_000
        elapsed = now_ns() - began
    table = samples.to_array()
    return Measurement(table, warm_up, elapsed, converged or _enough(table, rule))


def _enough(table_ns: npt.NDArray[np.int64], rule: StopRule) -> bool:
    if len(table_ns) < rule.min_samples:
        return False
    if any(effective_count(table_ns[:, column], quantile) < needed for column, quantile, needed in rule.tails):
        return False
    centre = percentile_estimate(table_ns[:, -1], 0.5)
    if centre.low is None or centre.high is None:
        return False
    return max(centre.high - centre.value, centre.value - centre.low) <= rule.precision * centre.value


def _warm_up(iterate: Iteration, stages: int, max_time_ns: int) -> int:
    """Iterations until two windows in a row agree, the cap, or the time is up; returns how many ran."""
    samples = StageSamples(WARM_UP_CAP, stages)
    began = now_ns()
    while len(samples) < WARM_UP_CAP and now_ns() - began < max_time_ns:
        samples.begin()
        iterate(samples.lap)
        samples.end()
        count = len(samples)
        if count >= 2 * WARM_UP_WINDOW and count % WARM_UP_WINDOW == 0:
            recent = samples.to_array()[-2 * WARM_UP_WINDOW :, -1].astype(np.float64)
            if windows_agree(recent[:WARM_UP_WINDOW], recent[WARM_UP_WINDOW:]):
                break
    return len(samples)


def windows_agree(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> bool:
    """Two windows of latencies look alike: no falling trend, no different spread (first value, mean and median)."""
    q1, q3 = np.quantile(second, [0.25, 0.75])
    starts_calm = first[0] <= q3 + 1.5 * (q3 - q1)
    mean_alike = -0.5 <= first.mean() / second.mean() - 1 <= 0.1
    median_alike = abs(np.median(first) / np.median(second) - 1) <= 0.05
    return bool(starts_calm and mean_alike and median_alike)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Python's cycle collector would run inside whichever stage crosses its threshold, and be charged to it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def image_order(count: int, seed: int) -> Iterator[int]:
    """Endless image indices: every image once a round, each round in a new random order.

    A fixed order would make the latency of neighbours repeat with the round, and the samples look correlated.
    """
    rng = np.random.default_rng(seed)
    while True:
        yield from (int(i) for i in rng.permutation(count))
