"""Regions of text in maps drawn here: rectangles that come back, and rules counted by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes
from skimage.measure import label

from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.polygons import polygon_areas, polygon_iou
from seatrial.kernels.text_regions import GROWTH_PX, TextRegionDecoder, ordered_corners

HW = (96, 160)
ONE = fit(HW, HW, "stretch")
PLAIN = TextRegionDecoder(unclip_ratio=0, min_size=0)


def corners(cx, cy, width, height, degrees):
    a = np.radians(degrees)
    along, across = np.array([np.cos(a), np.sin(a)]) * width / 2, np.array([-np.sin(a), np.cos(a)]) * height / 2
    return np.array([cx, cy]) + np.array([-along - across, along - across, along + across, -along + across])


def drawn(*rectangles, value=0.9, hw=HW):
    """(1, 1, h, w): cells whose index lies in one of (cx, cy, width, height, degrees)."""
    y, x = np.mgrid[0 : hw[0], 0 : hw[1]].astype(float)
    cells = np.zeros(hw, np.float32)
    for cx, cy, width, height, degrees in rectangles:
        a = np.radians(degrees)
        u, v = (x - cx) * np.cos(a) + (y - cy) * np.sin(a), (y - cy) * np.cos(a) - (x - cx) * np.sin(a)
        cells[(abs(u) <= width / 2) & (abs(v) <= height / 2)] = value
    return cells[None, None]


def decoded(cells, geometry=ONE, **settings):
    return TextRegionDecoder(**settings)([cells], [geometry])[0]


def sides(polygon):
    return np.linalg.norm(polygon - np.roll(polygon, -1, axis=0), axis=1)


@pytest.mark.parametrize("degrees", [0, 12, -31, 45, 68, 90])
def test_a_rectangle_comes_back_to_a_cell(degrees):
    known = (80, 48, 70, 22, degrees)
    found = PLAIN([drawn(known)], [ONE])[0]
    assert len(found) == 1
    assert polygon_iou(corners(*known)[None], found.polygons).item() > 0.9
    assert np.abs(ordered_corners(corners(*known)[None]) - found.polygons).max() < 1.5
    assert np.abs(found.boxes_xyxy[0] - [*found.polygons[0].min(axis=0), *found.polygons[0].max(axis=0)]).max() < 1e-6
    assert found.class_ids.tolist() == [0]


@pytest.mark.parametrize("ratio", [0.5, 1.5, 2.0])
@pytest.mark.parametrize("degrees", [0, 17, -40])
def test_it_grows_by_area_times_ratio_over_perimeter(degrees, ratio):
    cells = drawn((80, 48, 60, 18, degrees))
    before, after = PLAIN([cells], [ONE])[0].polygons[0], decoded(cells, unclip_ratio=ratio).polygons[0]
    distance = polygon_areas(before[None]).item() * ratio / sides(before).sum()
    assert np.abs(sides(after) - sides(before) - 2 * distance).max() < 1e-3
    assert np.abs(after.mean(axis=0) - before.mean(axis=0)).max() < 1e-3
    # As the least rectangle around an offset with round joins: a circle about each corner.
    turns = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circles = before[:, None] + distance * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    around = cv2.boxPoints(cv2.minAreaRect(circles.reshape(-1, 2).astype(np.float32)))
    assert np.abs(ordered_corners(around[None].astype(float))[0] - after).max() < 0.02


def least_rectangle(points):
    """Of all that lie along a side of the convex hull, that with the least area; in float64."""
    hull = cv2.convexHull(points.astype(np.int32))[:, 0].astype(float)
    best = None
    for edge in np.roll(hull, -1, axis=0) - hull:
        u = edge / np.linalg.norm(edge)
        frame = np.array([u, [-u[1], u[0]]])
        low, high = (hull @ frame.T).min(axis=0), (hull @ frame.T).max(axis=0)
        area = np.prod(high - low)
        if best is None or area < best[0] - 1e-9:
            best = area, np.array([low, [high[0], low[1]], high, [low[0], high[1]]]) @ frame
    return best


@pytest.mark.parametrize("seed", range(4))
def test_regions_are_the_least_rectangles_of_connected_cells(seed):
    rng = np.random.default_rng(seed)
    cells = cv2.GaussianBlur(rng.uniform(0, 1, HW), (0, 0), 4)
    cells = ((cells - cells.min()) / np.ptp(cells)).astype(np.float32)
    # Without holes, which have contours of their own.
    cells[binary_fill_holes(cells > 0.6) & (cells <= 0.6)] = 0.7
    found = decoded(cells[None, None], threshold=0.6, confidence=0.0, unclip_ratio=0, min_size=0)
    parts, count = label(cells > 0.6, connectivity=2, return_num=True)
    areas = []
    for k in range(1, count + 1):
        points = np.argwhere(parts == k)[:, ::-1]
        if len(points) > 2 and np.linalg.matrix_rank(points - points[0]) == 2:
            area, rectangle = least_rectangle(points)
            # What does not grow must be that long already.
            areas += [area] if sides(rectangle).min() >= GROWTH_PX else []
    assert len(areas) > 5
    np.testing.assert_allclose(np.sort(polygon_areas(found.polygons)), np.sort(areas), rtol=1e-4)


def test_a_hole_has_a_contour_of_its_own():
    cells = drawn((80, 48, 80, 40, 0))
    cells[0, 0, 40:56, 60:100] = 0.2
    found = decoded(cells, confidence=0.1, unclip_ratio=0)
    # The cells around the hole, which are text.
    assert np.ptp(found.polygons, axis=1).tolist() in ([[80, 40], [41, 17]], [[41, 17], [80, 40]])
    assert len(decoded(cells, unclip_ratio=0)) == 1  # its mean is that of the hole


def test_the_way_back_is_the_geometrys_to_the_fraction():
    geometry = Geometry((300, 500), (60, 100), HW, offset_x=30, offset_y=18)
    cells = drawn((80, 48, 40, 12, 0))
    ours, plain = decoded(cells, geometry), decoded(cells)
    np.testing.assert_allclose(ours.polygons, (plain.polygons - [30, 18]) * 5, rtol=1e-6)
    half = cv2.resize(cells[0, 0], (80, 48), interpolation=cv2.INTER_NEAREST)[None, None]
    assert polygon_iou(decoded(half).polygons, plain.polygons).item() > 0.8


def test_what_lies_in_the_padding_alone_is_dropped_and_what_reaches_out_keeps_its_corners():
    geometry = Geometry((96, 80), (96, 80), HW, offset_x=40, offset_y=0)
    found = decoded(drawn((15, 48, 24, 12, 0), (40, 20, 30, 10, 0)), geometry)
    assert len(found) == 1
    assert found.polygons[0, :, 0].min() < 0
    assert found.boxes_xyxy[0, 0] == 0


def test_scores_are_means_within_the_rectangle_or_within_the_contour():
    cells = drawn((40, 48, 40, 10, 0), (25, 30, 10, 40, 0), value=0.8)  # an angle: half of its rectangle
    fast, slow = (decoded(cells, confidence=0, score_mode=m).scores for m in ("fast", "slow"))
    inside = cells[0, 0, 10:54, 20:61]
    assert fast[0] == pytest.approx(inside.mean(), abs=0.02)
    assert slow[0] == pytest.approx(0.8, abs=1e-6)


def test_thresholds_are_to_be_passed():
    cells = drawn((80, 48, 40, 12, 0), value=0.75)
    assert len(decoded(cells, confidence=0.75)) == 0
    assert len(decoded(cells, confidence=0.74)) == 1
    assert len(decoded(cells, threshold=0.75)) == 0
    assert len(decoded(drawn((80, 48, 40, 3, 0)), min_size=3)) == 0  # four rows of cells are 2 apart
    assert len(decoded(drawn((80, 48, 40, 6, 0)), min_size=3)) == 1
    # Without growth a short side of 3 stays below 5.
    assert len(decoded(drawn((80, 48, 40, 4, 0)), min_size=3, unclip_ratio=0)) == 0


def test_cells_beside_each_other_join_where_they_are_dilated():
    cells = drawn((40, 48, 30, 12, 0), (72, 48, 32, 12, 0))
    assert cells[0, 0, 48, 55] > 0
    assert cells[0, 0, 48, 56] > 0
    cells[0, 0, :, 56] = 0
    assert (len(decoded(cells)), len(decoded(cells, dilation=True))) == (2, 1)


def test_the_best_are_kept_best_first():
    cells = np.maximum.reduce([drawn((40, 20 + 25 * k, 50, 10, 0), value=v) for k, v in enumerate((0.7, 0.9, 0.8))])
    assert decoded(cells).scores == pytest.approx([0.9, 0.8, 0.7])
    best = decoded(cells, max_detections=1)
    assert best.scores == pytest.approx([0.9])
    assert best.polygons[0, 0, 1] == pytest.approx(decoded(cells).polygons[0, 0, 1])


def test_logits_go_through_a_sigmoid():
    cells = drawn((80, 48, 40, 12, 0), value=0.9)
    logits = np.where(cells > 0, np.log(0.9 / 0.1), -9).astype(np.float32)
    ours = decoded(logits, activation="sigmoid")
    assert ours.scores == pytest.approx([0.9], abs=1e-5)
    np.testing.assert_allclose(ours.polygons, decoded(cells).polygons)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.0])
def test_what_is_no_number_is_no_text(value):
    assert len(decoded(np.full((1, 1, *HW), value, np.float32))) == 0
    cells = drawn((80, 48, 40, 12, 0))
    cells[0, 0, 48, 80] = value
    assert len(decoded(cells)) == (1 if value == 0 else 0) or np.isneginf(value)
    beside = drawn((80, 48, 40, 12, 0))
    beside[0, 0, 5, 5] = value
    assert len(decoded(beside)) == 1


def test_a_map_of_ones_is_one_region_and_a_batch_is_read_image_by_image():
    found = decoded(np.ones((1, 1, *HW), np.float16))
    assert len(found) == 1
    assert found.boxes_xyxy[0].tolist() == [0, 0, HW[1], HW[0]]
    batch = np.concatenate([drawn((80, 48, 40, 12, 0)), np.zeros((1, 1, *HW)), drawn((40, 30, 30, 14, 20))])
    several = TextRegionDecoder()([batch], [ONE] * 3)
    assert [len(r) for r in several] == [1, 0, 1]
    assert several[1].polygons.shape == (0, 4, 2)


@given(st.integers(0, 2**32 - 1))
def test_corners_go_clockwise_from_the_top_left_however_they_came(seed):
    rng = np.random.default_rng(seed)
    own = corners(*rng.uniform(0, 100, 2), *rng.uniform(1, 60, 2), rng.uniform(-180, 180))
    ordered = ordered_corners(own[None])
    again = np.roll(own[:: rng.choice([1, -1])], rng.integers(4), axis=0)
    np.testing.assert_array_equal(ordered_corners(again[None]), ordered)
    sums = ordered[0].sum(axis=1)
    assert sums[0] == sums.min()
    x, y = (ordered[0] - ordered[0].mean(axis=0)).T
    assert (x * np.roll(y, -1) - y * np.roll(x, -1) > 0).all()


@pytest.mark.parametrize("shape", [(1, *HW), (1, 2, *HW), (1, 1, 0, 4), (2, 1, *HW)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected one output \(B, 1, height, width\)|expected outputs for 1 image"):
        decoded(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("key", "value"),
    [("threshold", 1.1), ("confidence", -0.1), ("unclip_ratio", -1), ("min_size", np.nan), ("max_detections", 0),
     ("score_mode", "quick"), ("activation", "softmax"), ("unclip_ratio", np.inf), ("threshold", True)],
)  # fmt: skip
def test_other_arguments_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}: expected"):
        TextRegionDecoder(**{key: value})
