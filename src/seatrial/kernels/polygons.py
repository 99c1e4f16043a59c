"""Areas of polygons, and of what pairs of them share: IoU of oriented boxes and of text regions.

For: float64 on the CPU, all pairs at once. Not for: masks of pixels (masks.py), or finding polygons in a map.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
Points = npt.NDArray[Any]


def polygon_areas(polygons: Points) -> F64:
    """(N,) of polygons (N, P, 2), whichever way round they go; by the shoelace formula."""
    return np.abs(_signed_areas(_checked("polygons", polygons)))


def polygon_intersections(a: Points, b: Points) -> F64:
    """(N, M) areas that polygons a (N, P, 2) and b (M, Q, 2) share.

    By Sutherland and Hodgman's clipping (Reentrant polygon clipping, 1974): each of `b` must be convex, each of `a` may be any
    polygon that does not cross itself. Either way round; a repeated point changes nothing, so that polygons of fewer points
    than P fit in. 0 where a coordinate is not finite.

    Raises:
        ValueError: a shape is not as said.
    """
    ours, theirs = _checked("a", a), _checked("b", b)
    shared = np.zeros((len(ours), len(theirs)))
    # A point clips nothing away.
    rows, columns = np.nonzero(_near(ours, theirs) & (polygon_areas(theirs) > 0))
    # Near zero a float holds the most of a distance.
    origins = theirs[columns][:, :1]
    clipped = _clipped(_counterclockwise(ours[rows] - origins), _counterclockwise(theirs[columns] - origins))
    shared[rows, columns] = np.abs(_signed_areas(clipped))
    return shared


def polygon_iou(a: Points, b: Points) -> F64:
    """(N, M) of polygons a (N, P, 2) and b (M, Q, 2), as polygon_intersections takes them; 0 where neither has an area.

    Raises:
        ValueError: a shape is not as said.
    """
    shared = polygon_intersections(a, b)
    ours, theirs = polygon_areas(a), polygon_areas(b)
    either = ours[:, None] + theirs[None] - shared
    iou = np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)
    return np.asarray(np.clip(iou, 0, 1))


def are_convex_or_flat(quadrilaterals: Points) -> npt.NDArray[np.bool_]:
    """(N,) of (N, 4, 2), either way round; points may repeat or lie on a line, and float32's rounding is no bend.

    Raises:
        ValueError: the shape is not as said.
    """
    points = np.asarray(quadrilaterals, np.float64)
    if points.ndim != 3 or points.shape[1:] != (4, 2):
        raise ValueError(f"quadrilaterals: expected shape (N, 4, 2), got {points.shape}")
    edges = np.roll(points, -1, axis=1) - points
    ahead = np.roll(edges, -1, axis=1)
    bends = edges[..., 0] * ahead[..., 1] - edges[..., 1] * ahead[..., 0]
    largest = np.abs(points).max(axis=(1, 2), initial=0) * np.abs(edges).max(axis=(1, 2), initial=0)
    slack = (1e-6 * largest)[:, None]
    return np.asarray((bends >= -slack).all(axis=1) | (bends <= slack).all(axis=1))


def _checked(name: str, polygons: Points) -> F64:
    points = np.asarray(polygons, np.float64)
    if points.ndim != 3 or points.shape[1] < 3 or points.shape[2] != 2:
        raise ValueError(f"{name}: expected polygons of shape (N, points, 2), three points or more, got {points.shape}")
    return points


def _signed_areas(points: F64) -> F64:
    """Above zero where a polygon goes from x towards y. Of points beside the first, so that far away is no less exact."""
    with np.errstate(over="ignore", invalid="ignore"):
        beside = points - points[:, :1]
        ahead = np.roll(beside, -1, axis=1)
        return np.asarray((beside[..., 0] * ahead[..., 1] - beside[..., 1] * ahead[..., 0]).sum(axis=1) / 2)


def _counterclockwise(points: F64) -> F64:
    return np.where((_signed_areas(points) < 0)[:, None, None], points[:, ::-1], points)


def _near(ours: F64, theirs: F64) -> npt.NDArray[np.bool_]:
    """(N, M): whether the boxes around two polygons share an area; never where a coordinate is not finite."""
    low, high = (f(ours, axis=1)[:, None] for f in (np.min, np.max))
    low_b, high_b = (f(theirs, axis=1)[None] for f in (np.min, np.max))
    finite = np.isfinite(low) & np.isfinite(high) & np.isfinite(low_b) & np.isfinite(high_b)
    return np.asarray(np.all((low < high_b) & (low_b < high) & finite, axis=2))


def _clipped(subjects: F64, clips: F64) -> F64:
    """(K, V, 2): what of each subject (K, P, 2) lies within its clip (K, Q, 2); the spare points repeat the first."""
    for edge in range(clips.shape[1]):
        at, to = clips[:, edge], clips[:, (edge + 1) % clips.shape[1]]
        subjects = _left_of(subjects, at[:, None], (to - at)[:, None])
    return subjects


def _left_of(points: F64, at: F64, along: F64) -> F64:
    """The part of each polygon to the left of a line, or on it; a line of no length leaves all."""
    apart = along[..., 0] * (points[..., 1] - at[..., 1]) - along[..., 1] * (points[..., 0] - at[..., 0])
    inside, ahead, apart_ahead = apart >= 0, np.roll(points, -1, axis=1), np.roll(apart, -1, axis=1)
    crosses = inside != np.roll(inside, -1, axis=1)
    share = np.divide(apart, apart - apart_ahead, out=np.zeros_like(apart), where=crosses)
    crossing = points + share[..., None] * (ahead - points)
    # Each point, and behind it where its edge meets the line.
    count, corners, _ = points.shape
    kept = np.stack([inside, crosses], axis=2).reshape(count, 2 * corners)
    both = np.stack([points, crossing], axis=2).reshape(count, 2 * corners, 2)
    order = np.argsort(~kept, axis=1, kind="stable")[:, : max(1, int(kept.sum(axis=1).max(initial=0)))]
    spare = np.arange(order.shape[1]) >= kept.sum(axis=1)[:, None]
    order = np.where(spare, order[:, :1], order)
    return np.take_along_axis(both, order[..., None], axis=1)
