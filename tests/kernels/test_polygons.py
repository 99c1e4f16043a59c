"""Areas that polygons share: against OpenCV, against pixels counted, and against areas known by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kernels.oriented import are_convex_with_area
from seatrial.kernels.polygons import are_convex_or_flat, polygon_areas, polygon_intersections, polygon_iou

SQUARE = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
TRIANGLE = np.array([[0, 0], [2, 0], [0, 2]], float)
# A square of 3 without one of its corners: not convex.
ANGLE = np.array([[0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]], float)


def oriented(rng, count):
    """(count, 4, 2): rectangles at any angle, from thin to large, either way round."""
    centres, sides, angles = rng.uniform(0, 60, (count, 2)), rng.uniform(0.5, 40, (count, 2)), rng.uniform(-4, 4, count)
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * sides[:, None]
    turn = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)], axis=1).reshape(-1, 2, 2)
    found = corners @ turn.transpose(0, 2, 1) + centres[:, None]
    found[::2] = found[::2, ::-1]
    return found


@pytest.mark.parametrize(
    ("a", "b", "area"),
    [
        (SQUARE, SQUARE, 4.0),
        (SQUARE, SQUARE[::-1], 4.0),
        (SQUARE, SQUARE + 1, 1.0),
        (SQUARE, SQUARE + np.array([2, 0]), 0.0),  # they touch
        (SQUARE, SQUARE - np.array([0, 5]), 0.0),
        (SQUARE, SQUARE * 0.5 + 0.5, 1.0),  # one within the other
        (SQUARE * 0.5 + 0.5, SQUARE, 1.0),
        (SQUARE, TRIANGLE, 2.0),
        (SQUARE, 0.5 * TRIANGLE[[0, 0, 1, 1, 2]], 0.5),  # points twice
        (SQUARE, SQUARE[[0, 1, 1, 0]], 0.0),  # without area
        (SQUARE, SQUARE[[0, 2, 2, 0]], 0.0),
        (SQUARE, np.ones((3, 2)), 0.0),
        (ANGLE, SQUARE, 3.0),
        (ANGLE, SQUARE + 1, 0.0),
        (ANGLE[::-1], SQUARE + 0.5, 1.75),
        (SQUARE, SQUARE * np.nan, 0.0),
        (SQUARE, np.where(SQUARE == 2, np.inf, SQUARE), 0.0),
        (np.where(SQUARE == 2, np.inf, -np.inf), SQUARE, 0.0),
    ],
)
def test_areas_known_by_hand(a, b, area):
    assert polygon_intersections(a[None], b[None])[0, 0] == pytest.approx(area, abs=1e-12)


def test_all_pairs_as_opencv_has_them():
    rng = np.random.default_rng(3)
    a, b = oriented(rng, 40), oriented(rng, 50)
    shared, iou = polygon_intersections(a, b), polygon_iou(a, b)
    assert (shared > 0).mean() > 0.1
    for i, j in np.ndindex(shared.shape):
        area, _ = cv2.intersectConvexConvex(a[i].astype(np.float32), b[j].astype(np.float32))
        assert shared[i, j] == pytest.approx(area, abs=2e-3)  # OpenCV's is of float32
        union = cv2.contourArea(a[i].astype(np.float32)) + cv2.contourArea(b[j].astype(np.float32)) - area
        assert iou[i, j] == pytest.approx(area / union, abs=1e-4)


def test_all_pairs_as_pixels_count_them():
    rng = np.random.default_rng(4)
    a, b = oriented(rng, 5), oriented(rng, 5)
    drawn = []
    for polygon in (*a, *b):
        # 16 pixels a unit; polygons reach beyond 0 to 60 by half a diagonal at most.
        image = np.zeros((1600, 1600), np.uint8)
        drawn.append(cv2.fillPoly(image, [np.rint((polygon + 20) * 16 * 256).astype(np.int32)], 1, shift=8) == 1)
    counted = np.array([[(drawn[i] & drawn[5 + j]).sum() / 256 for j in range(5)] for i in range(5)])
    # A pixel more or less along an edge.
    assert np.abs(polygon_intersections(a, b) - counted).max() < 12


def test_any_polygon_against_a_convex_one_as_pixels_count_them():
    shape = np.array([[0, 0], [50, 10], [12, 20], [55, 40], [10, 55], [20, 30]], float)
    clip = oriented(np.random.default_rng(5), 12)
    image = cv2.fillPoly(np.zeros((960, 960), np.uint8), [np.rint(shape * 4096).astype(np.int32)], 1, shift=8)
    for polygon in clip:
        other = cv2.fillPoly(np.zeros_like(image), [np.rint(polygon * 4096).astype(np.int32)], 1, shift=8)
        counted = (image & other).sum() / 256
        assert polygon_intersections(shape[None], polygon[None])[0, 0] == pytest.approx(counted, abs=12)


@given(st.integers(0, 2**32 - 1))
def test_intersection_over_union_has_its_rules(seed):
    rng = np.random.default_rng(seed)
    a, b = oriented(rng, 4), oriented(rng, 3)
    iou = polygon_iou(a, b)
    assert iou.shape == (4, 3)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert np.diag(polygon_iou(a, a)).min() > 1 - 1e-9
    assert np.transpose(polygon_iou(b, a)) == pytest.approx(iou, abs=1e-9)
    assert polygon_iou(a[:, ::-1], np.roll(b, 1, axis=1)) == pytest.approx(iou, abs=1e-9)
    # Far away and of another size: the same.
    assert polygon_iou(a * 7 + 1e5, b * 7 + 1e5) == pytest.approx(iou, abs=1e-6)


def test_nothing_overlaps_nothing():
    none = np.zeros((0, 4, 2))
    assert polygon_iou(none, SQUARE[None]).shape == (0, 1)
    assert polygon_iou(SQUARE[None], none).shape == (1, 0)
    assert polygon_areas(none).shape == (0,)


@pytest.mark.parametrize("shape", [(4, 2), (1, 2, 2), (1, 4, 3), (0,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"a: expected polygons of shape \(N, points, 2\)"):
        polygon_iou(np.zeros(shape), SQUARE[None])


@pytest.mark.parametrize(
    ("corners", "or_flat", "with_area"),
    [
        (SQUARE, True, True),
        (SQUARE[::-1], True, True),
        (SQUARE[[0, 2, 1, 3]], False, False),
        ([[0, 0], [3, 0], [1, 1], [0, 3]], False, False),
        # A corner twice, as a triangle written as a quadrilateral has it.
        ([[0, 0], [2, 0], [0, 2], [0, 2]], True, True),
        # A detector of text may give lines and points; a truth of oriented boxes may not.
        ([[0, 0], [1, 0], [3, 0], [2, 0]], True, False),
        ([[5, 5]] * 4, True, False),
    ],
)
def test_results_may_be_flat_and_oriented_boxes_may_not(corners, or_flat, with_area):
    one = np.array(corners, float)[None]
    assert (are_convex_or_flat(one).item(), are_convex_with_area(one).item()) == (or_flat, with_area)
