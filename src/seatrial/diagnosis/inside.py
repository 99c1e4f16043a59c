"""The search inside both models, where their raw outputs differ: when it is made, on which images, and what becomes of it.

Not for: the search itself (seatrial.localise), which who calls hands in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from seatrial.errors import SeatrialError
from seatrial.history.records.diagnosis import ParityRecord
from seatrial.history.records.inside import InsideOfPlan
from seatrial.jobs.job import Tell
from seatrial.jobs.workload import PipelineWorkload
from seatrial.units import format_seconds
from seatrial.warning import Warning

# Of the images that differ most so many are enough: a node that is wrong is wrong on each.
MOST_IMAGES = 4
# With less time left a detector's graph is not gone through.
LEAST_S = 20.0
# The reference, the candidate, how many seconds: what was found.
LookInside = Callable[[PipelineWorkload, PipelineWorkload, float, Tell], InsideOfPlan]


def with_inside(
    record: ParityRecord,
    reference: PipelineWorkload,
    candidate: PipelineWorkload,
    look: LookInside,
    left_s: float,
    says: Callable[[str], None] = lambda _said: None,
) -> ParityRecord:
    """left_s: of the time that was given. What cannot be searched is a warning: the verdict stands all the same."""
    if left_s < LEAST_S:
        return _without(record, f"{format_seconds(max(0.0, left_s))} were left, which is too little")
    began = time.monotonic()
    worst = {w.name for w in record.worst_images[:MOST_IMAGES]}
    images = tuple(i for i in reference.images if i[1] in worst) or reference.images[:MOST_IMAGES]
    try:
        inside = look(
            replace(reference, images=images),
            candidate,
            left_s,
            lambda step, share: says(f"inside both models: {step}" + (f" … {share:.0%}" if share else "")),
        )
    except (SeatrialError, ValueError) as e:
        return _without(record, str(e).splitlines()[0])
    return record.model_copy(update={"inside": inside, "wall_s": round(record.wall_s + time.monotonic() - began, 2)})


def _without(record: ParityRecord, why: str) -> ParityRecord:
    found = Warning("inside-not-searched", f"both models were not searched for the node that differs: {why}")
    return record.model_copy(update={"warnings": (*record.warnings, found)})
