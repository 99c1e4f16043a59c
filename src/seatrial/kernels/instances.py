"""Instance segmentation: a detector's boxes, and for each a mask from coefficients and prototypes.

For: YOLOv5-, v8-, 11- and 26-seg; public as seatrial.InstanceDecoder. Not for: boxes alone (postprocess.py), a class a pixel
(segmentation.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.kernels import native_postprocess
from seatrial.kernels.arguments import one_of
from seatrial.kernels.detection_formats import EXTENDED, pick_head
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.masks import runs_of
from seatrial.kernels.postprocess import DetectionDecoder, Outputs, checked_outputs
from seatrial.kernels.reference_masks import instance_mask
from seatrial.kernels.results import Detections, Instances

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class InstanceDecoder(DetectionDecoder):
    """Two outputs, a head (B, …) whose last K columns are coefficients, and prototypes (B, K, h, w), to Instances.

    Boxes are found as by DetectionDecoder. A mask's pixel is set where the sum of the prototypes, each times its coefficient,
    is above zero, drawn out linearly to source size and cut by the box at source size: Ultralytics' retina masks, with the way
    back to the source to the fraction of a cell, where Ultralytics rounds a letterbox's padding to whole cells. YOLOv5's own
    code draws the sigmoid out, which differs at edges.

    Args: as of DetectionDecoder; format: one of detection_formats.EXTENDED.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("format", self.format, list(EXTENDED))

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Detections]:
        head, prototypes = self._pick(checked_outputs(outputs, geometries))
        return [self._instances(head[i], prototypes[i], g) for i, g in enumerate(geometries)]

    def _pick(self, outputs: list[npt.NDArray[np.generic]]) -> tuple[F32, F32]:
        """ValueError says what was expected and what came."""
        maps = [o for o in outputs if o.ndim == 4]
        if len(maps) != 1 or 0 in maps[0].shape:
            shapes = ", ".join(str(tuple(o.shape)) for o in outputs) or "none"
            raise ValueError(
                f"masks: expected one output of prototypes (B, K, height, width), got outputs of shape {shapes}"
            )
        head = pick_head(
            self.format, outputs, maps[0].shape[1], f"coefficients of the prototypes {tuple(maps[0].shape)}"
        )
        with np.errstate(over="ignore"):
            return head, np.asarray(maps[0], np.float32)

    def _instances(self, head: F32, prototypes: F32, geometry: Geometry) -> Instances:
        channels = len(prototypes)
        boxes, anchors = self.found([head], geometry, channels)
        rows = self.form.behind(head, channels, anchors)
        if self.engine == "native":
            runs, starts = native_postprocess.instance_runs(rows, prototypes, boxes.boxes_xyxy, geometry)
            whole = np.array(geometry.source_hw, np.int64)
            return Instances(boxes.boxes_xyxy, boxes.scores, boxes.class_ids, runs, starts, whole)
        places = [instance_mask(r, prototypes, b, geometry) for r, b in zip(rows, boxes.boxes_xyxy, strict=True)]
        return Instances.of_runs(boxes, [runs_of(*p, geometry.source_hw) for p in places], geometry.source_hw)
