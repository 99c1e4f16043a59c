"""Which other values of a threshold would have done the same to all images: how far these pin down the number that is named.

For: a threshold that was found, alone and exactly. Not for: finding it (result_fits.py, mutations/thresholds.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.diagnosis.explanation import Explanation
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.errors import PlanError

# Of the plan's numbers, those between 0 and 1 below or above which something is kept.
_THRESHOLDS = ("postprocess.confidence", "postprocess.iou", "postprocess.threshold")
# Halvings of what lies on either side: a thousandth is as near as anybody sets one.
_HALVINGS = 10
MOST_IMAGES = 32


def open_between(stretch: Stretch, way: Way, best: Explanation, images: Sequence[int]) -> tuple[float, float] | None:
    """way: the reference. images: by index, those that differ first. None of what is no threshold, or was not exact."""
    (mutation, *others), chosen = best.mutations, images[:MOST_IMAGES]
    if others or mutation.key not in _THRESHOLDS or mutation.value is None or not best.exact:
        return None
    section, name = mutation.key.split(".")

    def same(value: float) -> bool:
        try:
            changed = way.with_settings(section, **{name: value})
        except (PlanError, ValueError):
            return False
        return all(stretch.compared(changed, i).same for i in chosen)

    if not same(mutation.value):
        return None
    ends = []
    for end in (0.0, 1.0):
        inside, outside = mutation.value, end
        if same(end):
            inside = end
        else:
            for _ in range(_HALVINGS):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if same(middle) else (inside, middle)
        ends.append(inside)
    return ends[0], ends[1]
