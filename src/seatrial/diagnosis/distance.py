"""How far two values of one stage are from each other: one number that is 0 where they are the same, and whether they are.

For: saying which of many explanations comes nearest. Not for: verdicts on a trial's cells, which have intervals (parity, gate).
Images and tensors: mean |Δ| over the reference's own mean deviation, so that it has no unit; MISMATCH where shapes differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.result_distance import result_distance
from seatrial.diagnosis.stages import OF_RESULTS, OUTPUTS

Array = npt.NDArray[Any]
# What cannot be subtracted is as far as ten times what an image varies by: further than any picture is from another.
MISMATCH = 10.0


# Most that differ do so in one of so many elements already.
_EVERY = 61


@dataclass(frozen=True)
class Tolerance:
    """|Δ| <= atol + rtol |reference|, element by element. Whole numbers are not rounded: class 999 is another one than 998."""

    rtol: float = 0.0
    atol: float = 0.0

    def holds(self, reference: Array, candidate: Array) -> bool:
        if reference.shape != candidate.shape:
            return False
        if reference.size > 64 * _EVERY and not self._all(reference.ravel()[::_EVERY], candidate.ravel()[::_EVERY]):
            return False
        return self._all(reference, candidate)

    def _all(self, reference: Array, candidate: Array) -> bool:
        if reference.dtype.kind in "iub" and candidate.dtype.kind in "iub":
            return bool((reference == candidate).all())
        with np.errstate(invalid="ignore", over="ignore"):
            r, c = reference.astype(np.float64), candidate.astype(np.float64)
            near = np.abs(r - c) <= self.atol + self.rtol * np.abs(r)
            # Of an infinite reference anything finite would be near.
            near &= np.isfinite(r)
        return bool((near | same_specials(r, c)).all())


def same_specials(reference: Array, candidate: Array) -> npt.NDArray[np.bool_]:
    """Where both are equal, or both NaN: for telling what differs. That a reference has NaN is said elsewhere (evidence.py)."""
    return np.asarray((reference == candidate) | (np.isnan(reference) & np.isnan(candidate)))


def distance(stage: str, reference: Any, candidate: Any, scored: bool = True) -> float:
    """0 where the values are the same; of a result, and of `scored`, see result_distance. Never NaN."""
    if stage in OF_RESULTS:
        return result_distance(reference, candidate, scored)
    if stage == OUTPUTS:
        if len(reference) != len(candidate):
            return MISMATCH
        return float(np.mean([tensor_distance(r, c) for r, c in zip(reference, candidate, strict=True)] or [0.0]))
    return tensor_distance(reference, candidate)


def tensor_distance(reference: Array, candidate: Array) -> float:
    """Mean |Δ| over the reference's mean absolute deviation; NaN and infinity on one side alone count as MISMATCH each."""
    if reference.shape != candidate.shape:
        return MISMATCH
    if not reference.size:
        return 0.0
    r, c = np.asarray(reference, np.float32).ravel(), np.asarray(candidate, np.float32).ravel()
    finite = np.isfinite(r) & np.isfinite(c)
    if finite.all():
        return min(MISMATCH, float(np.abs(r - c).mean(dtype=np.float64)) / _spread(r))
    odd = float((~finite & ~same_specials(r, c)).mean())
    if not finite.any():
        return MISMATCH * odd
    own = float(np.abs(r[finite] - c[finite]).mean(dtype=np.float64)) / _spread(r[finite])
    return min(MISMATCH, own + MISMATCH * odd)


def _spread(values: npt.NDArray[np.float32]) -> float:
    centred = float(np.abs(values - values.mean(dtype=np.float64)).mean(dtype=np.float64))
    # A constant has none; its own size then is what a difference is measured by.
    return centred or float(np.abs(values).mean(dtype=np.float64)) or 1.0


# A third of the table's 1e-3 across runtimes: of a pair, place, class and score count a third each.
RESULT_TOLERANCE = 3e-4


def mean(distances: Sequence[float]) -> float:
    return float(np.mean(distances)) if len(distances) else 0.0
