"""Decoders against code that nobody here wrote, on heads at random: a line for each of what is installed.

    pip install torch torchvision transformers rfdetr effdet supervision yolox
    python tools/outside_heads.py

For: figures of results/. Not for: CI, which has no torch; what was found wrong is a test with numbers of its own. The way from the
input to the picture is written out once more, in float64. Exits with 1 where a box has no partner.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import numpy as np

from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import DetectionDecoder

F = np.float32
STRETCHED = (fit((480, 640), (640, 640), "stretch"), fit((1080, 1919), (384, 640), "stretch"))
PADDED = (fit((333, 500), (640, 640), "letterbox"), fit((617, 411), (480, 640), "letterbox", "top_left"))
# Within this two boxes of one class are the same: float32's rounding leaves a thousandth of it.
BOX_PX, SCORE = 0.05, 1e-4


def in_picture(boxes: np.ndarray, g: Geometry) -> np.ndarray:
    """Boxes (N, 4) of the input, in pixels of the picture and cut to it."""
    points = np.asarray(boxes, np.float64).reshape(-1, 2, 2)
    scale = np.array(g.resized_hw[::-1]) / g.source_hw[::-1]
    return np.clip((points - [g.offset_x, g.offset_y]) / scale, 0, g.source_hw[::-1]).reshape(-1, 4)


class Tally:
    """Pairs of the same box, and boxes without a partner."""

    def __init__(self) -> None:
        self.pairs = self.ours = self.theirs = 0
        self.box_px = self.score = 0.0

    def add(self, found, boxes, scores, labels) -> None:
        """found: Detections; the others in pixels of the picture, of which those without area are no boxes."""
        area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        boxes, scores, labels = boxes[area], np.asarray(scores, np.float64)[area], np.asarray(labels)[area]
        free = np.ones(len(boxes), bool)
        for box, score, label in zip(found.boxes_xyxy, found.scores, found.class_ids):
            far, apart = np.abs(boxes - box).max(axis=1, initial=0), np.abs(scores - score)
            near = np.flatnonzero(free & (labels == label) & (far < BOX_PX) & (apart < SCORE))
            if not len(near):
                self.ours += 1
                continue
            best = near[np.argmin(far[near])]
            free[best] = False
            self.pairs += 1
            self.box_px, self.score = max(self.box_px, far[best]), max(self.score, apart[best])
        self.theirs += int(free.sum())

    def __str__(self) -> str:
        alone = f"{self.ours} of ours and {self.theirs} of theirs alone"
        return f"{self.pairs} boxes the same, {alone}, {self.box_px:.1e} px, score {self.score:.1e}"


def queries(rng, classes: int, count: int = 300):
    logits = rng.normal(-3.5, 2, (1, count, classes)).astype(F)
    boxes = np.concatenate([rng.uniform(-0.03, 1.03, (1, count, 2)), rng.uniform(0.01, 0.6, (1, count, 2))], axis=2)
    return logits, boxes.astype(F)


def detr_like(theirs: Callable, name: str, classes: int, most: int) -> Tally:
    """theirs: (torch's logits and boxes, threshold, height and width) -> boxes, scores, labels."""
    import torch

    tally, rng = Tally(), np.random.default_rng(1)
    for g in (*STRETCHED, *PADDED):
        for confidence in (0.001, 0.05, 0.3, 0.5):
            logits, boxes = queries(rng, classes)
            own, *rest = theirs(torch.tensor(logits), torch.tensor(boxes), confidence, g.input_hw)
            decoder = DetectionDecoder(name, confidence=confidence, max_detections=most)
            tally.add(decoder([boxes, logits], [g])[0], in_picture(own, g), *rest)
    return tally


def transformers(family: str, prefix: str, name: str, classes: int, most: int = 300) -> Tally:
    make = getattr(import_module(f"transformers.models.{family}.image_processing_{family}"), f"{prefix}ImageProcessor")

    def theirs(logits, boxes, confidence, size_hw):
        outputs = SimpleNamespace(logits=logits, pred_boxes=boxes)
        (found,) = make().post_process_object_detection(outputs, threshold=confidence, target_sizes=[size_hw])
        return (found[key].numpy() for key in ("boxes", "scores", "labels"))

    return detr_like(theirs, name, classes, most)


def rfdetr() -> Tally:
    import torch
    from rfdetr.models.postprocess import PostProcess

    def theirs(logits, boxes, confidence, size_hw):
        (found,) = PostProcess(300)({"pred_logits": logits, "pred_boxes": boxes}, torch.tensor([size_hw]))
        kept = found["scores"] > confidence
        return (found[key][kept].numpy() for key in ("boxes", "scores", "labels"))

    return detr_like(theirs, "rtdetr", 91, 300)


def things(rng, points: np.ndarray, sizes: np.ndarray, hw, classes: int = 20):
    """For each of many points a box (centre, size) and a score a class, at most one above 0.05: many boxes a thing, as of anchors."""
    middle, size = rng.uniform(-0.02, 1.02, (60, 2)) * hw[::-1], rng.uniform(16, 0.5 * min(hw), (60, 2))
    away = (np.abs(points[:, None] - middle) / size).max(axis=2)
    thing = away.argmin(axis=1)
    hit = (
        (away.min(axis=1) < 0.4)
        & (np.abs(np.log(size[thing] / sizes)).max(axis=1) < 3)
        & (rng.random(len(points)) < 0.5)
    )
    scores = rng.uniform(0, 0.04, (len(points), classes))
    scores[hit, thing[hit] % classes] = rng.uniform(0.05, 0.99, hit.sum())
    centre = np.where(hit[:, None], middle[thing] + rng.normal(0, 2, points.shape), points)
    return centre, np.where(hit[:, None], size[thing] * np.exp(rng.normal(0, 0.06, points.shape)), sizes), scores


def grid(hw, strides, centre: float):
    """Points (N, 2) of all cells, level by level, and the stride (N, 1) of each."""
    levels = [np.mgrid[0 : hw[0] : s, 0 : hw[1] : s][::-1].reshape(2, -1).T + centre * s for s in strides]
    return np.concatenate(levels), np.repeat(strides, [len(p) for p in levels])[:, None]


def anchored(name: str, theirs: Callable, variances=(1, 1, 1, 1), y_first: bool = False) -> Tally:
    """theirs: (offsets, logits, anchors, geometry, threshold, IoU) -> boxes of the input, scores, labels."""
    tally, rng = Tally(), np.random.default_rng(2)
    for g in (*STRETCHED, PADDED[1]):
        points, strides = grid(g.input_hw, (16, 32, 64), 0.5)
        sizes = np.repeat(4.0 * strides, 2, axis=1)
        anchors = np.concatenate([points - sizes / 2, points + sizes / 2], axis=1).astype(F)
        for confidence, iou in ((0.05, 0.5), (0.3, 0.45)):
            centre, size, scores = things(rng, points, sizes, g.input_hw)
            offsets = (np.concatenate([(centre - points) / sizes, np.log(size / sizes)], axis=1) / variances).astype(F)
            if name == "ssd_anchors":
                scores = np.concatenate([1 - scores.max(axis=1, keepdims=True), scores], axis=1)
            logits = (np.log(scores) if name == "ssd_anchors" else np.log(scores / (1 - scores))).astype(F)
            offsets = offsets[:, [1, 0, 3, 2]] if y_first else offsets
            decoder = DetectionDecoder(name, confidence=confidence, iou=iou, max_detections=9999, anchors_xyxy=anchors)
            own, *rest = theirs(offsets, logits, anchors, g, confidence, iou)
            tally.add(decoder([offsets[None], logits[None]], [g])[0], in_picture(own, g), *rest)
    return tally


def torchvision(name: str) -> Tally:
    import torch
    from torchvision.models.detection import retinanet, ssd
    from torchvision.models.detection._utils import BoxCoder

    is_ssd = name == "ssd_anchors"
    variances = (0.1, 0.1, 0.2, 0.2) if is_ssd else (1, 1, 1, 1)

    def theirs(offsets, logits, anchors, g, confidence, iou):
        me = SimpleNamespace(
            box_coder=BoxCoder(tuple(1 / v for v in variances)), score_thresh=confidence, nms_thresh=iou
        )
        me.topk_candidates, me.detections_per_img = 10**6, 9999
        deltas, scores, at = torch.tensor(offsets)[None], torch.tensor(logits)[None], torch.tensor(anchors)
        if is_ssd:
            heads = {"bbox_regression": deltas, "cls_logits": scores}
            (found,) = ssd.SSD.postprocess_detections(me, heads, [at], [g.resized_hw])
        else:
            heads = {"bbox_regression": [deltas], "cls_logits": [scores]}
            (found,) = retinanet.RetinaNet.postprocess_detections(me, heads, [[at]], [g.resized_hw])
        return found["boxes"].numpy(), found["scores"].numpy(), found["labels"].numpy() - is_ssd

    return anchored(name, theirs, variances)


def effdet() -> Tally:
    import torch
    from effdet.anchors import decode_box_outputs
    from torchvision.ops import batched_nms

    def theirs(offsets, logits, anchors, _, confidence, iou):
        boxes = decode_box_outputs(torch.tensor(offsets), torch.tensor(anchors)[:, [1, 0, 3, 2]], output_xyxy=True)
        scores, labels = torch.tensor(logits).sigmoid().max(dim=1)
        kept = torch.nonzero(scores > confidence).ravel()
        kept = kept[batched_nms(boxes[kept], scores[kept], labels[kept], iou)]
        return boxes[kept].numpy(), scores[kept].numpy(), labels[kept].numpy()

    return anchored("efficientdet_logits", theirs, y_first=True)


def yolox() -> Tally:
    import torch
    from yolox.utils.boxes import postprocess
    from yolox.utils.demo_utils import demo_postprocess

    tally, rng = Tally(), np.random.default_rng(3)
    for g in (*STRETCHED, *PADDED):
        points, stride = grid(g.input_hw, (8, 16, 32), 0)
        centre, size, scores = things(rng, points, np.full_like(points, 20.0, float), g.input_hw)
        sure = rng.uniform(0.5, 1, (len(points), 1))
        head = np.concatenate([(centre - points) / stride, np.log(size / stride), sure, scores], axis=1).astype(F)[None]
        found = DetectionDecoder("yolox", max_detections=9999)([head], [g])[0]
        (own,) = postprocess(torch.tensor(demo_postprocess(head.copy(), g.input_hw)).float(), 20, 0.25, 0.45)
        own = np.zeros((0, 7)) if own is None else own.numpy()
        tally.add(found, in_picture(own[:, :4], g), own[:, 4] * own[:, 5], own[:, 6])
    return tally


def supervision() -> Tally:
    from supervision import Detections

    tally, rng, g = Tally(), np.random.default_rng(4), STRETCHED[0]
    for iou in (0.3, 0.45, 0.7):
        points = rng.uniform(0, 640, (900, 2))
        centre, size, scores = things(rng, points, np.full_like(points, 40.0), g.input_hw)
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(F)
        found = DetectionDecoder("yolonas", confidence=0.05, iou=iou, max_detections=9999)(
            [boxes[None], scores[None]], [g]
        )[0]
        best, label = scores.max(axis=1), scores.argmax(axis=1)
        kept = best.astype(F) > F(0.05)
        own = Detections(boxes[kept].astype(np.float64), confidence=best[kept], class_id=label[kept]).with_nms(iou)
        tally.add(found, in_picture(own.xyxy, g), own.confidence, own.class_id)
    return tally


COMPARED: dict[str, Callable[[], Tally]] = {
    "transformers DETR": lambda: transformers("detr", "Detr", "detr", 92),
    "transformers Conditional DETR": lambda: transformers("conditional_detr", "ConditionalDetr", "rtdetr", 91, 100),
    "transformers Deformable DETR": lambda: transformers("deformable_detr", "DeformableDetr", "rtdetr", 91, 100),
    "transformers RT-DETR": lambda: transformers("rt_detr", "RTDetr", "rtdetr", 80),
    "rfdetr": rfdetr,
    "torchvision SSD": lambda: torchvision("ssd_anchors"),
    "torchvision RetinaNet": lambda: torchvision("retinanet_anchors"),
    "effdet": effdet,
    "yolox": yolox,
    "supervision NMS": supervision,
}

if __name__ == "__main__":
    alone = 0
    for title, compare in COMPARED.items():
        try:
            tally = compare()
        except ImportError as e:
            print(f"{title}: not compared: {e}")
            continue
        alone += tally.ours + tally.theirs
        print(f"{title}: {tally}")
    sys.exit(bool(alone))
