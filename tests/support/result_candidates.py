"""Candidates that are wrong in the model or behind it, as people write such code with NumPy, OpenCV and ONNX Runtime, and what is
said of them. Independent of seatrial's own kernels and mutations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from seatrial import Detections
from seatrial.backends import OpenOptions, open_backend
from seatrial.demo import PLAN
from seatrial.diagnosis.diagnose import Comparison, compare
from seatrial.diagnosis.way import Subject, Way, way_of
from seatrial.model.file import inspect_model
from seatrial.plan import load_plan, pipelines
from seatrial.runtimes.choice import BackendChoice

MODELS = PLAN.parent / "models"
IMAGES = PLAN.parent / "images"


@dataclass(frozen=True)
class Taps:
    decoded: Any = None
    resized: Any = None
    input: Any = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    results: Any = None


@dataclass(frozen=True)
class Shown:
    """by_name: each image's taps."""

    by_name: Mapping[str, Taps]
    stages: frozenset[str]

    @property
    def names(self) -> list[str]:
        return list(self.by_name)

    def load(self, name: str) -> Taps:
        return self.by_name[name]


def way(model: Path, spec: Mapping[str, Any], backend: str = "onnxruntime-cpu", **subject: Any) -> Way:
    """A plan's pipeline on a model of one image input."""
    info = inspect_model(model)
    made = Subject("pipeline", info, model.parent, opened(model, 1, backend), open=of_file, **subject)
    return way_of(made, pipelines.Pipeline.model_validate({"model": model.name, **spec}))


def of_file(file: Callable[[], Any], batch: int) -> Callable[..., Any]:
    with file() as path:
        return opened(path, batch)


def opened(model: Path, batch: int, backend: str = "onnxruntime-cpu") -> Callable[..., Any]:
    info = inspect_model(model)
    image = info.inputs[0]
    shape = (batch, *image.shape[1:])
    return open_backend(BackendChoice(backend), model, OpenOptions.for_shapes(info, 1, {image.name: shape})).run


@cache
def demo_way(**post: Any) -> Way:
    spec = load_plan(PLAN).plan.pipelines["baseline"].model_dump(exclude_unset=True)
    spec["postprocess"] |= post
    return way(MODELS / "seamarks-v1.onnx", {k: v for k, v in spec.items() if k not in ("model", "extends")})


@cache
def demo_images() -> dict[str, bytes]:
    paths = sorted(p for p in IMAGES.iterdir() if p.suffix in (".jpg", ".png"))
    return {p.name: p.read_bytes() for p in paths[:12]}


def said_of(
    reference: Way, encoded: Mapping[str, bytes], shown: Shown, stage: str = "results", time_s: float = 600
) -> tuple[tuple[str, ...], tuple[str, ...], Comparison]:
    """Faults named at a stage, what is as likely, and all of the comparison."""
    compared = compare(reference, encoded.__getitem__, list(encoded), shown, time_s=time_s)
    part = next(p for p in compared.parts if p.stretch.end == stage)
    if part.found is None or part.found.best is None:
        return (), (), compared
    alike = tuple(f for e in part.found.alike for f in e.faults)
    return part.found.best.faults, alike, compared


def shown(encoded: Mapping[str, bytes], stages: Sequence[str], taps: Callable[[bytes], Taps]) -> Shown:
    return Shown({name: taps(data) for name, data in encoded.items()}, frozenset(stages))


Boxes = Any


@cache
def session(model: str) -> ort.InferenceSession:
    return ort.InferenceSession(str(MODELS / model), providers=["CPUExecutionProvider"])


def xyxy(cx: Any, cy: Any, w: Any, h: Any) -> Any:
    return np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)


def suppressed(boxes: Any, scores: Any, classes: Any, iou: float, across: bool) -> list[int]:
    """Greedily, as one finds it in many repositories: by class, all pairs with the best."""
    order, kept = np.argsort(-scores, kind="stable"), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        left_top, right_bottom = (
            np.maximum(boxes[best, :2], boxes[rest, :2]),
            np.minimum(boxes[best, 2:], boxes[rest, 2:]),
        )
        inter = np.clip(right_bottom - left_top, 0, None).prod(axis=1)
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        overlap = inter / (area[best] + area[rest] - inter + 1e-9)
        order = rest[(overlap <= iou) | ((classes[rest] != classes[best]) & (not across))]
    return kept


@dataclass(frozen=True)
class Detector:
    """A YOLOv8 user's pipeline for the demo's model, with what they may get wrong. to_boxes: the head's four columns (N, 4) to
    corners; back: boxes, gain (x, y, x, y), padding left and top, picture's width and height; finish: boxes, scores, classes at the end."""

    model: str = "seamarks-v1.onnx"
    noise: float = 0.0
    to_scores: Callable[[Any], Any] = lambda s: s
    to_boxes: Callable[[Any], Boxes] = lambda b: xyxy(*b.T)
    back: Callable[..., Boxes] = lambda b, gain, left, top, w, h: (b - [left, top, left, top]) / gain
    clip: bool = True
    finish: Callable[..., Any] = lambda boxes, scores, classes: (boxes, scores, classes)
    confidence: float = 0.25
    iou: float = 0.45
    across: bool = False
    most: int = 300
    split: Callable[[Any], Any] = lambda head: (head[:, :4], head[:, 4:])

    def but(self, **changes: Any) -> Detector:
        return replace(self, **changes)

    def tensor(self, data: bytes) -> tuple[Any, Any, int, int, Any]:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        height, width = image.shape[:2]
        gain = min(320 / width, 320 / height)
        new_w, new_h = round(width * gain), round(height * gain)
        left, top = round((320 - new_w) / 2 - 0.1), round((320 - new_h) / 2 - 0.1)
        small = cv2.resize(image, (new_w, new_h), interpolation=cv2.INTER_LINEAR)
        padded = cv2.copyMakeBorder(
            small, top, 320 - new_h - top, left, 320 - new_w - left, cv2.BORDER_CONSTANT, value=(114, 114, 114)
        )
        tensor = padded[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
        if self.noise:
            rng = np.random.default_rng(len(data))
            tensor = tensor + rng.normal(0, self.noise, tensor.shape).astype(np.float32)
        gains = np.array([new_w / width, new_h / height] * 2)
        return np.ascontiguousarray(tensor), gains, left, top, (width, height)

    def outputs(self, tensor: Any) -> Any:
        (head,) = session(self.model).run(None, {"images": tensor})
        return head

    def results(self, head: Any, gain: Any, left: int, top: int, size: Any) -> Detections:
        raw, scores = self.split(head[0].T)
        scores = self.to_scores(scores)
        boxes, classes, best = self.to_boxes(raw), scores.argmax(axis=1), scores.max(axis=1)
        keep = best > self.confidence
        boxes, classes, best = boxes[keep], classes[keep], best[keep]
        kept = suppressed(boxes, best, classes, self.iou, self.across)[: self.most]
        boxes = self.back(boxes[kept], gain, left, top, *size)
        if self.clip:
            boxes = np.clip(boxes, 0, [*size, *size])
        boxes, best, classes = self.finish(boxes, best[kept], classes[kept])
        return Detections(
            np.asarray(boxes, np.float32).reshape(-1, 4), np.asarray(best, np.float32), np.asarray(classes, np.int64)
        )

    def taps(self, data: bytes) -> Taps:
        tensor, gain, left, top, size = self.tensor(data)
        head = self.outputs(tensor)
        return Taps(input=tensor, outputs={"output0": head}, results=self.results(head, gain, left, top, size))

    def named(self, level: str = "outputs", stage: str = "results", **post: Any) -> tuple[str, ...]:
        """Faults, with the raw outputs shown or by the results alone."""
        encoded = demo_images()
        stages = {"outputs": ("outputs", "results"), "answers": ("results",)}[level]
        faults, _, _ = said_of(demo_way(**post), encoded, shown(encoded, stages, self.taps), stage)
        return faults
