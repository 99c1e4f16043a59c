"""Every detector format from tensors made by its own definition, and what never gets through."""

import detector_tensors
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seatrial.errors import count_of
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import DetectionDecoder

SIDE = 64
SQUARE = fit((SIDE, SIDE), (SIDE, SIDE), "stretch")
# x1, y1, x2, y2 in input pixels, score, class; none overlaps another.
OBJECTS = [((8, 8, 24, 24), 0.9, 1), ((40, 8, 56, 40), 0.8, 0), ((10, 40, 30, 60), 0.7, 2)]


def f32(*rows):
    return np.array(rows, np.float32)


def centred(box):
    x1, y1, x2, y2 = box
    return [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]


def one_hot(score, label, classes=5):
    return [score if k == label else 0.0 for k in range(classes)]


def yolov8(objects):
    return [f32(*[[*centred(b), *one_hot(s, c)] for b, s, c in objects]).T[None]]


def yolov5(objects):
    return [f32(*[[*centred(b), 0.95, *one_hot(s / 0.95, c)] for b, s, c in objects])[None]]


def yolox(objects):
    """Each object at the anchor that has its index, one after another over the levels of stride 8, 16 and 32."""
    anchors = [(x, y, s) for s in (8, 16, 32) for y in range(SIDE // s) for x in range(SIDE // s)]
    head = np.zeros((1, len(anchors), 10), np.float32)
    for at, (box, score, label) in zip((3, 70, 83), objects, strict=False):
        (x, y, stride), (cx, cy, w, h) = anchors[at], centred(box)
        head[0, at] = [
            cx / stride - x, cy / stride - y, np.log(w / stride), np.log(h / stride), 0.95, *one_hot(score / 0.95, label)
        ]  # fmt: skip
    return [head]


def end_to_end(objects):
    return [f32(*[[*b, s, c] for b, s, c in objects])[None]]


def ssd(objects):
    return [f32(*[b for b, _, _ in objects])[None] / SIDE, f32(*[[1 - s, *one_hot(s, c)] for _, s, c in objects])[None]]


def detr(objects):
    probabilities = f32(*[[*one_hot(s, c), 1 - s] for _, s, c in objects]) + np.float32(1e-9)
    return [f32(*[centred(b) for b, _, _ in objects])[None] / SIDE, np.log(probabilities)[None] + np.float32(3)]


def rtdetr(objects):
    probabilities = np.clip(f32(*[one_hot(s, c) for _, s, c in objects]), 1e-6, None)
    boxes = f32(*[centred(b) for b, _, _ in objects])[None] / SIDE
    return [boxes, np.log(probabilities / (1 - probabilities))[None]]


ENCODERS = {
    "yolov8": yolov8, "yolo11": yolov8, "yolov5": yolov5, "yolox": yolox, "end_to_end": end_to_end,
    "yolov10": end_to_end, "yolo26": end_to_end, "ssd": ssd, "detr": detr, "rtdetr": rtdetr, "yolox_decoded": yolov5,
    **detector_tensors.ENCODERS,
}  # fmt: skip
every_format = pytest.mark.parametrize("name", ENCODERS)


def decode(name, outputs, geometry=SQUARE, **settings):
    settings = {"boxes": detector_tensors.UNITS.get(name)} | settings
    return DetectionDecoder(name, **settings)(outputs, [geometry])[0]


def assert_found(found, objects, atol=1e-4):
    np.testing.assert_allclose(found.boxes_xyxy, np.array([o[0] for o in objects]).reshape(-1, 4), atol=atol)
    np.testing.assert_allclose(found.scores, [o[1] for o in objects], atol=1e-5)
    assert found.class_ids.tolist() == [o[2] for o in objects]
    assert [a.dtype for a in (found.boxes_xyxy, found.scores, found.class_ids)] == [np.float32, np.float32, np.int64]


@every_format
def test_objects_come_out_as_they_went_in(name):
    assert_found(decode(name, ENCODERS[name](OBJECTS)), OBJECTS)


@every_format
def test_best_first(name):
    assert_found(decode(name, ENCODERS[name](OBJECTS[::-1])), OBJECTS)


@every_format
def test_boxes_go_to_source_pixels(name):
    # A source of 128 × 256 fills the input's width; 16 rows of padding lie above and below it.
    geometry = fit((128, 256), (SIDE, SIDE), "letterbox")
    expected = [((32, 0, 96, 32), 0.9, 1), ((160, 0, 224, 96), 0.8, 0), ((40, 96, 120, 128), 0.7, 2)]
    assert_found(decode(name, ENCODERS[name](OBJECTS), geometry), expected, atol=1e-3)


@every_format
@pytest.mark.parametrize(("confidence", "count"), [(0.0, 3), (0.75, 2), (0.85, 1), (0.95, 0), (1.0, 0)])
def test_only_above_the_confidence(name, confidence, count):
    found = decode(name, ENCODERS[name](OBJECTS), confidence=max(confidence, 1e-5))
    assert_found(found, OBJECTS[:count])


@every_format
@pytest.mark.parametrize("most", [1, 2, 3, 1000])
def test_the_best_max_detections(name, most):
    assert_found(decode(name, ENCODERS[name](OBJECTS), max_detections=most), OBJECTS[:most])


@every_format
def test_overlaps_go_where_the_format_needs_nms(name):
    twins = [((8, 8, 24, 24), 0.9, 1), ((9, 8, 25, 24), 0.8, 1)]
    assert_found(decode(name, ENCODERS[name](twins)), twins[:1] if FORMATS[name].needs_nms else twins)


@every_format
@pytest.mark.parametrize(("agnostic", "count"), [(False, 2), (True, 1)])
def test_other_classes_are_suppressed_only_when_agnostic(name, agnostic, count):
    twins = [((8, 8, 24, 24), 0.9, 1), ((9, 8, 25, 24), 0.8, 2)]
    found = decode(name, ENCODERS[name](twins), class_agnostic=agnostic)
    assert_found(found, twins[:count] if FORMATS[name].needs_nms else twins)


@every_format
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_read(name, dtype):
    found = decode(name, [o.astype(dtype) for o in ENCODERS[name](OBJECTS)])
    np.testing.assert_allclose(found.boxes_xyxy, [o[0] for o in OBJECTS], atol=0.1)
    assert found.class_ids.tolist() == [1, 0, 2]


@every_format
def test_images_of_a_batch_do_not_mix(name):
    pair = [np.concatenate(o) for o in zip(ENCODERS[name](OBJECTS), ENCODERS[name](OBJECTS[::-1]), strict=True)]
    if name in detector_tensors.ENCODERS:
        pair = detector_tensors.two_images(name, OBJECTS, OBJECTS[::-1])
    big = fit((2 * SIDE, 2 * SIDE), (SIDE, SIDE), "stretch")
    decoder = DetectionDecoder(name, boxes=detector_tensors.UNITS.get(name))
    if name == "detections_flat":
        with pytest.raises(ValueError, match="expected one image.*batch_sizes"):
            decoder(pair, [SQUARE, big])
        return
    first, second = decoder(pair, [SQUARE, big])
    assert_found(first, OBJECTS)
    assert_found(second, [(tuple(2 * v for v in b), s, c) for b, s, c in OBJECTS], atol=1e-3)


@pytest.mark.parametrize("name", ["ssd", "detr", "rtdetr"])
def test_the_order_of_two_outputs_does_not_matter(name):
    assert_found(decode(name, ENCODERS[name](OBJECTS)[::-1]), OBJECTS)


def test_two_outputs_of_width_four_are_taken_in_order():
    boxes, scores = f32((0, 0, 0.5, 0.5))[None], f32((0.1, 0.2, 0.8, 0.3))[None]
    assert_found(decode("ssd", [boxes, scores]), [((0, 0, 32, 32), 0.8, 1)])


@pytest.mark.parametrize("name", ["ssd", "detr", "rtdetr"])
def test_fractions_are_of_width_and_height(name):
    half = ((SIDE / 2, SIDE / 4, SIDE, SIDE / 2), 0.9, 1)
    found = decode(name, ENCODERS[name]([half]), fit((20, 100), (20, 100), "pad"))
    assert_found(found, [((50, 5, 100, 10), 0.9, 1)])


def test_yolox_counts_its_grid_row_by_row():
    head = np.zeros((1, 42, 6), np.float32)  # 4 × 8, 2 × 4 and 1 × 2 anchors in 32 × 64 pixels
    head[0, [8 + 2, 32 + 4 + 3, 40 + 1]] = [(0.5, 0.5, 0, 0, 1, score) for score in (0.9, 0.8, 0.7)]
    expected = [((16, 8, 24, 16), 0.9, 0), ((48, 16, 64, 32), 0.8, 0), ((32, 0, 64, 32), 0.7, 0)]
    assert_found(decode("yolox", [head], fit((32, 64), (32, 64), "pad")), expected)


def test_a_query_of_rtdetr_may_name_two_classes():
    logits = f32((np.log(0.8 / 0.2), -9, np.log(0.6 / 0.4)))[None]
    box = (16, 16, 48, 48)
    assert_found(decode("rtdetr", [f32((0.5, 0.5, 0.5, 0.5))[None], logits]), [(box, 0.8, 0), (box, 0.6, 2)])


def test_no_object_is_never_a_class():
    assert len(decode("detr", [f32((0.5, 0.5, 0.5, 0.5))[None], f32((0, 0, 9))[None]], confidence=0.01)) == 0
    assert_found(decode("ssd", [f32((0, 0, 1, 1))[None], f32((0.9, 0.3))[None]]), [((0, 0, 64, 64), 0.3, 0)])


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("yolov8", [(1, 6, 0)]), ("yolov5", [(1, 0, 7)]), ("end_to_end", [(1, 0, 6)]), ("ssd", [(1, 0, 4), (1, 0, 3)]),
        ("detr", [(1, 0, 4), (1, 0, 3)]), ("rtdetr", [(1, 0, 4), (1, 0, 3)]), ("yolox", [(1, 84, 7)]),
    ],
)  # fmt: skip
def test_nothing_found_is_empty(name, shapes):
    assert_found(decode(name, [np.zeros(s, np.float32) for s in shapes], confidence=0.5), [])


@every_format
def test_no_images_no_results(name):
    if name == "detections_flat":
        return  # of no image
    assert DetectionDecoder(name)([o[:0] for o in ENCODERS[name](OBJECTS)], []) == []


@pytest.mark.parametrize("score", [np.nan, -np.inf, -1.0, 0.25])
def test_a_score_that_is_not_above_never_counts(score):
    assert_found(
        decode("end_to_end", [f32((1, 1, 9, 9, score, 0), (2, 2, 9, 9, 0.5, 1))[None]]), [((2, 2, 9, 9), 0.5, 1)]
    )


def test_an_infinite_score_is_the_best():
    rows = f32((1, 1, 9, 9, 0.9, 0), (20, 20, 30, 30, np.inf, 1))[None]
    assert decode("end_to_end", [rows]).class_ids.tolist() == [1, 0]


@pytest.mark.parametrize("label", [np.nan, np.inf, -np.inf])
def test_a_class_that_is_no_number_never_counts(label):
    assert len(decode("end_to_end", [f32((1, 1, 9, 9, 0.9, label))[None]])) == 0


@pytest.mark.parametrize(
    "box",
    [
        (5, 5, 5, 9), (5, 5, 9, 5), (9, 5, 5, 9), (5, 9, 9, 5), (np.nan, 5, 9, 9), (5, 5, np.inf, 9), (-np.inf, 5, 9, 9),
        (-9, 5, -1, 9), (64, 5, 70, 9), (5, 64, 9, 70),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["end_to_end", "ssd"])
def test_a_box_without_area_in_the_image_is_dropped(name, box):
    assert_found(decode(name, ENCODERS[name]([(box, 0.9, 1), ((1, 2, 3, 4), 0.5, 2)])), [((1, 2, 3, 4), 0.5, 2)])


def test_a_box_is_clipped_to_the_image():
    assert_found(decode("end_to_end", end_to_end([((-5, -6, 70, 80), 0.5, 1)])), [((0, 0, 64, 64), 0.5, 1)])


SHAPES = {
    "yolov8": [(1, 7, 3)], "yolov5": [(1, 3, 8)], "yolox": [(1, 84, 7)], "end_to_end": [(1, 3, 6)],
    "ssd": [(1, 3, 4), (1, 3, 3)], "detr": [(1, 3, 4), (1, 3, 3)], "rtdetr": [(1, 3, 4), (1, 3, 3)],
}  # fmt: skip


@given(st.data(), st.sampled_from(sorted(SHAPES)), st.booleans())
def test_no_tensor_breaks_the_rules(data, name, agnostic):
    values = st.floats(width=32) | st.floats(-80, 80, width=32) | st.sampled_from([0.5, 1, np.inf, -np.inf, np.nan])
    outputs = [data.draw(hnp.arrays(np.float32, s, elements=values, fill=values)) for s in SHAPES[name]]
    found = decode(name, outputs, fit((30, 50), (SIDE, SIDE), "letterbox"), class_agnostic=agnostic)
    x1, y1, x2, y2 = found.boxes_xyxy.T
    assert ((x1 >= 0) & (x1 < x2) & (x2 <= 50) & (y1 >= 0) & (y1 < y2) & (y2 <= 30)).all()
    assert (found.scores > 0.25).all()
    assert (found.scores[1:] <= found.scores[:-1]).all()


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("yolov8", []), ("yolov8", [(1, 4, 10)]), ("yolov8", [(6, 10)]), ("yolov8", [(1, 6, 10), (1, 6, 10)]),
        ("yolo11", [(1, 4, 10)]), ("yolov5", [(1, 10, 5)]), ("yolox", [(1, 84, 5)]), ("yolov5", [(1, 3, 10, 10, 85)]),
        ("end_to_end", [(1, 10, 7)]), ("yolov10", [(1, 10, 5)]), ("ssd", [(1, 10, 4)]), ("ssd", [(1, 10, 5), (1, 10, 3)]),
        ("detr", [(1, 10, 4), (1, 9, 3)]), ("rtdetr", [(1, 10, 4), (2, 10, 3)]), ("detr", [(1, 10, 4), (1, 10, 0)]),
        ("rtdetr", [(1, 10, 4), (1, 10, 0)]), ("detr", [(1, 9, 4), (1, 9, 3), (1, 9, 3)]),
    ],
    ids=str,
)  # fmt: skip
def test_another_shape_is_refused(name, shapes):
    with pytest.raises(ValueError) as e:
        decode(name, [np.zeros(s, np.float32) for s in shapes])
    came = ", ".join(map(str, shapes)) or "none"
    expected = f"expected {FORMATS[name].outputs}, got {count_of(len(shapes), 'output')} of shape {came}"
    assert str(e.value) == f"format '{name}': {expected}"


NO_CLASS = r"expected scores of at least one class beside background or 'no object', got 1 column"


@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        ("yolox", [(1, 85, 7)], "yolox: expected 84 anchors for an input of 64 × 64, got 85"),
        ("ssd", [(1, 9, 4), (1, 9, 1)], NO_CLASS),
        ("detr", [(1, 9, 4), (1, 9, 1)], NO_CLASS),
        ("yolov8", [(2, 6, 10)], r"expected outputs for 1 image, got a tensor of shape \(2, 6, 10\)"),
    ],
)
def test_a_shape_against_its_image_is_refused(name, shapes, message):
    with pytest.raises(ValueError, match=message):
        decode(name, [np.zeros(s, np.float32) for s in shapes])
