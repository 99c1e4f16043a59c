"""Layouts of heads as exporters write them, each with the plan that reads it and the truth that judges it.

For: what a perfect model of a layout gives for a scene. Not for: decoding. A layout is an entry of HEADS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from heads.lookup import lookup_model
from heads.scene import CLASSES, POINTS, Scene, Thing, Way, scenes, way, write_pictures, write_truth

SIDE = 160
# Cells of all levels of a grid at strides 8, 16 and 32.
ANCHORS = sum((SIDE // s) ** 2 for s in (8, 16, 32))
QUERIES = 40
CHANNELS = 32


@dataclass(frozen=True)
class Head:
    """outputs(things, way, rng): of one picture, by name, without the batch. post: the postprocess that reads it.

    truth: box, mask, plane, ellipse, keypoints or oriented. rows: outputs that hold what was found of all pictures of the batch, one
    behind the other; numbered: those of them whose column 0 is the picture's place in the batch. most: the largest batch that
    it can run. files: arrays beside the plan, by name. scenes: the pictures. annotations: writes a truth of another
    kind into a folder, and gives its file's or folder's name; images: what else the plan says of its images.
    """

    outputs: Callable[[Sequence[Thing], Way, np.random.Generator], dict[str, np.ndarray]]
    post: Mapping[str, Any]
    truth: str = "box"
    mode: str = "letterbox"
    metadata: Mapping[str, str] = field(default_factory=dict)
    metric: str = "mAP"
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    scenes: Callable[[], list[Scene]] = scenes
    more_inputs: Mapping[str, tuple[str, Sequence[int | str]]] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    numbered: tuple[str, ...] = ()
    most: int = 4
    files: Mapping[str, np.ndarray] = field(default_factory=dict)
    annotations: Callable[[Path, Sequence[Scene]], str] | None = None
    images: Mapping[str, Any] = field(default_factory=dict)

    @property
    def varies(self) -> bool:
        """Whether each picture has an input of its own size."""
        return self.mode == "rect"


def candidates(
    things: Sequence[Thing], at: Way, rng: np.random.Generator, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """boxes_xyxy (count, 4) in input pixels and scores (count, classes), things among much that is nothing; and where they
    are (things,)."""
    corners = rng.uniform(0, at.side * 0.8, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(4, at.side * 0.2, (count, 2))], axis=1)
    scores = rng.uniform(0, 0.05, (count, len(CLASSES)))
    places = rng.permutation(count)[: len(things)]
    for place, thing in zip(places, things, strict=True):
        boxes[place] = at.box(thing.box_xyxy)
        scores[place, thing.class_id] = thing.score
    return boxes, scores, places


def cxcywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def f32(*columns: np.ndarray) -> np.ndarray:
    return np.concatenate([np.asarray(c, np.float32) for c in columns], axis=1)


# What stands behind the classes of each candidate: (count, extra), and other outputs of the picture.
Behind = Callable[
    [Sequence[Thing], Way, np.random.Generator, np.ndarray, int], tuple[np.ndarray, dict[str, np.ndarray]]
]


def nothing(_things: Any, _at: Any, _rng: Any, _places: Any, count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    return np.zeros((count, 0)), {}


def coefficients(
    things: Sequence[Thing], at: Way, rng: np.random.Generator, places: np.ndarray, count: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Prototypes are x, y and 1 at the cells' centres, then noise that no coefficient asks for: a mask is a half-plane."""
    cells = SIDE // 4
    centres = (np.arange(cells) + 0.5) * 4
    prototypes = rng.normal(0, 1, (CHANNELS, cells, cells))
    prototypes[0], prototypes[1], prototypes[2] = centres[None, :] / SIDE, centres[:, None] / SIDE, 1
    behind = rng.normal(0, 1, (count, CHANNELS))
    for place, thing in zip(places, things, strict=True):
        a, b, c = at.plane(thing.plane)
        behind[place] = 0
        behind[place, :3] = np.array([a * SIDE, b * SIDE, c]) / 10
    return behind, {"output1": prototypes.astype(np.float32)}


def keypoints(values: int) -> Behind:
    def behind(things, at, rng, places, count):
        points = rng.uniform(0, SIDE, (count, POINTS, 2))
        for place, thing in zip(places, things, strict=True):
            points[place] = at.points(thing.keypoints)
        seen = rng.uniform(0.6, 1, (count, POINTS, 1))
        whole = np.concatenate([points, seen], axis=2)[..., :values]
        return whole.reshape(count, -1), {}

    return behind


def rf_detr(things, at, rng):
    """dets, labels and masks: a mask a query, as logits over the whole input, which nothing cuts by its box: a half-plane."""
    boxes, scores, places = candidates(things, at, rng, QUERIES)
    masks = rng.normal(0, 1, (QUERIES, SIDE // 4, SIDE // 4))
    centres = (np.arange(SIDE // 4) + 0.5) * 4
    for place, thing in zip(places, things, strict=True):
        a, b, c = at.plane(thing.plane)
        masks[place] = a * centres[None, :] + b * centres[:, None] + c
    logits = np.log(scores / (1 - scores))
    return {"dets": f32(cxcywh(boxes) / SIDE), "labels": f32(logits), "masks": masks.astype(np.float32)}


def yolov8(behind: Behind = nothing):
    def outputs(things, at, rng):
        boxes, scores, places = candidates(things, at, rng, ANCHORS)
        extra, others = behind(things, at, rng, places, ANCHORS)
        return {"output0": f32(cxcywh(boxes), scores, extra).T, **others}

    return outputs


def yolov5(behind: Behind = nothing):
    def outputs(things, at, rng):
        boxes, scores, places = candidates(things, at, rng, 3 * ANCHORS)
        extra, others = behind(things, at, rng, places, 3 * ANCHORS)
        return {"output0": f32(cxcywh(boxes), np.full((3 * ANCHORS, 1), 0.98), scores / 0.98, extra), **others}

    return outputs


def end_to_end(behind: Behind = nothing):
    """Rows with the best score first."""

    def outputs(things, at, rng):
        boxes, scores, places = candidates(things, at, rng, QUERIES)
        extra, others = behind(things, at, rng, places, QUERIES)
        rows = f32(boxes, scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None], extra)
        return {"output0": rows[np.argsort(-rows[:, 4], kind="stable")], **others}

    return outputs


def ultralytics(task: str, **more: str) -> dict[str, str]:
    names = "{" + ", ".join(f"{k}: {name!r}" for k, name in enumerate(CLASSES)) + "}"
    return {"task": task, "names": names, "stride": "32", "imgsz": f"[{SIDE}, {SIDE}]", "author": "Ultralytics", **more}


def post(task: str, form: str, **more: Any) -> dict[str, Any]:
    return {"task": task, "format": form, "labels": list(CLASSES), **more}


SEGMENT, POSE = ultralytics("segment"), ultralytics("pose", kpt_shape=f"[{POINTS}, 3]")
POSE_2D = ultralytics("pose", kpt_shape=f"[{POINTS}, 2]")
HEADS: dict[str, Head] = {
    "detect-yolov8": Head(yolov8(), post("detect", "yolov8"), metadata=ultralytics("detect")),
    "detect-yolov5": Head(yolov5(), post("detect", "yolov5"), metadata=ultralytics("detect")),
    "detect-end-to-end": Head(end_to_end(), post("detect", "yolo26"), metadata=ultralytics("detect")),
    "detect-end-to-end-rect": Head(
        end_to_end(), post("detect", "yolo26"), mode="rect", most=1, metadata=ultralytics("detect")
    ),
    "instances-yolov8": Head(
        yolov8(coefficients), post("instances", "yolov8"), "mask", metadata=SEGMENT, metric="mask mAP"
    ),
    "instances-yolov5": Head(
        yolov5(coefficients), post("instances", "yolov5"), "mask", metadata=SEGMENT, metric="mask mAP"
    ),
    "instances-end-to-end": Head(
        end_to_end(coefficients), post("instances", "yolo26"), "mask", metadata=SEGMENT, metric="mask mAP"
    ),
    "instances-queries": Head(rf_detr, post("instances", "rtdetr"), "plane", "stretch", metric="mask mAP"),
    "pose-yolov8": Head(
        yolov8(keypoints(3)),
        post("pose", "yolov8", keypoints=[POINTS, 3]),
        "keypoints",
        metadata=POSE,
        metric="keypoint mAP",
    ),
    "pose-yolov8-2d": Head(
        yolov8(keypoints(2)),
        post("pose", "yolov8", keypoints=[POINTS, 2]),
        "keypoints",
        metadata=POSE_2D,
        metric="keypoint mAP",
    ),
    "pose-end-to-end": Head(
        end_to_end(keypoints(3)),
        post("pose", "yolo26", keypoints=[POINTS, 3]),
        "keypoints",
        metadata=POSE,
        metric="keypoint mAP",
    ),
}


def build(name: str, folder: Path, found: Sequence[Scene] | None = None, metadata: bool = True, lost: int = 0) -> Path:
    """Writes model, pictures, truth and plan into the folder; the plan's path. lost: of so many objects the model knows nothing.

    metadata: whether the file has what its exporter writes beside the graph.
    """
    head = HEADS[name]
    found = list(found or head.scenes())
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    tables: dict[str, list[np.ndarray]] = {}
    left = lost
    for scene in found:
        known = scene.things[min(left, len(scene.things)) :]
        left -= len(scene.things) - len(known)
        for output, values in head.outputs(known, way(scene.hw, SIDE, head.mode), rng).items():
            tables.setdefault(output, []).append(values)
    settings = {"size": [SIDE, SIDE], "mode": head.mode, "scale": 1 / 255, **head.preprocess}
    mean, std = (np.array(settings.get(k, d)) for k, d in (("mean", [0, 0, 0]), ("std", [1, 1, 1])))
    rgb = np.array([s.rgb for s in found])[:, :: -1 if settings.get("color") == "bgr" else 1]
    codes = (rgb * settings["scale"] - mean) / std
    counts = {output: np.array([len(v) for v in tables[output]]) for output in head.rows}
    lookup_model(
        folder / "model.onnx",
        codes,
        {output: np.stack(_filled(values)) for output, values in tables.items()},
        None if head.varies else SIDE,
        head.metadata if metadata else {},
        rows=counts,
        numbered=head.numbered,
        more_inputs=head.more_inputs,
    )
    for file, array in head.files.items():
        np.save(folder / file, array)
    write_pictures(folder / "pictures", found)
    truth = "truth.json"
    if head.annotations is not None:
        truth = head.annotations(folder, found)
    else:
        write_truth(folder / truth, found, head.truth)
    plan = {
        "version": 1,
        "images": {"path": "pictures", "annotations": truth, **head.images},
        "pipelines": {"only": {"model": "model.onnx", "preprocess": settings, "postprocess": dict(head.post)}},
        "matrix": {
            "backends": ["onnxruntime-cpu"],
            "precisions": ["fp32"],
            "batch_sizes": [1, 4][: 1 + (head.most > 1)],
            "threads": [1],
        },
        "parity": {"reference": {"pipeline": "only", "backend": "onnxruntime-cpu"}},
        "measure": {"max_time": "200 ms", "min_samples": 5},
    }
    path = folder / "plan.yaml"
    path.write_text(json.dumps(plan, indent=1))
    return path


def _filled(values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """All as long as the longest."""
    most = max((len(v) for v in values if v.ndim), default=0)
    return [np.concatenate([v, np.zeros((most - len(v), *v.shape[1:]), v.dtype)]) if v.ndim else v for v in values]
