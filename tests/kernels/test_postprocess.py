"""NMS, classification, masks and embeddings against naive code, OpenCV, SciPy and exact fractions."""

import dataclasses
from fractions import Fraction
from math import floor

import cv2
import numpy as np
import pytest
import scipy.special
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from seatrial.kernels import reference
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder, EmbeddingDecoder
from seatrial.kernels.segmentation import SegmentationDecoder

ONE = fit((8, 8), (8, 8), "stretch")
FLOATS = st.floats(width=32) | st.sampled_from([0.0, 1.0, np.inf, -np.inf, np.nan])


def f32(*rows):
    return np.array(rows, np.float32)


def overlap(a, b):
    """Intersection over union in whole numbers, so that no comparison depends on rounding."""
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inter = max(w, 0) * max(h, 0)
    return Fraction(inter, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def naive_nms(boxes, scores, classes, threshold, agnostic):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in kept if agnostic or classes[k] == classes[i]]
        if all(overlap(boxes[i], boxes[k]) <= threshold for k in rivals):
            kept.append(i)
    return kept


corner = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20))
candidate = st.tuples(corner, st.sampled_from([0.3, 0.5, 0.5, 0.7, 0.9]), st.integers(0, 2))


@given(st.lists(candidate, max_size=25), st.integers(0, 20), st.booleans(), st.integers(1, 30))
def test_nms_is_the_naive_one(candidates, twentieths, agnostic, most):
    boxes = [(x, y, x + w, y + h) for (x, y, w, h), _, _ in candidates]
    scores, classes = [c[1] for c in candidates], [c[2] for c in candidates]
    kept = reference.nms(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64),
        twentieths / 20, agnostic, most,
    )  # fmt: skip
    assert kept.tolist() == naive_nms(boxes, scores, classes, Fraction(twentieths, 20), agnostic)[:most]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("iou", [0.1, 0.45, 0.7])
def test_nms_is_opencvs(seed, iou):
    rng = np.random.default_rng(seed)
    corners, sizes = rng.uniform(0, 60, (200, 2)), rng.uniform(5, 40, (200, 2))
    boxes, scores = (
        np.hstack([corners, corners + sizes]).astype(np.float32),
        rng.permutation(200).astype(np.float32) + 1,
    )
    classes, xywh = rng.integers(0, 3, 200), np.hstack([corners, sizes])
    together = reference.nms(boxes, scores, classes, iou, True, 200)
    assert together.tolist() == np.ravel(cv2.dnn.NMSBoxes(xywh.tolist(), scores.tolist(), 0.0, iou)).tolist()
    apart = reference.nms(boxes, scores, classes, iou, False, 200)
    by_class = cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), classes.tolist(), 0.0, iou)
    assert sorted(apart.tolist()) == sorted(np.ravel(by_class).tolist())


@pytest.mark.parametrize(("iou", "kept"), [(0.49, [0]), (0.5, [0, 1]), (0.0, [0]), (1.0, [0, 1])])
def test_nms_suppresses_above_the_threshold_not_at_it(iou, kept):
    halves = f32((0, 0, 10, 10), (0, 0, 10, 5))
    assert reference.nms(halves, f32(0.9, 0.8), np.zeros(2, int), iou, False, 9).tolist() == kept


def test_a_suppressed_box_suppresses_nothing():
    chain = f32((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10))
    assert reference.nms(chain, f32(0.9, 0.8, 0.7), np.zeros(3, int), 0.3, False, 9).tolist() == [0, 2]


def test_empty_boxes_overlap_nothing():
    boxes = f32((3, 3, 3, 3), (3, 3, 3, 3), (0, 0, 9, 9))
    assert reference.iou_one_to_many(boxes[0], boxes).tolist() == [0, 0, 0]


def test_equal_scores_keep_the_tensors_order():
    boxes = [[x, 4, 4, 4] for x in (40, 4, 20)]
    found = DetectionDecoder("yolov5")(
        [f32(*[[*b, 1, 0.5] for b in boxes])[None]], [fit((64, 64), (64, 64), "stretch")]
    )
    assert found[0].boxes_xyxy[:, 0].tolist() == [38, 2, 18]


@given(hnp.arrays(np.float32, st.integers(1, 30), elements=FLOATS), st.integers(1, 40))
def test_top_k_is_a_stable_sort_with_nan_last(scores, k):
    def key(i):
        return (1, 0, i) if np.isnan(scores[i]) else (0, -scores[i], i)

    assert reference.top_k(scores, k).tolist() == sorted(range(len(scores)), key=key)[:k]


rows = hnp.arrays(
    np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.floats(-1e4, 1e4, width=32)
)


@given(rows)
def test_softmax_is_scipys(logits):
    expected = scipy.special.softmax(logits.astype(np.float64), axis=1)
    np.testing.assert_allclose(reference.softmax(logits), expected, rtol=1e-5, atol=1e-30)


@given(rows)
def test_sigmoid_is_scipys(logits):
    np.testing.assert_allclose(
        reference.sigmoid(logits), scipy.special.expit(logits.astype(np.float64)), rtol=2e-6, atol=1e-37
    )


@pytest.mark.parametrize(
    ("logits", "probabilities"),
    [
        ((1e38, -1e38, 0), (1, 0, 0)),
        ((-np.inf, 0, 0), (0, 0.5, 0.5)),
        ((np.nan, 0, 0), (np.nan,) * 3),
        ((np.inf, 0, 0), (np.nan,) * 3),
        ((-np.inf,) * 3, (np.nan,) * 3),
    ],
)
def test_softmax_at_the_edges(logits, probabilities):
    np.testing.assert_array_equal(reference.softmax(f32(logits))[0], f32(*probabilities))


def test_sigmoid_at_the_edges():
    np.testing.assert_array_equal(
        reference.sigmoid(f32(-np.inf, -1e38, 0, 1e38, np.inf, np.nan)), f32(0, 0, 0.5, 1, 1, np.nan)
    )


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 1, 1), (2, 1, 6)])
@pytest.mark.parametrize(
    ("activation", "function"),
    [("softmax", lambda x: scipy.special.softmax(x, axis=1)), ("sigmoid", scipy.special.expit), ("none", lambda x: x)],
)
def test_the_k_best_classes(shape, activation, function):
    logits = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
    found = ClassificationDecoder(4, activation)([logits.reshape(shape)], [ONE, ONE])
    for row, result in zip(function(logits), found, strict=True):
        best = sorted(range(6), key=lambda k: -row[k])[:4]
        assert result.class_ids.tolist() == best
        np.testing.assert_allclose(result.scores, row[best], rtol=1e-5)


def test_fewer_classes_than_k_and_ties_and_nan():
    found = ClassificationDecoder(9, "none")([f32([np.nan, 2, -np.inf, 2, 5])], [ONE])[0]
    assert found.class_ids.tolist() == [4, 1, 3, 2, 0]


def expected_cell(at, source, resized, offset, inputs, cells):
    """Where the centre of source pixel `at` falls, in exact fractions; None where the crop cut it away."""
    position = Fraction(2 * at + 1, 2) * Fraction(resized, source) + offset
    return floor(position * Fraction(cells, inputs)) if 0 <= position < inputs else None


@given(
    st.tuples(*[st.integers(1, 40)] * 2), st.tuples(*[st.integers(1, 24)] * 2), st.tuples(*[st.integers(1, 24)] * 2),
    st.sampled_from(["letterbox", "stretch", "resize_center_crop"]), st.integers(1, 12),
)  # fmt: skip
@example((3, 3), (4, 4), (4, 4), "resize_center_crop", 6)  # centres lie on both edges of the crop
def test_a_mask_is_exact_at_every_source_pixel(source_hw, input_hw, cells_hw, mode, short):
    g = fit(source_hw, input_hw, mode, resize_short=short)
    classes = np.random.default_rng(0).integers(0, 200, cells_hw)
    scores = (np.arange(200)[:, None, None] == classes).astype(np.float32)[None]
    y, x = (
        [expected_cell(i, source_hw[k], g.resized_hw[k], (g.offset_y, g.offset_x)[k], input_hw[k], cells_hw[k])
         for i in range(source_hw[k])] for k in (0, 1)
    )  # fmt: skip
    expected = [[255 if r is None or c is None else classes[r, c] for c in x] for r in y]
    np.testing.assert_array_equal(SegmentationDecoder()([scores], [g])[0].class_ids, expected)


@pytest.mark.parametrize("source_hw", [(17, 23), (5, 7), (1, 1), (3, 2), (200, 160)])
def test_a_stretched_mask_is_pillows_nearest(source_hw):
    scores = np.random.default_rng(1).normal(size=(1, 4, 5, 7)).astype(np.float32)
    found = SegmentationDecoder()([scores], [fit(source_hw, (10, 14), "stretch")])[0].class_ids
    nearest = Image.fromarray(scores[0].argmax(0).astype(np.uint8)).resize(source_hw[::-1], Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(nearest))


@pytest.mark.parametrize(
    ("classes", "dtype", "ignore"), [(2, "u1", 255), (255, "u1", 255), (256, "u2", 65535), (300, "u2", 65535)]
)
def test_cut_pixels_carry_the_largest_value(classes, dtype, ignore):
    scores = np.zeros((1, classes, 4, 4), np.float32)
    scores[0, -1] = 1
    mask = SegmentationDecoder()([scores], [fit((4, 8), (4, 4), "resize_center_crop", resize_short=4)])[0].class_ids
    assert mask.dtype == dtype
    assert mask.tolist() == [[ignore] * 2 + [classes - 1] * 4 + [ignore] * 2] * 4


def test_equal_scores_give_the_lower_class():
    assert (SegmentationDecoder()([np.ones((1, 5, 2, 2), np.float32)], [ONE])[0].class_ids == 0).all()


embeddings = st.floats(-(2.0**127), 2.0**127, width=32).filter(lambda v: v == 0 or abs(v) > 1e-37)


@given(hnp.arrays(np.float32, (2, 3, 2), elements=embeddings))
def test_an_embedding_has_length_one_and_its_direction(vectors):
    for row, found in zip(
        vectors.reshape(2, 6).astype(np.float64), EmbeddingDecoder()([vectors], [ONE, ONE]), strict=True
    ):
        length = np.sqrt((row**2).sum())
        np.testing.assert_allclose(found.vector, row / length if length else row, rtol=1e-6, atol=1e-37)
        assert found.vector.dtype == np.float32


def test_a_zero_vector_stays_zero_and_nan_stays_nan():
    zero, nan, raw = f32([0, 0, 0]), f32([np.nan, 1, 2]), f32([3, 4, 0])
    assert EmbeddingDecoder()([zero], [ONE])[0].vector.tolist() == [0, 0, 0]
    assert np.isnan(EmbeddingDecoder()([nan], [ONE])[0].vector).all()
    assert EmbeddingDecoder(normalize=False)([raw], [ONE])[0].vector.tolist() == [3, 4, 0]


@pytest.mark.parametrize(
    ("decoder", "shapes", "message"),
    [
        (ClassificationDecoder(), [], r"expected one output \(B, classes\), got none"),
        (ClassificationDecoder(), [(1, 0)], r"expected one output \(B, classes\), got shape \(1, 0\)"),
        (ClassificationDecoder(), [(1,)], r"expected one output \(B, classes\), got shape \(1,\)"),
        (ClassificationDecoder(), [(2, 9)], r"expected outputs for 1 image, got a tensor of shape \(2, 9\)"),
        (ClassificationDecoder(), [()], r"expected outputs for 1 image, got a tensor of shape \(\)"),
        (SegmentationDecoder(), [], r"expected one output \(B, classes, height, width\), got none"),
        (
            SegmentationDecoder(),
            [(1, 8, 8)],
            r"expected one output \(B, classes, height, width\), got shape \(1, 8, 8\)",
        ),
        (SegmentationDecoder(), [(1, 0, 8, 8)], r"height, width\), got shape \(1, 0, 8, 8\)"),
        (SegmentationDecoder(), [(1, 2, 0, 8)], r"height, width\), got shape \(1, 2, 0, 8\)"),
        (SegmentationDecoder(), [(3, 2, 8, 8)], r"expected outputs for 1 image, got a tensor"),
        (EmbeddingDecoder(), [], r"expected an output \(B, ...\), got none"),
        (EmbeddingDecoder(), [(1, 0)], r"expected an output \(B, ...\), got shape \(1, 0\)"),
        (EmbeddingDecoder(), [(2, 3)], r"expected outputs for 1 image, got a tensor of shape \(2, 3\)"),
    ],
)
def test_another_shape_is_refused(decoder, shapes, message):
    with pytest.raises(ValueError, match=message):
        decoder([np.zeros(s, np.float32) for s in shapes], [ONE])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (DetectionDecoder, {"format": "yolo8"}, "format: .*got 'yolo8' (did you mean 'yolov8'?)"),
        (DetectionDecoder, {"format": "rt-detr"}, "format: .*(did you mean 'rtdetr'?)"),
        (DetectionDecoder, {"format": 8}, "format: .*got 8"),
        (DetectionDecoder, {"confidence": 1.1}, "confidence: expected a threshold from 0 to 1, got 1.1"),
        (DetectionDecoder, {"confidence": np.nan}, "confidence: .*got nan"),
        (DetectionDecoder, {"iou": -0.1}, "iou: .*got -0.1"),
        (DetectionDecoder, {"max_detections": 0}, "max_detections: expected a whole number of at least 1, got 0"),
        (ClassificationDecoder, {"top_k": 0}, "top_k: expected a whole number of at least 1, got 0"),
        (ClassificationDecoder, {"activation": "sofmax"}, "activation: .*got 'sofmax' (did you mean 'softmax'?)"),
        (ClassificationDecoder, {"activation": None}, "activation: expected one of softmax, sigmoid, none, got None"),
    ],
)
def test_a_wrong_argument_is_named(kind, arguments, message):
    start, _, end = message.partition(".*")
    with pytest.raises(ValueError) as e:
        kind(**arguments)
    assert str(e.value).startswith(start)
    assert end in str(e.value)


@pytest.mark.parametrize("decoder", [DetectionDecoder(), ClassificationDecoder(), EmbeddingDecoder()])
def test_decoders_are_frozen(decoder):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(decoder, dataclasses.fields(decoder)[0].name, 1)


def test_no_images_no_results():
    assert ClassificationDecoder()([np.zeros((0, 4), np.float32)], []) == []
    assert SegmentationDecoder()([np.zeros((0, 2, 4, 4), np.float32)], []) == []
    assert EmbeddingDecoder()([np.zeros((0, 4), np.float32)], []) == []
