"""Candidates for seatrial.diagnosis as users write them: decode, letterbox, tensor and boxes with OpenCV, Pillow and NumPy alone.

For: faults in front of the model, one function of four put in another's place. Not for: faults behind it. Nothing of seatrial's is
in a candidate but its types of results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from seatrial.demo import PLAN
from seatrial.diagnosis.diagnose import Comparison, compare
from seatrial.diagnosis.way import Subject, Way, way_of
from seatrial.kernels.results import Detections
from seatrial.model.file import inspect_model
from seatrial.plan import load_plan, pipelines

SIZE = (320, 320)
LEVELS = {
    "taps": ("decoded", "resized", "input", "outputs", "results"),
    "input": ("input",),
    "answers": ("results",),
}
IMAGES = Path(PLAN).parent / "images"
# Odd sizes, both orientations, 4:2:0 and 4:4:4, a PNG, EXIF 6 and 3.
NAMES = [f"scene-{k:02}" for k in (0, 1, 2, 3, 4, 5, 7, 9, 11, 13)]


def demo_files(names: Sequence[str] = NAMES) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for name in names for p in IMAGES.glob(f"{name}.*")}


@cache
def session() -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    path = str(Path(PLAN).parent / "models/seamarks-v1.onnx")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(tensor: np.ndarray) -> np.ndarray:
    return session().run(None, {"images": tensor})[0]


def reference(decode: dict[str, Any] | None = None, **preprocess: Any) -> Way:
    """The demo's plan with other values. None takes a key away."""
    plan = load_plan(PLAN)
    spec = plan.plan.pipelines["baseline"].model_dump(exclude_unset=True)
    spec["preprocess"] = {k: v for k, v in (spec["preprocess"] | preprocess).items() if v is not None}
    spec["decode"] |= decode or {}
    model = inspect_model(Path(PLAN).parent / "models/seamarks-v1.onnx")
    subject = Subject("baseline", model, plan.folder, lambda feeds: session().run(None, feeds))
    return way_of(subject, pipelines.Pipeline.model_validate(spec))


def decode(data: bytes) -> np.ndarray:
    """BGR, turned by EXIF, as OpenCV does by itself."""
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def sized(image: np.ndarray, hw: tuple[int, int], how: Any = cv2.INTER_LINEAR) -> np.ndarray:
    if image.shape[:2] == hw:
        return image
    return how(image, hw) if callable(how) else cv2.resize(image, hw[::-1], interpolation=how)


def letterbox(
    image: np.ndarray, how: Any = cv2.INTER_LINEAR, pad: Any = 114, corner: str = "center", whole: Any = round
):
    """The image of the input's size, its scale (y, x), and its offset (top, left)."""
    h, w = image.shape[:2]
    r = min(SIZE[0] / h, SIZE[1] / w)
    nh, nw = whole(h * r), whole(w * r)
    small = sized(image, (nh, nw), how)
    dh, dw = SIZE[0] - nh, SIZE[1] - nw
    top, left = {"center": (dh // 2, dw // 2), "top_left": (0, 0), "bottom_right": (dh, dw)}[corner]
    out = np.full((*SIZE, 3), pad, small.dtype)
    out[top : top + nh, left : left + nw] = small
    return out, (nh / h, nw / w), (top, left)


def tensor(image: np.ndarray) -> np.ndarray:
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])


def boxes(output: np.ndarray, hw: tuple[int, int], scale: tuple[float, float], offset: tuple[int, int]) -> Detections:
    """YOLOv8's head, greedy NMS by class, back to the picture."""
    x, y, w, h = output[0, :4]
    scores, ids = output[0, 4:].max(axis=0), output[0, 4:].argmax(axis=0)
    xyxy = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1).astype(np.float64)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] <= 0.25:
            break
        if all(ids[j] != ids[i] or overlap(xyxy[i], xyxy[j]) <= 0.45 for j in kept):
            kept.append(int(i))
    back = (xyxy[kept].reshape(-1, 2, 2) - np.array(offset[::-1])) / np.array(scale[::-1])
    back = np.clip(back, 0, np.array(hw[::-1])).reshape(-1, 4).astype(np.float32)
    seen = (back[:, 2] > back[:, 0]) & (back[:, 3] > back[:, 1])
    return Detections(back[seen], scores[kept][seen].astype(np.float32), ids[kept][seen].astype(np.int64))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    shared = sides[0] * sides[1]
    union = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared
    return float(shared / union) if union > 0 else 0.0


@dataclass
class Taps:
    decoded: Any = None
    resized: Any = None
    input: Any = None
    outputs: dict[str, Any] = field(default_factory=dict)
    results: Any = None


@dataclass(frozen=True)
class Candidate:
    """resize: to the image of the input's size, its scale and offset. back: of hw, scale, offset to those that boxes go back by."""

    decode: Callable[[bytes], np.ndarray] = decode
    resize: Callable[[np.ndarray], Any] = letterbox
    tensor: Callable[[np.ndarray], np.ndarray] = tensor
    back: Callable[[Any, Any, Any], Any] = lambda hw, scale, offset: (hw, scale, offset)

    def but(self, **functions: Any) -> Candidate:
        return replace(self, **functions)

    def taps(self, data: bytes) -> Taps:
        image = self.decode(data)
        small, scale, offset = self.resize(image)
        values = self.tensor(small)
        output = run(values)
        results = boxes(output, *self.back(image.shape[:2], scale, offset))
        return Taps(image, small, values, {"output0": output}, results)


RIGHT = Candidate()


class Shown:
    """What a level shows of a candidate."""

    def __init__(self, candidate: Candidate, files: dict[str, bytes], stages: Sequence[str]) -> None:
        self.names, self.stages = list(files), frozenset(stages)
        self._taps = cache(lambda name: candidate.taps(files[name]))

    def load(self, name: str) -> Taps:
        made = self._taps(name)
        return Taps(**{s: getattr(made, s) for s in self.stages})


def compared(
    candidate: Candidate, level: str, way: Way | None = None, files: dict[str, bytes] | None = None
) -> Comparison:
    files = demo_files() if files is None else files
    shown = Shown(candidate, files, LEVELS[level])
    return compare(way or reference(), files.__getitem__, list(files), shown, time_s=600)


def said(comparison: Comparison) -> list[tuple[Any, ...]]:
    """Of each part that differs: its end, how many images, the faults, what each is, how much is explained; then what else."""
    out = []
    for p in comparison.parts:
        if p.found is None:
            continue
        best = p.found.best
        own = (best.faults, [m.what for m in best.mutations], round(best.explained, 4), best.exact) if best else None
        near = [(e.faults, e.mutations[0].what, round(e.explained, 3)) for e in p.found.near]
        out.append((p.stretch.end, len(p.differing), own, [e.faults for e in p.found.alike], near))
    return out


def named(comparison: Comparison) -> tuple[str, ...]:
    """The faults that the first part which differs is explained by."""
    found = next((p.found for p in comparison.parts if p.found), None)
    return found.best.faults if found and found.best else ()


def what(comparison: Comparison) -> str:
    """What is said of the first part's mistakes."""
    found = next(p.found for p in comparison.parts if p.found)
    assert found.best, said(comparison)
    return "; ".join(m.what for m in found.best.mutations)


def assert_named(fault: str, candidate: Candidate, level: str, way: Way | None = None, files: Any = None) -> Comparison:
    found = compared(candidate, level, way, files)
    assert named(found) == (fault,), (fault, level, said(found))
    return found
