"""The rules of oriented boxes' NMS in plain loops: the definition that oriented.py must equal.

For: being obviously right, one pair of boxes at a time. Not for: speed, or decoding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Point = tuple[float, float]
# As Ultralytics guards ProbIoU.
EPSILON, FARTHEST = 1e-7, 100.0


def gaussian(box: Any) -> tuple[F64, F64]:
    """Mean (2,) and covariance (2, 2) of a uniform density over a box: centre, width, height, angle."""
    cx, cy, width, height, angle = (float(v) for v in box)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.array([cx, cy]), turn @ np.diag([width**2 / 12, height**2 / 12]) @ turn.T


def prob_iou(a: Any, b: Any) -> float:
    """1 minus the Hellinger distance of two boxes' Gaussians, from their Bhattacharyya distance."""
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(a), gaussian(b)
    middle, apart = (cov_a + cov_b) / 2, mean_a - mean_b
    # Each box's determinant is (width · height / 12)²; computed from a matrix, that of a thin box is lost in rounding. The
    # middle's is no less than their geometric mean (Minkowski).
    geometric = float(a[2]) * float(a[3]) * float(b[2]) * float(b[3]) / 144
    determinant = max(float(middle[0, 0] * middle[1, 1] - middle[0, 1] ** 2), geometric)
    adjugate = np.array([[middle[1, 1], -middle[0, 1]], [-middle[0, 1], middle[0, 0]]])
    distance = float(apart @ adjugate @ apart) / determinant / 8 + math.log(determinant / geometric) / 2
    distance = min(max(distance, EPSILON), FARTHEST)
    return 1 - math.sqrt(1 - math.exp(-distance) + EPSILON)


def corners(box: Any) -> list[Point]:
    cx, cy, width, height, angle = (float(v) for v in box)
    cos, sin = math.cos(angle), math.sin(angle)
    half = [(-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)]
    return [(cx + x * cos - y * sin, cy + x * sin + y * cos) for x, y in half]


def area(points: list[Point]) -> float:
    return abs(sum(x * v - y * u for (x, y), (u, v) in zip(points, points[1:] + points[:1], strict=True))) / 2


def shared(a: list[Point], b: list[Point]) -> list[Point]:
    """What of polygon a lies within b, both going from x towards y: cut along each side of b in turn."""
    for (x0, y0), (x1, y1) in zip(b, b[1:] + b[:1], strict=True):
        left = [(x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in a]
        cut: list[Point] = []
        for k, (x, y) in enumerate(a):
            u, v = a[(k + 1) % len(a)]
            here, ahead = left[k], left[(k + 1) % len(a)]
            if here >= 0:
                cut.append((x, y))
            if (here >= 0) != (ahead >= 0):
                share = here / (here - ahead)
                cut.append((x + share * (u - x), y + share * (v - y)))
        a = cut
    return a


def polygon_iou(a: Any, b: Any) -> float:
    one, other = corners(a), corners(b)
    both = area(shared(one, other))
    either = area(one) + area(other) - both
    return both / either if either > 0 else 0.0


def fast_nms(xywhr: npt.NDArray[Any], class_ids: I64, iou: float, class_agnostic: bool, most: int) -> I64:
    """A box, best first, stays where no better one of its class, kept or not, reaches `iou` with it by ProbIoU."""
    kept = []
    for k, box in enumerate(xywhr):
        better = [j for j in range(k) if class_agnostic or class_ids[j] == class_ids[k]]
        if not any(prob_iou(xywhr[j], box) >= iou for j in better):
            kept.append(k)
    return np.asarray(kept[:most], np.int64)


def greedy_nms(xywhr: npt.NDArray[Any], class_ids: I64, iou: float, class_agnostic: bool, most: int) -> I64:
    """A box, best first, stays where its polygon's IoU with each kept one of its class is at most `iou`."""
    kept: list[int] = []
    for k, box in enumerate(xywhr):
        others = [j for j in kept if class_agnostic or class_ids[j] == class_ids[k]]
        if not any(polygon_iou(xywhr[j], box) > iou for j in others):
            kept.append(k)
    return np.asarray(kept[:most], np.int64)
