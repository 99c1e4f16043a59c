"""Mask R-CNN's layouts: what a model has chosen itself, with a mask a detection. Entries of HEADS.

For: masks over the whole input, as torchvision exports them, and over each box, as maskrcnn-benchmark and mmdeploy do.
"""

from __future__ import annotations

import numpy as np

from heads.encode import HEADS, SIDE, Head, f32, post
from heads.scene import CLASSES, within

GRID = 28
MOST = 6


def detections(things, at):
    """The best first, and behind them one that hardly counts: boxes, scores and class numbers."""
    order = sorted(things, key=lambda t: -t.score)
    boxes = np.array([*(at.box(t.box_xyxy) for t in order), [1, 1, 9, 9]])
    scores, classes = np.array([*(t.score for t in order), 0.04]), np.array([*(t.class_id for t in order), 0])
    return order, boxes.astype(np.float32), scores.astype(np.float32), classes.astype(np.int64)


def over_the_input(thing, at):
    """(SIDE, SIDE) probabilities of its ellipse, a half at the edge."""
    x, y = np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5)
    return np.clip(0.5 + within(at.box(thing.box_xyxy), x, y) / 8, 0, 1)


def over_the_box(_thing, _at):
    """(GRID, GRID) of the same, over its box."""
    x, y = np.meshgrid((np.arange(GRID) + 0.5) / GRID, (np.arange(GRID) + 0.5) / GRID)
    return np.clip(0.5 + within((0, 0, 1, 1), x, y) / 8, 0, 1)


def mask_rcnn(draw, side):
    def outputs(things, at, _rng):
        order, boxes, scores, classes = detections(things, at)
        masks = np.stack([*(draw(t, at) for t in order), np.zeros((side, side))])[:, None]
        return {"boxes": boxes, "labels": classes, "scores": scores, "masks": masks.astype(np.float32)}

    return outputs


def mmdet(things, at, _rng):
    """Filled up to MOST: with scores of 0, as mmdeploy does."""
    order, boxes, scores, classes = detections(things, at)
    count = len(boxes)
    dets, labels = np.zeros((MOST, 5), np.float32), np.zeros(MOST, np.int64)
    masks = np.zeros((MOST, GRID, GRID), np.float32)
    dets[:count], labels[:count] = f32(boxes, scores[:, None]), classes
    for mask, thing in zip(masks, order, strict=False):
        mask[...] = over_the_box(thing, at)
    return {"dets": dets, "labels": labels, "masks": masks}


ROWS = ("boxes", "labels", "scores", "masks")
HEADS |= {
    "instances-mask-rcnn": Head(
        mask_rcnn(over_the_box, GRID),
        post("instances", "mask_rcnn"),
        "ellipse",
        "stretch",
        metric="mask mAP",
        rows=ROWS,
        most=1,
    ),
    "instances-mask-rcnn-whole": Head(
        mask_rcnn(over_the_input, SIDE),
        post("instances", "mask_rcnn"),
        "ellipse",
        "stretch",
        metric="mask mAP",
        rows=ROWS,
        most=1,
    ),
    "instances-mmdet": Head(mmdet, post("instances", "mmdet_masks"), "ellipse", "stretch", metric="mask mAP"),
}
assert len(CLASSES) < MOST
