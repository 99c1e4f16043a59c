"""Native postprocessing at every SIMD level: bit for bit engine="reference", and other people's code."""

import dataclasses
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from seatrial._native import kernels
from seatrial.kernels import reference
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.segmentation import SegmentationDecoder

ODD_FLOATS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, -3e38, 1e-40)
SQUARE = fit((64, 64), (64, 64), "stretch")
# Formats that C++ reads itself; of others it gets candidates (test_detection_layouts.py).
NATIVE = sorted(name for name, f in FORMATS.items() if f.decode)
every_format = pytest.mark.parametrize("name", sorted({f.name for f in FORMATS.values() if f.decode}))


@pytest.fixture(params=kernels.simd_levels(), scope="module", autouse=True)
def simd(request):
    before = kernels.simd_level()
    kernels.select_simd(request.param)
    yield request.param
    kernels.select_simd(before)


def f32(*rows):
    return np.array(rows, np.float32)


def by_reference(decoder, outputs, geometries):
    return dataclasses.replace(decoder, engine="reference")(outputs, geometries)


def assert_same_bits(got, expected):
    """Every array of each result: dtype, shape, bits. A NaN is a NaN, whatever its sign."""
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected, strict=True):
        for field in dataclasses.fields(theirs):
            a, b = getattr(ours, field.name), getattr(theirs, field.name)
            assert (a.dtype, a.shape) == (b.dtype, b.shape), field.name
            if a.tobytes() != b.tobytes():
                np.testing.assert_array_equal(a, b, err_msg=field.name)
                np.testing.assert_array_equal(np.signbit(a) & (a == a), np.signbit(b) & (b == b), err_msg=field.name)


def assert_as_reference(decoder, outputs, geometries):
    expected = by_reference(decoder, outputs, geometries)
    assert_same_bits(decoder(outputs, geometries), expected)
    return expected


# ---- Detections against engine="reference" ----


def made(name, anchors, classes, input_hw, rng, batch=1, boxes="random"):
    """Outputs of a format for some images: `boxes` says how they lie."""
    scale = 1 if name in ("ssd", "detr", "rtdetr") else max(input_hw)
    if name == "yolox":
        anchors = sum((input_hw[0] // s) * (input_hw[1] // s) for s in (8, 16, 32))
    centres, extents = rng.random((batch, anchors, 2)), rng.random((batch, anchors, 2)) * 0.3
    if boxes == "crowd":
        centres, extents = 0.5 + 0.02 * centres, 0.3 + 0.1 * extents
    elif boxes == "grid":  # many equal boxes and equal IoUs
        centres, extents = np.round(centres * 8) / 8, np.full_like(extents, 0.25)
    corners = name in ("ssd", "end_to_end")
    four = (
        np.concatenate([centres - extents / 2, centres + extents / 2] if corners else [centres, extents], axis=2)
        * scale
    )
    if name == "yolox":
        four = rng.normal(size=(batch, anchors, 4)) * 2
    scores = rng.random((batch, anchors, classes)) ** rng.choice([1, 8])
    if boxes == "grid":
        scores = np.round(scores, 1)
    if name in ("detr", "rtdetr"):
        scores = rng.normal(size=(batch, anchors, classes + (name == "detr"))) * rng.choice([1, 5, 60])
    if name == "yolov8":
        return [np.concatenate([four, scores], axis=2).astype(np.float32).transpose(0, 2, 1)]
    if name in ("yolov5", "yolox"):
        return [np.concatenate([four, rng.random((batch, anchors, 1)), scores], axis=2).astype(np.float32)]
    if name == "end_to_end":
        labels = rng.integers(0, classes, (batch, anchors, 1)) + rng.choice([0, 0.75])
        return [np.concatenate([four, scores[..., :1], labels], axis=2).astype(np.float32)]
    if name == "ssd":
        scores = np.concatenate([1 - scores[..., :1], scores], axis=2)
    return [four.astype(np.float32), scores.astype(np.float32)]


def spoilt(outputs, rng):
    for x in outputs:
        for value in ODD_FLOATS:
            x[rng.random(x.shape) < 0.005] = value
    return outputs


@st.composite
def detections(draw):
    """(decoder, outputs, geometries)."""
    name = draw(st.sampled_from(NATIVE))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    input_hw = 32 * draw(st.integers(1, 6)), 32 * draw(st.integers(1, 6))
    batch = draw(st.sampled_from([1, 1, 3]))
    anchors = draw(st.sampled_from([0, 1, 7, 8, 9, 63, 300, 511, 512, 513, 900]))
    if name == "detr":
        anchors = max(1, anchors)
    how_boxes = draw(st.sampled_from(["random", "crowd", "grid"]))
    outputs = made(FORMATS[name].name, anchors, draw(st.integers(1, 40)), input_hw, rng, batch, how_boxes)
    if draw(st.booleans()):
        outputs = spoilt(outputs, rng)
    how = draw(st.sampled_from(["as made", "contiguous", "float16", "spread", "reversed"]))
    if how == "contiguous":
        outputs = [np.ascontiguousarray(o) for o in outputs]
    elif how == "float16":
        with np.errstate(over="ignore"):
            outputs = [o.astype(np.float16) for o in outputs]
    elif how == "spread":
        outputs = [np.repeat(np.repeat(o, 2, axis=1), 3, axis=2)[:, ::2, ::3] for o in outputs]
    elif how == "reversed":
        outputs = [np.ascontiguousarray(o[::-1, ::-1, ::-1])[::-1, ::-1, ::-1] for o in outputs]
    geometries = [
        fit(
            (draw(st.integers(1, 500)), draw(st.integers(1, 500))), input_hw,
            draw(st.sampled_from(["letterbox", "stretch", "resize_center_crop"])),
        )
        for _ in range(batch)
    ]  # fmt: skip
    decoder = DetectionDecoder(
        name, draw(st.sampled_from([0, 0.01, 0.25, 0.5, 1])), draw(st.sampled_from([0, 0.1, 0.45, 0.7, 1])),
        draw(st.sampled_from([1, 10, 300, 10**9])), draw(st.booleans()),
    )  # fmt: skip
    return decoder, outputs, geometries


@pytest.mark.slow
@settings(max_examples=500)
@given(case=detections())
def test_detections_equal_the_reference(case):
    assert_as_reference(*case)


@every_format
@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("iou", [0, 0.45, 1])
def test_every_format_finds_the_same_with_every_threshold(name, agnostic, iou):
    rng = np.random.default_rng(7)
    outputs, found = made(name, 400, 5, (96, 128), rng, boxes="crowd"), 0
    for confidence in (0, 0.25, 0.5, 1):
        for most in (1, 10, 300):
            decoder = DetectionDecoder(name, confidence, iou, most, agnostic)
            found += sum(map(len, assert_as_reference(decoder, outputs, [fit((50, 60), (96, 128), "letterbox")])))
    assert found > 5


@every_format
def test_more_than_ten_thousand_candidates(name):
    rng = np.random.default_rng(3)
    input_hw = (1024, 736) if name == "yolox" else (640, 640)
    outputs = made(name, 15000, 2, input_hw, rng, boxes="crowd")
    for most in (300, 10**9):
        decoder = DetectionDecoder(name, 0.0, 0.02, most)
        assert assert_as_reference(decoder, outputs, [fit((480, 640), input_hw, "letterbox")])[0].scores.size
    if not FORMATS[name].needs_nms:
        assert len(decoder(outputs, [fit((480, 640), input_hw, "letterbox")])[0]) > 10000


@every_format
def test_ties_keep_the_order_of_the_tensor(name):
    outputs = made(name, 84, 3, (64, 64), np.random.default_rng(0), boxes="grid")
    scores = (
        outputs[-1][:, 4:]
        if name == "yolov8"
        else outputs[-1][..., {"end_to_end": 4}.get(name, 0 if len(outputs) == 2 else 4) :]
    )
    if name == "end_to_end":
        scores = scores[..., :1]
    scores[...] = 0.5
    for agnostic in (False, True):
        assert_as_reference(DetectionDecoder(name, 0.1, 0.3, 30, agnostic), outputs, [SQUARE])


@pytest.mark.parametrize("most", [1, 3, 10**9, 2**63])
def test_any_number_of_detections_may_be_asked_for(most):
    rows = np.array([[[i, i, i + 2, i + 2, 0.9 - i / 100, i] for i in range(0, 60, 3)]], np.float32)
    found = DetectionDecoder("end_to_end", max_detections=most)([rows], [SQUARE])[0]
    assert found.class_ids.tolist() == list(range(0, 60, 3))[:most]
    assert found.boxes_xyxy.base is None or found.boxes_xyxy.base.nbytes < 10_000


@pytest.mark.parametrize("confidence", [0.1, 0.25, 0.3, 0.7])
def test_a_score_at_the_threshold_is_not_above_it(confidence):
    at = np.float32(confidence)
    rows = f32(
        (1, 1, 5, 5, at, 0),
        (1, 1, 5, 5, np.nextafter(at, np.float32(1)), 1),
        (1, 1, 5, 5, np.nextafter(at, np.float32(0)), 2),
    )
    decoder = DetectionDecoder("end_to_end", confidence)
    assert decoder([rows[None]], [SQUARE])[0].class_ids.tolist() == [1]
    assert_as_reference(decoder, [rows[None]], [SQUARE])


# ---- NMS against other code ----


def naive_nms(boxes, scores, classes, iou, agnostic, most):
    """Float32 throughout, as the definition asks; a loop, a list and nothing else."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        for k in kept:
            w = np.float32(min(boxes[k][2], boxes[i][2])) - np.float32(max(boxes[k][0], boxes[i][0]))
            h = np.float32(min(boxes[k][3], boxes[i][3])) - np.float32(max(boxes[k][1], boxes[i][1]))
            inter = max(w, np.float32(0)) * max(h, np.float32(0))
            areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (boxes[k], boxes[i])]
            if (agnostic or classes[k] == classes[i]) and inter / (areas[0] + areas[1] - inter) > np.float32(iou):
                break
        else:
            kept.append(i)
    return kept[:most]


def as_ssd(boxes, scores, classes, count):
    """Boxes of 64 × 64 pixels, in whole 64ths, that come out as they went in."""
    table = np.zeros((len(boxes), count + 1), np.float32)
    table[np.arange(len(boxes)), classes + 1] = scores
    return [(boxes / np.float32(64))[None], table[None]]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32), iou=st.sampled_from([0, 0.2, 0.5, 0.8, 1]), agnostic=st.booleans(),
    most=st.sampled_from([1, 5, 1000]), levels=st.sampled_from([3, 1000]),
)  # fmt: skip
def test_nms_is_the_naive_one(seed, iou, agnostic, most, levels):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 40, (50, 2))
    boxes = np.hstack([corners, corners + rng.integers(1, 24, (50, 2))]).astype(np.float32)
    scores, classes = (rng.integers(1, levels, 50) / levels).astype(np.float32), rng.integers(0, 3, 50)
    found = DetectionDecoder("ssd", 0, iou, most, agnostic)(as_ssd(boxes, scores, classes, 3), [SQUARE])[0]
    kept = naive_nms(boxes, scores, classes, iou, agnostic, most)
    np.testing.assert_array_equal(found.boxes_xyxy, boxes[kept])
    np.testing.assert_array_equal(found.scores, scores[kept])
    np.testing.assert_array_equal(found.class_ids, classes[kept])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", [0.1, 0.45, 0.7])
def test_nms_is_opencvs_class_by_class(seed, iou):
    rng = np.random.default_rng(seed)
    # No IoU equals a threshold: there OpenCV's rounding decides. Times and by 64 is exact.
    boxes = rng.uniform(0, 40, (300, 4)).astype(np.float32)
    boxes[:, 2:] = boxes[:, :2] + rng.uniform(5, 24, (300, 2)).astype(np.float32)
    xywh = np.hstack([boxes[:, :2], boxes[:, 2:].astype(np.float64) - boxes[:, :2]])
    # No two scores are equal: OpenCV's order of ties is its own.
    scores, classes = (rng.permutation(300) + 1).astype(np.float32) / 301, rng.integers(0, 3, 300)
    found = DetectionDecoder("ssd", 0, iou, 1000)(as_ssd(boxes, scores, classes, 3), [SQUARE])[0]
    expected = []
    for label in range(3):
        mine = np.flatnonzero(classes == label)
        kept = cv2.dnn.NMSBoxes(xywh[mine].tolist(), scores[mine].tolist(), 0.0, iou)
        expected += mine[np.ravel(kept)].tolist()
    expected.sort(key=lambda i: -scores[i])
    np.testing.assert_array_equal(found.boxes_xyxy, boxes[expected])
    np.testing.assert_array_equal(found.class_ids, classes[expected])


# ---- exp, softmax, sigmoid ----


def ulps(got, x):
    """Distance from exp(x) in steps of float32 at the true value (its subnormal steps below 2^-126)."""
    true = np.exp(x.astype(np.float64))
    return np.abs(got.astype(np.float64) - true) / np.maximum(
        np.spacing(true.astype(np.float32)).astype(np.float64), 2.0**-149
    )


EVERY_X = np.unique(
    np.concatenate([np.linspace(-104, 88.72, 400_001), np.log(2) * np.arange(-150, 128) / 2, [0, -0.0, 1e-30]]).astype(
        np.float32
    )
)


def test_exp_is_within_one_step():
    assert ulps(reference.exp32(EVERY_X), EVERY_X).max() <= 1
    with np.errstate(over="ignore"):
        ends = reference.exp32(f32(np.inf, 200, 88.73, -np.inf, -200, -104, 0, -0.0))
    assert ends.tolist() == [np.inf, np.inf, np.inf, 0, 0, 0, 1, 1]
    assert np.isnan(reference.exp32(f32(np.nan))).all()
    subnormal = reference.exp32(f32(-88, -100, -103))
    assert (subnormal > 0).all()
    assert (subnormal < 2.0**-126).all()


@pytest.mark.parametrize("shift", range(0, 16, 5))
def test_native_exp_of_negative_numbers(shift):
    """Beside a logit of zero, and where all others are so small that the sum stays 1, softmax is exp itself."""
    x = EVERY_X[(EVERY_X < -30) & (EVERY_X > -104)][shift::7]
    logits = np.concatenate([[0], x]).astype(np.float32)
    got = ClassificationDecoder(len(logits))([logits[None]], [SQUARE])[0]
    scores = np.empty_like(logits)
    scores[got.class_ids] = got.scores
    assert scores[0] == 1
    np.testing.assert_array_equal(scores[1:], reference.exp32(x))
    assert ulps(scores[1:], x).max() <= 1


def test_native_exp_of_any_number():
    """YOLOX takes exp of width and height: a box of stride 8 around 0 in an image without an end is exp(x) * 4 wide."""
    huge = Geometry((1 << 200, 1 << 200), (1 << 200, 1 << 200), (8, 8), 0, 0)
    for x in [*EVERY_X[EVERY_X < 86.5][::2001], -103.9, -87.4, 0.0, 86.5]:
        head = f32((0, 0, x, 0, 1, 1))[None]
        found = DetectionDecoder("yolox", 0.5)([head], [huge])[0]
        expected = reference.exp32(f32(x))[0]
        assert found.boxes_xyxy[:, 2].tolist() == ([] if expected == 0 else [float(expected) * 4])
    for x in (np.nan, np.inf, -np.inf, 200.0):
        assert len(DetectionDecoder("yolox", 0.5)([f32((0, 0, x, 0, 1, 1))[None]], [huge])[0]) == 0


@pytest.mark.parametrize("classes", [1, 2, 7, 8, 15, 16, 17, 33, 1000, 21841])
@pytest.mark.parametrize("spread", [0.1, 1, 10, 100])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_activations_are_scipys(classes, spread, activation):
    logits = (np.random.default_rng(classes).normal(size=(2, classes)) * spread).astype(np.float32)
    # The definition takes the difference from the highest in float32.
    exact = (logits - logits.max(axis=1, keepdims=True) if activation == "softmax" else logits).astype(np.float64)
    true = scipy.special.softmax(exact, axis=1) if activation == "softmax" else scipy.special.expit(exact)
    for row, best in zip(true, ClassificationDecoder(classes, activation)([logits], [SQUARE] * 2), strict=True):
        # Below float32's normal numbers a step is more than a millionth.
        np.testing.assert_allclose(best.scores, row[best.class_ids], rtol=1e-6, atol=3e-45)


# ---- Classification against engine="reference" ----


@pytest.mark.parametrize("k", [1, 5, 32, 33, 64, 5000])
@pytest.mark.parametrize("classes", [1, 4, 5, 31, 32, 33, 63, 64, 65, 129, 1000])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_the_best_classes_equal_the_reference(k, classes, activation):
    rng = np.random.default_rng(k * classes)
    logits = (rng.normal(size=(7, classes)) * 8).astype(np.float32)
    logits[1] = np.round(logits[1])  # ties
    logits[2] = 0.5
    logits[3, rng.random(classes) < 0.1] = np.nan
    logits[4] = rng.choice(ODD_FLOATS, classes)
    logits[5] = np.sort(logits[5])  # each score enters the list
    logits[6] = np.nan
    decoder = ClassificationDecoder(k, activation)
    assert_as_reference(decoder, [logits], [SQUARE] * 7)
    assert len(decoder([logits], [SQUARE] * 7)[0].scores) == min(k, classes)
    with np.errstate(over="ignore"):
        half = logits.astype(np.float16)
    for other in (half, np.asfortranarray(logits), logits[::-1, ::-1], logits[:, None, :, None]):
        assert_as_reference(decoder, [other], [SQUARE] * 7)


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.int64, np.uint8, np.int8, bool])
def test_logits_of_other_dtypes(dtype):
    logits = (np.random.default_rng(0).normal(size=(3, 50)) * 30).astype(np.int8).astype(dtype)
    for activation in ("softmax", "sigmoid", "none"):
        assert_as_reference(ClassificationDecoder(7, activation), [logits], [SQUARE] * 3)


def test_no_images_no_classes():
    assert ClassificationDecoder()([np.zeros((0, 10), np.float32)], []) == []


# ---- Masks against engine="reference" ----

MASK_DTYPES = [
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", ">f4", ">i8",
]  # fmt: skip


def score_map(dtype, classes, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    shape = (1, classes, rows, columns)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return rng.random(shape) < 0.3
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = rng.integers(limits.min, limits.max, shape, kind.newbyteorder("="), endpoint=True)
        values[rng.random(shape) < 0.2] = limits.max  # ties at the top
        values[rng.random(shape) < 0.2] = limits.min
        return values.astype(kind)
    values = np.round(rng.normal(size=shape) * 4, 1)
    for odd in (np.nan, np.inf, -np.inf, 0.0, -0.0):
        values[rng.random(shape) < 0.02] = odd
    return values.astype(kind)


@pytest.mark.parametrize("dtype", MASK_DTYPES)
@pytest.mark.parametrize("classes", [2, 3, 21])
@pytest.mark.parametrize("hw", [(1, 1), (5, 15), (7, 16), (9, 17), (3, 1057)])
def test_masks_equal_the_reference(dtype, classes, hw):
    scores = score_map(dtype, classes, *hw)
    for geometry in (
        fit(hw, hw, "stretch"), fit((70, 31), (64, 96), "letterbox"), fit((90, 40), (32, 32), "resize_center_crop"),
        fit((20, 90), (32, 64), "pad" if hw == (0, 0) else "resize_center_crop"),
    ):  # fmt: skip
        assert_as_reference(SegmentationDecoder(), [scores], [geometry])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint64", "uint8"])
def test_neighbours_in_value_stay_apart(dtype):
    """Values that a detour through another dtype would make equal."""
    top = (
        np.nextafter(np.array(1, dtype), np.array(2, dtype))
        if dtype[0] == "f"
        else np.array(np.iinfo(dtype).max, dtype)
    )
    below = np.array(1, dtype) if dtype[0] == "f" else top - np.array(1, dtype)
    scores = np.array([below, top, below, top], dtype).reshape(1, 4, 1, 1)
    assert SegmentationDecoder()([scores], [fit((2, 2), (8, 8), "stretch")])[0].class_ids.tolist() == [[1, 1], [1, 1]]


def test_masks_of_strided_scores():
    scores = score_map("float32", 6, 20, 40)
    geometry = fit((33, 44), (20, 40), "letterbox")
    expected = by_reference(SegmentationDecoder(), [scores], [geometry])
    for other in (
        np.asfortranarray(scores), np.ascontiguousarray(scores[:, ::-1, ::-1, ::-1])[:, ::-1, ::-1, ::-1],
        np.repeat(scores, 2, axis=3)[..., ::2], np.ascontiguousarray(scores.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    ):  # fmt: skip
        assert_same_bits(SegmentationDecoder()([other], [geometry]), expected)
    flat = np.broadcast_to(scores[:, :, :1], scores.shape)
    assert_as_reference(SegmentationDecoder(), [flat], [geometry])


@pytest.mark.parametrize(
    ("classes", "dtype"), [(255, np.uint8), (256, np.uint16), (300, np.uint16), (65535, np.uint16)]
)
def test_many_classes_make_a_wide_mask(classes, dtype):
    scores = np.zeros((1, classes, 1, 17), np.float32)
    winners = np.linspace(0, classes - 1, 17).astype(int)
    scores[0, winners, 0, np.arange(17)] = 1
    geometry = Geometry((1, 19), (1, 19), (1, 17), -1, 0)
    (mask,) = assert_as_reference(SegmentationDecoder(), [scores], [geometry])
    assert mask.class_ids.dtype == dtype
    ignored = np.iinfo(dtype).max
    assert mask.class_ids[0].tolist() == [ignored, *winners.tolist(), ignored]
    assert_same_bits(SegmentationDecoder()([scores], [geometry]), [mask])


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_too_many_classes_are_refused(engine):
    scores = as_strided(np.zeros(1, np.float32), (1, 65536, 1, 1), (0, 0, 0, 0))
    with pytest.raises(ValueError, match="^segmentation: expected at most 65535 classes, got 65536"):
        SegmentationDecoder(engine)([scores], [SQUARE])


@pytest.mark.parametrize("dtype", [np.complex64, "datetime64[s]", "S3"])
def test_scores_without_an_order_are_refused(dtype):
    with pytest.raises(ValueError, match="^outputs: expected numbers of at most 64 bits, got an array of"):
        SegmentationDecoder()([np.zeros((1, 2, 3, 3), dtype)], [SQUARE])


def test_a_batch_of_masks():
    scores = np.concatenate([score_map("float32", 5, 8, 9, seed) for seed in range(3)])
    geometries = [
        fit((h, 30), (8, 9), mode) for h, mode in ((5, "letterbox"), (50, "stretch"), (31, "resize_center_crop"))
    ]
    assert_as_reference(SegmentationDecoder(), [scores], geometries)
    assert_as_reference(SegmentationDecoder(), [scores[::2]], geometries[::2])


# ---- Memory: not a byte beyond the outputs ----

GUARDED = r"""
import ctypes, dataclasses, mmap, sys
import numpy as np
from seatrial._native import kernels
from seatrial.kernels import reference
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.segmentation import SegmentationDecoder

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
rng = np.random.default_rng(0)
geometry = fit((50, 70), (64, 96), "letterbox")

def guarded(array, at_end):
    pages = max(1, -(-array.nbytes // PAGE))
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    for page in (0, pages + 1):
        if libc.mprotect(ctypes.c_void_p(memory.ctypes.data + page * PAGE), ctypes.c_size_t(PAGE), 0):
            sys.exit("mprotect failed")
    start = PAGE + (pages * PAGE - array.nbytes if at_end else 0)
    out = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out

def same(a, b):
    for x, y in zip(a, b, strict=True):
        for f in dataclasses.fields(x):
            if getattr(x, f.name).tobytes() != getattr(y, f.name).tobytes():
                sys.exit("other values")

def compare(decoder, outputs):
    expected = decoder(outputs, [geometry])
    for at_end in (True, False):
        print(decoder, [o.shape for o in outputs], at_end, flush=True)
        same(decoder([guarded(o, at_end) for o in outputs], [geometry]), expected)

what = sys.argv[1]
if what == "detect":
    for classes in (1, 2, 3, 7, 8, 9, 20):
        for anchors in (1, 5, 8, 17, 515):
            scores = rng.random((1, anchors, classes))
            boxes = rng.random((1, anchors, 4)) * 0.4
            one = np.concatenate([boxes * 64, np.ones((1, anchors, 1)), scores], axis=2).astype(np.float32)
            compare(DetectionDecoder("yolov5"), [one])
            compare(DetectionDecoder("yolov8"), [np.ascontiguousarray(np.delete(one, 4, axis=2).transpose(0, 2, 1))])
            compare(DetectionDecoder("end_to_end", 0.01), [one[..., :6].copy()])
            corners = np.concatenate([boxes[..., :2], boxes[..., :2] + 0.2], axis=2)
            for name in ("ssd", "detr", "rtdetr"):
                table = np.concatenate([scores, scores[..., :1]], axis=2)
                compare(DetectionDecoder(name, 0.01), [corners.astype(np.float32), (table * 4).astype(np.float32)])
        compare(DetectionDecoder("yolox"), [rng.random((1, 126, 5 + classes)).astype(np.float32)])
elif what == "classify":
    for classes in (*range(1, 40), 63, 64, 65, 1000, 1023, 1025):
        for activation in ("softmax", "sigmoid", "none"):
            for k in (1, 5, 33):
                compare(ClassificationDecoder(k, activation), [rng.normal(size=(1, classes)).astype(np.float32)])
else:
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "uint64", "bool"):
        for classes in (2, 3, 300):
            for h, w in ((1, 1), (1, 7), (2, 8), (3, 15), (1, 16), (2, 33), (1, 1025)):
                compare(SegmentationDecoder(), [(rng.random((1, classes, h, w)) * 200).astype(dtype)])
print("done")
"""


@pytest.mark.parametrize("what", ["detect", "classify", "segment"])
def test_not_a_byte_beyond_the_outputs_is_read(what, simd):
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", GUARDED, what], env=os.environ | {"SEATRIAL_SIMD": simd},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    last = run.stdout.splitlines()[-1:]
    assert run.returncode == 0, f"{run.returncode} at {last}\n{run.stderr}"
    assert last == ["done"]
