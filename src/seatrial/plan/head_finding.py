"""What a rule makes of a model's outputs, and how it says what it saw. Not for: the rules (head_rules.py and beside it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.model.file import TensorInfo
from seatrial.plan.seen import Ranges, Seen

Hw = tuple[int, int] | None
Shape = tuple[int | str | None, ...]
# Detectors without NMS offer at most this many; grids of anchors are larger at any usual size.
MOST_QUERIES = 1000
NOT_RUN = "from the shape alone"


@dataclass(frozen=True)
class Finding:
    """What the rules made of the tensors. sure: only where more than a shape says so. outputs: to name in the plan."""

    key: str
    because: str
    sure: bool = False
    outputs: tuple[str, ...] = ()
    activation: str = ""
    keypoints: tuple[int, int] | None = None
    keys: tuple[tuple[str, str], ...] = ()
    """Of a postprocess, with their values as a plan has them, where the head has more than a task, a format and thresholds."""


def shape_of(output: TensorInfo, seen: Mapping[str, Seen]) -> Shape:
    """As it came, else as the file says."""
    return seen[output.name].shape if output.name in seen else output.shape


def in_numbers(boxes: Ranges, scores: Ranges) -> str:
    return (
        f"on a picture, boxes from {boxes.least:.3g} to {boxes.most:.3g}, "
        f"scores from {scores.least:.3g} to {scores.most:.3g}"
    )
