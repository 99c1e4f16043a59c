"""Contests of postprocessing: a detector's head, a classifier's best classes, a segmentation's mask."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from seatrial._native.kernels import read_rows
from seatrial.contests.contest import Contest, Work
from seatrial.kernels import native_postprocess
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.kernels.segmentation import SegmentationDecoder

F32 = npt.NDArray[np.float32]


def yolo_head(candidates: int = 600, objects: int = 100, seed: int = 0) -> F32:
    """A made-up YOLOv8 head (1, 84, 8400): clusters of boxes around objects, all other scores low."""
    rng = np.random.default_rng(seed)
    head = np.zeros((1, 84, 8400), np.float32)
    head[0, 4:] = rng.random((80, 8400)) * 0.02
    centres = rng.random((objects, 2)) * (560, 260) + (40, 190)  # inside a letterboxed 16:9 image
    for k, anchor in enumerate(rng.choice(8400, candidates, replace=False)):
        head[0, :4, anchor] = [*(centres[k % objects] + rng.normal(size=2) * 4), *(60 + rng.normal(size=2) * 4)]
        head[0, 4 + k % objects % 80, anchor] = 0.3 + 0.6 * rng.random()
    return head


def detection() -> Contest:
    head = yolo_head()
    geometry = fit((720, 1280), (640, 640), "letterbox")
    decoder = DetectionDecoder("yolov8")
    lines = head.view(np.uint8).reshape(84, -1)
    rows = np.arange(84)
    groups: dict[str, dict[str, Work]] = {
        "vectorised": {"NumPy decode, NMSBoxesBatched": lambda: decode_with_numpy(head, geometry)},
        "a loop over anchors": {"NumPy loop, NMSBoxesBatched": lambda: decode_in_a_loop(head, geometry)},
    }
    name = "YOLOv8 head 84 × 8400, 600 candidates"
    return Contest(name, lambda: decoder([head], [geometry]), groups, lambda: read_rows(lines, rows))


def decode_with_numpy(head: F32, g: Geometry) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    """A YOLOv8 head to boxes, scores and classes as people write it, vectorised."""
    predictions = head[0].T
    scores = predictions[:, 4:].max(axis=1)
    keep = scores > 0.25
    predictions, scores = predictions[keep], scores[keep]
    return _suppressed(predictions[:, :4], scores, predictions[:, 4:].argmax(axis=1), g)


def decode_in_a_loop(head: F32, g: Geometry) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    """The same anchor by anchor, as the examples of several projects do."""
    boxes, scores, classes = [], [], []
    for row in head[0].T:
        best = np.amax(row[4:])
        if best >= 0.25:
            boxes.append(row[:4])
            scores.append(best)
            classes.append(np.argmax(row[4:]))
    return _suppressed(np.array(boxes), np.array(scores), np.array(classes), g)


def _suppressed(
    cxcywh: F32, scores: F32, classes: npt.NDArray[np.int64], g: Geometry
) -> tuple[F32, F32, npt.NDArray[np.int64]]:
    xywh = cxcywh.copy()
    xywh[:, :2] -= xywh[:, 2:] / 2
    kept = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), classes.tolist(), 0.25, 0.45)
    boxes = xywh[kept]
    boxes[:, 2:] += boxes[:, :2]
    boxes[:, 0::2] = ((boxes[:, 0::2] - g.offset_x) / g.scale_x).clip(0, g.source_hw[1])
    boxes[:, 1::2] = ((boxes[:, 1::2] - g.offset_y) / g.scale_y).clip(0, g.source_hw[0])
    return boxes, scores[kept], classes[kept]


def top_k() -> Contest:
    logits = (np.random.default_rng(0).normal(size=(64, 1000)) * 4).astype(np.float32)

    def probabilities() -> F32:
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        out: F32 = e / e.sum(axis=1, keepdims=True)
        return out

    def sorted_fully() -> object:
        p = probabilities()
        best = np.argsort(p, axis=1)[:, ::-1][:, :5]
        return best, np.take_along_axis(p, best, axis=1)

    def partitioned() -> object:
        p = probabilities()
        five = np.argpartition(p, -5, axis=1)[:, -5:]
        order = np.argsort(-np.take_along_axis(p, five, axis=1), axis=1)
        best = np.take_along_axis(five, order, axis=1)
        return best, np.take_along_axis(p, best, axis=1)

    groups = {"as written": {"NumPy argsort": sorted_fully}, "tuned by hand": {"NumPy argpartition": partitioned}}
    return Contest("softmax and top 5 of 64 × 1000", lambda: native_postprocess.classify(logits, "softmax", 5), groups)


def mask_of_classes() -> Contest:
    scores = np.random.default_rng(0).normal(size=(1, 21, 512, 512)).astype(np.float32)
    geometry = fit((1080, 1920), (512, 512), "stretch")
    decoder = SegmentationDecoder()
    lines = scores.view(np.uint8).reshape(21, -1)
    rows = np.arange(21)
    mask = np.zeros((1080, 1920), np.uint8)

    def floor() -> None:
        read_rows(lines, rows)
        mask.fill(0)

    def with_numpy() -> object:
        classes = scores[0].argmax(axis=0).astype(np.uint8)
        return cv2.resize(classes, (1920, 1080), interpolation=cv2.INTER_NEAREST_EXACT)

    best, higher = np.zeros((512, 512), np.float32), np.zeros((512, 512), np.uint8)
    classes = np.zeros((512, 512), np.uint8)

    def class_by_class() -> object:
        best[...] = scores[0, 0]
        classes.fill(0)
        for c in range(1, 21):
            cv2.compare(scores[0, c], best, cv2.CMP_GT, dst=higher)
            np.putmask(classes, higher.view(np.bool_), c)
            cv2.max(best, scores[0, c], dst=best)
        return cv2.resize(classes, (1920, 1080), interpolation=cv2.INTER_NEAREST_EXACT)

    groups: dict[str, dict[str, Work]] = {
        "as written": {"NumPy argmax, OpenCV nearest": with_numpy},
        "tuned by hand": {"OpenCV class by class": class_by_class},
    }
    return Contest("argmax of 21 × 512 × 512 to 1920 × 1080", lambda: decoder([scores], [geometry]), groups, floor)


def mask_drawn_out() -> Contest:
    """As transformers and mmseg have it: every class at the picture's size, then the greatest."""
    scores = np.random.default_rng(0).normal(size=(1, 21, 128, 128)).astype(np.float32)
    geometry = fit((720, 1280), (512, 512), "stretch")
    decoder = SegmentationDecoder(resize="linear")

    def all_at_once() -> object:
        return np.stack([cv2.resize(own, (1280, 720)) for own in scores[0]]).argmax(axis=0).astype(np.uint8)

    best, own, higher = (np.zeros((720, 1280), kind) for kind in (np.float32, np.float32, np.uint8))
    classes = np.zeros((720, 1280), np.uint8)

    def class_by_class() -> object:
        cv2.resize(scores[0, 0], (1280, 720), dst=best)
        classes.fill(0)
        for c in range(1, 21):
            cv2.resize(scores[0, c], (1280, 720), dst=own)
            cv2.compare(own, best, cv2.CMP_GT, dst=higher)
            np.putmask(classes, higher.view(np.bool_), c)
            cv2.max(best, own, dst=best)
        return classes

    groups: dict[str, dict[str, Work]] = {
        "as written": {"OpenCV linear, NumPy argmax": all_at_once},
        "tuned by hand": {"OpenCV class by class": class_by_class},
    }
    return Contest("argmax of 21 × 128 × 128 drawn out to 1280 × 720", lambda: decoder([scores], [geometry]), groups)
