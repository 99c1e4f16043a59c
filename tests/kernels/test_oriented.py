"""Oriented boxes: corners written out by hand and by OpenCV, ProbIoU by integration, NMS against plain loops, and what never
gets through."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seatrial.kernels import oriented, reference_oriented
from seatrial.kernels.geometry import fit
from seatrial.kernels.oriented import (
    FORMATS_OF_ORIENTED,
    NMS,
    OrientedDecoder,
    are_convex_with_area,
    corners_of,
    prob_iou,
)
from seatrial.kernels.polygons import polygon_iou
from seatrial.kernels.results import OrientedBoxes

SIDE = 64
SQUARE = fit((SIDE, SIDE), (SIDE, SIDE), "stretch")
PI = np.pi
# cx, cy, w, h, angle; score; class. None overlaps another.
OBJECTS = [((16, 16, 20, 6, 0.5), 0.9, 1), ((46, 20, 8, 24, -0.3), 0.8, 0), ((24, 48, 30, 10, 2.0), 0.7, 2)]


def f32(rows):
    return np.array(rows, np.float32)


def yolov8(objects, classes=3):
    """(1, 4 + classes + 1, anchors): the angle stands last."""
    return [f32([[*b[:4], *(s if k == c else 0 for k in range(classes)), b[4]] for b, s, c in objects]).T[None]]


def end_to_end(objects):
    return [f32([[*b[:4], s, c, b[4]] for b, s, c in objects])[None]]


ENCODERS = {"yolov8": yolov8, "yolo11": yolov8, **dict.fromkeys(("end_to_end", "yolov10", "yolo26"), end_to_end)}
every_format = pytest.mark.parametrize("name", FORMATS_OF_ORIENTED)
every_engine = pytest.mark.parametrize("engine", ["native", "reference"])


def decode(outputs, name="yolov8", geometry=SQUARE, **more):
    (found,) = OrientedDecoder(name, **more)(outputs, [geometry])
    assert isinstance(found, OrientedBoxes)
    return found


def rows(count, rng, side=200.0):
    return f32(
        np.column_stack([rng.uniform(0, side, (count, 2)), rng.uniform(1, 80, (count, 2)), rng.uniform(-4, 4, count)])
    )


def test_corners_are_those_written_out_by_hand():
    """At 30° from x towards y: clockwise to the eye, for y goes down. A mirrored angle puts none of them there."""
    c, s = 3**0.5 / 2, 0.5
    expected = [(10 - 8 * c + 2 * s, 20 - 8 * s - 2 * c), (10 + 8 * c + 2 * s, 20 + 8 * s - 2 * c),
                (10 + 8 * c - 2 * s, 20 + 8 * s + 2 * c), (10 - 8 * c - 2 * s, 20 - 8 * s + 2 * c)]  # fmt: skip
    np.testing.assert_allclose(corners_of([(10, 20, 16, 4, PI / 6)])[0], expected, atol=1e-12)
    assert corners_of([(10, 20, 16, 4, 0)])[0].tolist() == [[2, 18], [18, 18], [18, 22], [2, 22]]
    assert polygon_iou(corners_of([(10, 20, 16, 4, PI / 6)]), corners_of([(10, 20, 16, 4, -PI / 6)]))[0, 0] < 0.3


def test_corners_are_opencvs():
    for cx, cy, w, h, angle in rows(50, np.random.default_rng(1)):
        theirs = cv2.boxPoints(((float(cx), float(cy)), (float(w), float(h)), float(np.degrees(angle))))
        ours = corners_of([(cx, cy, w, h, angle)])[0]
        apart = np.linalg.norm(theirs[:, None] - ours[None], axis=2)
        assert apart.min(axis=1).max() < 1e-3
        assert sorted(apart.argmin(axis=1).tolist()) == [0, 1, 2, 3]


@every_format
@every_engine
def test_objects_come_out_as_they_went_in_best_first(name, engine):
    found = decode(ENCODERS[name](OBJECTS[::-1] if name == "yolov8" else OBJECTS), name, engine=engine)
    np.testing.assert_allclose(found.corners_xy, corners_of([o[0] for o in OBJECTS]), atol=1e-4)
    np.testing.assert_allclose(found.scores, [o[1] for o in OBJECTS], atol=1e-6)
    assert found.class_ids.tolist() == [1, 0, 2]
    kinds = [v.dtype for v in vars(found).values()]
    assert kinds == [np.float32, np.float32, np.int64, np.float32]


@every_format
def test_one_box_said_in_other_ways_is_the_same_box(name):
    """Half a turn more, or a quarter with the sides swapped, as YOLO26's unbound angles may say it."""
    (cx, cy, w, h, angle), score, kind = OBJECTS[0]
    first = decode(ENCODERS[name](OBJECTS[:1]), name)
    for other in ((cx, cy, w, h, angle + PI), (cx, cy, w, h, angle - 6 * PI), (cx, cy, h, w, angle - PI / 2)):
        again = decode(ENCODERS[name]([(other, score, kind)]), name)
        assert polygon_iou(first.corners_xy, again.corners_xy)[0, 0] > 0.9999
        np.testing.assert_allclose(again.boxes_xyxy, first.boxes_xyxy, atol=1e-4)


def test_corners_go_to_source_pixels():
    # A source of 128 × 256 fills the input's width; 16 rows of padding lie above and below it.
    letterbox = fit((128, 256), (SIDE, SIDE), "letterbox")
    found = decode(yolov8(OBJECTS), geometry=letterbox)
    np.testing.assert_allclose(found.corners_xy, (corners_of([o[0] for o in OBJECTS]) - [0, 16]) * 4, atol=1e-3)


def test_a_stretch_makes_parallelograms_of_rectangles():
    found = decode(yolov8(OBJECTS), geometry=fit((32, 192), (SIDE, SIDE), "stretch"))
    np.testing.assert_allclose(found.corners_xy, corners_of([o[0] for o in OBJECTS]) * [3, 0.5], atol=1e-3)
    sides = np.roll(found.corners_xy, -1, axis=1) - found.corners_xy
    np.testing.assert_allclose(sides[:, 0], -sides[:, 2], atol=1e-4)
    assert (abs((sides[:, 0] * sides[:, 1]).sum(axis=1)) > 1).all(), "no right angle is left"
    assert are_convex_with_area(found.corners_xy).all()


def test_boxes_are_cut_at_the_border_and_corners_are_not():
    over = [((0, 30, 20, 10, 0.4), 0.9, 0), ((80, 30, 20, 10, 0.0), 0.8, 0), ((60, 60, 30, 4, PI / 4), 0.7, 0)]
    found = decode(yolov8(over))
    assert found.scores.tolist() == f32([0.9, 0.7]).tolist(), "the second lies outside"
    np.testing.assert_allclose(found.corners_xy, corners_of([over[0][0], over[2][0]]), atol=1e-4)
    low, high = found.corners_xy.min(axis=1), found.corners_xy.max(axis=1)
    np.testing.assert_array_equal(found.boxes_xyxy, np.concatenate([low, high], axis=1).clip(0, SIDE))


@every_format
@pytest.mark.parametrize(("confidence", "count"), [(0.75, 2), (0.85, 1), (0.9, 0), (1.0, 0)])
def test_only_above_the_confidence(name, confidence, count):
    # 0.9 in float32 is below 0.9: at the limit is not above it.
    assert len(decode(ENCODERS[name](OBJECTS), name, confidence=confidence)) == count


@every_format
@pytest.mark.parametrize("most", [1, 2, 1000])
def test_the_best_max_detections(name, most):
    assert len(decode(ENCODERS[name](OBJECTS), name, max_detections=most)) == min(most, 3)


@every_format
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 1, 2, 3, -1])
def test_a_box_that_is_not_finite_is_left_out(name, broken, column):
    outputs = ENCODERS[name](OBJECTS)
    head = outputs[0][0].T if name in ("yolov8", "yolo11") else outputs[0][0]
    head[0, column] = broken
    assert decode(outputs, name).class_ids.tolist() == [0, 2]


@every_format
def test_a_score_that_is_no_number_is_never_above(name):
    outputs = ENCODERS[name](OBJECTS)
    head = outputs[0][0].T if name in ("yolov8", "yolo11") else outputs[0][0]
    head[0, 4] = np.nan
    assert decode(outputs, name, confidence=0.0).class_ids.tolist() == [0, 2]


@pytest.mark.parametrize("sides", [(0, 6), (20, 0), (-20, 6), (20, -6)])
def test_a_box_without_sides_is_none(sides):
    outputs = yolov8([((16, 16, *sides, 0.5), 0.9, 1), *OBJECTS[1:]])
    assert decode(outputs).class_ids.tolist() == [0, 2]


@every_format
def test_nothing_is_nothing(name):
    empty = decode([ENCODERS[name](OBJECTS)[0][..., :0] if name in ("yolov8", "yolo11") else np.zeros((1, 0, 7))], name)
    assert (len(empty), empty.corners_xy.shape, empty.boxes_xyxy.shape) == (0, (0, 4, 2), (0, 4))
    assert len(decode([np.zeros_like(ENCODERS[name](OBJECTS)[0])], name, confidence=0.0)) == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_and_strides_are_read(dtype):
    head = np.concatenate(yolov8(OBJECTS) * 2).astype(dtype)
    odd = np.empty((2, 16, 5), dtype)
    odd[:, ::2, :3] = head
    first, second = OrientedDecoder()([odd[:, ::2, :3]], [SQUARE, fit((128, 128), (SIDE, SIDE), "stretch")])
    np.testing.assert_allclose(first.corners_xy, corners_of([o[0] for o in OBJECTS]), atol=0.05)
    np.testing.assert_allclose(second.corners_xy, 2 * first.corners_xy, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "outputs", "said"),
    [
        (
            {},
            [np.zeros((1, 5, 9))],
            r"\(B, 4 \+ classes \+ 1, anchors\), the last 1 of them an angle; got 1 .*\(1, 5, 9\)",
        ),
        ({}, [np.zeros((1, 8, 9)), np.zeros((1, 8, 9))], "expected one tensor"),
        ({}, [np.zeros((1, 8, 9, 1))], r"expected one tensor .*\(1, 8, 9, 1\)"),
        ({"format": "yolo26"}, [np.zeros((1, 9, 6))], r"\(B, anchors, 6 \+ 1\).*\(1, 9, 6\)"),
        ({"format": "yolov5"}, [], "format: expected .*yolov8.*, got 'yolov5'"),
        ({"nms": "soft"}, [], "nms: expected .*probiou.*polygon, got 'soft'"),
        ({"iou": 2}, [], "iou: expected a threshold"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(settings, outputs, said):
    with pytest.raises(ValueError, match=said):
        OrientedDecoder(**settings)(outputs, [SQUARE])


# --- Which of overlapping boxes stay.

LONG = [(30, 30, 20, 6, 0.4), (33, 31, 20, 6, 0.4), (36, 32, 20, 6, 0.4)]


@every_engine
@pytest.mark.parametrize(("nms", "kept"), [("probiou", [0.9]), ("polygon", [0.9, 0.7])])
def test_a_chain_shows_one_pass_from_greedy(engine, nms, kept):
    """The second drops the third though the first has dropped it: Ultralytics' rule. Greedily, what is dropped drops nothing."""
    chain = yolov8([(b, s, 0) for b, s in zip(LONG, (0.9, 0.8, 0.7), strict=True)])
    assert decode(chain, nms=nms, engine=engine, iou=0.5).scores.tolist() == f32(kept).tolist()


@every_engine
@pytest.mark.parametrize("nms", NMS)
@pytest.mark.parametrize(("agnostic", "count"), [(False, 2), (True, 1)])
def test_other_classes_are_suppressed_only_when_agnostic(engine, nms, agnostic, count):
    twins = yolov8([(LONG[0], 0.9, 1), (LONG[0], 0.8, 2)])
    assert len(decode(twins, nms=nms, engine=engine, class_agnostic=agnostic)) == count


@every_engine
@pytest.mark.parametrize("nms", NMS)
def test_crossed_boxes_of_one_upright_box_are_two(engine, nms):
    """Upright NMS would take the one for the other: both fill the same square."""
    crossed = yolov8([((30, 30, 30, 4, PI / 4), 0.9, 0), ((30, 30, 30, 4, -PI / 4), 0.8, 0)])
    assert len(decode(crossed, nms=nms, engine=engine)) == 2


def test_limits_are_reached_by_probiou_and_passed_by_polygons():
    """As Ultralytics' fast_nms compares, and as DetectionDecoder does."""
    pair = f32([(30, 30, 20, 8, 0.0), (34, 30, 20, 8, 0.0)])
    ids = np.zeros(2, np.int64)
    both, shared = (
        float(prob_iou(pair[0], pair[1])),
        float(polygon_iou(*(corners_of(pair[k : k + 1]) for k in (0, 1)))[0, 0]),
    )
    assert shared == pytest.approx(16 / 24)
    assert len(oriented.fast_nms(pair, ids, both, False, 9)) == 1
    assert len(oriented.fast_nms(pair, ids, np.nextafter(both, 1), False, 9)) == 2
    assert len(oriented.greedy_nms(pair, ids, shared, False, 9)) == 2
    assert len(oriented.greedy_nms(pair, ids, np.nextafter(shared, 0), False, 9)) == 1


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 24), st.just(5)),
        elements=st.floats(1, 40, width=32) | st.sampled_from([np.float32(v) for v in (1, 2, 8, 8, 30)]),
    ),
    st.sampled_from([0.0, 0.2, 0.45, 0.7, 1.0]),
    st.booleans(),
    st.integers(1, 30),
)
def test_vectors_do_as_plain_loops(boxes, iou, agnostic, most):
    ids = np.arange(len(boxes), dtype=np.int64) % 3
    for rule in ("fast_nms", "greedy_nms"):
        ours, theirs = (getattr(m, rule)(boxes, ids, iou, agnostic, most) for m in (oriented, reference_oriented))
        assert ours.tolist() == theirs.tolist(), rule


@pytest.mark.parametrize("nms", NMS)
def test_blocks_of_boxes_do_as_plain_loops(nms, monkeypatch):
    rng = np.random.default_rng(3)
    boxes, ids = rows(70, rng), rng.integers(0, 3, 70)
    monkeypatch.setattr(oriented, "BLOCK", 16)
    monkeypatch.setattr(oriented, "FEW", 16)
    rule = "fast_nms" if nms == "probiou" else "greedy_nms"
    for most in (1, 15, 17, 100):
        ours, theirs = (getattr(m, rule)(boxes, ids, 0.2, False, most) for m in (oriented, reference_oriented))
        assert ours.tolist() == theirs.tolist()


odd = st.floats(-20, 60, width=32) | st.sampled_from(
    [np.float32(v) for v in (0.5, 0.5, 8, 8, 30, np.nan, np.inf, -np.inf, 0)]
)


@pytest.mark.parametrize("nms", NMS)
@pytest.mark.parametrize("thin", [3.6e-25, 1e-38, 1e-44])
def test_a_box_next_to_nothing_wide_is_one_for_both_engines(thin, nms):
    """Its determinant is lost in a matrix of float64, and its area in float32."""
    head = np.ones((7, 3), np.float32)
    head[2, 0], head[3, 1] = thin, thin
    ours, theirs = (decode([head[None]], nms=nms, engine=e) for e in ("native", "reference"))
    for a, b in zip(vars(ours).values(), vars(theirs).values(), strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.float32, st.tuples(st.just(7), st.integers(0, 12)), elements=odd),
    st.sampled_from(NMS),
    st.integers(1, 9),
)
def test_whatever_a_model_gives_both_engines_find_the_same_sound_boxes(head, nms, most):
    """NaN, infinities, equal scores, boxes without sides, nothing at all; scores beyond 1 are scores."""
    ours, theirs = (decode([head[None]], nms=nms, engine=e, max_detections=most) for e in ("native", "reference"))
    for a, b in zip(vars(ours).values(), vars(theirs).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(ours) <= most
    assert np.isfinite(ours.corners_xy).all()
    assert (ours.boxes_xyxy[:, 2:] > ours.boxes_xyxy[:, :2]).all()
    assert ((ours.boxes_xyxy >= 0) & (ours.boxes_xyxy <= SIDE)).all()
    assert (ours.scores[1:] <= ours.scores[:-1]).all()  # two infinite scores have no difference


@every_format
def test_equal_scores_keep_the_tensors_order(name):
    equal = [(b, 0.5, k) for k, (b, _, _) in enumerate(OBJECTS)]
    assert decode(ENCODERS[name](equal), name).class_ids.tolist() == [0, 1, 2]
    assert decode(ENCODERS[name](equal), name, max_detections=2).class_ids.tolist() == [0, 1]


# --- ProbIoU.


def by_integration(a, b):
    """1 minus the Hellinger distance, by summing the root of both densities over a grid."""
    y, x = np.mgrid[-40:140:0.25, -40:140:0.25]
    roots = []
    for box in (a, b):
        (mx, my), cov = reference_oriented.gaussian(box)
        inverse = np.linalg.inv(cov)
        dx, dy = x - mx, y - my
        power = inverse[0, 0] * dx * dx + 2 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy * dy
        roots.append(np.sqrt(np.exp(-power / 2) / (2 * PI * np.sqrt(np.linalg.det(cov)))))
    return 1 - np.sqrt(max(0.0, 1 - (roots[0] * roots[1]).sum() * 0.25**2))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((50, 50, 40, 12, 0.3), (54, 47, 36, 16, 0.8)),
        ((50, 50, 40, 12, 0.3), (50, 50, 40, 12, -0.3)),
        ((50, 50, 30, 30, 0.0), (70, 40, 20, 34, 2.2)),
    ],
)
def test_probiou_is_that_of_the_gaussians(a, b):
    assert prob_iou(np.array(a), np.array(b)) == pytest.approx(by_integration(a, b), abs=2e-6)


def test_probiou_is_that_of_plain_loops_and_goes_both_ways():
    boxes = rows(40, np.random.default_rng(2), 60)
    ours = prob_iou(boxes[:, None], boxes[None])
    np.testing.assert_allclose(ours, [[reference_oriented.prob_iou(a, b) for b in boxes] for a in boxes], atol=1e-10)
    np.testing.assert_allclose(ours, ours.T, atol=1e-12)
    # Ultralytics guards the root by 1e-7, twice.
    np.testing.assert_allclose(ours.diagonal(), 1 - np.sqrt(2e-7), atol=1e-6)
    assert (ours <= 1).all()
    assert (ours >= -1e-6).all()


def test_thin_boxes_far_away_stay_finite():
    boxes = f32([(1e5, 1e5, 1e6, 1e-3, 0.7), (1e5, 1e5, 1e6, 1e-3, 0.7000001), (0, 0, 1e-6, 1e-6, 0)])
    assert np.isfinite(prob_iou(boxes[:, None], boxes[None])).all()


# --- Quadrilaterals.


def test_what_bends_or_crosses_is_not_convex():
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], float)
    bent, crossed, flat = square.copy(), square[[0, 2, 1, 3]], np.array([(0, 0), (1, 0), (2, 0), (3, 0)], float)
    bent[2] = (1, 1)
    triangle = square.copy()
    triangle[2] = (2, 2)
    shapes = np.stack([square, square[::-1], bent, crossed, flat, triangle, square * 1e-4, square + 1e6])
    assert are_convex_with_area(shapes).tolist() == [True, True, False, False, False, True, True, True]
    assert are_convex_with_area(corners_of(rows(100, np.random.default_rng(4)))).all()
    assert are_convex_with_area(np.zeros((0, 4, 2))).shape == (0,)


def test_of_corners_takes_a_users_own():
    found = OrientedBoxes.of_corners(corners_of([OBJECTS[0][0]]), [0.5], [1], (SIDE, SIDE))
    assert [v.dtype for v in vars(found).values()] == [np.float32, np.float32, np.int64, np.float32]
    assert len(OrientedBoxes.of_corners(np.zeros((0, 4, 2)), [], [], (SIDE, SIDE))) == 0
