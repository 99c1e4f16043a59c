"""Poses: a detector's boxes, and keypoints behind the classes of each. Public as seatrial.PoseDecoder.

For: YOLOv8-, 11- and 26-pose. Not for: boxes alone (postprocess.py), heat maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from seatrial.kernels.arguments import is_number, is_whole
from seatrial.kernels.detection_formats import pick_head
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.postprocess import DetectionDecoder, Outputs, checked_outputs
from seatrial.kernels.results import Detections, Poses

F32 = npt.NDArray[np.float32]

FORMATS_OF_POSES = ("yolov8", "yolo11", "end_to_end", "yolov10", "yolo26")
# COCO's 17 points of a person: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles (cocoapi's kpt_oks_sigmas).
_OF_PAIRS = (0.025, 0.035, 0.079, 0.072, 0.062, 0.107, 0.087, 0.089)
COCO_SIGMAS = (0.026, *(s for s in _OF_PAIRS for _ in range(2)))
MEAN_SIGMA = sum(COCO_SIGMAS) / len(COCO_SIGMAS)


def sigmas_of(count: int) -> tuple[float, ...]:
    """How far points may miss, as OKS takes it: COCO's for its 17 points, else 1 / count each, but no more than COCO's mean.

    Ultralytics takes 1 / count however few there are: of 3 points a pose then is right though each lies off by 0.78 of the
    object's size, and nothing that is judged by it can fail. COCO's mean forgives 0.16 of it, as COCO does on average.
    """
    return COCO_SIGMAS if count == len(COCO_SIGMAS) else (min(1 / count, MEAN_SIGMA),) * count


@dataclass(frozen=True)
class PoseDecoder(DetectionDecoder):
    """One output whose last K · D columns are keypoints, x, y in the unit of the boxes and, where D is 3, a score, to Poses.

    Boxes are found as by DetectionDecoder; keypoints go to source pixels and are clipped to the image, as Ultralytics has it.

    Args: as of DetectionDecoder; format: one of FORMATS_OF_POSES. keypoints: K and D, as exporters write `kpt_shape`. sigmas: K
    of them, for whoever compares poses; by default those of sigmas_of.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    formats: ClassVar[tuple[str, ...]] = FORMATS_OF_POSES

    keypoints: tuple[int, int] = (17, 3)
    sigmas: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        count = self.keypoints
        if len(count) != 2 or not all(map(is_whole, count)) or count[0] < 1 or count[1] not in (2, 3):
            raise ValueError(f"keypoints: expected how many, and 2 or 3 values each, such as (17, 3), got {count!r}")
        sigmas = sigmas_of(count[0]) if self.sigmas is None else self.sigmas
        if len(sigmas) != count[0] or not all(is_number(s) and s > 0 for s in sigmas):
            raise ValueError(f"sigmas: expected {count[0]} numbers above 0, one a keypoint, got {sigmas!r}")

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Detections]:
        count, values = self.keypoints
        head = pick_head(self.format, checked_outputs(outputs, geometries), count * values, f"of {count} keypoints")
        return [self._poses(head[i], g) for i, g in enumerate(geometries)]

    def _poses(self, head: F32, geometry: Geometry) -> Poses:
        extra = self.keypoints[0] * self.keypoints[1]
        boxes, anchors = self.found([head], geometry, extra)
        points = self.form.behind(head, extra, anchors).reshape(-1, *self.keypoints)
        seen = points[..., 2:] if self.keypoints[1] == 3 else np.ones_like(points[..., :1])
        in_image = self.points_in_source(points[..., :2], geometry)
        sigmas = np.array(sigmas_of(self.keypoints[0]) if self.sigmas is None else self.sigmas, np.float32)
        return Poses(boxes.boxes_xyxy, boxes.scores, boxes.class_ids, np.concatenate([in_image, seen], axis=2), sigmas)
