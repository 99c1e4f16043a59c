"""Where pixels land: the published rounding of letterbox and centre crop, and boxes that come back."""

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seatrial.errors import DataError
from seatrial.kernels.geometry import VARYING, Geometry, fit
from seatrial.kernels.preprocess import MODES, Preprocess

SIDE = st.integers(1, 3000)
SIZE = st.tuples(SIDE, SIDE)


def ultralytics(source_hw, input_hw):
    """LetterBox as YOLO's training code rounds it: (resized_hw, top, left)."""
    gain = min(input_hw[0] / source_hw[0], input_hw[1] / source_hw[1])
    resized = [round(side * gain) for side in source_hw]
    spare = [(side - used) / 2 for side, used in zip(input_hw, resized, strict=True)]
    return tuple(resized), round(spare[0] - 0.1), round(spare[1] - 0.1)


def torchvision(source_hw, input_hw, short):
    """Resize(short) and CenterCrop(input_hw), which pads first where the image is the smaller: (resized_hw, y, x)."""
    resized = tuple(short if side == min(source_hw) else int(short * side / min(source_hw)) for side in source_hw)
    padding = [max(0, (want - have) // 2) for have, want in zip(resized, input_hw, strict=True)]
    cut = [max(0, round((have - want) / 2.0)) for have, want in zip(resized, input_hw, strict=True)]
    return resized, padding[0] - cut[0], padding[1] - cut[1]


@pytest.mark.parametrize(
    ("source_hw", "input_hw", "resized_hw", "offset_yx"),
    [
        ((480, 640), (640, 640), (480, 640), (80, 0)),
        ((1080, 1920), (640, 640), (360, 640), (140, 0)),
        ((1, 1), (640, 640), (640, 640), (0, 0)),
        ((1, 20000), (640, 640), (1, 640), (319, 0)),
        ((20000, 1), (640, 640), (640, 1), (0, 319)),
        ((20000, 1), (1, 1), (1, 1), (0, 0)),
        ((333, 500), (640, 640), (426, 640), (107, 0)),
        ((7, 5), (6, 6), (6, 4), (0, 1)),
        ((5, 10), (9, 10), (5, 10), (2, 0)),
        ((3, 7), (64, 32), (14, 32), (25, 0)),
    ],
)
def test_letterbox_keeps_the_aspect_and_centres(source_hw, input_hw, resized_hw, offset_yx):
    g = fit(source_hw, input_hw, "letterbox")
    assert (g.resized_hw, (g.offset_y, g.offset_x)) == (resized_hw, offset_yx)


@given(SIZE, st.tuples(st.integers(1, 1400), st.integers(1, 1400)))
def test_letterbox_rounds_as_ultralytics(source_hw, input_hw):
    resized, top, left = ultralytics(source_hw, input_hw)
    g = fit(source_hw, input_hw, "letterbox")
    if 0 not in resized:
        assert (g.resized_hw, g.offset_y, g.offset_x) == (resized, top, left)
    else:  # it would give cv2.resize no rows; here one remains
        assert g.resized_hw == tuple(max(1, side) for side in resized)


@given(SIZE, st.tuples(st.integers(1, 700), st.integers(1, 700)), st.sampled_from(["center", "top_left"]))
def test_letterbox_stays_inside_and_touches_two_sides(source_hw, input_hw, anchor):
    g = fit(source_hw, input_hw, "letterbox", anchor)
    (h, w), (top, left) = g.resized_hw, (g.offset_y, g.offset_x)
    assert 0 <= top <= input_hw[0] - h
    assert 0 <= left <= input_hw[1] - w
    assert h == input_hw[0] or w == input_hw[1]
    spare_y, spare_x = (0, 0) if anchor == "top_left" else ((input_hw[0] - h) // 2, (input_hw[1] - w) // 2)
    assert (top, left) == (spare_y, spare_x)


@given(SIZE, st.tuples(st.integers(1, 512), st.integers(1, 512)), st.integers(1, 512))
def test_a_centre_crop_rounds_as_torchvision(source_hw, input_hw, short):
    assume(short * int(short * max(source_hw) / min(source_hw)) <= 1 << 28)
    g = fit(source_hw, input_hw, "resize_center_crop", resize_short=short)
    assert (g.resized_hw, g.offset_y, g.offset_x) == torchvision(source_hw, input_hw, short)


@pytest.mark.parametrize(
    ("resized", "crop", "offset"),
    # torchvision: int(round(spare / 2.0)), and Python's round takes the even neighbour of a half.
    [(256, 224, -16), (257, 224, -16), (255, 224, -16), (227, 224, -2), (225, 224, 0), (224, 224, 0), (221, 224, 1)],
)
def test_half_a_pixel_goes_to_the_even_side(resized, crop, offset):
    g = fit((resized, resized), (crop, crop), "resize_center_crop", resize_short=resized)
    assert (g.offset_y, g.offset_x) == (offset, offset)


def test_stretch_maps_corner_to_corner():
    g = fit((333, 77), (64, 128), "stretch")
    np.testing.assert_allclose(g.to_input([[0, 0, 77, 333]]), [[0, 0, 128, 64]])
    np.testing.assert_allclose(g.to_image([[0, 0, 128, 64]]), [[0, 0, 77, 333]])


def test_pad_does_not_resize():
    g = fit((5, 8), (10, 9), "pad")
    assert (g.resized_hw, g.offset_y, g.offset_x) == ((5, 8), 2, 0)
    assert (g.scale_x, g.scale_y) == (1, 1)


@pytest.mark.parametrize("source_hw", [(11, 1), (1, 10), (20000, 1)])
def test_pad_refuses_a_larger_image(source_hw):
    message = f"at most 10 × 9 (height × width), got {source_hw[0]} × {source_hw[1]}; use mode 'letterbox'"
    with pytest.raises(DataError) as e:
        fit(source_hw, (10, 9), "pad")
    assert message in str(e.value)


@pytest.mark.parametrize("source_hw", [(1, 20000), (20000, 1), (1, 4097)])
def test_a_giant_resize_is_refused(source_hw):
    with pytest.raises(DataError, match=r"expected at most 268435456; use mode 'letterbox'"):
        Preprocess(size=(224, 224), mode="resize_center_crop", resize_short=256).geometry(source_hw)


def test_the_largest_resize_is_allowed():
    assert fit((1, 4096), (224, 224), "resize_center_crop", resize_short=256).resized_hw == (256, 1 << 20)


@pytest.mark.parametrize("source_hw", [(0, 5), (5, 0), (-1, 5)])
def test_no_pixels_are_refused(source_hw):
    with pytest.raises(DataError, match="at least 1 × 1 pixels"):
        Preprocess(size=(8, 8)).geometry(source_hw)


def test_an_unknown_mode_is_named():
    with pytest.raises(ValueError, match="expected letterbox, .*keep_ratio, got 'crop'"):
        fit((4, 4), (4, 4), "crop")


@given(st.data(), SIZE, st.tuples(st.integers(1, 900), st.integers(1, 900)), st.sampled_from(["letterbox", "stretch"]))
def test_a_box_comes_back(data, source_hw, input_hw, mode):
    h, w = source_hw
    x = sorted(data.draw(st.tuples(st.floats(0, w), st.floats(0, w))))
    y = sorted(data.draw(st.tuples(st.floats(0, h), st.floats(0, h))))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    g = fit(source_hw, input_hw, mode)
    # float32 holds input pixels to 2^-24 of the value; back in the source that error is divided by the scale.
    tolerance = 2**-22 * max(input_hw) / min(g.scale_x, g.scale_y) + 2**-22 * max(source_hw)
    np.testing.assert_allclose(g.to_image(g.to_input(box)), box, rtol=0, atol=tolerance)


@given(SIZE, st.tuples(st.integers(1, 300), st.integers(1, 300)), st.integers(1, 400))
def test_the_centre_stays_in_the_centre(source_hw, input_hw, short):
    h, w = source_hw
    assume(short * int(short * max(h, w) / min(h, w)) <= 1 << 28)
    x, y = fit(source_hw, input_hw, "resize_center_crop", resize_short=short).to_input([[w / 2, h / 2, w, h]])[0, :2]
    np.testing.assert_allclose([x, y], [input_hw[1] / 2, input_hw[0] / 2], atol=1.01)


def test_boxes_are_clipped_to_the_image():
    g = fit((100, 200), (100, 100), "letterbox")
    back = g.to_image(np.array([[-np.inf, -50, np.inf, 500], [10, 30, 20, 40]], np.float32))
    np.testing.assert_array_equal(back, [[0, 0, 200, 100], [20, 10, 40, 30]])


def test_going_in_does_not_clip():
    np.testing.assert_array_equal(fit((10, 10), (20, 20), "stretch").to_input([[-5, 0, 50, 10]]), [[-10, 0, 100, 20]])


def test_nan_stays_nan():
    assert np.isnan(fit((10, 10), (20, 20), "letterbox").to_image([[np.nan, 0, 1, 1]])[0, 0])


@pytest.mark.parametrize("shape", [(4,), (2, 5), (1, 2, 4), ()])
@pytest.mark.parametrize("way", ["to_image", "to_input"])
def test_other_shapes_are_refused(shape, way):
    with pytest.raises(ValueError, match=r"expected shape \(N, 4\), got \("):
        getattr(fit((4, 4), (4, 4), "pad"), way)(np.zeros(shape, np.float32))


@pytest.mark.parametrize("way", ["to_image", "to_input"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_boxes_are_new_and_float32(way, dtype):
    boxes = np.array([[1, 2, 3, 4]], dtype)
    out = getattr(fit((10, 10), (10, 10), "pad"), way)(boxes)
    assert out.dtype == np.float32
    assert not np.shares_memory(out, boxes)
    assert getattr(fit((10, 10), (10, 10), "pad"), way)(np.zeros((0, 4), dtype)).shape == (0, 4)


@pytest.mark.parametrize("mode", ["letterbox", "stretch", "resize_center_crop"])
def test_a_painted_box_is_where_the_geometry_says(mode):
    source = np.zeros((120, 90, 3), np.uint8)
    cv2.rectangle(source, (30, 40), (59, 79), (255, 255, 255), -1)
    kernel = Preprocess(size=(240, 240), mode=mode, resize_short=240, interpolation="nearest", pad_value=0, scale=1)
    ys, xs = np.nonzero(kernel(source)[0, 0])
    found = [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]
    np.testing.assert_allclose(found, kernel.geometry((120, 90)).to_input([[30, 40, 60, 80]]), atol=1)


def test_a_geometry_is_frozen():
    g = Geometry((1, 1), (1, 1), (1, 1), 0, 0)
    with pytest.raises(AttributeError):
        g.offset_x = 1


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("input_color", ["bgr", "nv12"])
@pytest.mark.parametrize("mode", [m for m in MODES if m not in VARYING])
def test_a_batch_gives_the_geometries_that_each_image_has_alone(mode, input_color, engine):
    kernel = Preprocess(size=(64, 48), mode=mode, input_color=input_color, engine=engine)
    sizes_hw = [(32, 48), (64, 20), (2, 2), (60, 48)]
    shapes = [(h * 3 // 2, w) if input_color == "nv12" else (h, w, 3) for h, w in sizes_hw]
    images = [np.full(shape, 9, np.uint8) for shape in shapes]
    tensors, geometries = kernel.batch_with_geometries(images)
    assert geometries == [kernel.geometry(hw) for hw in sizes_hw]
    np.testing.assert_array_equal(tensors, kernel.batch(images))
    out = np.empty_like(tensors)
    assert kernel.batch_with_geometries(images, out=out, threads=2)[0] is out
    assert kernel.batch_with_geometries([])[1] == []


# source, size, settings: resized, input, offsets (x, y)
OWN_SIZES = {
    "rect, wide": ((480, 640), (640, 640), {"mode": "rect"}, (480, 640), (480, 640), (0, 0)),
    "rect, padded to the stride": ((427, 640), (640, 640), {"mode": "rect"}, (427, 640), (448, 640), (0, 10)),
    "rect, top left": ((427, 640), (640, 640), {"mode": "rect", "pad_anchor": "top_left"}, (427, 640), (448, 640), (0, 0)),
    "rect, enlarged": ((100, 50), (320, 320), {"mode": "rect"}, (320, 160), (320, 160), (0, 0)),
    "rect, never enlarged": ((100, 50), (320, 320), {"mode": "rect", "scaling": "down"}, (100, 50), (128, 64), (7, 14)),
    "keep_ratio by the short side": ((480, 640), (800, 1333), {"mode": "keep_ratio", "stride": 1}, (800, 1067), (800, 1067), (0, 0)),
    "keep_ratio, upright": ((640, 480), (800, 1333), {"mode": "keep_ratio", "stride": 1}, (1067, 800), (1067, 800), (0, 0)),
    "keep_ratio by the long side": ((200, 800), (800, 1333), {"mode": "keep_ratio", "stride": 1}, (333, 1333), (333, 1333), (0, 0)),
    "keep_ratio, half a pixel": ((1600, 1601), (800, 1333), {"mode": "keep_ratio", "stride": 1}, (800, 801), (800, 801), (0, 0)),
    "rect, half a pixel": ((1600, 1601), (800, 1333), {"mode": "rect", "stride": 1}, (800, 800), (800, 800), (0, 0)),
    "keep_ratio, a multiple of 32": (
        (480, 640), (800, 1333), {"mode": "keep_ratio", "pad_anchor": "top_left"}, (800, 1067), (800, 1088), (0, 0)),
    "PaddleOCR's 960": (
        (1000, 2000), (960, 960), {"mode": "keep_ratio", "scaling": "down", "to_stride": "stretch"}, (480, 960), (480, 960), (0, 0)),
    "PaddleOCR's 960, small": (
        (301, 415), (960, 960), {"mode": "keep_ratio", "scaling": "down", "to_stride": "stretch"}, (288, 416), (288, 416), (0, 0)),
    "PaddleOCR's 736 at least": (
        (368, 1000), (736, 736), {"mode": "keep_ratio", "scaling": "up", "to_stride": "stretch"}, (384, 992), (384, 992), (0, 0)),
    "next to nothing": ((1, 1000), (64, 64), {"mode": "rect"}, (1, 64), (32, 64), (0, 15)),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN_SIZES)
def test_an_input_of_each_images_own_size(name):
    source, size, settings, resized, input_hw, offset = OWN_SIZES[name]
    g = fit(source, size, **settings)
    assert (g.resized_hw, g.input_hw, (g.offset_x, g.offset_y)) == (resized, input_hw, offset)


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.sampled_from(["rect", "keep_ratio"]),
    st.sampled_from([1, 32, 64]),
)
def test_own_sizes_hold_the_image_and_no_more_than_the_stride_needs(source, mode, stride):
    g = fit(source, (640, 800), mode, stride=stride)
    for side, resized, limit in zip(
        g.input_hw, g.resized_hw, (640, 800) if mode == "rect" else (800, 800), strict=True
    ):
        assert side % stride == 0
        assert resized <= side < resized + stride
        assert resized <= limit


def test_an_input_that_would_take_all_memory_is_refused():
    with pytest.raises(DataError, match="would make an input of"):
        fit((1, 9000), (20000, 64 * 10**6), "keep_ratio", scaling="up")
    fit((9000, 9000), (64, 64), "keep_ratio", scaling="up")
    with pytest.raises(DataError, match="expected at most 268435456"):
        fit((20000, 20000), (64, 64), "keep_ratio", scaling="up")
