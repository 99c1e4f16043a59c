"""Objects that a model is sure of, and that cannot be: they lie outside their picture, have no area, or are of no class.

For: what decoders leave out by rule, counted, because of a wrong plan it may be most of what there is; boxes that make sense as
corners only, or as centre and size only; keypoints that lie elsewhere than their boxes. Not for: what ranges of outputs tell
(plausibility.py), or in which pixels boxes count (box_reach.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.detector_format import FRACTIONS, SOURCE
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.oriented import OrientedDecoder, corners_of
from seatrial.kernels.poses import PoseDecoder
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.box_reach import LEAST_BEYOND, SURE
from seatrial.pipeline.decoders import decoder_of
from seatrial.pipeline.outputs_read import columns_behind, outputs_read
from seatrial.pipeline.plausible_layouts import CENTRES
from seatrial.plan import pipelines, tasks
from seatrial.warning import Warning

F32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
# A box reaches over an edge by a little; and a point lies about its box, where it is not more than half of it away.
BEYOND, ABOUT = 0.05, 0.5
# Of all candidates.
LEAST_SHARE_LOST = 0.001
_AS_CENTRES = (*CENTRES, "detr", "rtdetr")


class SureObjects:
    """Counts over all images of a trial, candidate by candidate, as they are before any of them is dropped for its overlap."""

    def __init__(
        self, where: str, decoder: DetectionDecoder, post: pipelines.Postprocess, outputs: Sequence[TensorInfo]
    ):
        self._where, self._decoder, self._post = where, decoder, post
        names = [o.name for o in outputs]
        self._outputs = [outputs[names.index(n)] for n in outputs_read(post, outputs)]
        self._indices = [names.index(o.name) for o in self._outputs]
        self._confidence = max(decoder.confidence, SURE)
        self._counts = Counter[str]()

    def add(self, images: Sequence[Sequence[npt.NDArray[Any]]], geometries: Sequence[Geometry]) -> None:
        """Each image's part of every output, in the model's order, and how it came to the input. Outputs that do not fit the
        format are for its decoder to refuse, before."""
        for outputs, geometry in zip(images, geometries, strict=True):
            with np.errstate(over="ignore", invalid="ignore"):
                self._add([np.asarray(outputs[i], np.float32) for i in self._indices], geometry)

    def warnings(self) -> list[Warning]:
        found, counts = [], self._counts
        objects, score = counts["objects"], f"{self._confidence:g}"
        lost = [f"{counts[k]} {words}" for k, words in _LOST.items() if counts[k]]
        # One in thousands may lie in a letterbox's padding.
        if sum(counts[k] for k in _LOST) > LEAST_SHARE_LOST * objects:
            of = f"of {objects} candidates with a score above {score} {' and '.join(lost)}"
            cure = "does the model give boxes and classes as the format has them?"
            found.append(Warning("lost-objects", f"{self._where}: {of}: none of them counts", cure))
        if counts["as_read"] >= max(LEAST_BEYOND, objects / 2) and not counts["as_other"]:
            own, other = ("centre and size", "two corners") if self._centres else ("two corners", "centre and size")
            of = f"{counts['as_read']} of {objects} with a score above {score} make no sense so"
            said = (
                f"{self._where}.format is {self._post.format}, which reads boxes as {own}: {of}, and as {other} all lie in the "
                "picture"
            )
            cure = f"of boxes that are {other} name another format, or turn them in a Python postprocess"
            found.append(Warning("corners-or-centres", said, cure))
        if counts["apart"] >= max(LEAST_BEYOND, counts["posed"] / 2):
            said = (
                f"{self._where}: of {counts['posed']} poses with a score above {score} {counts['apart']} have most of their "
                "keypoints elsewhere than their box"
            )
            cure = "are keypoints in the unit of the boxes, and keypoints as many, and of as many values, as the model gives?"
            found.append(Warning("keypoints-apart", said, cure))
        return found

    @property
    def _centres(self) -> bool:
        return self._decoder.form.name in _AS_CENTRES

    def _add(self, tensors: list[F32], geometry: Geometry) -> None:
        form = self._decoder.form
        extra = (
            columns_behind(self._post, [_with_batch(o, t) for o, t in zip(self._outputs, tensors, strict=True)]) or 0
        )
        rows = tensors if form.shapes else [t for t in tensors if t.ndim == 2]
        if len(form.output_ranks) == 2 and not form.shapes and rows[0].shape[1] != 4:
            rows = rows[::-1]
        classless = self._classless(form.without(rows, extra))
        boxes, anchors = self._candidates(rows, extra, geometry)
        self._counts["objects"] += len(boxes) + classless
        self._counts["classless"] += classless
        if not len(boxes):
            return
        in_source, has_area = self._in_source(boxes, rows[0], anchors, geometry)
        height, width = geometry.source_hw
        self._counts["flat"] += int((~has_area).sum())
        self._counts["outside"] += int((has_area & _outside(in_source, (0, 0, width, height))).sum())
        if isinstance(self._decoder, OrientedDecoder):
            return
        whole = geometry.source_hw if self._decoder.units == SOURCE else geometry.input_hw
        self._counts["as_read"] += int((~_lies_in(boxes, whole)).sum())
        self._counts["as_other"] += int((~_lies_in(_read_otherwise(boxes, self._centres), whole)).sum())
        if isinstance(self._decoder, PoseDecoder):
            points = form.behind(rows[0], extra, anchors).reshape(len(boxes), *self._decoder.keypoints)
            self._add_points(boxes, points, geometry)

    def _classless(self, rows: list[F32]) -> int:
        """Rows that are sure of themselves, and whose class number names none."""
        parts = {p.name: p for p in self._decoder.form.parts}
        if "classes" not in parts:
            return 0
        classes, scores = (
            rows[p.output][:, p.start : p.stop].ravel() if rows[p.output].ndim == 2 else rows[p.output].ravel()
            for p in (parts["classes"], parts["scores"])
        )
        return int(((scores > self._confidence) & ~(classes >= 0)).sum())

    def _candidates(self, rows: list[F32], extra: int, geometry: Geometry) -> tuple[F32, npt.NDArray[np.int64]]:
        """Boxes of a class that is one, as the format reads them, in pixels of the input or the picture; and their anchors."""
        decoder, form = self._decoder, self._decoder.form
        if decoder.anchors_xyxy is not None:
            rows = [*rows, decoder.anchors_xyxy, np.asarray(decoder.variances or form.variances, np.float32)]
        plain = form.without(rows, extra)
        if form.choose is not None:
            chosen = form.choose(plain, geometry.input_hw, self._confidence)
            height, width = geometry.input_hw
            whole = np.array([width, height] * 2, np.float32) if decoder.units == FRACTIONS else np.float32(1)
            return np.asarray(chosen.boxes_xyxy * whole, np.float32), chosen.anchors
        assert form.decode is not None
        boxes, scores, _ = form.decode(plain, geometry.input_hw)
        kept = np.flatnonzero(scores > self._confidence)
        return boxes[kept], kept // max(1, len(scores) // max(1, form.anchors(rows)))

    def _in_source(
        self, boxes: F32, head: F32, anchors: npt.NDArray[np.int64], geometry: Geometry
    ) -> tuple[F32, Flags]:
        """The upright boxes in source pixels, not clipped, and which are finite with an area."""
        form = self._decoder.form
        if isinstance(self._decoder, OrientedDecoder):
            sizes = head[:4, anchors].T if form.anchor_axis else head[anchors, :4]
            corners: npt.NDArray[Any] = corners_of(np.concatenate([sizes, form.behind(head, 1, anchors)], axis=1))
            has_area = np.isfinite(corners).all(axis=(1, 2)) & (sizes[:, 2:] > 0).all(axis=1)
        else:
            corners = boxes.reshape(-1, 2, 2)
            has_area = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if self._decoder.units != SOURCE:
            corners = geometry.points_to_image(corners, clip=False)
        around = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        return around.astype(np.float32), np.asarray(has_area)

    def _add_points(self, boxes: F32, points: F32, geometry: Geometry) -> None:
        """points (N, K, D) in the unit of the boxes."""
        places = points[..., :2]
        if self._decoder.units == FRACTIONS:
            places = places * np.array(geometry.input_hw[::-1], np.float32)
        # Where nothing says which are seen, the hidden ones stand at 0, 0.
        seen = points[..., 2] > 0.5 if points.shape[2] == 3 else (points != 0).any(axis=2)
        room = ABOUT * (boxes[:, 2:] - boxes[:, :2])
        about = (places >= (boxes[:, :2] - room)[:, None]) & (places <= (boxes[:, 2:] + room)[:, None])
        near, there = (about.all(axis=2) & seen).sum(axis=1), seen.sum(axis=1)
        self._counts["posed"] += int((there > 0).sum())
        self._counts["apart"] += int(((there > 0) & (2 * near < there)).sum())


_LOST = {
    "outside": "lie wholly outside their picture",
    "flat": "have a box without area, or one that is not finite",
    "classless": "have a class below 0",
}


def sure_objects_of(name: str, spec: pipelines.Pipeline, model: ModelInfo, folder: Path) -> SureObjects | None:
    """None where the postprocess finds no objects, or is the user's own."""
    post = spec.postprocess
    if not isinstance(post, pipelines.Postprocess) or post.task not in tasks.OBJECTS:
        return None
    decoder = decoder_of(post, "reference", folder)
    assert isinstance(decoder, DetectionDecoder)
    return SureObjects(f"pipelines.{name}.postprocess", decoder, post, model.outputs)


def _with_batch(output: TensorInfo, tensor: F32) -> TensorInfo:
    return TensorInfo(output.name, (1, *tensor.shape), output.dtype)


def _outside(boxes: F32, whole: tuple[float, float, float, float]) -> Flags:
    left, top, right, bottom = whole
    beyond = (boxes[:, 2] <= left) | (boxes[:, 3] <= top) | (boxes[:, 0] >= right) | (boxes[:, 1] >= bottom)
    return np.asarray(beyond)


def _lies_in(boxes: F32, hw: tuple[int, int]) -> Flags:
    """Which are boxes, and reach over an edge by little."""
    size = np.array(hw[::-1], np.float32)
    ordered = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return np.asarray(
        ordered & (boxes[:, :2] >= -BEYOND * size).all(axis=1) & (boxes[:, 2:] <= (1 + BEYOND) * size).all(axis=1)
    )


def _read_otherwise(boxes: F32, centres: bool) -> F32:
    """The same numbers as corners, which were read as centre and size, or the other way round."""
    if centres:
        return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
