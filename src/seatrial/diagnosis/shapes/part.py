"""The shape of what differs at a stage, of a comparison's part. For: the record. Not for: the shape itself (shape.py)."""

from __future__ import annotations

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.shapes.clause import MOST_IMAGES, MOST_RESULTS
from seatrial.diagnosis.shapes.shape import shape_of
from seatrial.diagnosis.stages import OF_RESULTS
from seatrial.diagnosis.way import Way
from seatrial.errors import SeatrialError
from seatrial.kernels.arguments import ArgumentError


def unexplained_shape(part: Part, way: Way) -> str:
    """way: the reference. '' where nothing differs, something explains it, or too little is there to be looked at."""
    if not part.diverges or part.too_little or part.found is None or part.found.best is not None:
        return ""
    sides, sizes = [], []
    for i in part.differing[:MOST_RESULTS]:
        try:
            made = part.stretch.made(way, i)
        except (SeatrialError, ArgumentError, ValueError):
            # What cannot be run has no difference to look at; that it differs is counted.
            continue
        sides.append((made.value, part.stretch.candidate(i)))
        sizes.append(made.geometry.source_hw if made.geometry else None)
        if part.stretch.end not in OF_RESULTS and len(sides) == MOST_IMAGES:
            break
    return shape_of(part.stretch.end, sides, [o.name for o in way.subject.model.outputs], sizes)
