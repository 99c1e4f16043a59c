"""Layouts that NumPy reads: against a plain computation, engine against engine, and which rows are whose image's."""

import dataclasses

import detector_tensors
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.kernels.detection_formats import DETECTORS, FORMATS, image_rows
from seatrial.kernels.detection_layouts import best_classes, cells_of
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.kernels.tensor_shapes import COLUMN, COUNTS, NOTHING, Shapes
from seatrial.plan import tasks

SIDE = 64
SQUARE = fit((SIDE, SIDE), (SIDE, SIDE), "stretch")
WIDE = fit((32, 128), (SIDE, SIDE), "letterbox")
# Those with anchors of their own are in tests/pipeline/test_anchors.py.
CHOSEN = [n for n in DETECTORS if FORMATS[n].decode is None and FORMATS[n].variances is None]
ODD = (np.nan, np.inf, -np.inf, -0.0, 3e38, 1e-40, -1.0)
OBJECTS = [((8, 8, 24, 24), 0.9, 1), ((40, 8, 56, 40), 0.8, 0)]


def f32(*rows):
    return np.array(rows, np.float32)


def test_the_plan_knows_the_formats_and_their_units():
    assert set(tasks.FORMATS["detect"]) == set(DETECTORS)
    for name, form in ((n, FORMATS[n]) for n in DETECTORS):
        if len(form.units) > 1:
            assert tasks.BOXES[name] == form.units
        else:
            assert name not in tasks.BOXES


# ---- Engine against engine, bit for bit ----


def made(name, rng, classes, rows):
    """Tensors of a format at random, many of them overlapping, for one image."""
    boxes = rng.uniform(0, SIDE, (rows, 2))
    boxes = np.concatenate([boxes, boxes + rng.uniform(-2, 30, (rows, 2))], axis=1)
    if FORMATS[name].units[0] == "fractions":
        boxes /= SIDE
    scores, labels = rng.random((rows, classes)) ** 2, rng.integers(0, classes, rows).astype(float)
    if rng.random() < 0.5:
        scores = np.round(scores, 1)
    best = scores.max(axis=1, keepdims=True)
    cells = len(cells_of((SIDE, SIDE), (8, 16, 32, 64)))
    joined = np.concatenate([boxes, scores], axis=1)
    grid = np.concatenate([rng.random((cells, classes)), rng.normal(0, 3, (cells, 32))], axis=1)
    levels = np.split(grid, np.cumsum([64, 16, 4]))
    by_name = {
        "yolov8_logits": lambda: [np.concatenate([boxes, rng.normal(0, 4, (rows, classes))], axis=1).T[None]],
        "yolov8_turned": lambda: [joined[None]],
        "rtdetr_joined": lambda: [joined[None]],
        "rtdetr_end_to_end": lambda: [np.column_stack([boxes, best, labels])[None]],
        "yolonas": lambda: [boxes[None], scores[None]],
        "damoyolo": lambda: [boxes[None], scores[None]],
        "ppyoloe": lambda: [boxes[None], scores.T[None]],
        "yolov7_end_to_end": lambda: [np.column_stack([np.zeros(rows), boxes, labels, best])],
        "yolonas_flat": lambda: [np.column_stack([np.zeros(rows), boxes, best, labels])],
        "detections_flat": lambda: [np.column_stack([boxes, best, labels])],
        "paddle": lambda: [np.column_stack([labels, best, boxes]), np.array([rows])],
        "nms_tensors": lambda: [boxes[None], best.T, labels[None], np.array([rows])],
        "nms_tensors_yxyx": lambda: [boxes[None], best.T, labels[None]],
        "mmdet": lambda: [np.column_stack([boxes, best])[None], labels[None]],
        "nanodet": lambda: [grid[None]],
        "picodet": lambda: [v[None] for v in (*(x[:, :classes] for x in levels), *(x[:, classes:] for x in levels))],
    }
    return [np.asarray(t, np.float32) for t in by_name[name]()]


@settings(max_examples=200)
@given(
    name=st.sampled_from(CHOSEN), seed=st.integers(0, 2**32), classes=st.integers(1, 40), rows=st.integers(0, 300),
    confidence=st.sampled_from([0, 0.01, 0.25, 0.5, 1]), iou=st.sampled_from([0, 0.3, 0.7, 1]),
    most=st.sampled_from([1, 10, 300, 10**9]), agnostic=st.booleans(), odd=st.booleans(), spread=st.booleans(),
    geometry=st.sampled_from([SQUARE, WIDE, fit((200, 90), (SIDE, SIDE), "resize_center_crop")]), unit=st.integers(0, 2),
)  # fmt: skip
def test_both_engines_give_the_same_bits(
    name, seed, classes, rows, confidence, iou, most, agnostic, odd, spread, geometry, unit
):
    rng = np.random.default_rng(seed)
    outputs = made(name, rng, classes, rows)
    if odd:
        # Not the image's number, nor the count, both of which are whole.
        for t in outputs:
            if t.ndim > 1:
                part = t[:, 1:] if name in ("yolov7_end_to_end", "yolonas_flat") else t
                for value in ODD:
                    part[rng.random(part.shape) < 0.01] = value
    if spread:
        outputs = [np.repeat(t, 2, axis=-1)[..., ::2] if t.ndim > 1 else t for t in outputs]
    units = FORMATS[name].units
    decoder = DetectionDecoder(name, confidence, iou, most, agnostic, boxes=units[unit % len(units)])
    (ours,) = decoder(outputs, [geometry])
    (theirs,) = dataclasses.replace(decoder, engine="reference")(outputs, [geometry])
    for field in ("boxes_xyxy", "scores", "class_ids"):
        a, b = getattr(ours, field), getattr(theirs, field)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes()), field
    height, width = geometry.source_hw
    x1, y1, x2, y2 = ours.boxes_xyxy.T
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)).all()
    assert (ours.scores > confidence).all()
    assert (ours.class_ids >= 0).all()


# ---- Candidates against a plain computation ----


@given(seed=st.integers(0, 2**32), axis=st.sampled_from([0, 1]), weighted=st.booleans())
def test_the_best_class_is_looked_for_where_it_may_count(seed, axis, weighted):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random((40, 6)), 1).astype(np.float32)
    scores[rng.random(scores.shape) < 0.02] = np.nan
    objectness = rng.random(40).astype(np.float32) if weighted else None
    best, classes, anchors = best_classes(scores if axis == 1 else scores.T, 0.4, axis, objectness)
    expected = []
    for k, row in enumerate(scores):
        if np.isnan(row).any():
            continue
        score = row.max() * (objectness[k] if weighted else np.float32(1))
        if score > np.float32(0.4):
            expected.append((k, row.tolist().index(row.max()), score))
    assert list(zip(anchors.tolist(), classes.tolist(), best, strict=True)) == expected


def test_distributions_are_summed_by_hand():
    """One cell at stride 16: column 1, row 2; distances of 1, 0.5, 2 and 1.5 strides."""
    cells = len(cells_of((SIDE, SIDE), (8, 16, 32, 64)))
    head = np.zeros((1, cells, 3 + 32), np.float32)
    at = 64 + 2 * 4 + 1
    head[0, at, 1] = 0.9
    sides = np.full((4, 8), -100.0)
    sides[0, 1] = sides[1, 0] = sides[1, 1] = sides[2, 2] = sides[3, 1] = sides[3, 2] = 5
    head[0, at, 3:] = sides.ravel()
    (found,) = DetectionDecoder("nanodet")([head], [SQUARE])
    # The point is (16, 32): NanoDet-Plus has it at the cell's corner.
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 24, 48, 56]], atol=1e-4)
    ends = np.cumsum([64, 16, 4])
    levels = [*np.split(head[0, :, :3], ends), *np.split(head[0, :, 3:], ends)]
    (found,) = DetectionDecoder("picodet")([v[None] for v in levels], [SQUARE])
    np.testing.assert_allclose(found.boxes_xyxy, [[8, 32, 56, 64]], atol=1e-4)


def test_three_levels_are_read_as_three():
    cells = cells_of((40, 72), (8, 16, 32))
    # What is left at an edge is a cell: 5 × 9, 3 × 5 and 2 × 3.
    assert len(cells) == 45 + 15 + 6
    assert cells[-1].tolist() == [2, 1, 32]
    head = np.zeros((1, len(cells), 34), np.float32)
    assert len(DetectionDecoder("nanodet")([head], [fit((40, 72), (40, 72), "pad")])[0]) == 0


@pytest.mark.parametrize("count", [84, 86])
def test_cells_that_the_input_does_not_have_are_refused(count):
    with pytest.raises(ValueError, match="expected .* cells at strides .* of an input of 64 × 64, got"):
        DetectionDecoder("nanodet")([np.zeros((1, count + (count == 84) * 2, 40), np.float32)], [SQUARE])


# ---- Boxes as NMS sees them ----

# Two pairs: over the left edge by far, and into the padding above the picture of WIDE, whose rows are 24 to 40.
OVER_THE_EDGE = f32([-40, 0, 24, 20], [-40, 0, 10, 20])
IN_THE_PADDING = f32([0, 0, 30, 30], [0, 14, 30, 34])


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("name", "anchors", "geometry", "kept"),
    [
        # IoU 50 / 64, of what lies in the picture 10 / 24.
        ("ssd_anchors", OVER_THE_EDGE, SQUARE, 2),
        ("retinanet_anchors", OVER_THE_EDGE, SQUARE, 2),
        ("efficientdet", OVER_THE_EDGE, SQUARE, 1),
        ("efficientdet_logits", OVER_THE_EDGE, SQUARE, 1),
        # IoU 16 / 34, of what lies in the picture 6 / 10.
        ("ssd_anchors", IN_THE_PADDING, WIDE, 1),
        ("retinanet_anchors", IN_THE_PADDING, WIDE, 1),
        ("efficientdet", IN_THE_PADDING, WIDE, 2),
    ],
)
def test_what_two_boxes_share_beyond_the_picture_counts_as_the_tool_has_it(name, anchors, geometry, kept, engine):
    """torchvision's postprocess_detections cuts to the picture before NMS, TensorFlow's EfficientDet after it."""
    scores = f32([0, 3], [0, 2]) if name == "ssd_anchors" else f32([0.9], [0.8])
    decoder = DetectionDecoder(name, iou=0.5, anchors_xyxy=anchors, engine=engine)
    found = decoder([np.zeros((1, 2, 4), np.float32), scores[None]], [geometry])[0]
    assert len(found) == kept
    np.testing.assert_allclose(found.boxes_xyxy, geometry.to_image(anchors[:kept]), atol=1e-4)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_nanodet_cuts_boxes_to_the_input(engine):
    """Points (8, 8) and (16, 8): -48 to 24 and -40 to 16 in x share 56 / 72, of which 16 / 24 lie in the input."""
    cells = len(cells_of((SIDE, SIDE), (8, 16, 32)))
    head = np.zeros((1, cells, 1 + 32), np.float32)
    for cell, score, bins in ((9, 0.9, (7, 1, 2, 1)), (10, 0.8, (7, 1, 0, 1))):
        head[0, cell, 0] = score
        head[0, cell, 1 + 8 * np.arange(4) + bins] = 90
    found = DetectionDecoder("nanodet", iou=0.7, engine=engine)([head], [SQUARE])[0]
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 24, 16], [0, 0, 16, 16]], atol=1e-4)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_an_infinite_box_is_none_however_it_is_cut(engine):
    offsets = f32([0, 0, 500, 500], [np.nan, 0, 0, 0], [0, np.inf, 0, 0])[None]
    decoder = DetectionDecoder("retinanet_anchors", anchors_xyxy=f32(*[[8, 8, 24, 24]] * 3), engine=engine)
    assert len(decoder([offsets, np.full((1, 3, 1), 5, np.float32)], [SQUARE])[0]) == 0


def test_a_class_below_zero_is_filling():
    rows = f32((-1, 0.9, 1, 1, 9, 9), (2, 0.8, 20, 20, 30, 30))
    assert DetectionDecoder("paddle")([rows, np.array([2])], [SQUARE])[0].class_ids.tolist() == [2]
    nothing = [f32((-1, -1, -1, -1, -1, -1)), np.array([0])]
    assert len(DetectionDecoder("paddle")(nothing, [SQUARE])[0]) == 0


# ---- The unit of boxes ----


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("unit", "box", "expected"),
    [
        # 32 × 128 pixels fill the input's width; 24 rows of padding lie above and below.
        ("pixels", (16, 28, 32, 36), (32, 8, 64, 24)),
        ("fractions", (0.25, 28 / 64, 0.5, 36 / 64), (32, 8, 64, 24)),
        ("source", (32, 8, 64, 24), (32, 8, 64, 24)),
        ("source", (100, 8, 150, 60), (100, 8, 128, 32)),
    ],
)
@pytest.mark.parametrize("name", ["nms_tensors", "end_to_end", "detections_flat"])
def test_boxes_count_what_the_plan_says(name, unit, box, expected, engine):
    rows = f32((*box, 0.9, 1))
    outputs = {
        "nms_tensors": [rows[None, :, :4], rows[None, :, 4], rows[None, :, 5]],
        "end_to_end": [rows[None]],
        "detections_flat": [rows],
    }[name]
    (found,) = DetectionDecoder(name, boxes=unit, engine=engine)(outputs, [WIDE])
    np.testing.assert_allclose(found.boxes_xyxy, [expected], atol=1e-4)


@pytest.mark.parametrize(("name", "unit"), [("yolov8", "source"), ("yolonas", "fractions"), ("rtdetr", "pixels")])
def test_a_unit_that_the_format_does_not_have_is_refused(name, unit):
    with pytest.raises(ValueError, match="boxes"):
        DetectionDecoder(name, boxes=unit)


@pytest.mark.parametrize("name", ["yolov8", "yolov5", "end_to_end"])
def test_candidates_picked_in_numpy_are_those_of_the_native_format(name):
    """Fractions go through NumPy, pixels through C++: at a side that is a power of two both give the same bits."""
    rng = np.random.default_rng(4)
    boxes, scores = np.round(rng.uniform(8, 24, (200, 4)) * 8) / 8, rng.random((200, 5))
    boxes[:, 2:] += 8 if name == "end_to_end" else 0
    head = {
        "yolov8": np.concatenate([boxes, scores], axis=1).T,
        "yolov5": np.concatenate([boxes, rng.random((200, 1)), scores], axis=1),
        "end_to_end": np.column_stack([boxes, scores[:, 0], rng.integers(0, 5, 200)]),
    }[name].astype(np.float32)
    small = head.copy()
    (small if name != "yolov8" else small.T)[:, :4] /= SIDE
    (whole,), (parts,) = (
        DetectionDecoder(name)([head[None]], [WIDE]), DetectionDecoder(name, boxes="fractions")([small[None]], [WIDE])
    )  # fmt: skip
    assert len(whole) > 5
    for field in ("boxes_xyxy", "scores", "class_ids"):
        np.testing.assert_array_equal(getattr(whole, field), getattr(parts, field))


# ---- Whose rows ----


def rows_of(name, outputs, images):
    return [[t.tolist() for t in own] for own in image_rows(name, outputs, images)]


def test_rows_go_to_the_image_that_they_name():
    rows = np.zeros((4, 7), np.float32)
    rows[:, 0], rows[:, 1] = [1, 0, 1, -1], [10, 20, 30, 40]
    # As many rows as images: no row is taken for its image's.
    found = image_rows("yolov7_end_to_end", [rows], 4)
    assert [own[0][:, 1].tolist() for own in found] == [[20], [10, 30], [], []]
    assert [len(own[0]) for own in image_rows("yolov7_end_to_end", [rows[:0]], 2)] == [0, 0]


@pytest.mark.parametrize("number", [2, 0.5, -2, np.nan, np.inf])
def test_a_row_of_an_image_that_is_not_there_is_refused(number):
    rows = np.zeros((1, 7), np.float32)
    rows[0, 0] = number
    with pytest.raises(ValueError, match="'yolonas_flat': expected the image's number from 0 to 1 in column 0"):
        image_rows("yolonas_flat", [rows], 2)


def test_counts_say_whose_rows_they_are():
    rows = np.arange(18, dtype=np.float32).reshape(3, 6)
    found = image_rows("paddle", [rows, np.array([1, 0, 2], np.int32)], 3)
    assert [own[0][:, 0].tolist() for own in found] == [[0], [], [6, 12]]


@pytest.mark.parametrize(
    ("name", "shapes", "values", "images", "said"),
    [
        ("paddle", [(3, 6), (2,)], [1, 1], 2, "as many rows as the counts add up to, 2, got 3"),
        ("paddle", [(3, 6), (2,)], [4, -1], 2, "as many rows as the counts add up to"),
        ("paddle", [(3, 6), (1,)], [3], 2, r"expected outputs for 2 images, got counts of 1"),
        ("paddle", [(3, 6)], None, 2, "expected one image, because nothing in its outputs says which rows are whose, got 2"),
        ("nms_tensors", [(2, 3, 4), (2, 3), (2, 3), (2,)], [1, 4], 2, "expected a count of detections from 0 to 3, got 4"),
        ("nms_tensors", [(3, 4), (3,), (3,)], None, 2, "run it at batch 1"),
        ("nms_tensors", [(2, 3, 4), (2, 3), (2, 3)], None, 3, r"expected outputs for 3 images"),
        ("detections_flat", [(2, 6)], None, 2, r"\(matrix.batch_sizes: \[1\]\)"),
        ("nms_tensors", [(1, 3, 4), (1, 2), (1, 3)], None, 1, "expected boxes"),
        ("mmdet", [(1, 3, 4), (1, 3)], None, 1, "expected dets"),
        ("ppyoloe", [(1, 3, 4), (1, 3, 9)], None, 1, "and scores"),
        ("yolov7_end_to_end", [(1, 3, 7)], None, 1, "expected one tensor"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_told_apart_are_refused_by_name(name, shapes, values, images, said):
    outputs = [np.zeros(s, np.float32) for s in shapes]
    if values is not None:
        outputs[-1] = np.array(values)
    with pytest.raises(ValueError, match=rf"format '{name}': .*{said}"):
        image_rows(name, outputs, images)


@pytest.mark.parametrize(
    ("tensors", "shapes", "fits"),
    [
        (("B N 4", "B N"), [(2, 9, 4), (2, 9)], True),
        (("B N 4", "B N"), [(2, 9, 4), (2, 8)], False),
        (("B N 4", "B N"), [("batch", "n", None), (2, 9)], True),
        (("B N 4", "B N"), [(2, 9, 4)], False),
        (("B N 4", "B C N"), [(1, 9, 4), (1, 0, 9)], False),
        (("M 6",), [(0, 6)], True),
    ],
)
def test_shapes_fit_or_not(tensors, shapes, fits):
    assert Shapes(tensors).fit(shapes) is fits


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.randoms())
def test_no_row_is_lost_or_given_twice(counts, random):
    """By their image's number in any order, and by counts in order: each image gets its own rows, in order."""
    images = [k for k, count in enumerate(counts) for _ in range(count)]
    numbers = np.arange(len(images))
    expected = [[n for n, k in zip(numbers, images, strict=True) if k == own] for own in range(len(counts))]
    by_counts = Shapes(("M 6", "B"), COUNTS).images(
        [np.repeat(numbers[:, None], 6, axis=1), np.array(counts)], len(counts)
    )
    assert [own[0][:, 0].tolist() for own in by_counts] == expected
    order = list(range(len(images)))
    random.shuffle(order)
    rows = np.array([(images[n], n) for n in order]).reshape(-1, 2)
    by_column = Shapes(("M 7",), COLUMN).images([rows], len(counts))
    assert [sorted(own[0][:, 1].tolist()) for own in by_column] == expected


def test_a_list_without_a_batch_is_one_images():
    assert Shapes(("M 6",), NOTHING).images([np.zeros((3, 6))], 1)[0][0].shape == (3, 6)


def test_the_geometry_of_source_pixels_is_the_pictures_own():
    """A crop or a padding of the input is nothing to boxes of the picture."""
    cropped = Geometry((100, 200), (64, 128), (64, 64), -32, 0)
    (found,) = DetectionDecoder("paddle")([f32((1, 0.9, 0, 10, 190, 90)), np.array([1])], [cropped])
    np.testing.assert_array_equal(found.boxes_xyxy, [[0, 10, 190, 90]])


def test_encoders_know_every_layout():
    assert set(detector_tensors.ENCODERS) == set(CHOSEN)
