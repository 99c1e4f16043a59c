"""Native preprocessing at every SIMD level against engine="reference", OpenCV, Pillow, and memory it must not touch."""

import dataclasses
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import PIL
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from PIL import Image

from seatrial._native import kernels
from seatrial.errors import DataError
from seatrial.kernels.preprocess import Preprocess

OPENCV = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}
PILLOW = {"antialias_linear": Image.Resampling.BILINEAR, "antialias_cubic": Image.Resampling.BICUBIC}
EXACT = (*OPENCV, *PILLOW)
INTERPOLATIONS = (*EXACT, "cubic")
CHANNELS = {"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4, "gray": 1}
YUV = ("nv12", "i420")
RAW = {"scale": 1, "dtype": "uint8"}
# Raw levels of three channels as they come, which OpenCV's and Pillow's results have too.
PLAIN = {**RAW, "layout": "nhwc", "color": "bgr", "mode": "stretch"}
GRAY = {**PLAIN, "color": "gray", "mean": 0, "std": 1}


@pytest.fixture(params=kernels.simd_levels(), scope="module", autouse=True)
def simd(request):
    before = kernels.simd_level()
    kernels.select_simd(request.param)
    yield request.param
    kernels.select_simd(before)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def picture(height, width, input_color, seed=0):
    """Noise in the form that `input_color` asks for."""
    half = (height + 1) // 2, (width + 1) // 2
    if input_color == "nv12":
        return noise(height, width, seed=seed), noise(*half, 2, seed=seed + 1)
    if input_color == "i420":
        return noise(height, width, seed=seed), noise(*half, seed=seed + 1), noise(*half, seed=seed + 2)
    return noise(height, width, CHANNELS[input_color], seed=seed)


def of_channels(input_color):
    """Settings that keep raw levels of as many channels as come."""
    return (GRAY if input_color == "gray" else PLAIN) | {"input_color": input_color}


def by_reference(kernel, image):
    return dataclasses.replace(kernel, engine="reference")(image)


def assert_same_bits(got, expected):
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    if got.tobytes() != expected.tobytes():
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(expected))


# ---- Against engine="reference" ----

side = st.integers(1, 9) | st.integers(1, 70) | st.integers(71, 200)
# Negative, tiny (subnormal in float32), huge: whatever has no exact short cut must go through the table.
scales = st.sampled_from([1 / 255, 1.0, -1 / 255, 2.5, 1e-6, 1e-30, 1e-42, 1e36, 0.0, 1 / 128])
means = st.sampled_from([0.0, 0.485, -0.5, 1.0, 1e-7, 114.0])
deviations = st.sampled_from([1.0, 0.229, -0.5, 1e-6, 255.0, 3.0, 1e-40])


@st.composite
def sizes(draw):
    """(source_hw, size): any, whole factors, exactly half, enlarged, one pixel high or wide."""
    height, width, out_h, out_w = draw(side), draw(side), draw(side), draw(side)
    kind = draw(st.sampled_from(["any", "any", "whole", "half", "same", "long", "enlarged"]))
    if kind == "whole":
        out_h, out_w = min(out_h, 40), min(out_w, 40)
        height, width = out_h * draw(st.integers(1, 6)), out_w * draw(st.integers(1, 6))
    elif kind == "half":
        height, width = 2 * out_h, 2 * out_w
    elif kind == "same":
        height, width = out_h, out_w
    elif kind == "long":
        height, width = draw(st.permutations([draw(st.integers(1, 3)), draw(st.integers(500, 5000))]))
        out_h, out_w = min(out_h, 40), min(out_w, 40)
    elif kind == "enlarged":
        height, width = min(height, 12), min(width, 12)
    return (height, width), (out_h, out_w)


@st.composite
def cases(draw, interpolations):
    """(kernel, image): every setting that changes a value."""
    (height, width), size = draw(sizes())
    input_color = draw(st.sampled_from([*CHANNELS, *YUV]))
    color = "gray" if input_color == "gray" else draw(st.sampled_from(["rgb", "bgr", "gray"]))
    mode = draw(st.sampled_from(["letterbox", "stretch", "resize_center_crop", "pad"]))
    if mode == "pad":
        height, width = min(height, size[0]), min(width, size[1])
    channels = 1 if color == "gray" else 3
    dtype = draw(st.sampled_from(["float32", "float32", "float16", "uint8", "int8"]))
    arithmetic = {"scale": 1, "mean": (0,) * channels, "std": (1,) * channels}
    if dtype == "int8" or (dtype == "uint8" and draw(st.booleans())):
        limits = np.iinfo(dtype)
        arithmetic["quant_scale"] = draw(st.sampled_from([1 / 255, 0.01, 0.018658, 1.0, 1e-12]))
        arithmetic["zero_point"] = draw(st.integers(int(limits.min), int(limits.max)))
    if dtype != "uint8" or "quant_scale" in arithmetic:
        arithmetic["scale"] = draw(scales)
        if draw(st.booleans()):
            arithmetic["mean"] = draw(st.tuples(*[means] * channels))
        if draw(st.booleans()):
            arithmetic["std"] = draw(st.tuples(*[deviations] * channels))
        largest = 255 * abs(arithmetic["scale"]) + max(map(abs, arithmetic["mean"]))
        assume(largest / min(map(abs, arithmetic["std"])) < 3e38)
    kernel = Preprocess(
        size=size, mode=mode, color=color, input_color=input_color, dtype=dtype, **arithmetic,
        interpolation=draw(st.sampled_from(interpolations)),
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
        pad_value=draw(st.integers(0, 255)), pad_anchor=draw(st.sampled_from(["center", "top_left"])),
        yuv_matrix=draw(st.sampled_from(["bt601", "bt709"])), yuv_range=draw(st.sampled_from(["limited", "full"])),
        resize_short=draw(st.none() | st.integers(1, 60)),
    )  # fmt: skip
    return kernel, picture(height, width, input_color, seed=draw(st.integers(0, 1000)))


def fits(kernel, image):
    try:
        resized = kernel.geometry((image[0] if isinstance(image, tuple) else image).shape[:2]).resized_hw
    except DataError:
        return False
    return resized[0] * resized[1] < 1 << 20  # a long image's crop is a large resize: slow, and no other code


@settings(max_examples=700)
@given(case=cases(EXACT))
def test_it_equals_the_reference(case):
    kernel, image = case
    assume(fits(*case))
    assert_same_bits(kernel(image), by_reference(kernel, image))


@pytest.mark.slow
@settings(max_examples=300)
@given(case=cases(["cubic"]))
def test_cubic_is_at_most_one_level_off_and_the_same_at_every_simd_level(case, simd):
    kernel, image = case
    assume(fits(*case))
    got = kernel(image)
    try:
        kernels.select_simd("scalar")
        assert_same_bits(got, kernel(image))
    finally:
        kernels.select_simd(simd)
    statistics = (0,) * kernel.channels, (1,) * kernel.channels
    raw = dataclasses.replace(kernel, **RAW, mean=statistics[0], std=statistics[1], quant_scale=None, zero_point=0)
    assert np.abs(raw(image).astype(int) - by_reference(raw, image)).max() <= 1
    # Each value is the table's for its level, so that one level is all that any dtype can be off.
    assert_same_bits(got, through_table(kernel, raw(image)))


def through_table(kernel, levels):
    """What the kernel makes of raw levels: each one alone, in a kernel that does not resize."""
    channels, axis = kernel.channels, 1 if kernel.layout == "nchw" else 3
    out = np.empty(levels.shape, kernel.dtype)
    planes, results = np.moveaxis(levels, axis, 0), np.moveaxis(out, axis, 0)
    color = "gray" if channels == 1 else "bgr"
    alone = dataclasses.replace(
        kernel, size=(1, 256), mode="stretch", color=color, input_color=color, layout="nchw", engine="reference"
    )
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], channels, axis=2)
    table = alone(ramp)[0, :, 0]
    for c in range(channels):
        results[c] = table[c][planes[c]]
    return out


@pytest.mark.parametrize("interpolation", EXACT)
@pytest.mark.parametrize("input_color", ["bgr", "bgra", "gray", "nv12"])
@pytest.mark.parametrize(
    ("source_hw", "size"),
    [
        ((1, 5000), (1, 33)), ((5000, 1), (33, 1)), ((1, 5000), (640, 640)), ((5000, 1), (7, 7)), ((3, 4999), (2, 2500)),
        ((1, 1), (64, 65)), ((2, 2), (1, 1)), ((480, 640), (240, 320)), ((333, 500), (224, 224)), ((31, 17), (300, 301)),
    ],
)  # fmt: skip
def test_odd_shapes_equal_the_reference(interpolation, input_color, source_hw, size):
    color = "gray" if input_color == "gray" else "rgb"
    settings = {"mean": 0, "std": 1} if color == "gray" else {}
    kernel = Preprocess(size=size, interpolation=interpolation, input_color=input_color, color=color, **settings)
    for mode in ("letterbox", "stretch"):
        image = picture(*source_hw, input_color)
        assert_same_bits(
            dataclasses.replace(kernel, mode=mode)(image), by_reference(dataclasses.replace(kernel, mode=mode), image)
        )


# ---- Against OpenCV and Pillow themselves ----


@settings(max_examples=300)
@given(sizes(), st.sampled_from(sorted(OPENCV)), st.sampled_from([1, 3]), st.integers(0, 1000))
def test_opencvs_interpolations_are_opencvs(shapes, interpolation, channels, seed):
    (height, width), size = shapes
    image = noise(height, width, channels, seed=seed)
    kernel = Preprocess(size=size, interpolation=interpolation, **of_channels("gray" if channels == 1 else "bgr"))
    expected = cv2.resize(image, size[::-1], interpolation=OPENCV[interpolation]).reshape(*size, channels)
    np.testing.assert_array_equal(kernel(image)[0], expected)


@pytest.mark.parametrize("source_hw", [(1080, 1920), (720, 1279), (333, 1001)])
@pytest.mark.parametrize("size", [(640, 640), (360, 640), (224, 225)])
@pytest.mark.parametrize("interpolation", OPENCV)
def test_whole_pictures_are_opencvs(source_hw, size, interpolation):
    image = noise(*source_hw, 3)
    expected = cv2.resize(image, size[::-1], interpolation=OPENCV[interpolation])
    np.testing.assert_array_equal(Preprocess(size=size, interpolation=interpolation, **PLAIN)(image)[0], expected)


PILLOW_SIZES = [
    ((480, 640), (224, 224)), ((333, 500), (256, 300)), ((500, 333), (40, 300)), ((64, 64), (129, 200)),
    ((1000, 20), (100, 19)), ((20, 1000), (19, 100)), ((97, 101), (31, 203)), ((97, 101), (203, 31)), ((1, 50), (9, 9)),
]  # fmt: skip


@pytest.mark.parametrize("interpolation", PILLOW)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("source_hw", "size"), PILLOW_SIZES)
def test_antialias_is_pillows(interpolation, channels, source_hw, size):
    less_high, less_wide = (s - r for s, r in zip(source_hw, size, strict=True))
    if less_high > 0 and less_high > 2 * less_wide and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("before Pillow 13 the width always went first")
    image = noise(*source_hw, channels)
    kernel = Preprocess(size=size, interpolation=interpolation, **of_channels("gray" if channels == 1 else "bgr"))
    pillow = Image.fromarray(image if channels == 3 else image[..., 0]).resize(size[::-1], PILLOW[interpolation])
    error = np.abs(kernel(image)[0].astype(int) - np.asarray(pillow).reshape(*size, channels))
    assert error.max() <= 1
    assert (error == 0).mean() >= 0.999


@pytest.mark.parametrize("hw", [(2, 2), (48, 64), (270, 482), (6, 1026)])
@pytest.mark.parametrize("input_color", YUV)
def test_limited_bt601_is_opencvs(hw, input_color):
    image = noise(hw[0] * 3 // 2, hw[1])
    code = {"nv12": cv2.COLOR_YUV2BGR_NV12, "i420": cv2.COLOR_YUV2BGR_I420}[input_color]
    got = Preprocess(size=hw, input_color=input_color, **PLAIN)(image)[0]
    np.testing.assert_array_equal(got, cv2.cvtColor(image, code))


def test_every_luma_and_chroma_is_opencvs():
    """Each Y with each U and some V: 65,536 pairs in one picture."""
    y, u = np.mgrid[0:256, 0:256].astype(np.uint8)
    for v in (0, 16, 127, 128, 240, 255):
        planes = np.repeat(np.repeat(y, 2, axis=0), 2, axis=1), u, np.full_like(u, v)
        got = Preprocess(size=(512, 512), input_color="i420", **PLAIN)(planes)[0]
        stacked = np.concatenate([p.reshape(-1, 512) for p in planes])
        np.testing.assert_array_equal(got, cv2.cvtColor(stacked, cv2.COLOR_YUV2BGR_I420))


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("value_range", ["limited", "full"])
def test_yuv_follows_the_standards(matrix, value_range):
    """Within one level of the formulas in ITU-R BT.601-7 and BT.709-6, in float64."""
    y, u, v = noise(40, 40), noise(20, 20, seed=1), noise(20, 20, seed=2)
    kernel = Preprocess(
        size=(40, 40), input_color="i420", yuv_matrix=matrix, yuv_range=value_range, **{**PLAIN, "color": "rgb"}
    )
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    cb, cr = (p.repeat(2, axis=0).repeat(2, axis=1) - 128.0 for p in (u, v))
    luma = y.astype(float)
    if value_range == "limited":
        # Below black counts as black, as in OpenCV.
        luma, cb, cr = np.maximum(luma - 16, 0) * 255 / 219, cb * 255 / 224, cr * 255 / 224
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    np.testing.assert_allclose(kernel((y, u, v))[0], np.clip(np.stack([r, g, b], axis=-1), 0, 255), atol=1)


@pytest.mark.parametrize(
    ("input_color", "code"),
    [
        ("bgr", cv2.COLOR_BGR2GRAY), ("rgb", cv2.COLOR_RGB2GRAY), ("bgra", cv2.COLOR_BGRA2GRAY),
        ("rgba", cv2.COLOR_RGBA2GRAY),
    ],
)  # fmt: skip
@pytest.mark.parametrize("hw", [(300, 301), (1, 1), (3, 7), (2, 17)])
def test_grey_is_opencvs(input_color, code, hw):
    image = noise(*hw, CHANNELS[input_color])
    got = Preprocess(size=hw, input_color=input_color, **GRAY)(image)[0, ..., 0]
    np.testing.assert_array_equal(got, cv2.cvtColor(image, code))


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("color", ["bgr", "rgb", "gray"])
def test_alpha_is_dropped(interpolation, color):
    image = noise(37, 53, 4)
    statistics = {"mean": 0, "std": 1} if color == "gray" else {}
    settings = {"size": (16, 24), "interpolation": interpolation, "color": color, **statistics}
    for name in ("bgr", "rgb"):
        opaque = Preprocess(input_color=name, **settings)(np.ascontiguousarray(image[..., :3]))
        assert_same_bits(Preprocess(input_color=name + "a", **settings)(image), opaque)


# ---- Memory: how images may lie in it ----


def inside(image, rows, columns):
    """The image as a part of a larger one."""
    big = noise(image.shape[0] + 2 * rows, image.shape[1] + 2 * columns, *image.shape[2:], seed=9)
    part = big[rows : rows + image.shape[0], columns : columns + image.shape[1]]
    part[...] = image
    return part


def spread(image, axis, step):
    """The image with `step` elements from one to the next along an axis."""
    shape = list(image.shape)
    shape[axis] *= abs(step)
    at = [slice(None)] * image.ndim
    at[axis] = slice(None, None, step)
    part = noise(*shape, seed=9)[tuple(at)]
    part[...] = image
    return part


def flipped(image, *axes):
    return np.flip(np.ascontiguousarray(np.flip(image, axes)), axes)


def read_only(image):
    copy = image.copy()
    copy.flags.writeable = False
    return copy


# Each gives an array of equal pixels.
MEMORY = {
    "crop": lambda a: inside(a, 3, 5),
    "rows apart": lambda a: spread(a, 0, 3),
    "columns apart": lambda a: spread(a, 1, 2),
    "rows upside down": lambda a: flipped(a, 0),
    "columns mirrored": lambda a: flipped(a, 1),
    "both flipped": lambda a: flipped(a, 0, 1),
    "channels reversed": lambda a: flipped(a, -1),
    "channels reversed in a crop": lambda a: inside(a[..., ::-1], 2, 1)[..., ::-1],
    "channels and rows reversed": lambda a: flipped(a, 0, -1),
    "everything reversed": lambda a: flipped(a, *range(a.ndim)),
    "transposed": lambda a: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "Fortran": np.asfortranarray,
    "channels apart": lambda a: spread(a, a.ndim - 1, 2),
    "read-only": read_only,
    "odd address": lambda a: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].reshape(a.shape),
}


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("input_color", ["bgr", "rgba", "gray"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest", "area", "antialias_cubic"])
def test_strides_of_the_image_do_not_matter(memory, input_color, interpolation):
    image = picture(33, 44, input_color)
    strided = MEMORY[memory](image)
    np.testing.assert_array_equal(strided, image)
    for size in ((16, 24), (33, 44), (70, 50)):
        kernel = Preprocess(size=size, interpolation=interpolation, **of_channels(input_color))
        assert_same_bits(kernel(strided), by_reference(kernel, image))
    np.testing.assert_array_equal(strided, image)


@pytest.mark.parametrize("memory", [k for k in MEMORY if "channels" not in k])
@pytest.mark.parametrize("input_color", YUV)
@pytest.mark.parametrize("which", ["luma", "chroma", "all", "last"])
def test_strides_of_planes_do_not_matter(memory, input_color, which):
    planes = list(picture(33, 45, input_color))
    chosen = {"luma": [0], "chroma": range(1, len(planes)), "all": range(len(planes)), "last": [len(planes) - 1]}[which]
    strided = [MEMORY[memory](p) if i in chosen else p for i, p in enumerate(planes)]
    for a, b in zip(strided, planes, strict=True):
        np.testing.assert_array_equal(a, b)
    kernel = Preprocess(size=(20, 30), input_color=input_color)
    assert_same_bits(kernel(tuple(strided)), by_reference(kernel, tuple(planes)))


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_broadcast_image_has_strides_of_zero(axes, interpolation):
    image = noise(33, 44, 3)[tuple(slice(1) if a in axes else slice(None) for a in range(3))]
    image = np.broadcast_to(image, (33, 44, 3))
    kernel = Preprocess(size=(16, 24), interpolation=interpolation)
    assert_same_bits(kernel(image), kernel(image.copy()))


def test_one_array_of_nv12_may_have_padded_rows():
    packed = noise(48, 64)
    padded = inside(packed, 0, 7)
    kernel = Preprocess(size=(20, 30), input_color="nv12")
    assert_same_bits(kernel(padded), kernel(packed))
    apart = packed[:32], packed[32:].reshape(16, 32, 2)
    assert_same_bits(kernel(apart), kernel(packed))
    assert_same_bits(kernel((apart[0], packed[32:])), kernel(packed))
    other = Preprocess(size=(20, 30), input_color="i420")
    planes = packed[:32], packed[32:40].reshape(16, 32), packed[40:].reshape(16, 32)
    assert_same_bits(other(planes), other(packed))


@pytest.mark.parametrize(
    ("input_color", "shapes", "message"),
    [
        ("nv12", [(47, 64)], r"expected uint8 of shape \(height \* 3 / 2, width\) with even height .* got uint8 of shape \(47, 64\)"),
        ("nv12", [(48, 63)], r"odd sizes go as planes: y \(height, width\) and uv"),
        ("i420", [(48, 64, 3)], r"for input_color 'i420', got uint8 of shape \(48, 64, 3\)"),
        ("i420", [(0, 64)], r"got uint8 of shape \(0, 64\)"),
        ("nv12", [(5, 7), (2, 4, 2)], r"expected uint8 planes .*got uint8 \(5, 7\), uint8 \(2, 4, 2\)"),
        ("nv12", [(4, 4), (2, 2), (2, 2)], "expected uint8 planes y .* and uv"),
        ("i420", [(4, 4), (2, 2, 2)], "expected uint8 planes y .* and u and v"),
        ("i420", [(4, 4), (2, 2), (2, 3)], r"got uint8 \(4, 4\), uint8 \(2, 2\), uint8 \(2, 3\)"),
        ("i420", [(4, 4, 1), (2, 2), (2, 2)], "expected uint8 planes"),
    ],
)  # fmt: skip
def test_other_planes_are_refused(input_color, shapes, message):
    planes = tuple(np.zeros(s, np.uint8) for s in shapes)
    with pytest.raises(ValueError, match=f"^image: .*{message}"):
        Preprocess(size=(8, 8), input_color=input_color)(planes if len(planes) > 1 else planes[0])


def test_planes_of_another_dtype_are_refused():
    planes = np.zeros((4, 4), np.uint8), np.zeros((2, 2), np.int8), np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"expected uint8 planes .* got uint8 \(4, 4\), int8 \(2, 2\)"):
        Preprocess(size=(8, 8), input_color="i420")(planes)
    with pytest.raises(ValueError, match="give the planes apart"):
        Preprocess(size=(8, 8), input_color="i420")(noise(48, 128)[:, :64])


# ---- Memory: where the tensor goes ----


def unaligned(shape, dtype):
    memory = np.full(int(np.prod(shape)) * np.dtype(dtype).itemsize + 8, 0x5A, np.uint8)
    start = 1 if memory.ctypes.data % 2 == 0 else 2
    return memory, memory[start : start - 8].view(dtype).reshape(shape)


def sparse(shape, dtype, *steps):
    """Memory and every steps-th element of it along each axis."""
    memory = np.full([n * abs(s) for n, s in zip(shape, steps, strict=True)], 77, dtype)
    return memory, memory[tuple(slice(None, None, s) for s in steps)]


def fortran(shape, dtype):
    memory = np.full(shape[::-1], 77, dtype)
    return memory, memory.T


def slot(shape, dtype):
    memory = np.full((3 * shape[0], *shape[1:]), 77, dtype)
    return memory, memory[shape[0] : 2 * shape[0]]


def cut(shape, dtype):
    """A part of a larger tensor: rows and planes further apart than they are long."""
    memory = np.full([n + 3 for n in shape], 77, dtype)
    return memory, memory[tuple(slice(1, n + 1) for n in shape)]


OUTS = {
    "contiguous": lambda s, d: sparse(s, d, 1, 1, 1, 1),
    "slot of a batch": slot,
    "cut": cut,
    "every other image": lambda s, d: sparse(s, d, 2, 1, 1, 1),
    "second axis": lambda s, d: sparse(s, d, 1, 2, 1, 1),
    "third axis": lambda s, d: sparse(s, d, 1, 1, 3, 1),
    "last axis": lambda s, d: sparse(s, d, 1, 1, 1, 2),
    "reversed": lambda s, d: sparse(s, d, -1, -1, -1, -1),
    "rows reversed": lambda s, d: sparse(s, d, 1, -1, -1, 1),
    "odd": lambda s, d: sparse(s, d, 3, -5, 7, 1),
    "unaligned": unaligned,
    "Fortran": fortran,
}


@pytest.mark.parametrize("where", OUTS)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("color", ["rgb", "gray"])
def test_out_may_lie_anywhere(where, layout, dtype, color):
    scale = {"scale": 1} if dtype == "uint8" else {}
    statistics = {"mean": 0, "std": 1} if color == "gray" else {}
    kernel = Preprocess(size=(9, 21), layout=layout, dtype=dtype, color=color, **scale, **statistics)
    images = [noise(31, 20, 3), noise(14, 60, 3, seed=1)]
    expected = np.concatenate([by_reference(kernel, i) for i in images])
    memory, out = OUTS[where](expected.shape, dtype)
    wanted, same_place = OUTS[where](expected.shape, dtype)
    if where == "unaligned" and (memory.ctypes.data - wanted.ctypes.data) % 2:
        pytest.skip("the two buffers start at addresses of other parity")
    same_place[...] = expected
    assert kernel.batch(images, out=out) is out
    assert_same_bits(np.ascontiguousarray(out), expected)
    # Nothing beside it changed.
    assert memory.tobytes() == wanted.tobytes()


def test_unaligned_out_is_unaligned():
    assert not unaligned((1, 3, 4, 4), np.float32)[1].flags.aligned


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.empty((1, 3, 8, 8), ">f4"), r"expected float32 of shape \(1, 3, 8, 8\), got >f4 of shape \(1, 3, 8, 8\)"),
        (np.empty((1, 3, 8, 8), np.float16), r"expected float32 of shape \(1, 3, 8, 8\), got float16 of shape"),
        (np.empty((1, 3, 8, 9), np.float32), r"expected float32 of shape \(1, 3, 8, 8\), got float32 of shape \(1, 3, 8, 9\)"),
        (np.empty((3, 8, 8), np.float32), r"got float32 of shape \(3, 8, 8\)"),
        (read_only(np.empty((1, 3, 8, 8), np.float32)), "expected a writeable array, got a read-only one"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_another_out_is_refused_and_nothing_written(out, message, engine):
    before = out.tobytes()
    with pytest.raises(ValueError, match=f"^out: .*{message}"):
        Preprocess(size=(8, 8), engine=engine)(noise(5, 6, 3), out=out)
    assert out.tobytes() == before


def test_out_must_not_overlap_the_image():
    memory = noise(1, 32, 32, 3)
    before = memory.copy()
    kernel = Preprocess(size=(32, 32), **{**PLAIN, "mode": "letterbox"})
    apart = r"^out: expected memory of its own, got an array that overlaps the image"
    for image in (memory[0], memory[0, ::-1], memory[0, 3:9], memory[0, :, :, ::-1], memory[0, -1:]):
        with pytest.raises(ValueError, match=apart):
            kernel(image, out=memory)
    floats = np.zeros((1, 3, 8, 8), np.float32)
    with pytest.raises(ValueError, match=apart):
        Preprocess(size=(8, 8))(floats.reshape(-1).view(np.uint8)[:192].reshape(8, 8, 3), out=floats)
    # One picture of a batch, and one plane of a picture.
    pair = noise(2, 32, 32, 3)
    with pytest.raises(ValueError, match=apart):
        kernel.batch([noise(5, 5, 3), pair[0, 3:9]], out=pair)
    planar = dataclasses.replace(kernel, input_color="i420")
    own, chroma = noise(8, 8), memory.reshape(-1)[-16:].reshape(4, 4)
    for planes in ((own, chroma, noise(4, 4)), (own, noise(4, 4), chroma)):
        with pytest.raises(ValueError, match=apart):
            planar(planes, out=memory)
    np.testing.assert_array_equal(memory, before)


@pytest.mark.parametrize(
    "pick",
    [slice(None, None, 2), slice(None, None, -1), [3, 0, 3, 1], slice(2, 2)],
    ids=["2nd", "reversed", "any", "none"],
)
def test_a_batch_may_be_a_strided_array(pick):
    images = noise(5, 20, 31, 3)
    kernel = Preprocess(size=(16, 16))
    expected = np.concatenate([np.empty((0, 3, 16, 16), np.float32), *(by_reference(kernel, i) for i in images[pick])])
    assert_same_bits(kernel.batch(images[pick]), expected)
    out = np.zeros((3 * len(expected), 3, 16, 16), np.float32)[::-3]
    kernel.batch(images[pick], out=out)
    assert_same_bits(np.ascontiguousarray(out), expected)


# ---- Memory: not a byte beyond ----

# Runs in a process of its own, where a wrong byte is a signal: every array ends at, or starts behind, a page that may be
# neither read nor written. The last line printed is the case that was running.
GUARDED = r"""
import ctypes, mmap, sys
import numpy as np
from seatrial.kernels.preprocess import Preprocess

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
rng = np.random.default_rng(0)

def guarded(shape, dtype, at_end):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = max(1, -(-size // PAGE))
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    for page in (0, pages + 1):
        if libc.mprotect(ctypes.c_void_p(memory.ctypes.data + page * PAGE), ctypes.c_size_t(PAGE), 0):
            sys.exit("mprotect failed")
    start = PAGE + (pages * PAGE - size if at_end else 0)
    return memory[start : start + size].view(dtype).reshape(shape)

def copied(array, at_end):
    out = guarded(array.shape, array.dtype, at_end)
    out[...] = array
    return out

def cropped(array, at_end):  # rows further apart than they are long
    h, w, *channels = array.shape
    big = guarded((h, w + 5, *channels), array.dtype, at_end)
    part = big[:, 5:] if at_end else big[:, :w]
    part[...] = array
    return part

def reversed_channels(array, at_end):
    return copied(array[..., ::-1], at_end)[..., ::-1]

def noise(*shape):
    return rng.integers(0, 256, shape, dtype=np.uint8)

def picture(h, w, color):
    half = (h + 1) // 2, (w + 1) // 2
    if color == "nv12":
        return noise(h, w), noise(*half, 2)
    if color == "i420":
        return noise(h, w), noise(*half), noise(*half)
    return noise(h, w, {"gray": 1, "bgr": 3, "bgra": 4}[color])

if sys.argv[1] == "check":
    before = int(sys.argv[2])  # whether the guard before or the one behind is read
    array = guarded((16,), np.uint8, not before)
    print(len(ctypes.string_at(array.ctypes.data, 16)), flush=True)
    ctypes.string_at(array.ctypes.data - before, 17)
    sys.exit()

interpolations, sizes = sys.argv[1].split(), eval(sys.argv[2])
layouts = ("nchw", "float32"), ("nhwc", "float32"), ("nchw", "uint8"), ("nhwc", "uint8"), ("nchw", "float16")
done = 0
for interpolation in interpolations:
    for color in ("bgr", "bgra", "gray", "nv12", "i420"):
        for model in ("gray",) if color == "gray" else ("rgb", "gray"):
            for layout, dtype in layouts if color == "bgr" and model == "rgb" else layouts[::3]:
                for source, size, mode in sizes:
                    values = {"mean": 0, "std": 1} if model == "gray" else {}
                    if dtype == "uint8":
                        values["scale"] = 1
                    kernel = Preprocess(
                        size=size, mode=mode, interpolation=interpolation, input_color=color, color=model, layout=layout,
                        dtype=dtype, **values,
                    )
                    image = picture(*source, color)
                    expected = kernel(image)
                    for lay in [copied, cropped] + [reversed_channels] * (color == "bgr"):
                        for at_end in (True, False):
                            print(interpolation, color, model, layout, dtype, source, size, mode, lay.__name__, at_end, flush=True)
                            many = isinstance(image, tuple)
                            given = tuple(lay(p, at_end) for p in image) if many else lay(image, at_end)
                            out = guarded(expected.shape, expected.dtype, at_end)
                            kernel(given, out=out)
                            if out.tobytes() != expected.tobytes():
                                sys.exit("other values")
                            done += 1
print("done", done)
"""
GUARDED_SIZES = [
    ((5, 7), (5, 7), "stretch"), ((4, 64), (4, 64), "stretch"), ((3, 9), (6, 11), "pad"), ((6, 16), (3, 8), "stretch"), ((8, 66), (4, 33), "stretch"),
    ((9, 21), (3, 7), "stretch"), ((11, 40), (6, 17), "letterbox"), ((3, 5), (9, 20), "stretch"), ((1, 1), (3, 9), "stretch"),
    ((1, 3), (1, 2), "stretch"), ((33, 3), (7, 2), "stretch"), ((2, 300), (2, 31), "stretch"), ((7, 1), (3, 1), "stretch"),
    ((200, 6), (9, 5), "stretch"), ((40, 41), (32, 24), "resize_center_crop"), ((12, 18), (40, 44), "resize_center_crop"),
]  # fmt: skip


def run_alone(script, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", script, *map(str, arguments)], env=os.environ | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def test_not_a_byte_beyond_image_and_out_is_touched(simd):
    run = run_alone(GUARDED, " ".join(INTERPOLATIONS), GUARDED_SIZES, SEATRIAL_SIMD=simd)
    last = run.stdout.splitlines()[-1:]
    assert run.returncode == 0, f"{run.returncode} at {last}\n{run.stderr}"
    assert last[0].startswith("done")


@pytest.mark.parametrize("before", [0, 1])
def test_the_guard_guards(before):
    run = run_alone(GUARDED, "check", before)
    assert (run.stdout.strip(), run.returncode) == ("16", -signal.SIGSEGV)


# ---- Sizes beyond 31 bits ----


MAP_NORESERVE = 0x4000  # Linux's; Python's mmap knows it from 3.13 on


def untouched(size):
    """Bytes of zero that take no memory until they are written."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    return np.frombuffer(memory, np.uint8)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_an_image_of_a_gibibyte(interpolation):
    side, size = 18919, 16
    image = untouched(side * side * 3).reshape(side, side, 3)
    assert image.nbytes > 1 << 30
    at = np.arange(size)
    centres = (at + 0.5) * side / size - 0.5 if interpolation == "linear" else at * side / size
    for row in np.floor(centres).astype(int):
        image[row : row + 2] = noise(2, side, 3, seed=row)
    expected = cv2.resize(image, (size, size), interpolation=OPENCV[interpolation])
    assert expected.std() > 30
    kernel = Preprocess(size=(size, size), interpolation=interpolation, **PLAIN)
    np.testing.assert_array_equal(kernel(image)[0], expected)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("upside_down", [False, True])
def test_rows_may_lie_gibibytes_apart(interpolation, upside_down):
    step, height = (1 << 31) + 4099, 7
    image = as_strided(untouched(height * step), (height, 40, 3), (step, 3, 1))
    image[...] = noise(height, 40, 3)
    image = image[::-1] if upside_down else image
    kernel = Preprocess(size=(4, 24), interpolation=interpolation)
    assert_same_bits(kernel(image), kernel(image.copy()))


@pytest.mark.parametrize("input_color", YUV)
def test_rows_of_planes_may_lie_gibibytes_apart(input_color):
    step = (1 << 31) + 4099
    planes = picture(9, 40, input_color)
    apart = []
    for plane in planes:
        apart.append(as_strided(untouched(len(plane) * step), plane.shape, (step, *plane.strides[1:])))
        apart[-1][...] = plane
    kernel = Preprocess(size=(4, 24), input_color=input_color)
    assert_same_bits(kernel(tuple(apart)), kernel(planes))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_rows_and_planes_of_out_may_lie_gibibytes_apart(layout):
    kernel = Preprocess(size=(3, 5), layout=layout)
    expected = kernel(noise(9, 9, 3))
    strides = list(expected.strides)
    strides[1] = (1 << 31) + 4096
    out = as_strided(untouched(3 * strides[1]).view(np.float32), expected.shape, strides)
    kernel(noise(9, 9, 3), out=out)
    assert_same_bits(out.copy(), expected)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
def test_more_than_two_billion_rows(interpolation):
    row = noise(1, 8, 3)
    image = np.broadcast_to(row, (2**31 + 1000, 8, 3))
    got = Preprocess(size=(16, 8), interpolation=interpolation, **PLAIN)(image)[0]
    np.testing.assert_array_equal(got, np.broadcast_to(row, (16, 8, 3)))


@pytest.mark.parametrize(("input_color", "width"), [("gray", 2**31 - 1), ("bgr", 715827882), ("bgra", 536870911)])
@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
def test_the_longest_row(input_color, width, interpolation):
    channels, out_w = CHANNELS[input_color], 5
    assert width * channels <= 2**31 - 1 < (width + 1) * channels
    row = untouched(width * channels).reshape(1, width, channels)
    centre = (out_w - 0.5) * width / out_w - 0.5 if interpolation == "linear" else (out_w - 1) * width / out_w
    # OpenCV rounds the place to float32: at two billion it knows every 128th pixel.
    row[0, int(centre) - 200 : int(centre) + 200] = 200
    got = Preprocess(size=(1, out_w), interpolation=interpolation, **of_channels(input_color))(row)
    np.testing.assert_array_equal(got[0, 0, :, 0], [0] * (out_w - 1) + [200])


@pytest.mark.parametrize(("input_color", "width"), [("gray", 2**31), ("bgr", 715827883), ("bgra", 536870912)])
def test_a_longer_row_is_refused(input_color, width):
    channels = CHANNELS[input_color]
    # Never read: by its strides the pixels lie side by side, but the memory has one of them.
    row = as_strided(np.zeros(channels, np.uint8), (1, width, channels), (width * channels, channels, 1))
    message = f"^image: expected rows of at most 2147483647 bytes, got {width} pixels of {channels}"
    with pytest.raises(ValueError, match=message):
        Preprocess(size=(4, 4), **of_channels(input_color))(row)


# ---- Threads ----

MANY = [(h, w) for h in (1, 20, 61) for w in (3, 48, 111)] * 3


@pytest.mark.parametrize("threads", [1, 2, 7, 100, np.int64(3)])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_threads_do_not_change_the_result(threads, interpolation):
    images = [noise(h, w, 3, seed=i) for i, (h, w) in enumerate(MANY)]
    kernel = Preprocess(size=(32, 40), interpolation=interpolation)
    expected = np.concatenate([kernel(i) for i in images])
    assert_same_bits(kernel.batch(images, threads=threads), expected)
    out = np.zeros((2 * len(images), 3, 32, 40), np.float32)[::-2]
    assert kernel.batch(images, out=out, threads=threads) is out
    assert_same_bits(np.ascontiguousarray(out), expected)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_an_empty_batch(threads):
    assert Preprocess(size=(8, 9)).batch([], threads=threads).shape == (0, 3, 8, 9)


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2", None, np.True_, 2.0])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_no_number_of_threads(threads, engine):
    with pytest.raises(ValueError, match=f"^threads: expected a positive whole number, got {threads!r}"):
        Preprocess(size=(8, 8), engine=engine).batch([noise(4, 4, 3)], threads=threads)


@pytest.mark.parametrize("place", [0, 5, 26])
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (noise(4, 4, 4), ValueError, r"got uint8 of shape \(4, 4, 4\)"),
        (noise(17, 4, 3), DataError, "mode 'pad' does not resize"),
    ],
    ids=["shape", "size"],
)
def test_a_bad_image_stops_the_batch_before_anything_is_written(place, threads, bad, error, message):
    images = [noise(h, w, 3)[:16, :16] for h, w in MANY]
    images[place] = bad
    out = np.full((len(images), 3, 16, 16), 7, np.float32)
    with pytest.raises(error, match=message):
        Preprocess(size=(16, 16), mode="pad").batch(images, out=out, threads=threads)
    assert (out == 7).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_other_python_threads_run_meanwhile(threads):
    images = [noise(2200, 2200, 3)] * 2
    kernel = Preprocess(size=(1000, 1000), interpolation="antialias_cubic")
    out = np.zeros((2, 3, 1000, 1000), np.float32)
    ticks, stop = [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(time.perf_counter())

    other = threading.Thread(target=tick)
    other.start()

    def ticked_in_the_middle():
        begin = time.perf_counter()
        kernel.batch(images, out=out, threads=threads)
        end = time.perf_counter()
        return sum(begin + (end - begin) / 4 < t < end - (end - begin) / 4 for t in ticks) >= 2

    try:
        # Locked, the interpreter would let the other thread run at the very start and end of a call alone, in all of them.
        # Where the cores are few, or busy, or the call is short, that thread may have none in its middle either.
        assert any(ticked_in_the_middle() for _ in range(200))
    finally:
        stop.set()
        other.join()


def test_calls_from_several_threads_do_not_mix():
    kernel = Preprocess(size=(48, 48), interpolation="antialias_linear")
    images = [noise(70 + i, 90 - i, 3, seed=i) for i in range(8)]
    expected = [kernel(i).tobytes() for i in images]

    def work(i):
        return all(kernel.batch([images[i]] * 3, threads=2)[2:].tobytes() == expected[i] for _ in range(20))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))
