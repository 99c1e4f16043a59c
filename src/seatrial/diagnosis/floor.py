"""How far the reference is from itself: opened anew, with other threads, in batches. What a difference is measured by.

For: the tolerance of raw outputs and of results. Not for: the floor of a trial's cells, which is kept in its records
(cells/floor.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import RESULT_TOLERANCE, Tolerance
from seatrial.diagnosis.result_distance import result_distance
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.stages import INPUT, OUTPUTS, RESULTS
from seatrial.diagnosis.way import Run, Way
from seatrial.errors import SeatrialError
from seatrial.parity.tolerance import ACROSS, FLOOR_FACTOR, SAME_RUNTIME

Array = npt.NDArray[Any]
# Enough to see what is not the same twice.
FLOOR_IMAGES = 6
# Another batch or thread count may not widen the tolerance beyond what runtimes differ by: one that is wrong there would be its
# own yardstick.
WIDE = ACROSS["fp32"] or (0.0, 0.0)
MOST_OF_RESULTS = 10 * RESULT_TOLERANCE


@dataclass(frozen=True)
class Measured:
    """outputs: max |Δ| of each output, in the model's order; results: the greatest distance of an image's results.
    what: of which runs, as a clause; problems: runs that failed, and why."""

    outputs: tuple[float, ...]
    results: float
    what: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def tolerances(self, precision: str, same_runtime: bool) -> tuple[Tolerance, ...]:
        """Of each output: 3 × its floor, or the table's pair where that is greater."""
        pair = (SAME_RUNTIME if same_runtime else ACROSS).get(precision) or ACROSS["bf16"]
        assert pair
        rtol, atol = pair
        wide = max(WIDE[1], atol)
        return tuple(Tolerance(rtol, max(atol, min(FLOOR_FACTOR * f, wide))) for f in self.outputs)

    @property
    def result_tolerance(self) -> float:
        """A box at the threshold that comes and goes is no measure of the others: rounding.py judges it by itself."""
        return min(MOST_OF_RESULTS, max(RESULT_TOLERANCE, FLOOR_FACTOR * self.results))


def measured(
    way: Way, runner: Runner, images: Sequence[int], others: Sequence[tuple[str, Callable[[], Run]]]
) -> Measured:
    """others: what differs of each, such as 'built anew' or '2 threads', and what opens it for the reference's own batch."""
    images = list(images)[:FLOOR_IMAGES]
    count = len(way.subject.model.outputs)
    greatest, results = [0.0] * count, 0.0
    what: list[str] = []
    problems: list[str] = []
    for name, opened in others:
        try:
            other = way.with_run(opened())
            found = [_apart(way, other, runner, i) for i in images]
        except (SeatrialError, ValueError) as e:
            problems.append(f"{name}: {str(e).splitlines()[0][:200]}")
            continue
        what.append(name)
        for deltas, distance in found:
            greatest = [max(a, b) for a, b in zip(greatest, deltas, strict=True)]
            results = max(results, distance)
    return Measured(tuple(greatest), results, tuple(what), tuple(problems))


def in_batches(way: Way, opened: Callable[[], Run], batch: int, runner: Runner, images: Sequence[int]) -> Run:
    """A run of one image at a time that is a row of a batch of others: what stands beside it must not count."""
    run = opened()
    (name,) = (i.name for i in way.subject.model.inputs)
    mates = [runner.at(way, i, INPUT).value for i in list(images)[: batch - 1]]
    filled = [*mates, *(mates[-1:] * (batch - 1 - len(mates)))]

    def alone(feeds: dict[str, Array]) -> list[Array]:
        outputs = run({name: np.concatenate([feeds[name][:1], *filled])})
        if any(len(o) != batch for o in outputs):
            raise ValueError("outputs without a row an image")
        return [np.array(o[:1]) for o in outputs]

    return alone


def _apart(way: Way, other: Way, runner: Runner, image: int) -> tuple[list[float], float]:
    reference, again = runner.at(way, image, OUTPUTS).value, runner.at(other, image, OUTPUTS).value
    deltas = [_largest(r, a) for r, a in zip(reference, again, strict=True)]
    return deltas, result_distance(runner.at(way, image, RESULTS).value, runner.at(other, image, RESULTS).value)


def _largest(reference: Array, again: Array) -> float:
    """ValueError for shapes that differ, or NaN in one of two runs: a reference that is not the same twice is no yardstick."""
    if reference.shape != again.shape:
        raise ValueError(f"outputs of {reference.shape} and {again.shape}")
    r, a = reference.astype(np.float64), again.astype(np.float64)
    if (np.isnan(r) != np.isnan(a)).any():
        raise ValueError("NaN in one of two runs")
    with np.errstate(invalid="ignore"):
        apart = np.where(r == a, 0.0, np.abs(r - a))
    return float(np.nan_to_num(apart, nan=0.0).max(initial=0.0))
