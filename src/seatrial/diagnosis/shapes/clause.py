"""What is said of a difference, and from when on: all thresholds of this package, each with its reason.

Not for: measuring (forms.py, places.py, outputs.py, objects.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# A form of two numbers fits any handful of values.
LEAST_VALUES = 256
LEAST_OBJECTS = 4
# What explains less than half is not what the difference looks like.
LEAST_EXPLAINED = 0.5
# Below it, it is not even the nearest.
LEAST_SAID = 0.05
# A form with more numbers is meant where it leaves at most half of what the simpler one leaves, and that is seen.
HALVES, CLEARLY_MORE = 0.5, 0.03
# A difference has a place where that holds nearly all of it, though it is no more than a quarter of all there is.
LOCATED, PLACE = 0.9, 0.25
# Evenly spread, the steepest quarter of the pixels holds a quarter of it.
AT_EDGES = 0.7
# Correlation of neighbours, and with the image itself: what is made of fewer than some thousand pixels has as much by chance.
UNRELATED = 0.1
# Mean |Δ| of blocks over their mean: noise of 64 values a block varies by a tenth.
EVEN = 0.35
# Of an image's differences so many pixels of so many images show the form.
MOST_IMAGES, MOST_VALUES, MOST_SIDE = 6, 200_000, 640
# Of all of them: an image of twelve million alone takes seconds.
MOST_PIXELS = 3_000_000
# Images with results, which are small.
MOST_RESULTS = 64


@dataclass(frozen=True)
class Clause:
    """explained: the share of the difference that it stands for, 0 to 1; said: in words, with that share."""

    explained: float
    said: str
    parameters: int = 0


def percent(share: float) -> str:
    """'97 %', rounded down: 99.9 % is not all of it."""
    return f"{int(100 * min(1.0, share) + 1e-9)} %"


def best_of(clauses: Sequence[Clause]) -> Clause | None:
    """The simplest that explains about as much as any; None where none explains enough."""
    best: Clause | None = None
    for clause in sorted(clauses, key=lambda c: c.parameters):
        if clause.explained < LEAST_EXPLAINED:
            continue
        if best is None or (
            1 - clause.explained <= HALVES * (1 - best.explained) and clause.explained - best.explained >= CLEARLY_MORE
        ):
            best = clause
    return best


def ranges(indices: Sequence[int], most: int = 4) -> str:
    """'4 to 6, 9'."""
    runs: list[list[int]] = []
    for i in sorted(indices):
        if runs and i == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], i]
        else:
            runs.append([i])
    said = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
    return ", ".join(said[:most]) + (" and others" if len(said) > most else "")
