"""Keypoints: exact to source pixels and back, with the box that they belong to, and what is refused."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.kernels.geometry import fit
from seatrial.kernels.poses import COCO_SIGMAS, FORMATS_OF_POSES, PoseDecoder, sigmas_of
from seatrial.kernels.postprocess import DetectionDecoder

SIDE = 64


def head(rng, form, count, points=4, values=3):
    corner, size = rng.uniform(0, SIDE / 2, (count, 2)), rng.uniform(2, SIDE / 2, (count, 2))
    scores = rng.uniform(0, 1, (count, 2))
    keypoints = rng.uniform(-10, SIDE + 10, (count, points, values))
    behind = keypoints.reshape(count, points * values)
    if form == "end_to_end":
        rows = [corner, corner + size, scores.max(axis=1, keepdims=True), scores.argmax(axis=1)[:, None], behind]
        return np.concatenate(rows, axis=1).astype(np.float32)[None]
    return np.concatenate([corner + size / 2, size, scores, behind], axis=1).astype(np.float32)[None].transpose(0, 2, 1)


@given(
    st.sampled_from(["yolov8", "end_to_end"]),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from(["letterbox", "stretch", "resize_center_crop"]),
    st.sampled_from([2, 3]),
    st.integers(0, 20),
    st.integers(0, 2**31),
)
def test_points_belong_to_their_box_and_lie_in_source_pixels(form, hw, mode, values, count, seed):
    rng = np.random.default_rng(seed)
    geometry = fit(hw, (SIDE, SIDE), mode)
    outputs = [head(rng, form, count, values=values)]
    decoder = PoseDecoder(form, confidence=0.3, keypoints=(4, values))
    (found,) = decoder(outputs, [geometry])
    (twin,) = dataclasses.replace(decoder, engine="reference")(outputs, [geometry])
    for name, value in vars(found).items():
        np.testing.assert_array_equal(value, getattr(twin, name), err_msg=name)
    plain, anchors = DetectionDecoder(form, confidence=0.3).found([outputs[0][0]], geometry, 4 * values)
    np.testing.assert_array_equal(found.boxes_xyxy, plain.boxes_xyxy)
    rows = outputs[0][0].T if form == "yolov8" else outputs[0][0]
    raw = rows[anchors, -4 * values :].reshape(-1, 4, values).astype(float)
    assert found.keypoints.shape == (len(found), 4, 3)
    inside = (found.keypoints[..., :2] > 0) & (found.keypoints[..., :2] < hw[::-1])
    back = found.keypoints[..., :2] * [geometry.scale_x, geometry.scale_y] + [geometry.offset_x, geometry.offset_y]
    np.testing.assert_allclose(back[inside], raw[..., :2][inside], rtol=1e-5, atol=2e-3)
    assert ((found.keypoints[..., :2] >= 0) & (found.keypoints[..., :2] <= hw[::-1])).all()
    np.testing.assert_array_equal(found.keypoints[..., 2], raw[..., 2] if values == 3 else np.ones(raw.shape[:2]))


@given(
    st.sampled_from(["yolov8", "end_to_end"]),
    st.sampled_from(["native", "reference"]),
    st.sampled_from([2, 3]),
    st.integers(0, 2**31),
)
def test_fractions_of_the_input_are_the_same_poses(form, engine, values, seed):
    """Of an input whose side is a power of two, bit for bit."""
    geometry = fit((50, 70), (SIDE, SIDE), "letterbox")
    pixels = head(np.random.default_rng(seed), form, 12, values=values)
    fractions = pixels.copy()
    rows = fractions[0] if form == "yolov8" else fractions[0].T
    rows[:4] /= SIDE
    for k in range(2):
        rows[-4 * values + k :: values] /= SIDE
    decoder = PoseDecoder(form, confidence=0.3, keypoints=(4, values), engine=engine)
    (expected,) = decoder([pixels], [geometry])
    (found,) = dataclasses.replace(decoder, boxes="fractions")([fractions], [geometry])
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(value, getattr(found, name), err_msg=name)


def test_pixels_of_the_picture_stay_as_they_are_and_are_clipped():
    rows = np.array([[[10, 20, 30, 40, 0.9, 1, 12, 22, 0.8, 90, -5, 0.7]]], np.float32)
    (found,) = PoseDecoder("yolo26", keypoints=(2, 3), boxes="source")([rows], [fit((50, 70), (SIDE, SIDE), "stretch")])
    assert found.boxes_xyxy.tolist() == [[10, 20, 30, 40]]
    assert found.keypoints[0, :, :2].tolist() == [[12, 22], [70, 0]]


def test_sigmas_are_those_of_cocos_own_code():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(COCO_SIGMAS, Params("keypoints").kpt_oks_sigmas)
    assert sigmas_of(17) == COCO_SIGMAS
    # 1 / 4 would let each point miss by 0.59 of the object's size.
    assert sigmas_of(4) == pytest.approx((np.mean(COCO_SIGMAS),) * 4)
    assert sigmas_of(21) == (1 / 21,) * 21


def test_sigmas_of_the_plan_stand_in_the_result():
    rng = np.random.default_rng(0)
    decoder = PoseDecoder("yolov8", confidence=0.1, keypoints=(4, 3), sigmas=(0.1, 0.2, 0.3, 0.4))
    (found,) = decoder([head(rng, "yolov8", 5)], [fit((SIDE, SIDE), (SIDE, SIDE), "stretch")])
    np.testing.assert_allclose(found.sigmas, [0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"format": "yolov5"}, "format: expected one of yolov8"),
        (
            {"keypoints": (17, 4)},
            r"keypoints: expected how many, and 2 or 3 values each, such as \(17, 3\), got \(17, 4\)",
        ),
        ({"keypoints": (0, 3)}, "keypoints: expected"),
        ({"keypoints": (4, 3), "sigmas": (0.1,)}, r"sigmas: expected 4 numbers above 0, one a keypoint, got \(0.1,\)"),
        ({"keypoints": (1, 3), "sigmas": (0.0,)}, "sigmas: expected 1 number"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        PoseDecoder(**settings)


@pytest.mark.parametrize("shape", [(1, 6, 84), (1, 16, 84), (1, 84), (1, 55, 2)])
@pytest.mark.parametrize("form", FORMATS_OF_POSES)
def test_heads_without_room_for_the_points_are_named(form, shape):
    with pytest.raises(ValueError, match=rf"format '{form}': expected one tensor \(B, .*the last 51 of 17 keypoints"):
        PoseDecoder(form)([np.zeros(shape, np.float32)], [fit((8, 8), (SIDE, SIDE), "stretch")])
