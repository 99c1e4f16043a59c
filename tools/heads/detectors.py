"""Layouts of plain detectors beside those of encode.py: entries of HEADS, each with the plan that reads it.

For: what each exporter's tensors hold for a scene, from its public description. Not for: decoding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heads.encode import (
    ANCHORS, HEADS, QUERIES, SIDE, Head, candidates, cxcywh, f32, post, ultralytics, yolov5, yolov8,
)  # fmt: skip
from heads.scene import CLASSES

LEVELS, BINS = (8, 16, 32, 64), 8
RTDETR = ultralytics("detect", description="Ultralytics rtdetr-l model", head="RTDETRDecoder")


def named(name: str, make):
    """A layout of one tensor, from candidates: make(boxes, scores, rng) -> array."""

    def outputs(things, at, rng):
        boxes, scores, _ = candidates(things, at, rng, ANCHORS)
        return {name: np.ascontiguousarray(make(boxes, scores), np.float32)}

    return outputs


def logits(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def queries(count: int, joined: bool):
    """RT-DETR's of Ultralytics: centre and size from 0 to 1, then a score a class, or the best of all with its class."""

    def outputs(things, at, rng):
        boxes, scores, _ = candidates(things, at, rng, count)
        four = cxcywh(boxes) / SIDE
        if joined:
            return {"output0": f32(four, scores)}
        rows = f32(four, scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None])
        return {"output0": rows[np.argsort(-rows[:, 4], kind="stable")]}

    return outputs


def pair(names: tuple[str, str], classes_first: bool = False, scores_first: bool = False):
    def outputs(things, at, rng):
        boxes, scores, _ = candidates(things, at, rng, ANCHORS)
        two = {names[0]: f32(boxes), names[1]: f32(scores.T if classes_first else scores)}
        return dict(reversed(two.items())) if scores_first else two

    return outputs


def chosen(things, at, rng, source: bool = False, count: int = 0):
    """boxes, scores and classes of a model that has chosen itself: the things, the best first, and some that hardly count."""
    boxes, scores, places = candidates(things, at, rng, 3 + len(things))
    order = np.argsort(-scores.max(axis=1), kind="stable")
    if source:
        boxes = boxes / SIDE * 60
        for place, thing in zip(places, things, strict=True):
            boxes[place] = thing.box_xyxy
    found = boxes[order], scores.max(axis=1)[order], scores.argmax(axis=1)[order]
    missing = count - len(order)
    return (
        found if missing <= 0 else tuple(np.concatenate([v, np.zeros((missing, *v.shape[1:]), v.dtype)]) for v in found)
    )


def detections(*columns: str, source: bool = False, name: str = "output", counted: str = ""):
    """Rows of all images of the batch, of these columns; counted: the name of an output with a count an image."""

    def outputs(things, at, rng):
        boxes, scores, classes = chosen(things, at, rng, source)
        parts = {"image": np.zeros(len(boxes)), "score": scores, "class": classes}
        found = {name: f32(*(boxes if c == "box" else parts[c][:, None] for c in columns))}
        return found | ({counted: np.array(len(boxes), np.int32)} if counted else {})

    return outputs


def in_tensors(
    *names: str,
    fractions: bool = False,
    yxyx: bool = False,
    source: bool = False,
    kind: Any = np.int32,
    whole: bool = True,
):
    """boxes, scores, classes and a count in a tensor each, by those names and in that order; filled up to 20 rows if `whole`."""

    def outputs(things, at, rng):
        boxes, scores, classes = chosen(things, at, rng, source, 20 if whole else 0)
        boxes = boxes[:, [1, 0, 3, 2]] if yxyx else boxes
        found = {
            "boxes": f32(boxes / SIDE if fractions else boxes),
            "scores": scores.astype(np.float32),
            "classes": classes.astype(kind),
            "count": np.array([3 + len(things)], kind),
        }
        return {called: found[role] for called, role in (n.split(":") for n in names)}

    return outputs


def dets_labels(things, at, rng):
    boxes, scores, classes = chosen(things, at, rng, count=20)
    return {"dets": f32(boxes, scores[:, None]), "labels": classes.astype(np.int64)}


def distributions(centre: float, joined: bool):
    """Probabilities, and distributions of the distance to a side as logits, at a cell of some level inside each thing."""

    def outputs(things, at, rng):
        cells = np.array([(x, y, s) for s in LEVELS for y in range(-(-SIDE // s)) for x in range(-(-SIDE // s))], float)
        points = (cells[:, :2] + centre) * cells[:, 2:]
        scores, sides = rng.uniform(0, 0.05, (len(cells), len(CLASSES))), rng.normal(0, 2, (len(cells), 4, BINS))
        for thing in things:
            box = at.box(thing.box_xyxy)
            away = np.concatenate([points - box[:2], box[2:] - points], axis=1) / cells[:, 2:]
            place = int(np.flatnonzero(((away >= 0) & (away <= BINS - 1)).all(axis=1))[0])
            scores[place, thing.class_id] = thing.score
            low = np.minimum(away[place].astype(int), BINS - 2)
            share = away[place] - low
            sides[place] = -60
            with np.errstate(divide="ignore"):
                sides[place, np.arange(4), low] = np.maximum(np.log(1 - share), -60)
                sides[place, np.arange(4), low + 1] = np.maximum(np.log(share), -60)
        flat = sides.reshape(len(cells), -1)
        if joined:
            return {"output": f32(scores, flat)}
        ends = np.cumsum([(-(-SIDE // s)) ** 2 for s in LEVELS])[:-1]
        levels = [*np.split(scores, ends), *np.split(flat, ends)]
        return {f"transpose_{k}": level.astype(np.float32) for k, level in enumerate(levels)}

    return outputs


def fractions_of(make, name: str = "output0", axis: int = 1):
    """The same with boxes from 0 to 1."""

    def outputs(things, at, rng):
        found = make(things, at, rng)
        head = found[name] if axis else found[name].T
        head[:, :4] /= SIDE
        return found

    return outputs


def anchors_of(seed: int = 3) -> np.ndarray:
    """(ANCHORS, 4): corners in pixels of the input, all over it."""
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform(0, SIDE, (ANCHORS, 2)), rng.uniform(10, 70, (ANCHORS, 2))
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1).astype(np.float32)


def offsets(variances: tuple[float, ...], y_first: bool, background: bool, as_logits: bool):
    """Each candidate's box against its anchor: x, y, w, h, or y, x, h, w, divided by the variances."""

    def outputs(things, at, rng):
        of = cxcywh(anchors_of().astype(np.float64))
        own, scores = of + rng.normal(0, 1, of.shape), rng.uniform(0, 0.05, (ANCHORS, len(CLASSES)))
        free = np.ones(ANCHORS, bool)
        for thing in things:
            box = cxcywh(at.box(thing.box_xyxy)[None])[0]
            place = int(np.argmin(np.abs(of - box).sum(axis=1) + 1e9 * ~free))
            free[place], own[place], scores[place, thing.class_id] = False, box, thing.score
        coded = np.concatenate([(own[:, :2] - of[:, :2]) / of[:, 2:], np.log(own[:, 2:] / of[:, 2:])], axis=1)
        coded = (coded[:, [1, 0, 3, 2]] if y_first else coded) / np.array(variances)
        if background:
            rest = 1 - scores.sum(axis=1, keepdims=True)
            scores = np.log(np.clip(np.concatenate([rest, scores], axis=1), 1e-4, 1)) + 2
        elif as_logits:
            scores = logits(scores)
        return {"regression": f32(coded), "classification": f32(scores)}

    return outputs


def anchored(form: str, variances: tuple[float, ...], **how: bool) -> Head:
    given = post("detect", form, anchors="anchors.npy", outputs=["regression", "classification"])
    return Head(offsets(variances, **how), given, mode="stretch", files={"anchors.npy": anchors_of()})


# Only labels: with them, and without objectness, columns are counted.
NAMES = {"names": ultralytics("detect")["names"]}
turned = named("output0", lambda b, s: f32(cxcywh(b), s))
HEADS |= {
    "detector-rtdetr-joined": Head(queries(QUERIES, True), post("detect", "rtdetr_joined"), mode="stretch", metadata=RTDETR),
    "detector-rtdetr-end-to-end": Head(
        queries(QUERIES, False), post("detect", "rtdetr_end_to_end"), mode="stretch", metadata=RTDETR
    ),
    "detector-yolov8-logits": Head(named("output0", lambda b, s: f32(cxcywh(b), logits(s)).T), post("detect", "yolov8_logits")),
    "detector-yolov8-turned": Head(turned, post("detect", "yolov8_turned"), metadata=NAMES),
    "detector-yolov8-fractions": Head(fractions_of(yolov8(), axis=0), post("detect", "yolov8", boxes="fractions")),
    "detector-yolov8-turned-fractions": Head(fractions_of(turned), post("detect", "yolov8_turned", boxes="fractions"), metadata=NAMES),
    "detector-yolov5-fractions": Head(fractions_of(yolov5()), post("detect", "yolov5", boxes="fractions")),
    "detector-yolox-decoded": Head(
        named("output", lambda b, s: f32(cxcywh(b), np.full((len(b), 1), 0.98), s / 0.98)), post("detect", "yolox_decoded")
    ),
    "detector-yolonas": Head(pair(("pred_bboxes", "pred_scores")), post("detect", "yolonas")),
    "detector-damoyolo": Head(pair(("boxes", "scores"), scores_first=True), post("detect", "damoyolo")),
    "detector-ppyoloe": Head(pair(("tmp_0", "concat_1"), classes_first=True), post("detect", "ppyoloe"), mode="stretch"),
    "detector-yolov7-end-to-end": Head(
        detections("image", "box", "class", "score"), post("detect", "yolov7_end_to_end"), rows=("output",), numbered=("output",)
    ),
    "detector-yolonas-flat": Head(
        detections("image", "box", "score", "class", name="graph2_flat_predictions"),
        post("detect", "yolonas_flat"),
        rows=("graph2_flat_predictions",),
        numbered=("graph2_flat_predictions",),
    ),
    "detector-flat": Head(
        detections("box", "score", "class"), post("detect", "detections_flat"), rows=("output",), most=1
    ),
    "detector-paddle": Head(
        detections("class", "score", "box", source=True, name="multiclass_nms3_0", counted="bbox_num"),
        post("detect", "paddle"),
        mode="stretch",
        rows=("multiclass_nms3_0",),
    ),
    "detector-efficient-nms": Head(
        in_tensors("num_dets:count", "det_boxes:boxes", "det_scores:scores", "det_classes:classes"), post("detect", "nms_tensors")
    ),
    "detector-yolonas-batch": Head(
        in_tensors(
            "num_predictions:count", "pred_boxes:boxes", "pred_scores:scores", "pred_classes:classes", kind=np.int64
        ),
        post("detect", "nms_tensors"),
    ),
    "detector-nms-fractions": Head(
        in_tensors("boxes:boxes", "scores:scores", "classes:classes", fractions=True),
        post("detect", "nms_tensors", boxes="fractions"),
    ),
    "detector-dfine": Head(
        in_tensors("labels:classes", "boxes:boxes", "scores:scores", source=True, kind=np.int64),
        post("detect", "nms_tensors", boxes="source"),
        mode="stretch",
    ),
    "detector-torchvision": Head(
        in_tensors("boxes:boxes", "labels:classes", "scores:scores", kind=np.int64, whole=False),
        post("detect", "nms_tensors"),
        rows=("boxes", "labels", "scores"),
        most=1,
    ),
    "detector-tensorflow": Head(
        in_tensors(
            "detection_boxes:boxes", "detection_classes:classes", "detection_scores:scores", "num_detections:count",
            fractions=True, yxyx=True, kind=np.float32,
        ),
        post("detect", "nms_tensors_yxyx"),
        mode="stretch",
    ),
    "detector-mmdet": Head(dets_labels, post("detect", "mmdet")),
    "anchored-ssd": anchored("ssd_anchors", (0.1, 0.1, 0.2, 0.2), y_first=False, background=True, as_logits=True),
    "anchored-retinanet": anchored("retinanet_anchors", (1, 1, 1, 1), y_first=False, background=False, as_logits=True),
    "anchored-efficientdet": anchored("efficientdet", (1, 1, 1, 1), y_first=True, background=False, as_logits=False),
    "anchored-efficientdet-logits": anchored("efficientdet_logits", (1, 1, 1, 1), y_first=True, background=False, as_logits=True),
    "detector-nanodet": Head(distributions(0.0, True), post("detect", "nanodet")),
    "detector-picodet": Head(distributions(0.5, False), post("detect", "picodet"), mode="stretch"),
}  # fmt: skip
