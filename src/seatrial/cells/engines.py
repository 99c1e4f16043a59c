"""Native kernels against the reference, on a cell's own images and outputs: what each costs, and whether they agree.

For: the record's `engines`. Not for: the cell's latency, which is measured before, with one of the two alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass

from seatrial.jobs.workload import STRICT
from seatrial.kernels.geometry import Geometry
from seatrial.pipeline.build import Pipeline
from seatrial.pipeline.results import Result
from seatrial.stages import POSTPROCESS, PREPROCESS
from seatrial.timing.race import race

Array = npt.NDArray[Any]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class StageEngines:
    """One stage's times with both kinds of kernels, in interleaved rounds, and whether they gave the same.

    difference: the largest absolute one between tensors, or None for decoded results; same: bit for bit.
    """

    native_ns: list[int]
    reference_ns: list[int]
    same: bool
    difference: float | None = None


LEAST_ROUNDS, MOST_ROUNDS = 5, 50
# A quarter of a second tells a factor of two. Five rounds where that is too short, but no more than two seconds of them:
# huge images must not run a cell into its timeout.
TIME_S, LEAST_ROUNDS_TIME_S = 0.25, 2.0


def compare_engines(
    native: Pipeline,
    reference: Pipeline,
    images: Sequence[npt.NDArray[np.uint8]],
    outputs: Sequence[Array],
    geometries: Sequence[Geometry],
    feeds: dict[str, Array],
    stages: Sequence[str],
) -> dict[str, StageEngines]:
    """The stages named, each with both pipelines, in interleaved rounds. `feeds` is overwritten."""
    found = {}
    if PREPROCESS in stages:
        own, other = feeds, {name: np.zeros_like(array) for name, array in feeds.items()}
        times = _race(lambda: native.preprocess(images, own), lambda: reference.preprocess(images, other))
        gaps = [_largest_gap(own[name], other[name]) for name in own]
        same = all(np.array_equal(own[name], other[name], equal_nan=own[name].dtype.kind == "f") for name in own)
        found[PREPROCESS] = StageEngines(native_ns=times[0], reference_ns=times[1], same=same, difference=max(gaps))
    if POSTPROCESS in stages:
        kept: dict[str, list[Result]] = {}
        times = _race(
            lambda: kept.update(native=native.postprocess(outputs, geometries)),
            lambda: kept.update(reference=reference.postprocess(outputs, geometries)),
        )
        same = all(map(_same, kept["native"], kept["reference"]))
        found[POSTPROCESS] = StageEngines(native_ns=times[0], reference_ns=times[1], same=same)
    return found


def _race(native: Callable[[], object], reference: Callable[[], object]) -> tuple[list[int], list[int]]:
    """Nanoseconds by round, of the native and of the reference kernels."""
    found = race(
        {"native": native, "reference": reference},
        TIME_S,
        MOST_ROUNDS,
        least_rounds=LEAST_ROUNDS,
        least_rounds_time_s=LEAST_ROUNDS_TIME_S,
    )
    native_ns, reference_ns = ([round(s * 1e9) for s in seconds] for seconds in found.durations_s.values())
    return native_ns, reference_ns


def _largest_gap(a: Array, b: Array) -> float:
    gaps = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return float(np.nanmax(gaps, initial=0.0))


def _same(a: Result, b: Result) -> bool:
    """Dtypes, shapes and bits; any NaN equals any other."""
    if a is None or b is None:
        return a is b
    ours, theirs = vars(a), vars(b)
    return all(
        v.dtype == theirs[k].dtype and np.array_equal(v, theirs[k], equal_nan=v.dtype.kind == "f")
        for k, v in ours.items()
    )
