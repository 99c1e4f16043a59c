"""Pictures of what both sides have at a stage."""

import cv2
import numpy as np

from seatrial.drawing.results import PALETTE
from seatrial.drawing.stages import (
    LARGEST,
    image_picture,
    input_picture,
    outputs_picture,
    results_picture,
)
from seatrial.kernels.results import Classification, DenseMap, Detections


def pixels(png):
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def noise(*shape):
    return np.random.default_rng(3).integers(0, 200, shape).astype(np.uint8)


def boxes(*xyxy):
    n = len(xyxy)
    return Detections(np.array(xyxy, np.float32).reshape(n, 4), np.full(n, 0.5, np.float32), np.zeros(n, np.int64))


def test_images_are_shown_as_they_are_and_their_difference_amplified():
    right = noise(20, 30, 3)
    made = image_picture("a.jpg", "resized", right, right + 10)
    assert (made.image, made.stage, made.factor, made.same) == ("a.jpg", "resized", 25, False)
    np.testing.assert_array_equal(pixels(made.reference_picture), right)
    np.testing.assert_array_equal(pixels(made.candidate_picture), right + 10)
    assert (pixels(made.difference_picture) == 250).all()


def test_equal_values_have_one_picture():
    right = noise(20, 30, 3)
    made = image_picture("a.jpg", "decoded", right, right.copy())
    assert made.same
    assert made.reference_picture
    assert not made.candidate_picture
    assert not made.difference_picture


def test_rgb_and_grey_come_out_in_their_own_colours():
    right = noise(8, 8, 3)
    made = image_picture("a.jpg", "resized", right, right + 1, color="rgb")
    np.testing.assert_array_equal(pixels(made.reference_picture), right[..., ::-1])
    grey = noise(8, 8, 1)
    made = image_picture("a.jpg", "resized", grey, grey + 1, color="gray")
    np.testing.assert_array_equal(pixels(made.reference_picture), np.repeat(grey, 3, axis=2))


def test_other_sizes_are_said():
    made = image_picture("a.jpg", "resized", noise(20, 30, 3), noise(30, 20, 3))
    assert made.note == "30 × 20 against 20 × 30 pixels"


def test_large_images_are_made_smaller():
    made = image_picture("a.jpg", "decoded", noise(600, 1200, 3), noise(600, 1200, 3) + 5)
    assert pixels(made.reference_picture).shape == (LARGEST // 2, LARGEST, 3)


def test_a_tensor_is_seen_by_the_references_scale():
    levels = noise(6, 7, 3)
    levels[0, 0], levels[0, 1] = 0, 255
    right = (levels.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    made = input_picture("a.jpg", right, right * 255)
    np.testing.assert_array_equal(pixels(made.reference_picture), levels[..., ::-1])
    assert (pixels(made.candidate_picture)[levels[..., ::-1] > 0] == 255).all()
    nhwc = np.ascontiguousarray(right.transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(pixels(input_picture("a.jpg", nhwc, nhwc / 2).reference_picture), levels[..., ::-1])


def test_nan_and_infinity_are_drawn():
    right = np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 3, 4, 4)
    wrong = right.copy()
    wrong[0, 0, 0, 0], wrong[0, 1, 0, 0] = np.nan, np.inf
    shown = pixels(input_picture("a.jpg", right, wrong).candidate_picture)
    assert shown[0, 0, 2] == 0
    assert shown[0, 0, 1] == 255
    assert input_picture("a.jpg", np.full_like(right, np.nan), right).candidate_picture


def test_raw_outputs_of_any_shape_are_folded():
    right = [np.random.default_rng(1).normal(size=(1, 9, 21)).astype(np.float32), np.arange(5, dtype=np.float32)]
    made = outputs_picture("a.jpg", right, [right[0] + 1, right[1]])
    assert not made.same
    assert pixels(made.reference_picture).shape == pixels(made.difference_picture).shape
    assert outputs_picture("a.jpg", right, [r.copy() for r in right]).same
    assert outputs_picture("a.jpg", right[:1], [right[0][:, :4]]).candidate_picture


def test_results_are_drawn_on_the_image():
    image = np.full((100, 200, 3), 128, np.uint8)
    made = results_picture("a.jpg", image, boxes((20, 60, 60, 90)), boxes(), ["boat"])
    assert made.note == "reference: 1 object; candidate: 0 objects"
    drawn = pixels(made.reference_picture).reshape(-1, 3)
    assert (drawn == PALETTE[0]).all(axis=1).any()
    assert (pixels(made.candidate_picture) == 128).all()
    assert pixels(made.difference_picture).any()


def test_results_are_the_same_where_they_are_to_the_last_bit():
    image = np.full((100, 200, 3), 128, np.uint8)
    one = boxes((20, 60, 60, 90))
    assert results_picture("a.jpg", image, one, boxes((20, 60, 60, 90))).same
    assert not results_picture("a.jpg", image, one, boxes((20, 60, 60, 90.001))).same
    assert not results_picture("a.jpg", image, one, None).same


def test_what_cannot_be_drawn_is_said():
    image = np.full((50, 50, 3), 128, np.uint8)
    cat, dog = (Classification(np.array([k], np.int64), np.array([0.9], np.float32)) for k in (0, 1))
    made = results_picture("a.jpg", image, cat, dog, ["cat", "dog"])
    assert made.note == "reference: cat 0.90; candidate: dog 0.90"


def test_maps_share_one_scale():
    image = np.full((50, 50, 3), 128, np.uint8)
    near, far = (DenseMap(np.full((50, 50), v, np.float32)) for v in (1.0, 2.0))
    made = results_picture("a.jpg", image, near, far)
    assert (pixels(made.reference_picture) != pixels(made.candidate_picture)).any()
