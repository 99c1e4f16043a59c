"""Preprocess against OpenCV's and Pillow's own functions, with every layout, dtype, colour and stride."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seatrial.errors import DataError
from seatrial.kernels.preprocess import Preprocess

OPENCV = {
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "area": cv2.INTER_AREA,
    "cubic": cv2.INTER_CUBIC,
}
PILLOW = {"antialias_linear": Image.Resampling.BILINEAR, "antialias_cubic": Image.Resampling.BICUBIC}
SHAPES = [(48, 64), (37, 91), (91, 37), (1, 1), (1, 77), (77, 1), (40, 40), (300, 20), (3, 5)]
RAW = {"scale": 1, "dtype": "uint8"}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def noise(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def bordered(bgr, size, interpolation=cv2.INTER_LINEAR, anchor="center", pad=114):
    """The letterbox that everybody copies: cv2.resize, then cv2.copyMakeBorder."""
    ratio = min(size[0] / bgr.shape[0], size[1] / bgr.shape[1])
    height, width = max(1, round(bgr.shape[0] * ratio)), max(1, round(bgr.shape[1] * ratio))
    resized = cv2.resize(bgr, (width, height), interpolation=interpolation)
    top, left = ((size[0] - height) // 2, (size[1] - width) // 2) if anchor == "center" else (0, 0)
    bottom, right = size[0] - height - top, size[1] - width - left
    return cv2.copyMakeBorder(resized, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(pad, pad, pad))


@pytest.mark.parametrize("source_hw", SHAPES)
@pytest.mark.parametrize("interpolation", OPENCV)
def test_letterbox_is_resize_border_and_blob(source_hw, interpolation):
    image = noise(*source_hw)
    blob = cv2.dnn.blobFromImage(bordered(image, (40, 40), OPENCV[interpolation]), 1 / 255, swapRB=True)
    # Older versions of OpenCV scale in double: one rounding less. Its cubic depends on Intel's IPP.
    tolerance = {"rtol": 0, "atol": 1.001 / 255} if interpolation == "cubic" else {"rtol": 2e-7}
    np.testing.assert_allclose(Preprocess(size=(40, 40), interpolation=interpolation)(image), blob, **tolerance)


@pytest.mark.parametrize("size", [(32, 64), (64, 32), (33, 47), (1, 1), (1, 9)])
@pytest.mark.parametrize("anchor", ["center", "top_left"])
@pytest.mark.parametrize("pad", [0, 114, 255])
def test_letterbox_anchors_and_pads(size, anchor, pad):
    image = noise(20, 31)
    tensor = Preprocess(size=size, pad_anchor=anchor, pad_value=pad, color="bgr", layout="nhwc", **RAW)(image)
    np.testing.assert_array_equal(tensor[0], bordered(image, size, anchor=anchor, pad=pad))


@pytest.mark.parametrize("source_hw", SHAPES)
@pytest.mark.parametrize("interpolation", PILLOW)
def test_antialias_is_pillows_resize(source_hw, interpolation):
    image = noise(*source_hw)
    kernel = Preprocess(size=(24, 36), mode="stretch", interpolation=interpolation, layout="nhwc", **RAW)
    expected = Image.fromarray(image[..., ::-1].copy()).resize((36, 24), PILLOW[interpolation])
    np.testing.assert_array_equal(kernel(image)[0], np.asarray(expected))


@pytest.mark.parametrize("source_hw", [(300, 400), (401, 300), (257, 256), (40, 90), (31, 31)])
def test_a_centre_crop_is_pillows(source_hw):
    short, crop = 64, 56
    height, width = source_hw
    image = noise(height, width)
    resized = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    left, top = (round((side - crop) / 2.0) for side in resized)
    pillow = Image.fromarray(image[..., ::-1].copy()).resize(resized, Image.Resampling.BILINEAR)
    kernel = Preprocess(
        size=(crop, crop), mode="resize_center_crop", interpolation="antialias_linear", layout="nhwc", **RAW
    )
    np.testing.assert_array_equal(kernel(image)[0], np.asarray(pillow.crop((left, top, left + crop, top + crop))))


def test_a_crop_beyond_the_image_is_padded():
    kernel = Preprocess(size=(8, 8), mode="resize_center_crop", resize_short=4, pad_value=7, layout="nhwc", **RAW)
    expected = np.full((8, 8, 3), 7, np.uint8)
    expected[2:6, 2:6] = 200
    np.testing.assert_array_equal(kernel(np.full((4, 4, 3), 200, np.uint8))[0], expected)


def test_pad_keeps_every_pixel():
    image = noise(5, 6)
    tensor = Preprocess(size=(9, 8), mode="pad", color="bgr", pad_value=0, layout="nhwc", **RAW)(image)[0]
    np.testing.assert_array_equal(tensor, cv2.copyMakeBorder(image, 2, 2, 1, 1, cv2.BORDER_CONSTANT))
    with pytest.raises(DataError, match="at most 4 × 8"):
        Preprocess(size=(4, 8), mode="pad")(image)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("given_color", ["bgr", "rgb"])
@pytest.mark.parametrize("color", ["bgr", "rgb", "gray"])
def test_values_follow_the_formula(layout, dtype, given_color, color):
    image = noise(6, 7)
    rgb = image if given_color == "rgb" else image[..., ::-1]
    statistics = {"mean": 0.45, "std": 0.2} if color == "gray" else IMAGENET
    if color == "gray":
        planes = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)[..., None]
    else:
        planes = rgb if color == "rgb" else rgb[..., ::-1]
    expected = (planes / 255 - np.array(statistics["mean"])) / np.array(statistics["std"])
    kernel = Preprocess(
        size=(6, 7), color=color, input_color=given_color, layout=layout, dtype=dtype, scale=1 / 255, **statistics
    )
    tensor = kernel(image)
    assert (tensor.shape[1:], tensor.dtype) == (kernel.shape, dtype)
    error = 2e-6 if dtype == "float32" else 2e-3
    np.testing.assert_allclose(tensor[0] if layout == "nhwc" else tensor[0].transpose(1, 2, 0), expected, atol=error)


def test_float16_is_rounded_from_float32():
    image = noise(30, 30)
    full, half = (Preprocess(size=(20, 20), dtype=d, **IMAGENET)(image) for d in ("float32", "float16"))
    np.testing.assert_array_equal(half, full.astype(np.float16))


@pytest.mark.parametrize("interpolation", [*OPENCV, *PILLOW])
@pytest.mark.parametrize("mode", ["letterbox", "stretch", "resize_center_crop"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_grey_image_is_one_plane_of_a_grey_colour_image(interpolation, mode, layout):
    gray = noise(37, 91, 1)
    settings = {"size": (20, 28), "interpolation": interpolation, "mode": mode, "layout": layout}
    tensor = Preprocess(color="gray", input_color="gray", mean=0, std=1, **settings)(gray)
    color = Preprocess(color="bgr", **settings)(np.repeat(gray, 3, axis=2))
    np.testing.assert_array_equal(tensor, color[:, :1] if layout == "nchw" else color[..., :1])
    flat = Preprocess(color="gray", input_color="gray", mean=0, std=1, **settings)(gray[..., 0])
    np.testing.assert_array_equal(flat, tensor)


def test_grey_is_bt601():
    rgb = noise(64, 64)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    tensor = Preprocess(size=(64, 64), color="gray", input_color="rgb", mean=0, std=1, layout="nhwc", **RAW)(rgb)
    np.testing.assert_allclose(tensor[0, ..., 0], luma, atol=0.51)


def test_three_equal_statistics_serve_grey():
    assert Preprocess(size=(2, 2), color="gray", mean=(0.5, 0.5, 0.5), std=[2, 2, 2]).std == (2.0,)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[:, ::-1],
        lambda a: a[::-1],
        lambda a: a[..., ::-1],
        lambda a: a[::2, ::3],
        lambda a: a[5:-4, 3:-2],
        lambda a: a.transpose(1, 0, 2),
        lambda a: np.asfortranarray(a),
        lambda a: a[::-2, ::-1, ::-1],
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: np.frombuffer(a.tobytes(), np.uint8).reshape(a.shape),
    ],
)
@pytest.mark.parametrize("interpolation", ["linear", "antialias_linear"])
def test_strides_do_not_matter(view, interpolation):
    array = noise(33, 44)
    image, before = view(array), array.copy()
    kernel = Preprocess(size=(16, 24), interpolation=interpolation)
    np.testing.assert_array_equal(kernel(image), kernel(image.copy(order="C")))
    np.testing.assert_array_equal(array, before)


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40),
    st.sampled_from(["letterbox", "stretch", "resize_center_crop"]), st.sampled_from([*OPENCV, *PILLOW]),
    st.sampled_from(["rgb", "gray"]), st.sampled_from(["nchw", "nhwc"]),
)  # fmt: skip
def test_one_grey_level_stays_that_level(h, w, out_h, out_w, mode, interpolation, color, layout):
    kernel = Preprocess(
        size=(out_h, out_w), mode=mode, interpolation=interpolation, color=color, layout=layout, pad_value=93, **RAW
    )
    tensor = kernel(np.full((h, w, 3), 93, np.uint8))
    assert tensor.shape == (1, *kernel.shape)
    assert set(np.unique(tensor)) == {93}


def test_out_is_filled_and_returned():
    kernel = Preprocess(size=(8, 8))
    out = np.full((1, 3, 8, 8), np.nan, np.float32)
    assert kernel(noise(5, 6), out=out) is out
    np.testing.assert_array_equal(out, kernel(noise(5, 6)))


def test_out_may_be_a_strided_slot():
    kernel = Preprocess(size=(8, 8))
    memory = np.full((4, 3, 8, 16), np.nan, np.float32)
    kernel(noise(5, 6), out=memory[2:3, :, :, ::-2])
    np.testing.assert_array_equal(memory[2:3, :, :, ::-2], kernel(noise(5, 6)))
    assert np.isnan(memory).sum() == memory.size - 3 * 8 * 8


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (
            np.empty((3, 8, 8), np.float32),
            r"expected float32 of shape \(1, 3, 8, 8\), got float32 of shape \(3, 8, 8\)",
        ),
        (np.empty((2, 3, 8, 8), np.float32), r"expected float32 of shape \(1, 3, 8, 8\)"),
        (np.empty((1, 8, 8, 3), np.float32), r"got float32 of shape \(1, 8, 8, 3\)"),
        (np.empty((1, 3, 8, 8), np.float64), "got float64 of shape"),
        (np.empty((1, 3, 8, 8), ">f4"), "expected float32 of shape .*, got >f4"),
        (np.broadcast_to(np.float32(0), (1, 3, 8, 8)), "expected a writeable array, got a read-only one"),
    ],
)
def test_another_out_is_refused(out, message):
    with pytest.raises(ValueError, match=f"^out: .*{message}"):
        Preprocess(size=(8, 8))(noise(5, 6), out=out)


def test_a_batch_is_its_images():
    kernel = Preprocess(size=(8, 8))
    images = [noise(h, w, seed=h) for h, w in SHAPES]
    expected = np.concatenate([kernel(i) for i in images])
    np.testing.assert_array_equal(kernel.batch(images), expected)
    out = np.empty_like(expected)
    assert kernel.batch(images, out=out) is out
    np.testing.assert_array_equal(out, expected)
    assert kernel.batch([]).shape == (0, 3, 8, 8)
    with pytest.raises(ValueError, match=r"expected float32 of shape \(2, 3, 8, 8\)"):
        kernel.batch(images[:2], out=out)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8), np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 3), np.int8), np.zeros((4, 4, 3), bool),
        np.zeros((0, 4, 3), np.uint8), np.zeros((4, 0, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=lambda i: f"{i.dtype}{i.shape}",
)  # fmt: skip
def test_another_image_is_refused(image):
    with pytest.raises(ValueError, match=r"expected uint8 of shape \(height, width, 3\) for input_color 'bgr', got"):
        Preprocess(size=(8, 8))(image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "leterbox"}, "mode: .*got 'leterbox' (did you mean 'letterbox'?)"),
        ({"interpolation": "bilinear"}, "interpolation: .*(did you mean 'linear'?)"),
        ({"interpolation": "antialias_cubik"}, "interpolation: .*(did you mean 'antialias_cubic'?)"),
        ({"pad_anchor": "topleft"}, "pad_anchor: .*(did you mean 'top_left'?)"),
        ({"color": "grey"}, "color: .*(did you mean 'gray'?)"),
        ({"input_color": "rbg"}, "input_color: .*(did you mean 'rgb'?)"),
        ({"layout": "nhcw"}, "layout: .*(did you mean 'nhwc'?)"),
        ({"dtype": "float"}, "dtype: .*(did you mean 'float32'?)"),
        ({"dtype": 3}, "dtype: expected one of float32, float16, uint8, int8, got 3"),
        ({"dtype": "uint8"}, "dtype: uint8 keeps raw levels"),
        ({"dtype": "uint8", "scale": 1, "mean": (0, 0, 1)}, "dtype: uint8 keeps raw levels"),
        ({"input_color": "gray"}, "input_color: a one-channel gray image cannot become colour"),
        ({"size": (8,)}, "size: expected (height, width) of positive integers, got (8,)"),
        ({"size": (8, 0)}, "size: .*got (8, 0)"),
        ({"size": (8, 8.5)}, "size: .*got (8, 8.5)"),
        ({"size": "88"}, "size: .*got '88'"),
        ({"pad_value": 256}, "pad_value: expected a whole grey level from 0 to 255, got 256"),
        ({"pad_value": -1}, "pad_value: .*got -1"),
        ({"pad_value": 0.5}, "pad_value: .*got 0.5"),
        ({"resize_short": 0}, "resize_short: expected a positive whole number of pixels, got 0"),
        ({"resize_short": 9.5}, "resize_short: .*got 9.5"),
        ({"mean": (1, 2)}, "mean: expected 3 values, one a channel, got 2"),
        ({"std": 1}, "std: expected 3 values, one a channel, got 1"),
        ({"mean": (1, 2, 3), "color": "gray"}, "mean: expected 1 value, one a channel, got 3"),
        ({"std": (1, 0, 1)}, "std: expected finite values other than zero"),
        ({"std": (1, 1e-50, 1)}, "std: expected finite values other than zero"),
        ({"std": (1, np.inf, 1)}, "std: expected finite values other than zero"),
        ({"mean": (0, np.nan, 0)}, "mean: expected finite numbers"),
        ({"scale": np.inf}, "scale: expected finite numbers, got inf"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_named(arguments, message):
    start, _, end = message.partition(".*")
    with pytest.raises(ValueError) as e:
        Preprocess(**{"size": (8, 8)} | arguments)
    assert str(e.value).startswith(start)
    assert end in str(e.value)


def test_it_is_frozen_and_hashable():
    kernel = Preprocess(size=[8, 9], mean=np.zeros(3), std=[1, 1, 1])
    assert kernel == Preprocess(size=(8, 9))
    assert hash(kernel) == hash(Preprocess(size=(8, 9)))
    assert Preprocess(size=8).size == (8, 8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        kernel.mode = "pad"
