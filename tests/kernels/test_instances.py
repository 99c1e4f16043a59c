"""Masks from coefficients and prototypes: native against its twin, against another computation, and what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kernels.detection_formats import EXTENDED
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.instances import InstanceDecoder
from seatrial.kernels.postprocess import DetectionDecoder
from seatrial.kernels.reference_masks import instance_mask

SIDE, K = 64, 5


def head(rng, form, count, classes=3, extra=K):
    """A head of one image with boxes all over the input."""
    corner = rng.uniform(-8, SIDE - 8, (count, 2))
    size = rng.uniform(2, SIDE / 2, (count, 2))
    scores = rng.uniform(0, 1, (count, classes))
    behind = rng.normal(0, 1, (count, extra))
    centred = np.concatenate([corner + size / 2, size], axis=1)
    if form == "end_to_end":
        rows = [corner, corner + size, scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None], behind]
    else:
        rows = [centred, *([np.ones((count, 1))] if form == "yolov5" else []), scores, behind]
    whole = np.concatenate(rows, axis=1).astype(np.float32)[None]
    return whole.transpose(0, 2, 1) if form == "yolov8" else whole


def both(decoder, outputs, geometries):
    """Native results, equal to the twin's."""
    native = decoder(outputs, geometries)
    twins = dataclasses.replace(decoder, engine="reference")(outputs, geometries)
    for a, b in zip(native, twins, strict=True):
        for name, value in vars(a).items():
            np.testing.assert_array_equal(value, getattr(b, name), err_msg=name)
            assert value.dtype == getattr(b, name).dtype
    return native


ways = st.tuples(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["letterbox", "stretch", "resize_center_crop"]),
    st.sampled_from(["center", "top_left"]),
)


@given(
    st.sampled_from(["yolov8", "yolov5", "end_to_end"]),
    ways,
    st.integers(0, 30),
    st.integers(1, 20),
    st.integers(0, 2**31),
)
def test_native_masks_are_those_of_the_twin(form, way, count, cells, seed):
    rng = np.random.default_rng(seed)
    height, width, mode, anchor = way
    geometry = fit((height, width), (SIDE, SIDE), mode, anchor)
    prototypes = rng.normal(0, 1, (1, K, cells, rng.integers(1, 20))).astype(np.float32)
    decoder = InstanceDecoder(form, confidence=0.3, iou=0.6)
    (found,) = both(decoder, [head(rng, form, count), prototypes], [geometry])
    for k in range(len(found)):
        assert found.mask(k).shape == (height, width)


def test_a_mask_is_that_of_another_computation():
    """Sums at cells, drawn out by np.interp along each axis in float64: equal wherever the value is not next to nothing."""
    rng = np.random.default_rng(3)
    geometry = fit((75, 50), (SIDE, SIDE), "letterbox")
    prototypes = rng.normal(0, 1, (1, K, 16, 16)).astype(np.float32)
    outputs = [head(rng, "yolov8", 40), prototypes]
    (found,) = both(InstanceDecoder("yolov8", confidence=0.3), outputs, [geometry])
    plain, anchors = DetectionDecoder("yolov8", confidence=0.3).found([outputs[0][0]], geometry, K)
    assert len(found) == len(anchors) > 5
    np.testing.assert_array_equal(found.boxes_xyxy, plain.boxes_xyxy)
    centres = (np.arange(16) + 0.5) * 4
    seen = 0
    for k, anchor in enumerate(anchors):
        sums = np.tensordot(outputs[0][0, -K:, anchor].astype(float), prototypes[0].astype(float), 1)
        # Cells whose centres lie in the padding left and right are nothing of the picture.
        inside = (centres >= geometry.offset_x) & (centres < geometry.offset_x + geometry.resized_hw[1])
        x = (np.arange(50) + 0.5) * geometry.scale_x + geometry.offset_x
        y = (np.arange(75) + 0.5) * geometry.scale_y + geometry.offset_y
        across = np.array([np.interp(x, centres[inside], row[inside]) for row in sums])
        values = np.array([np.interp(y, centres, column) for column in across.T]).T
        x0, y0, x1, y1 = found.boxes_xyxy[k]
        columns, rows = np.arange(50), np.arange(75)
        box = ((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))
        clear = np.abs(values) > 1e-5
        np.testing.assert_array_equal(found.mask(k)[clear], ((values > 0) & box)[clear])
        seen += int(found.mask(k).sum())
    assert seen > 100


@given(st.sampled_from(["rtdetr", "detr"]), ways, st.integers(0, 2**31))
def test_a_query_keeps_its_own_mask(form, way, seed):
    """Each as from its map alone, over the whole picture; a query that offers two classes has it twice."""
    rng = np.random.default_rng(seed)
    height, width, mode, anchor = way
    geometry = fit((height, width), (SIDE, SIDE), mode, anchor)
    boxes = rng.uniform(0.2, 0.8, (1, 6, 4)).astype(np.float32)
    logits, masks = rng.normal(0, 2, (1, 6, 3)).astype(np.float32), rng.normal(0, 1, (1, 6, 9, 9)).astype(np.float32)
    decoder = InstanceDecoder(form, confidence=0.3)
    (found,) = both(decoder, [boxes, logits, masks], [geometry])
    _, queries = DetectionDecoder(form, confidence=0.3).found([boxes[0], logits[0]], geometry)
    whole = np.array([0, 0, width, height], np.float32)
    for k, q in enumerate(queries.tolist()):
        expected, _ = instance_mask(np.ones(1, np.float32), masks[0, q : q + 1], whole, geometry)
        np.testing.assert_array_equal(found.mask(k), expected)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ([(1, 6, 4), (1, 6, 3)], r"expected one output of masks \(B, queries, height, width\)"),
        (
            [(1, 6, 4), (1, 6, 3), (1, 5, 9, 9)],
            r"expected one a query, 6 of them, got an output of shape \(1, 5, 9, 9\)",
        ),
        ([(1, 6, 4), (1, 6, 9, 9)], "format 'rtdetr': expected boxes"),
    ],
)
def test_masks_of_queries_that_cannot_be_are_named(shapes, said):
    with pytest.raises(ValueError, match=said):
        InstanceDecoder("rtdetr")([np.zeros(s, np.float32) for s in shapes], [fit((8, 8), (SIDE, SIDE), "stretch")])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 3e38])
def test_odd_numbers_in_coefficients_and_prototypes(odd):
    rng = np.random.default_rng(0)
    outputs = [head(rng, "yolov8", 30), rng.normal(0, 1, (1, K, 16, 16)).astype(np.float32)]
    outputs[0][0, -K:, ::3] = odd
    outputs[1][0, 1, ::5] = odd
    (found,) = both(InstanceDecoder("yolov8", confidence=0.3), outputs, [fit((40, 60), (SIDE, SIDE), "letterbox")])
    assert len(found)


def test_rows_of_a_batch_keep_their_own_prototypes():
    rng = np.random.default_rng(1)
    heads = [head(rng, "yolov8", 20) for _ in range(3)]
    prototypes = rng.normal(0, 1, (3, K, 16, 16)).astype(np.float32)
    geometries = [fit(hw, (SIDE, SIDE), "letterbox") for hw in ((40, 60), (64, 64), (90, 30))]
    decoder = InstanceDecoder("yolov8", confidence=0.3)
    together = both(decoder, [np.concatenate(heads), prototypes], geometries)
    for k in range(3):
        (alone,) = decoder([prototypes[k : k + 1], heads[k]], geometries[k : k + 1])
        for name, value in vars(alone).items():
            np.testing.assert_array_equal(value, getattr(together[k], name))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_read_as_float32(dtype):
    rng = np.random.default_rng(2)
    outputs = [head(rng, "yolov5", 20).astype(dtype), rng.normal(0, 1, (1, K, 8, 8)).astype(dtype)]
    geometry = fit((40, 60), (SIDE, SIDE), "letterbox")
    decoder = InstanceDecoder("yolov5", confidence=0.3)
    (found,) = both(decoder, outputs, [geometry])
    (plain,) = decoder([o.astype(np.float32) for o in outputs], [geometry])
    np.testing.assert_array_equal(found.runs, plain.runs)


@pytest.mark.parametrize("form", EXTENDED)
@pytest.mark.parametrize("count", [0, 1])
def test_nothing_found_is_no_mask(form, count):
    rng = np.random.default_rng(0)
    name = {"yolo11": "yolov8", "yolov10": "end_to_end", "yolo26": "end_to_end"}.get(form, form)
    outputs = [head(rng, name, count) * 0, np.ones((1, K, 4, 4), np.float32)]
    (found,) = both(InstanceDecoder(form), outputs, [Geometry((7, 9), (SIDE, SIDE), (SIDE, SIDE), 0, 0)])
    assert (len(found), found.runs.size, found.run_starts.tolist(), found.source_hw.tolist()) == (0, 0, [0], [7, 9])


def test_a_mask_without_a_pixel_is_one_run():
    """The box lies between two centres; the object is found all the same."""
    rows = np.zeros((1, 6 + K), np.float32)
    rows[0, :6] = [10.2, 10.2, 10.7, 10.7, 0.9, 1]
    (found,) = both(
        InstanceDecoder("end_to_end"),
        [rows[None], np.ones((1, K, 4, 4), np.float32)],
        [fit((SIDE, SIDE), (SIDE, SIDE), "stretch")],
    )
    assert (found.runs.tolist(), found.mask(0).any()) == ([SIDE * SIDE], np.False_)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            [(1, 12, 84)],
            r"expected one output of prototypes \(B, K, height, width\), got outputs of shape \(1, 12, 84\)",
        ),
        ([(1, 12, 84), (1, 5, 8, 8), (1, 5, 8, 8)], "expected one output of prototypes"),
        (
            [(1, 12, 84), (1, 8, 8, 8)],
            r"expected one tensor \(B, 4 \+ classes \+ 8, anchors\), the last 8 coefficients",
        ),
        ([(1, 12, 84), (1, 12, 84), (1, 5, 8, 8)], r"expected one tensor \(B, 4 \+ classes \+ 5"),
        ([(1, 12, 84), (1, 5, 0, 8)], "expected one output of prototypes"),
        ([(2, 12, 84), (1, 5, 8, 8)], r"expected outputs for 1 image"),
    ],
)
def test_shapes_that_cannot_be_are_named(shapes, said):
    with pytest.raises(ValueError, match=said):
        InstanceDecoder("yolov8")([np.zeros(s, np.float32) for s in shapes], [fit((8, 8), (SIDE, SIDE), "stretch")])


def test_formats_without_room_for_coefficients_are_refused():
    with pytest.raises(ValueError, match="format: expected one of yolov8, .*, got 'ssd'"):
        InstanceDecoder("ssd")


def test_a_pixel_is_set_where_its_sum_is_above_nothing_not_at_it():
    geometry = fit((4, 4), (4, 4), "stretch")
    bits, at = instance_mask(
        np.ones(1, np.float32), np.zeros((1, 2, 2), np.float32), np.array([0, 0, 4, 4], np.float32), geometry
    )
    assert (bits.any(), at) == (np.False_, (0, 0))
