"""Inputs of each image's own size: the pixels are those of a letterbox without the padding that it does not need."""

import cv2
import numpy as np
import pytest

from seatrial.kernels.preprocess import Preprocess

RNG = np.random.default_rng(0)
both = pytest.mark.parametrize("engine", ["native", "reference"])


@both
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_rect_is_the_letterbox_without_its_spare_rows(engine, layout):
    image = RNG.integers(0, 256, (60, 128, 3), np.uint8)
    settings = {"size": (128, 128), "layout": layout, "engine": engine}
    rect, letterbox = Preprocess(mode="rect", **settings), Preprocess(**settings)
    got, whole = rect(image), letterbox(image)
    assert got.shape == ((1, 3, 64, 128) if layout == "nchw" else (1, 64, 128, 3))
    rows = slice(32, 96)
    np.testing.assert_array_equal(got, whole[:, :, rows] if layout == "nchw" else whole[:, rows])


@both
def test_keep_ratio_is_a_plain_resize(engine):
    image = RNG.integers(0, 256, (50, 80, 3), np.uint8)
    kernel = Preprocess(size=(96, 128), mode="keep_ratio", stride=1, scale=1, color="bgr", engine=engine)
    expected = cv2.resize(image, (128, 80)).transpose(2, 0, 1)[None].astype(np.float32)
    np.testing.assert_array_equal(kernel(image), expected)


@both
def test_images_of_one_input_size_are_a_batch_and_others_are_none(engine):
    kernel = Preprocess(size=(64, 64), mode="rect", engine=engine)
    wide, wider, high = (np.zeros((*hw, 3), np.uint8) for hw in ((32, 64), (64, 128), (64, 32)))
    assert kernel.batch([wide, wider]).shape == (2, 3, 32, 64)
    with pytest.raises(ValueError, match="mode rect gives inputs of unlike sizes"):
        kernel.batch([wide, high])
    assert kernel.batch([]).shape == (0, 3, 64, 64)


def test_out_must_have_the_images_own_shape():
    kernel = Preprocess(size=(64, 64), mode="rect")
    with pytest.raises(
        ValueError, match=r"expected float32 of shape \(1, 3, 32, 64\), got float32 of shape \(1, 3, 64, 64\)"
    ):
        kernel(np.zeros((32, 64, 3), np.uint8), out=np.zeros((1, 3, 64, 64), np.float32))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"stride": 64}, "stride: expected mode rect or keep_ratio with it, got mode 'letterbox'"),
        ({"scaling": "down"}, "scaling: expected mode rect or keep_ratio"),
        ({"to_stride": "stretch"}, "to_stride: expected mode rect or keep_ratio"),
        ({"mode": "rect", "stride": 0}, "stride: expected a positive whole number of pixels, got 0"),
        ({"mode": "rect", "scaling": "upp"}, "scaling"),
    ],
)
def test_settings_that_nothing_reads_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        Preprocess(size=(64, 64), **settings)
