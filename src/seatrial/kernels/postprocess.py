"""Raw outputs to results in source-image terms: detections, classes, masks, embeddings. Public as seatrial.*Decoder.

Every decoder is called on (outputs, geometries): the model's output tensors with a leading batch, and one Geometry an
image; it returns one frozen result an image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of
from seatrial.kernels import native_postprocess, reference
from seatrial.kernels.arguments import ENGINES, is_number, is_whole, one_of
from seatrial.kernels.detection_formats import DETECTORS, FORMATS, image_rows
from seatrial.kernels.detection_layouts import Chosen, checked_anchors
from seatrial.kernels.detector_format import FRACTIONS, SOURCE, Format
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.results import Classification, Detections, Embedding

Outputs = Sequence[npt.NDArray[Any]]


@dataclass(frozen=True)
class DetectionDecoder:
    """Detector outputs to Detections in source pixels.

    Rules: an anchor is a candidate of its best class (a query of rtdetr: of each class); it counts where its score is above
    `confidence` (NaN never is) and its box is finite with a positive width and height; NMS suppresses above `iou`; ties keep
    the tensor's order; then the best `max_detections`; then boxes go to source pixels and are clipped to the image (where the
    tool itself does so before NMS: before); a box left without area is dropped.

    Args:
        format: one of detection_formats.FORMATS: yolov5, yolov8, yolo11, yolox, end_to_end, ssd, detr, rtdetr and others.
        confidence, iou: thresholds from 0 to 1.
        max_detections: most detections an image.
        class_agnostic: suppress across classes.
        engine: native (C++), or reference (NumPy); both give the same detections, bit for bit.
        boxes: what their numbers count, one of the format's units: pixels of the input, fractions of it, or source pixels; by
            default the format's first. Outputs come in the order of the format's own words.
        anchors_xyxy: (N, 4) in input pixels, of a format whose boxes are offsets from them; variances: what these are times, in
            their order, by default the format's.

    Raises:
        ValueError: an argument or an output's shape is not as expected.
    """

    formats: ClassVar[tuple[str, ...]] = DETECTORS

    format: str = "yolov8"
    confidence: float = 0.25
    iou: float = 0.45
    max_detections: int = 300
    class_agnostic: bool = False
    engine: str = "native"
    boxes: str | None = None
    anchors_xyxy: reference.F32 | None = field(default=None, repr=False, compare=False)
    variances: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        one_of("engine", self.engine, ENGINES)
        one_of("format", self.format, list(self.formats))
        self._check_anchors()
        if self.boxes is not None:
            one_of("boxes", self.boxes, list(self.form.units))
        for name in ("confidence", "iou"):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a threshold from 0 to 1, got {value!r}")
            # A NumPy scalar would make NumPy compare in its own precision.
            object.__setattr__(self, name, float(value))
        _check_count("max_detections", self.max_detections)

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Detections]:
        rows = image_rows(self.format, real_arrays(outputs, geometries), len(geometries))
        return [self.found(own, g)[0] for own, g in zip(rows, geometries, strict=True)]

    @property
    def form(self) -> Format:
        return FORMATS[self.format]

    def found(self, rows: list[reference.F32], geometry: Geometry, extra: int = 0) -> tuple[Detections, reference.I64]:
        """One image's detections, and which of the tensor's anchors each is. rows: the format's tensors without batch; extra:
        columns behind the classes that a detection does not need. ValueError for shapes that do not fit."""
        form = self.form
        if self.anchors_xyxy is not None:
            rows = [*rows, self.anchors_xyxy, np.asarray(self.variances or form.variances, np.float32)]
        form.check(rows, geometry.input_hw)
        if form.choose is not None and (form.decode is None or self.units != form.units[0]):
            with np.errstate(over="ignore", invalid="ignore"):
                chosen = form.choose(form.without(rows, extra), geometry.input_hw, self.confidence)
                return self._of_chosen(chosen, geometry)
        assert form.decode is not None
        if self.engine == "native":
            boxes, scores, classes, anchors = native_postprocess.detect(
                form.name, rows, geometry, self.confidence, self.iou, self.class_agnostic, self.max_detections, extra
            )
            return Detections(boxes, scores, classes), anchors
        # A broken model's infinities become NaN on the way and are left out below; a warning an image helps nobody.
        with np.errstate(over="ignore", invalid="ignore"):
            return self._in_source(
                *form.decode(form.without(rows, extra), geometry.input_hw), form.anchors(rows), geometry
            )

    def _check_anchors(self) -> None:
        """ValueError where anchors are missing, not asked for, or none."""
        wanted, given = self.form.variances is not None, self.anchors_xyxy
        if wanted != (given is not None):
            raise ValueError(
                f"anchors_xyxy: format '{self.format}' reads {'offsets from anchors: give them' if wanted else 'none'}"
            )
        if self.variances is not None and (not wanted or len(self.variances) != 4):
            raise ValueError(f"variances: expected four, of a format with anchors, got {self.variances!r}")
        if given is not None:
            object.__setattr__(self, "anchors_xyxy", checked_anchors(given))

    @property
    def units(self) -> str:
        """What the numbers of boxes count."""
        return self.boxes or self.form.units[0]

    def in_source(self, boxes_xyxy: reference.F32, geometry: Geometry) -> reference.F32:
        """Boxes (N, 4) as the model gives them in source pixels, not clipped to the picture."""
        return self.points_in_source(boxes_xyxy.reshape(-1, 2, 2), geometry, clip=False).reshape(-1, 4)

    def points_in_source(self, points_xy: reference.F32, geometry: Geometry, clip: bool = True) -> reference.F32:
        """Points (…, 2) in the unit of the boxes to source pixels, clipped to the picture unless told not to."""
        if self.units == SOURCE:
            return np.clip(points_xy, 0, geometry.source_hw[::-1]).astype(np.float32) if clip else points_xy
        if self.units == FRACTIONS:
            with np.errstate(over="ignore"):
                points_xy = points_xy * np.array(geometry.input_hw[::-1], np.float32)
        return geometry.points_to_image(points_xy, clip)

    def _of_chosen(self, chosen: Chosen, geometry: Geometry) -> tuple[Detections, reference.I64]:
        boxes = np.ascontiguousarray(chosen.boxes_xyxy, np.float32)
        if self.units == FRACTIONS:
            boxes = boxes * np.array(geometry.input_hw[::-1] * 2, np.float32)
        elif self.units == SOURCE:
            geometry = Geometry(geometry.source_hw, geometry.source_hw, geometry.source_hw, 0, 0)
        boxes = self.form.cut(boxes, geometry)
        scores, classes = np.ascontiguousarray(chosen.scores, np.float32), chosen.class_ids
        if self.engine == "native":
            found, rows = native_postprocess.detections_of(
                boxes,
                scores,
                classes,
                geometry,
                self.confidence,
                self.iou if self.form.needs_nms else None,
                self.class_agnostic,
                self.max_detections,
            )
        else:
            found, rows = self._in_source(boxes, scores, classes, len(scores), geometry)
        return found, chosen.anchors[rows]

    def _in_source(
        self, boxes: reference.F32, scores: reference.F32, classes: reference.I64, count: int, geometry: Geometry
    ) -> tuple[Detections, reference.I64]:
        # An anchor offers one candidate, or one a class.
        anchors = np.arange(len(scores)) // max(1, len(scores) // max(1, count))
        keep = scores > self.confidence
        keep &= np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, scores, classes, anchors = boxes[keep], scores[keep], classes[keep], anchors[keep]
        if self.form.needs_nms:
            chosen = reference.nms(boxes, scores, classes, self.iou, self.class_agnostic, self.max_detections)
        else:
            chosen = reference.top_k(scores, self.max_detections)
        in_image = geometry.to_image(boxes[chosen])
        visible = (in_image[:, 2] > in_image[:, 0]) & (in_image[:, 3] > in_image[:, 1])
        return Detections(in_image[visible], scores[chosen][visible], classes[chosen][visible]), anchors[chosen][
            visible
        ]


@dataclass(frozen=True)
class ClassificationDecoder:
    """One output (B, classes) to the `top_k` best classes; `activation` is softmax, sigmoid or none.

    Ties go to the lower class; NaN comes last. Engines: native (C++) and reference (NumPy), which agree bit for bit.
    background: first or last: of which column no class is made. It has its part in the softmax, as in training; without it
    classes count from 0.
    """

    top_k: int = 5
    activation: str = "softmax"
    engine: str = "native"
    background: str | None = None

    def __post_init__(self) -> None:
        one_of("engine", self.engine, ENGINES)
        one_of("activation", self.activation, ["softmax", "sigmoid", "none"])
        if self.background is not None:
            one_of("background", self.background, ["first", "last"])
        _check_count("top_k", self.top_k)

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Classification]:
        rows = score_rows(outputs, geometries)
        if self.background is None:
            return self._best(rows, self.top_k)
        if rows.shape[1] < 2:
            raise ValueError(f"classification: expected a class beside the background, got shape {rows.shape}")
        no_class = 0 if self.background == "first" else rows.shape[1] - 1
        return [self._without(no_class, found) for found in self._best(rows, self.top_k + 1)]

    def _without(self, no_class: int, found: Classification) -> Classification:
        kept = np.flatnonzero(found.class_ids != no_class)[: self.top_k]
        return Classification(found.class_ids[kept] - (no_class == 0), found.scores[kept])

    def _best(self, rows: reference.F32, count: int) -> list[Classification]:
        if self.engine == "native":
            ids, scores = native_postprocess.classify(rows, self.activation, count)
            return [Classification(i, s) for i, s in zip(ids, scores, strict=True)]
        if self.activation == "softmax":
            scores = reference.softmax(rows)
        elif self.activation == "sigmoid":
            scores = reference.sigmoid(rows)
        else:
            scores = rows
        best = [reference.top_k(row, count) for row in scores]
        return [Classification(ids, row[ids]) for ids, row in zip(best, scores, strict=True)]


@dataclass(frozen=True)
class EmbeddingDecoder:
    """The first output, flattened an image; `normalize` divides by the Euclidean length (a zero vector stays zero)."""

    normalize: bool = True

    def __call__(self, outputs: Outputs, geometries: Sequence[Geometry]) -> list[Embedding]:
        rows = _rows(outputs, geometries, "embedding: expected an output (B, ...)").astype(np.float32)
        if self.normalize:
            # float64, because float32's squares leave its range long before the values do.
            length = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
            with np.errstate(invalid="ignore"):
                rows = np.divide(rows, length, out=np.zeros_like(rows), where=length != 0)
        return [Embedding(row) for row in rows]


def _check_count(name: str, value: int) -> None:
    if not is_whole(value) or value < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")


def real_arrays(outputs: Any, geometries: Any) -> list[npt.NDArray[Any]]:
    """The outputs as a list of real arrays. ValueError, with the cure, for what people pass instead."""
    if isinstance(outputs, dict | np.ndarray) or not isinstance(outputs, Sequence):
        cure = "give list(outputs.values())" if isinstance(outputs, dict) else "wrap it in a list"
        raise ValueError(f"outputs: expected a list of arrays, one an output, got {type(outputs).__name__}; {cure}")
    if isinstance(geometries, Geometry):
        raise ValueError("geometries: expected a list with one Geometry an image, got a Geometry; wrap it in a list")
    arrays = [np.asarray(o) for o in outputs]
    for a in arrays:
        if a.dtype.kind not in "fiub" or a.dtype.itemsize > 8:
            raise ValueError(f"outputs: expected numbers of at most 64 bits, got an array of {a.dtype}")
    return arrays


def checked_outputs(outputs: Outputs, geometries: Sequence[Geometry]) -> list[npt.NDArray[Any]]:
    """The outputs as arrays, each with one row an image. ValueError, with the cure, where they are not."""
    arrays = real_arrays(outputs, geometries)
    _check_batch(arrays, geometries)
    return arrays


def first_output(outputs: Outputs, geometries: Sequence[Geometry], expected: str) -> npt.NDArray[Any]:
    arrays = real_arrays(outputs, geometries)
    if not arrays:
        raise ValueError(f"{expected}, got none")
    _check_batch(arrays[:1], geometries)
    return arrays[0]


def score_rows(outputs: Outputs, geometries: Sequence[Geometry]) -> reference.F32:
    """(B, classes) float32 of a classifier's one output."""
    rows = _rows(outputs, geometries, "classification: expected one output (B, classes)")
    with np.errstate(over="ignore"):
        return np.asarray(rows.astype(np.float32))


def _rows(outputs: Outputs, geometries: Sequence[Geometry], expected: str) -> npt.NDArray[Any]:
    """The first output as one row an image."""
    tensor = first_output(outputs, geometries, expected)
    if tensor.ndim < 2 or 0 in tensor.shape[1:]:
        raise ValueError(f"{expected}, got shape {tensor.shape}")
    return tensor.reshape(len(tensor), math.prod(tensor.shape[1:]))


def _check_batch(tensors: Sequence[npt.NDArray[Any]], geometries: Sequence[Geometry]) -> None:
    for t in tensors:
        if t.ndim == 0 or len(t) != len(geometries):
            raise ValueError(
                f"expected outputs for {count_of(len(geometries), 'image')}, got a tensor of shape {t.shape}"
            )
