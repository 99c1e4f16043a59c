"""Maps at the source's size: drawn out as OpenCV draws out, thresholds, class numbers, values, labels, a background's column."""

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial._native import kernels
from seatrial.kernels import maps, reference
from seatrial.kernels.dense import DenseDecoder
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.labels import LabelDecoder
from seatrial.kernels.postprocess import ClassificationDecoder
from seatrial.kernels.segmentation import SegmentationDecoder

RNG = np.random.default_rng(3)
SIDES = st.integers(1, 40)


@pytest.fixture(params=kernels.simd_levels())
def level(request):
    before = kernels.simd_level()
    kernels.select_simd(request.param)
    yield request.param
    kernels.select_simd(before)


CROP = fit((20, 40), (16, 16), "resize_center_crop", resize_short=16)


def random_map(*shape):
    return RNG.normal(0, 2, shape).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(h=SIDES, w=SIDES, rows=st.integers(1, 12), columns=st.integers(1, 12))
def test_a_stretched_map_is_drawn_out_as_opencv_does(h, w, rows, columns):
    cells = random_map(rows, columns)
    found = maps.linear(cells, Geometry((h, w), (24, 36), (24, 36), 0, 0))
    expected = cv2.resize(cells, (w, h), interpolation=cv2.INTER_LINEAR)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("source_hw", [(40, 80), (80, 40), (33, 64), (16, 160)])
def test_a_letterboxs_padding_has_no_part(source_hw):
    geometry = fit(source_hw, (64, 64), "letterbox")
    (rh, rw), top, left = geometry.resized_hw, geometry.offset_y, geometry.offset_x
    cells = np.full((64, 64), 1e6, np.float32)
    cells[top : top + rh, left : left + rw] = random_map(rh, rw)
    expected = cv2.resize(cells[top : top + rh, left : left + rw], source_hw[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(maps.linear(cells, geometry), expected, atol=2e-5)


@settings(max_examples=40, deadline=None)
@given(classes=st.integers(2, 6), h=SIDES, w=SIDES, seed=st.integers(0, 99), step=st.integers(1, 2))
def test_the_linear_argmax_is_the_argmax_of_drawn_out_scores(classes, h, w, seed, step):
    scores = np.random.default_rng(seed).integers(-2, 3, (1, classes, 14, 10)).astype(np.float32)[:, :, ::step, ::step]
    geometry = fit((h, w), (28, 20), "letterbox")
    (found,) = SegmentationDecoder("reference", resize="linear")([scores], [geometry])
    stacked = np.stack([maps.linear(s, geometry) for s in scores[0]])
    np.testing.assert_array_equal(found.class_ids, stacked.argmax(axis=0))
    assert found.class_ids.dtype == np.uint8


@pytest.mark.usefixtures("level")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    classes=st.sampled_from([2, 3, 21, 300]), cells=st.tuples(SIDES, SIDES), source=st.tuples(SIDES, SIDES),
    resized=st.tuples(SIDES, SIDES), inputs=st.tuples(SIDES, SIDES), offset=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    dtype=st.sampled_from([np.float32, np.float16, np.float64, np.int64, np.uint8]), ties=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_scores_drawn_out_by_both_engines_are_the_same_mask(
    classes, cells, source, resized, inputs, offset, dtype, ties, seed
):
    random = np.random.default_rng(seed)
    scores = random.normal(0, 40, (1, classes, *cells))
    scores = (np.round(scores / 40) if ties else scores).astype(dtype)
    if scores.dtype.kind == "f":
        for value in (np.nan, np.inf, -np.inf, np.finfo(dtype).max):
            scores[random.random(scores.shape) < 0.05] = value
    geometry = Geometry(source, resized, inputs, *offset)
    (native,) = SegmentationDecoder("native", resize="linear")([scores], [geometry])
    (twin,) = SegmentationDecoder("reference", resize="linear")([scores], [geometry])
    assert native.class_ids.dtype == twin.class_ids.dtype == (np.uint16 if classes > 255 else np.uint8)
    np.testing.assert_array_equal(native.class_ids, twin.class_ids)


def test_a_transposed_view_of_scores_is_drawn_out_too():
    scores = random_map(1, 9, 7, 5).transpose(0, 3, 2, 1)
    geometry = fit((33, 21), (16, 16), "letterbox")
    native, twin = (SegmentationDecoder(e, resize="linear")([scores], [geometry])[0] for e in ("native", "reference"))
    np.testing.assert_array_equal(native.class_ids, twin.class_ids)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_nan_never_wins_where_scores_are_drawn_out(engine):
    scores = np.zeros((1, 2, 4, 4), np.float32)
    scores[0, 1] = np.nan
    (found,) = SegmentationDecoder(engine, resize="linear")([scores], [fit((9, 9), (8, 8), "stretch")])
    assert not found.class_ids.any()


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("resize", ["nearest", "linear"])
def test_channels_may_come_last(engine, resize):
    scores, geometries = random_map(2, 5, 8, 6), [fit((31, 17), (16, 12), "stretch")] * 2
    first = SegmentationDecoder(engine, resize=resize)([scores], geometries)
    last = SegmentationDecoder(engine, "channels_last", resize)([np.moveaxis(scores, 1, -1)], geometries)
    for a, b in zip(first, last, strict=True):
        np.testing.assert_array_equal(a.class_ids, b.class_ids)


@pytest.mark.parametrize("shape", [(2, 8, 6), (2, 1, 8, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float16])
def test_class_numbers_are_those_of_the_argmax_outside(shape, dtype):
    scores = random_map(2, 7, 8, 6)
    geometries = [fit((20, 33), (16, 12), "letterbox"), fit((8, 8), (16, 12), "stretch")]
    numbers = scores.argmax(axis=1).reshape(shape).astype(dtype)
    found = SegmentationDecoder(format="class_map")([numbers], geometries)
    expected = SegmentationDecoder()([scores], geometries)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.class_ids, b.class_ids)
        assert a.class_ids.dtype == np.uint16


def test_class_300_and_what_a_crop_cut_away_are_two_things():
    (found,) = SegmentationDecoder(format="class_map")([np.full((1, 16, 16), 255, np.int32)], [CROP])
    assert found.class_ids[:, :10].tolist() == [[65535] * 10] * 20
    assert found.class_ids[:, 10:30].tolist() == [[255] * 20] * 20


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (np.full((1, 4, 4), 0.5), "go from 0.5 to 0.5 and are not whole"),
        (np.full((1, 4, 4), -1), "go from -1 to -1; use"),
        (np.full((1, 4, 4), 70000), "whole class numbers from 0 to 65534, but the values go from 70000"),
        (np.array([[[0, np.nan]]]), "not whole"),
        (np.array([[[0, np.inf]]]), "not whole"),
    ],
)
def test_what_is_no_class_number_is_refused(numbers, said):
    with pytest.raises(ValueError, match=said):
        SegmentationDecoder(format="class_map")([numbers], [fit((4, 4), numbers.shape[1:], "stretch")])


@pytest.mark.parametrize("resize", ["nearest", "linear"])
@pytest.mark.parametrize("activation", ["sigmoid", "none"])
@pytest.mark.parametrize("shape", [(1, 1, 8, 8), (1, 8, 8)])
def test_one_channel_against_a_threshold(resize, activation, shape):
    rng = np.random.default_rng(11)
    cells = (rng.normal(0, 2, (8, 8)) if activation == "sigmoid" else rng.uniform(0, 1, (8, 8))).astype(np.float32)
    geometry = fit((21, 30), (16, 16), "stretch")
    decoder = SegmentationDecoder("native", "one_channel", resize, 0.3, activation)
    (found,) = decoder([cells.reshape(shape)], [geometry])
    way = cv2.INTER_LINEAR if resize == "linear" else None
    rows, columns = ((np.arange(n) + 0.5) * 8 // n for n in (21, 30))
    drawn = (
        cells[rows.astype(int)][:, columns.astype(int)] if way is None else cv2.resize(cells, (30, 21), None, 0, 0, way)
    )
    values = 1 / (1 + np.exp(-drawn.astype(np.float64))) if activation == "sigmoid" else drawn
    sure = np.abs(values - 0.3) > 1e-5
    np.testing.assert_array_equal(found.class_ids[sure], (values > 0.3)[sure])
    assert sure.mean() > 0.99


def test_a_value_at_the_threshold_and_a_nan_are_background():
    cells = np.array([[[0.5, np.nan, 0.6, 0.4]]], np.float32)
    (found,) = SegmentationDecoder(format="one_channel")([cells], [fit((1, 4), (1, 4), "stretch")])
    assert found.class_ids.tolist() == [[0, 0, 1, 0]]
    (cut,) = SegmentationDecoder(format="one_channel")([np.ones((1, 1, 16, 16), np.float32)], [CROP])
    assert set(np.unique(cut.class_ids).tolist()) == {1, 255}


@pytest.mark.parametrize(
    ("settings", "shape", "said"),
    [
        ({}, (1, 1, 8, 8), r"at least two classes to choose from, got one channel \(1, 8, 8\); use format one_channel"),
        ({}, (1, 8, 8), r"\(B, classes, height, width\), got shape \(1, 8, 8\)"),
        ({"format": "channels_last"}, (1, 8, 8, 1), "at least two classes"),
        ({"format": "class_map"}, (1, 2, 8, 8), r"of class numbers, got shape \(1, 2, 8, 8\)"),
        ({"format": "one_channel"}, (1, 3, 8, 8), r"or \(B, height, width\), got shape \(1, 3, 8, 8\)"),
        ({"format": "one_channel"}, (1, 8), r"got shape \(1, 8\)"),
        ({"format": "one_channel"}, (1, 0, 8), r"got shape \(1, 0, 8\)"),
        ({"format": "class_map"}, (2, 8, 8), r"expected outputs for 1 image"),
    ],
)
def test_shapes_that_are_no_such_map_are_named(settings, shape, said):
    with pytest.raises(ValueError, match=said):
        SegmentationDecoder(**settings)([np.zeros(shape, np.float32)], [fit((8, 8), (8, 8), "stretch")])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SegmentationDecoder(format="scores_last"), "format: expected one of scores"),
        (lambda: SegmentationDecoder(resize="bilinear"), "resize: expected one of nearest, linear"),
        (lambda: SegmentationDecoder(format="class_map", resize="linear"), "between which there is nothing"),
        (lambda: SegmentationDecoder(threshold=1.5), "threshold: expected a number from 0 to 1"),
        (lambda: SegmentationDecoder(activation="softmax"), "activation: expected one of sigmoid, none"),
        (lambda: DenseDecoder(scale=0), "scale: expected a number other than 0"),
        (lambda: DenseDecoder(shift=np.nan), "shift: expected a finite number"),
        (lambda: LabelDecoder(activation="softmax"), "activation: expected one of sigmoid, none"),
        (lambda: LabelDecoder(confidence=2), "confidence: expected a number from 0 to 1"),
        (lambda: ClassificationDecoder(background="zero"), "background: expected one of first, last"),
    ],
)
def test_arguments_that_cannot_be_are_named(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("shape", [(2, 6, 9), (2, 1, 6, 9)])
def test_values_are_drawn_out_then_scaled_then_inverted(shape):
    cells = RNG.uniform(0.1, 1, shape).astype(np.float32)
    geometries = [fit((24, 36), (12, 18), "stretch")] * 2
    plain = DenseDecoder()([cells], geometries)
    scaled = DenseDecoder(scale=9.99, shift=0.01, invert=True)([cells], geometries)
    for values, p, s in zip(cells.reshape(2, 6, 9), plain, scaled, strict=True):
        expected = cv2.resize(values, (36, 24), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(p.values, expected, rtol=1e-5)
        np.testing.assert_allclose(s.values, 1 / (9.99 * expected.astype(np.float64) + 0.01), rtol=1e-5)
        assert p.values.dtype == s.values.dtype == np.float32


def test_what_has_no_value_is_nan():
    cells = np.array([[[2.0, 0.0, -1.0, np.inf]]], np.float32)
    geometry = fit((1, 4), (1, 4), "stretch")
    (found,) = DenseDecoder(invert=True)([cells[..., :3]], [fit((1, 3), (1, 3), "stretch")])
    np.testing.assert_array_equal(found.values, np.array([[0.5, np.nan, np.nan]], np.float32))
    assert not np.isfinite(DenseDecoder()([cells], [geometry])[0].values[0, 3])
    (cut,) = DenseDecoder()([np.ones((1, 16, 16), np.float32)], [CROP])
    assert np.isnan(cut.values[:, :10]).all()
    assert (cut.values[:, 10:30] == 1).all()


@pytest.mark.parametrize("shapes", [[], [(1, 2, 8, 8)], [(1, 8)], [(1, 8, 8), (1, 8, 8)], [(1, 0, 8)]])
def test_what_is_no_map_of_values_is_named(shapes):
    with pytest.raises(
        ValueError, match=r"dense: expected one output \(B, 1, height, width\) or \(B, height, width\), got"
    ):
        DenseDecoder()([np.zeros(s, np.float32) for s in shapes], [fit((8, 8), (8, 8), "stretch")])


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_labels_are_all_classes_above_the_threshold_best_first(activation):
    rows = np.array([[0.7, -3, 0.7, 5, np.nan], [-1, -2, -3, -4, -5]], np.float32)
    rows = rows if activation == "sigmoid" else reference.sigmoid(rows)
    first, second = LabelDecoder(0.5, activation)([rows], [fit((4, 4), (4, 4), "stretch")] * 2)
    assert first.class_ids.tolist() == [3, 0, 2]
    np.testing.assert_allclose(first.scores, 1 / (1 + np.exp([-5, -0.7, -0.7])), rtol=1e-6)
    assert len(second) == 0
    assert (second.class_ids.dtype, second.scores.dtype) == (np.int64, np.float32)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("background", ["first", "last"])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_a_backgrounds_column_is_no_class_and_keeps_its_part_in_the_softmax(engine, background, activation):
    rows = random_map(6, 9)
    rows[0, 0 if background == "first" else 8] = 50
    geometries = [fit((4, 4), (4, 4), "stretch")] * 6
    found = ClassificationDecoder(3, activation, engine, background)([rows], geometries)
    whole = ClassificationDecoder(9, activation, engine)([rows], geometries)
    own = slice(1, None) if background == "first" else slice(None, -1)
    for row, f, w in zip(rows, found, whole, strict=True):
        assert f.class_ids.tolist() == np.argsort(-row[own], kind="stable")[:3].tolist()
        score_of = dict(zip(w.class_ids.tolist(), w.scores.tolist(), strict=True))
        assert f.scores.tolist() == [score_of[k + (background == "first")] for k in f.class_ids.tolist()]


def test_a_background_alone_is_refused():
    with pytest.raises(ValueError, match="a class beside the background"):
        ClassificationDecoder(background="first")([np.zeros((1, 1), np.float32)], [fit((4, 4), (4, 4), "stretch")])
