"""Raw outputs to results in the picture's pixels, in NumPy and OpenCV: boxes, classes, regions of text, masks."""

from __future__ import annotations

import cv2
import numpy as np

from faulty.way import Array, Placement

Results = dict[str, Array]


def detections(
    outputs: dict[str, Array], placement: Placement, *, head=None, back=None, confidence: float = 0.25,
    iou: float = 0.45, agnostic: bool = False, most: int = 300,
) -> Results:  # fmt: skip
    """YOLOv8's head (1, 4 + classes, anchors), NMS within a class, boxes back to the picture.

    head: reads boxes (N, 4) xyxy, scores, classes; back: brings boxes to the picture.
    """
    boxes, scores, classes = (head or yolov8)(next(iter(outputs.values()))[0])
    keep = (scores > confidence) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, scores, classes = boxes[keep], scores[keep], classes[keep]
    order = nms(boxes, scores, classes, iou, agnostic)[:most]
    boxes = (back or to_picture)(boxes[order].astype(np.float64), placement)
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    found = boxes.astype(np.float32)[seen], scores[order][seen], classes[order][seen]
    return dict(zip(("boxes_xyxy", "scores", "class_ids"), found))


def yolov8(head: Array) -> tuple[Array, Array, Array]:
    x, y, w, h = head[:4]
    with np.errstate(invalid="ignore"):
        boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    return boxes, head[4:].max(axis=0), head[4:].argmax(axis=0)


def nms(boxes: Array, scores: Array, classes: Array, iou: float, agnostic: bool) -> Array:
    order, kept = np.argsort(-scores, kind="stable"), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        same = np.ones(len(rest), bool) if agnostic else classes[rest] == classes[best]
        order = rest[~(same & (shared / (area[best] + area[rest] - shared) > iou))]
    return np.array(kept, np.int64)


def to_picture(boxes: Array, placement: Placement) -> Array:
    points = boxes.reshape(-1, 2, 2) - placement.offset_xy
    return np.clip(points / placement.scale_xy, 0, placement.source_hw[::-1]).reshape(-1, 4)


def classes(outputs: dict[str, Array], _placement: Placement, *, top_k: int = 4) -> Results:
    scores = next(iter(outputs.values()))[0]
    best = np.argsort(-scores, kind="stable")[:top_k]
    return {"class_ids": best.astype(np.int64), "scores": scores[best]}


def regions(
    outputs: dict[str, Array], placement: Placement, *, threshold: float = 0.3, confidence: float = 0.6,
    unclip: float = 1.5, min_size: float = 3, corners_back=None,
) -> Results:  # fmt: skip
    """PaddleOCR's DBPostProcess with rectangles: corners (N, 4, 2) unrounded, and the boxes around them."""
    found = []
    probabilities = next(iter(outputs.values()))[0, 0]
    contours, _ = cv2.findContours((probabilities > threshold).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        centre, (w, h), angle = cv2.minAreaRect(contour)
        if min(w, h) < min_size:
            continue
        score = mean_within(probabilities, cv2.boxPoints((centre, (w, h), angle)))
        grow = w * h * unclip / (w + h)
        if score <= confidence or min(w, h) + grow < min_size + 2:
            continue
        found.append((score, cv2.boxPoints((centre, (w + grow, h + grow), angle))))
    found.sort(key=lambda one: -np.float32(one[0]))
    cells = np.array(placement.input_hw[::-1]) / probabilities.shape[::-1]
    corners = np.array([c for _, c in found], np.float64).reshape(-1, 4, 2)
    corners = (corners_back or corners_to_picture)(corners * cells, placement)
    corners = clockwise(corners).astype(np.float32)
    size = np.array(placement.source_hw[::-1], np.float32)
    boxes = np.concatenate([np.clip(corners.min(axis=1), 0, size), np.clip(corners.max(axis=1), 0, size)], axis=1)
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    scores = np.array([s for s, _ in found], np.float32)
    return {
        "boxes_xyxy": boxes[seen],
        "scores": scores[seen],
        "class_ids": np.zeros(int(seen.sum()), np.int64),
        "polygons": corners[seen],
    }


def mean_within(values: Array, corners: Array) -> float:
    height, width = values.shape
    x0, y0 = np.clip(np.floor(corners.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)), 0, (width - 1, height - 1)).astype(int)
    mask = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - (x0, y0)).astype(np.int32)], 1)
    return cv2.mean(values[y0 : y1 + 1, x0 : x1 + 1], mask)[0]


def corners_to_picture(corners: Array, placement: Placement) -> Array:
    return (corners - placement.offset_xy) / placement.scale_xy


def clockwise(corners: Array) -> Array:
    """From the corner nearest to the upper left, clockwise as seen."""
    out = []
    for quad in corners:
        x, y = (quad - quad[0]).T
        if (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() < 0:
            quad = quad[::-1]
        first = min(range(4), key=lambda k: (quad[k].sum(), quad[k, 1]))
        out.append(np.roll(quad, -first, axis=0))
    return np.array(out, np.float64).reshape(-1, 4, 2)


def mask(outputs: dict[str, Array], placement: Placement, *, cells_of=None) -> Results:
    """Of each pixel the class of the cell in which its centre lies."""
    found = next(iter(outputs.values()))[0].argmax(axis=0).astype(np.uint8)
    (height, width), (h, w) = placement.source_hw, found.shape
    if placement.offset_xy != (0, 0):  # a padding is cut off
        rows = ((np.arange(height) + 0.5) * placement.scale_xy[1] + placement.offset_xy[1]) * h / placement.input_hw[0]
        columns = (
            ((np.arange(width) + 0.5) * placement.scale_xy[0] + placement.offset_xy[0]) * w / placement.input_hw[1]
        )
        rows, columns = np.clip(rows, 0, h - 1).astype(int), np.clip(columns, 0, w - 1).astype(int)
    else:
        rows, columns = (cells_of or centres)(height, h), (cells_of or centres)(width, w)
    return {"class_ids": found[rows][:, columns]}


def centres(pixels: int, cells: int) -> Array:
    return np.floor((np.arange(pixels) + 0.5) * cells / pixels).astype(int)


RESULTS = {"detect": detections, "classify": classes, "text": regions, "segment": mask}
