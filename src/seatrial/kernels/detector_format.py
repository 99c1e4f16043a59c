"""What a detector's format is: which tensors it reads, how, and which of their columns mean what. Not for: the formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seatrial.kernels.detection_layouts import Choose
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.reference import F32, I64
from seatrial.kernels.tensor_shapes import Shapes

Candidates = tuple[F32, F32, I64]
# What a box's numbers count: pixels of the input, the whole input, or pixels of the picture as it was decoded.
PIXELS, FRACTIONS, SOURCE = "pixels", "fractions", "source"
# To what boxes are cut before NMS: the model's input, or the picture in it, without the padding.
INPUT, PICTURE = "input", "picture"


def _sound(_outputs: list[F32], _input_hw: tuple[int, int]) -> None:
    """Nothing to check beyond pick_outputs."""


@dataclass(frozen=True)
class Part:
    """Columns of one tensor that mean one thing: `start` to `stop` along `axis` of one image's rows, without the batch.

    output: which of the format's tensors, boxes first. unit_range: values are probabilities, 0 to 1.
    """

    name: str
    output: int = 0
    axis: int = 1
    start: int = 0
    stop: int | None = None
    unit_range: bool = False


@dataclass(frozen=True)
class Format:
    """`decode(outputs, input_hw)` takes the rows of one image, without the batch; `outputs` says which and how shaped.

    `name` is the native kernel's; `check` raises ValueError where shapes that pick_outputs let through do not fit.
    `parts` are judged apart: boxes in pixels would hide what became of scores. ranked: rows are ordered by their scores, so
    that two runs of one model may give the same rows in another order. anchor_axis: of one image's first tensor, that which
    counts anchors. fixed: columns of it that are no class; `class_columns`: whether those behind them are a class each. Behind
    both may stand what another task reads: coefficients, keypoints, an angle.

    units: in which boxes may come, the first unless the plan says another. C++ reads its own formats, which have `decode`, in
    that first unit; of all else `choose` picks candidates in NumPy. shapes: how its tensors come, where they are not simply
    those of `output_ranks` with the batch first; roles: what each is, to be told by names. logits: scores lack their sigmoid.
    variances: of offsets from anchors that a plan brings along, where it says no others. bounds: INPUT or PICTURE, to which the
    tool itself cuts boxes before NMS, so that what two of them share beyond it does not count; None where it cuts them after.
    """

    name: str
    decode: Callable[[list[F32], tuple[int, int]], Candidates] | None
    needs_nms: bool
    output_ranks: tuple[int, ...]
    outputs: str
    check: Callable[[list[F32], tuple[int, int]], None] = _sound
    parts: tuple[Part, ...] = ()
    ranked: bool = False
    anchor_axis: int = 0
    fixed: int = 0
    class_columns: bool = True
    choose: Choose | None = None
    units: tuple[str, ...] = (PIXELS,)
    shapes: tuple[Shapes, ...] = ()
    roles: tuple[str, ...] = ("boxes",)
    logits: bool = False
    variances: tuple[float, float, float, float] | None = None
    bounds: str | None = None

    def cut(self, boxes_xyxy: F32, geometry: Geometry) -> F32:
        """Boxes (N, 4) in input pixels as NMS is to see them. What is not finite becomes NaN: no box, however it is cut."""
        if self.bounds is None:
            return boxes_xyxy
        low, high = (0, 0), geometry.input_hw[::-1]
        if self.bounds == PICTURE:
            low = (geometry.offset_x, geometry.offset_y)
            high = (low[0] + geometry.resized_hw[1], low[1] + geometry.resized_hw[0])
        inside = np.clip(boxes_xyxy, np.array(low * 2, np.float32), np.array(high * 2, np.float32))
        return np.where(np.isfinite(boxes_xyxy), inside, np.float32(np.nan))

    def anchors(self, rows: list[F32]) -> int:
        """How many the image's tensors have."""
        return int(rows[0].shape[self.anchor_axis])

    def without(self, rows: list[F32], extra: int) -> list[F32]:
        """The tensors without the last `extra` columns of the first."""
        if not extra:
            return rows
        return [rows[0][:-extra] if self.anchor_axis else rows[0][:, :-extra], *rows[1:]]

    def behind(self, head: F32, extra: int, anchors: I64) -> F32:
        """(N, extra): of some anchors, the last columns of one image's head."""
        return head[-extra:, anchors].T if self.anchor_axis else head[anchors, -extra:]

    def classes_beside(self, columns: int, extra: int) -> int:
        """How many classes a head of so many columns has; below 1 where it has too few, 0 where classes are numbers."""
        return columns - self.fixed - extra


# What several layouts hold: a detection a row, and boxes beside scores.
ROW_PARTS = (Part("boxes", stop=4), Part("scores", start=4, stop=5, unit_range=True), Part("classes", start=5))
SCORE_PARTS = (Part("boxes"), Part("scores", output=1, unit_range=True))
