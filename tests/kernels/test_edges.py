"""Arguments at the edge of their types: both engines answer alike, or one message says what was expected."""

import numpy as np
import pytest

from seatrial._native import kernels
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.preprocess import Preprocess

SQUARE = fit((64, 64), (64, 64), "stretch")
every_engine = pytest.mark.parametrize("engine", ["native", "reference"])


def zeros(width):
    """A row of `width` pixels in one byte of memory."""
    return np.broadcast_to(np.uint8(0), (1, width))


def test_a_row_of_planes_counts_as_the_colours_it_becomes():
    width = 2**29 + 2**27
    kernel = Preprocess(size=(1, 64), mode="stretch", input_color="i420", interpolation="nearest")
    with pytest.raises(ValueError, match="rows of at most 2147483647 bytes, got 671088640 pixels of 4"):
        kernel((zeros(width), zeros(width // 2), zeros(width // 2)))


def test_a_row_is_measured_before_it_is_copied():
    with pytest.raises(ValueError, match="rows of at most"):
        Preprocess(size=(4, 8))(np.broadcast_to(np.uint8(0), (4, 2**31, 3)))


@pytest.mark.parametrize("threshold", [0.1, np.float64(0.1), np.float32(0.1)])
@every_engine
def test_a_threshold_is_compared_in_float32_whatever_it_came_as(threshold, engine):
    rows = np.array([[[1, 1, 9, 9, 0.1, 0]]], np.float32)
    assert len(DetectionDecoder("end_to_end", confidence=threshold, engine=engine)([rows], [SQUARE])[0]) == 0


@every_engine
def test_no_queries_and_no_images(engine):
    empty = [np.zeros((1, 0, 4), np.float32), np.zeros((1, 0, 3), np.float32)]
    assert len(DetectionDecoder("detr", engine=engine)(empty, [SQUARE])[0]) == 0
    assert ClassificationDecoder(engine=engine)([np.zeros((0, 10), np.float32)], []) == []


@every_engine
def test_values_beyond_float32_are_infinite_without_a_warning(engine):
    assert np.isinf(Preprocess(size=(2, 2), std=(1e-40,) * 3, engine=engine)(np.full((2, 2, 3), 255, np.uint8))).all()
    assert len(DetectionDecoder("end_to_end", engine=engine)([np.full((1, 1, 6), 1e300)], [SQUARE])[0]) == 0


@every_engine
def test_minus_zero_is_zero(engine):
    image = np.zeros((2, 2, 3), np.uint8)
    plus, minus = (Preprocess(size=(2, 2), scale=-1, mean=(z,) * 3, engine=engine)(image) for z in (0.0, -0.0))
    assert plus.tobytes() == minus.tobytes()


def test_more_threads_than_an_int_holds():
    images = [np.full((2, 2, 3), 9, np.uint8)] * 3
    kernel = Preprocess(size=(2, 2))
    np.testing.assert_array_equal(kernel.batch(images, threads=2**31), kernel.batch(images))


def test_halves_of_one_canvas_do_not_overlap():
    canvas = np.zeros((8, 16, 3), np.uint8)
    canvas[:, 8:] = 7
    raw = Preprocess(size=(8, 8), layout="nhwc", scale=1, dtype="uint8")
    raw(canvas[:, 8:], out=canvas[None, :, :8])
    assert (canvas == 7).all()
    with pytest.raises(ValueError, match="overlaps"):
        raw(canvas[:, 8:], out=canvas[None, :, 7:15])


@pytest.mark.parametrize("count", [2.5, 0, -1, True, "5", None])
def test_counts_are_whole_numbers(count):
    with pytest.raises(ValueError, match="max_detections: expected a whole number"):
        DetectionDecoder(max_detections=count)
    with pytest.raises(ValueError, match="top_k: expected a whole number"):
        ClassificationDecoder(count)


def test_a_level_with_a_nul_is_no_level():
    with pytest.raises(ValueError, match="SIMD level"):
        kernels.select_simd("scalar\0x")


def test_a_box_of_sixteen_million_pixels_is_averaged_right():
    area = Preprocess(size=(1, 1), mode="stretch", interpolation="area", layout="nhwc", scale=1, dtype="uint8")
    image = np.broadcast_to(np.uint8(255), (4096, 4096, 3))
    assert area(image).tolist() == [[[[255, 255, 255]]]]
