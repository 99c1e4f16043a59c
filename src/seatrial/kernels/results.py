"""What decoders give of one image, in terms of the source image: boxes, instances, poses, oriented boxes, text, classes,
labels, masks, maps, embeddings.

For: the kinds of results, public as seatrial.Detections and so on. Not for: how they come about (postprocess.py and beside it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.kernels.masks import bits_of, runs_of

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Detections:
    """boxes_xyxy (N, 4) float32 in source pixels, scores (N,) float32 descending, class_ids (N,) int64."""

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class Classification:
    """The k best classes, descending: class_ids (k,) int64, scores (k,) float32."""

    class_ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SemanticMask:
    """class_ids (H, W) at source size; the largest value of the dtype marks pixels that a crop cut away."""

    class_ids: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

    @property
    def without_class(self) -> npt.NDArray[np.bool_]:
        """(H, W): pixels that a crop cut away."""
        return np.asarray(self.class_ids == np.iinfo(self.class_ids.dtype).max)


@dataclass(frozen=True, eq=False)
class Labels:
    """All classes of an image that are there, best first: class_ids (N,) int64, scores (N,) float32; N may be 0."""

    class_ids: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class DenseMap:
    """values (H, W) float32 at source size, such as a depth; NaN where there is none, as where a crop cut away."""

    values: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Embedding:
    """vector (D,) float32."""

    vector: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Instances(Detections):
    """Detections with a mask each, at source size (H, W): runs (R,) uint32 of all masks one behind the other, lengths in column
    order of unset and set pixels in turn; run_starts (N + 1,) int64 where each mask's begin; source_hw (2,) int64."""

    runs: U32
    run_starts: I64
    source_hw: I64

    @classmethod
    def of_masks(
        cls, boxes: Detections, masks: Sequence[npt.NDArray[np.bool_]], source_hw: tuple[int, int]
    ) -> Instances:
        """From boxes and as many masks (H, W) of bool at source size. ValueError where they are not."""
        if len(masks) != len(boxes) or any(m.shape != tuple(source_hw) for m in masks):
            shapes = ", ".join(str(m.shape) for m in masks[:3])
            raise ValueError(f"masks: expected {len(boxes)} of shape {tuple(source_hw)}, got {len(masks)} of {shapes}")
        return cls.of_runs(boxes, [runs_of(m, (0, 0), source_hw) for m in masks], source_hw)

    @classmethod
    def of_runs(cls, boxes: Detections, runs: Sequence[U32], source_hw: tuple[int, int]) -> Instances:
        """From boxes and each mask's runs."""
        starts = np.cumsum([0, *map(len, runs)], dtype=np.int64)
        together = np.concatenate([np.zeros(0, np.uint32), *runs])
        return cls(boxes.boxes_xyxy, boxes.scores, boxes.class_ids, together, starts, np.array(source_hw, np.int64))

    def runs_of(self, index: int) -> U32:
        """Of one mask, as COCO's uncompressed RLE counts."""
        return self.runs[self.run_starts[index] : self.run_starts[index + 1]]

    def mask(self, index: int) -> npt.NDArray[np.bool_]:
        """(H, W) bool."""
        return bits_of(self.runs_of(index), (int(self.source_hw[0]), int(self.source_hw[1])))


@dataclass(frozen=True, eq=False)
class Poses(Detections):
    """Detections with keypoints (N, K, 3) float32 each: x, y in source pixels, clipped to the image, and how sure it is to be
    seen, 0 to 1; 1 where the model says nothing of that. sigmas (K,) float32: how far each point may miss, as OKS takes it."""

    keypoints: F32
    sigmas: F32


@dataclass(frozen=True, eq=False)
class OrientedBoxes(Detections):
    """Detections with the four corners of each in source pixels, corners_xy (N, 4, 2) float32: a convex quadrilateral, a
    rectangle where both sides of the image were scaled alike, and a parallelogram after a stretch. Corners are not clipped, and
    stand in order, either way round; OrientedDecoder begins at the upper left one of a box at angle 0 and goes clockwise to the
    eye. boxes_xyxy are the upright boxes around them, clipped to the image."""

    corners_xy: F32

    @classmethod
    def of_corners(cls, corners_xy: F32, scores: F32, class_ids: I64, source_hw: tuple[int, int]) -> OrientedBoxes:
        """From corners (N, 4, 2), with the boxes around them."""
        corners = np.asarray(corners_xy, np.float32)
        reach = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        height, width = source_hw
        boxes = np.clip(reach, 0, np.array([width, height, width, height], np.float32))
        return cls(boxes, np.asarray(scores, np.float32), np.asarray(class_ids, np.int64), corners)

    def part(self, chosen: npt.NDArray[np.bool_]) -> OrientedBoxes:
        """Those that are chosen (N,)."""
        return OrientedBoxes(*(values[chosen] for values in vars(self).values()))


@dataclass(frozen=True, eq=False)
class TextRegions(Detections):
    """Detections with a convex quadrilateral (N, 4, 2) float32 each, in source pixels: corners clockwise as seen, the first one
    that whose x + y is least (of two, the upper). Corners may lie outside the image; boxes_xyxy enclose what lies in it."""

    polygons: F32


@dataclass(frozen=True, eq=False)
class Text:
    """What stands in an image: code_points (L,) uint32 of Unicode, and score, a float32 without dimensions, 0 to 1."""

    code_points: U32
    score: F32

    @classmethod
    def of(cls, text: str, score: float) -> Text:
        """From a string. ValueError where it holds a half of a surrogate pair, which is no character."""
        points = np.frombuffer(text.encode("utf-32-le"), "<u4").astype(np.uint32)
        return cls(points, np.array(score, np.float32))

    @property
    def text(self) -> str:
        return self.code_points.astype("<u4").tobytes().decode("utf-32-le")
