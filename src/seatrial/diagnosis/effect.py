"""What a mistake does to the task: the reference's own results with it against those without.

For: the figure beside a finding. Not for: both sides' results as they are (task_metrics.py).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from seatrial.diagnosis.mutation import Mutation, with_mutations
from seatrial.diagnosis.stages import RESULTS
from seatrial.diagnosis.stretch import CANNOT, Stretch
from seatrial.diagnosis.way import Way
from seatrial.history.records.diagnosis import FaultEffect
from seatrial.kernels.results import Detections
from seatrial.parity.results import agreement, match
from seatrial.pipeline.results import Result

# Of so many images it is told, or of as many as are run within the seconds.
MOST_IMAGES, TIME_S, LEAST_IMAGES = 96, 10.0, 16


def effect_of(stretch: Stretch, way: Way, mutations: Sequence[Mutation]) -> FaultEffect | None:
    """way: the reference. None where there are no results to compare, or the mistake is in what images have of one another."""
    try:
        wrong = with_mutations(way, mutations)
        if wrong.mates is not None:
            return None
        pairs = _without_and_with(stretch, way, wrong)
        agrees = agreement([r for r, _ in pairs], [w for _, w in pairs])
    except (*CANNOT, KeyError, MemoryError):
        return None
    if agrees is None or agrees.value is None:
        return None
    return FaultEffect(
        metric=agrees.unit,
        without=1.0,
        within=agrees.value,
        interval=agrees.interval(0),
        images=len(pairs),
        moved_px=_moved_px(pairs),
    )


def _without_and_with(stretch: Stretch, way: Way, wrong: Way) -> list[tuple[Result, Result]]:
    """Of images drawn at random of all: those that differ most would be no sample of them."""
    began = time.monotonic()
    pairs: list[tuple[Result, Result]] = []
    for image in np.random.default_rng(0).permutation(len(stretch.names))[:MOST_IMAGES].tolist():
        if len(pairs) >= LEAST_IMAGES and time.monotonic() - began > TIME_S:
            break
        pairs.append((stretch.own(way, image, RESULTS).value, stretch.own(wrong, image, RESULTS).value))
    return pairs


def _moved_px(pairs: Sequence[tuple[Result, Result]]) -> float | None:
    """By how much a side of a box moves that is found with and without it, at most. None where there is none."""
    moved = [
        float(np.abs(right.boxes_xyxy[i].astype(float) - wrong.boxes_xyxy[j]).max())
        for right, wrong in pairs
        if isinstance(right, Detections) and isinstance(wrong, Detections)
        for i, j, _ in match(right, wrong)
    ]
    return max((m for m in moved if np.isfinite(m)), default=None)
