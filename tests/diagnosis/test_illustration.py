"""A fault's picture: right is right, wrong is wrong, and where there is none it is said why."""

import cv2
import numpy as np
import pytest

from seatrial.diagnosis.illustration.before import MADE, sides_before
from seatrial.diagnosis.illustration.behind import DRAWN, objects_of, sides_behind
from seatrial.diagnosis.illustration.picture import UNSEEN, picture_of
from seatrial.drawing.difference import LARGEST_FACTOR, difference, side_by_side
from seatrial.faults.catalogue import FAULTS
from seatrial.faults.names import NAMES


def test_every_fault_has_a_picture_or_a_reason_for_none():
    kinds = [set(MADE), set(DRAWN), set(UNSEEN)]
    assert set().union(*kinds) == set(NAMES)
    assert sum(map(len, kinds)) == len(NAMES)


@pytest.mark.parametrize("fault", [n for n in NAMES if n not in UNSEEN])
def test_both_sides_differ_where_a_person_sees_it(fault):
    picture = picture_of(fault)
    (_, right), (_, wrong), (said, between) = picture.images
    assert right.dtype == wrong.dtype == np.uint8
    assert right.shape[2] == wrong.shape[2] == 3
    # Of a thousand pixels of the difference one at least is as bright as that.
    assert np.percentile(between.max(axis=2), 99.9) >= 60
    assert said.startswith("difference")
    assert picture.what
    decoded = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, picture.pixels)


@pytest.mark.parametrize("fault", UNSEEN)
def test_what_nobody_sees_has_none(fault):
    assert picture_of(fault) is None


def test_a_channel_swap_is_that():
    sides = sides_before("channel-order")
    np.testing.assert_array_equal(sides.wrong, sides.right[..., ::-1])
    assert sides.what == "feeds BGR"


def test_a_turned_picture_lies():
    sides = sides_before("exif")
    assert sides.right.shape[:2] == sides.wrong.shape[1::-1]


@pytest.mark.parametrize("fault", MADE)
def test_a_fault_in_front_is_seen_where_the_catalogue_says(fault):
    """The stage of its mutation is the entry's."""
    from seatrial.diagnosis.illustration import before

    made = MADE[fault]
    found = (before.REPEATED_CHROMA, *before.mutations_of(before._demo_way(made)))
    stage = next(m.stage for m in found if m.fault == fault and made.says in m.what)
    assert stage == FAULTS[fault].stage


def test_right_boxes_are_the_truth():
    boxes = objects_of("scene-02.jpg")
    np.testing.assert_array_equal(boxes.boxes_xyxy[0], [526, 176, 640, 317])
    assert len(boxes) == 3
    assert (np.diff(boxes.scores) < 0).all()
    assert sides_behind("label-map").image == "scene-02.jpg"


def flat(level, shape=(8, 10, 3)):
    return np.full(shape, level, np.uint8)


@pytest.mark.parametrize(("a", "b", "factor"), [(10, 10, 1), (10, 11, LARGEST_FACTOR), (0, 100, 2), (0, 255, 1)])
def test_a_difference_is_amplified_until_it_is_seen(a, b, factor):
    found = difference(flat(a), flat(b))
    assert found.factor == factor
    assert (found.pixels == abs(a - b) * factor).all()
    assert found.said == ("difference" if factor == 1 else f"difference x {factor}")


def test_a_single_pixel_that_differs_is_seen_too():
    other = flat(50, (200, 200, 3))
    other[7, 9] = 250
    found = difference(flat(50, (200, 200, 3)), other)
    assert found.factor == 1
    assert found.pixels[7, 9].tolist() == [200] * 3
    assert found.pixels.sum() == 600


def test_pixels_of_one_side_alone_are_white():
    found = difference(flat(10, (4, 6, 3)), flat(10, (6, 4, 3))).pixels
    assert found.shape == (6, 6, 3)
    assert (found[:4, :4] == 0).all()
    assert (found[:4, 4:] == 255).all()
    assert (found[4:, :4] == 255).all()
    assert (found[4:, 4:] == 0).all()


def test_images_of_unlike_sizes_stand_at_one_height():
    page = side_by_side([("a long caption of the first", flat(0)), ("b", flat(90, (80, 40, 3)))], 40)
    assert page.shape[0] == 40 + 22 + 24
    assert (page[:12] == 255).all()
    assert (page[-13] == 0).any()
