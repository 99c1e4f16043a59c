"""How far the reference is from itself: opened anew, and with other threads. What a difference is measured by.

For: the tolerance of raw outputs and of results. Not for: the floor of a trial's cells, which is kept in its records
(cells/floor.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.distance import RESULT_TOLERANCE, Tolerance, distance, same_specials
from seatrial.diagnosis.result_distance import result_distance
from seatrial.diagnosis.rounding import may_be_rounding
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.tolerances import WIDE, Same, same_in
from seatrial.diagnosis.way import Run, Way
from seatrial.errors import SeatrialError
from seatrial.parity.tolerance import ACROSS, FLOOR_FACTOR, SAME_RUNTIME

Array = npt.NDArray[Any]
# Enough to see what is not the same twice.
FLOOR_IMAGES = 6
# Of results: what the table has across runtimes, of each of a third.
WIDE_RESULTS = FLOOR_FACTOR * RESULT_TOLERANCE


@dataclass(frozen=True)
class Measured:
    """outputs: max |Δ| of each output, in the model's order; apart and results: the greatest distance of an image's outputs and
    results. what: of which runs, as a clause; problems: runs that failed, and why; unstable: runs that gave other answers than
    rounding makes, and what these were: a reference that is not the same twice is no yardstick."""

    outputs: tuple[float, ...]
    results: float
    what: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    unstable: tuple[str, ...] = ()
    apart: float = 0.0

    def tolerances(self, precision: str, same_runtime: bool) -> tuple[Tolerance, ...]:
        """Of each output: 3 × its floor, or the table's pair where that is greater."""
        rtol, atol = (SAME_RUNTIME if same_runtime else ACROSS).get(precision) or ACROSS["bf16"]
        # Another thread count may not widen it beyond what runtimes differ by: one that is wrong there would be its own
        # yardstick.
        wide = max(WIDE.atol, atol)
        return tuple(Tolerance(rtol, max(atol, min(FLOOR_FACTOR * f, wide))) for f in self.outputs)

    @property
    def result_tolerance(self) -> float:
        """One box that comes and goes at a threshold must not be what all images may differ by."""
        return max(RESULT_TOLERANCE, min(FLOOR_FACTOR * self.results, WIDE_RESULTS))


def measured(
    way: Way,
    runner: Runner,
    images: Sequence[int],
    others: Sequence[tuple[str, Callable[[], Run]]],
    precision: str = "fp32",
) -> Measured:
    """others: what differs of each, such as 'built anew' or '2 threads', and what opens it for the reference's own batch.
    precision: the reference's, by which is judged whether it is the same twice."""
    images = list(images)[:FLOOR_IMAGES]
    count = len(way.subject.model.outputs)
    greatest, apart, results = [0.0] * count, 0.0, 0.0
    what: list[str] = []
    problems: list[str] = []
    unstable: list[str] = []
    with suppress(SeatrialError, ValueError):
        for i in images:
            runner.at(way, i, OUTPUTS)
    for name, opened in others:
        try:
            other = way.with_run(opened())
            # Backwards: what a model keeps from one run to the next, or its random numbers, would else come again.
            found = [_against_itself(way, other, runner, i, same_in(precision)) for i in reversed(images)]
        except (SeatrialError, ValueError) as e:
            problems.append(f"{name}: {str(e).splitlines()[0][:200]}")
            continue
        what.append(name)
        unlike = [u for f in found for u in f.unlike]
        if unlike:
            unstable.append(f"{name}: {unlike[0]}, on {sum(bool(f.unlike) for f in found)} of {len(found)} images")
        for f in found:
            greatest = [max(a, b) for a, b in zip(greatest, f.deltas, strict=True)]
            apart, results = max(apart, f.outputs), max(results, f.results)
    return Measured(tuple(greatest), results, tuple(what), tuple(problems), tuple(unstable), apart)


@dataclass(frozen=True)
class _Image:
    """One image of two runs of the reference. unlike: what rounding does not make."""

    deltas: list[float]
    outputs: float
    results: float
    unlike: list[str]


def _against_itself(way: Way, other: Way, runner: Runner, image: int, same: Same) -> _Image:
    reference, again = runner.at(way, image, OUTPUTS).value, runner.at(other, image, OUTPUTS).value
    names = [o.name for o in way.subject.model.outputs]
    unlike = [
        f"output {name!r} differs by up to {_largest(r, a):.3g}"
        for name, r, a in zip(names, reference, again, strict=True)
        if not same(r, a)
    ]
    own, others = runner.at(way, image, RESULTS).value, runner.at(other, image, RESULTS).value
    results = result_distance(own, others)
    if results > WIDE_RESULTS and not may_be_rounding([(own, others)], way.spec):
        unlike.append(f"results are {results:.1%} another's")
    deltas = [_largest(r, a) for r, a in zip(reference, again, strict=True)]
    return _Image(deltas, distance(OUTPUTS, reference, again), results, unlike)


def _largest(reference: Array, again: Array) -> float:
    """Infinite where shapes differ, or one of two runs has NaN or infinity where the other has not."""
    if reference.shape != again.shape:
        return np.inf
    r, a = reference.astype(np.float64), again.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where(same_specials(r, a), 0.0, np.abs(r - a))
    return float(np.nan_to_num(apart, nan=np.inf, posinf=np.inf).max(initial=0.0))
