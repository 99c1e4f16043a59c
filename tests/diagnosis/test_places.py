"""Modes, crops and padding: wrong resizes with OpenCV alone, seen at each stage. Not for: filters (test_samples.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
import pytest
from image_candidates import (
    RIGHT,
    SIZE,
    assert_named,
    compared,
    demo_files,
    letterbox,
    named,
    reference,
    said,
    tensor,
    what,
)

from seatrial.diagnosis.mutations.places import place_mutations
from seatrial.diagnosis.stages import DECODED, RESIZED
from seatrial.diagnosis.way import At, way_of


def stretch(image):
    h, w = image.shape[:2]
    return cv2.resize(image, SIZE[::-1]), (SIZE[0] / h, SIZE[1] / w), (0, 0)


def squashed(image, to=366):
    h, w = image.shape[:2]
    at = round((to - SIZE[0]) / 2)
    return cv2.resize(image, (to, to))[at : at + SIZE[0], at : at + SIZE[1]].copy(), (to / h, to / w), (-at, -at)


def crop(image, short=366, whole=int, half=lambda spare: round(spare / 2)):
    h, w = image.shape[:2]
    nh, nw = (short, whole(short * w / h)) if h <= w else (whole(short * h / w), short)
    top, left = half(nh - SIZE[0]), half(nw - SIZE[1])
    large = cv2.resize(image, (nw, nh))
    return large[top : top + SIZE[0], left : left + SIZE[1]].copy(), (nh / h, nw / w), (-top, -left)


def bordered(image, kind):
    out, scale, (top, left) = letterbox(image)
    h, w = round(image.shape[0] * scale[0]), round(image.shape[1] * scale[1])
    inner = out[top : top + h, left : left + w]
    sides = top, SIZE[0] - h - top, left, SIZE[1] - w - left
    return cv2.copyMakeBorder(inner, *sides, kind), scale, (top, left)


def odd_first(image):
    out, scale, (top, left) = letterbox(image)
    h, w = round(image.shape[0] * scale[0]), round(image.shape[1] * scale[1])
    new_top, new_left = -(-(SIZE[0] - h) // 2), -(-(SIZE[1] - w) // 2)
    moved = np.full_like(out, 114)
    moved[new_top : new_top + h, new_left : new_left + w] = out[top : top + h, left : left + w]
    return moved, scale, (new_top, new_left)


def as_letterboxed(hw, _scale, _offset):
    r = min(SIZE[0] / hw[0], SIZE[1] / hw[1])
    h, w = round(hw[0] * r), round(hw[1] * r)
    return hw, (h / hw[0], w / hw[1]), ((SIZE[0] - h) // 2, (SIZE[1] - w) // 2)


def as_stretched(hw, _scale, _offset):
    return hw, (SIZE[0] / hw[0], SIZE[1] / hw[1]), (0, 0)


@dataclass
class ZerosAround:
    """The padding is laid around the finished tensor."""

    seen: list = field(default_factory=list)

    def resize(self, image):
        out, scale, (top, left) = letterbox(image)
        rows, columns = round(image.shape[0] * scale[0]), round(image.shape[1] * scale[1])
        self.seen[:] = [(slice(top, top + rows), slice(left, left + columns))]
        return out, scale, (top, left)

    def tensor(self, image):
        values = (tensor(image) - 0.5) / 0.25
        out = np.zeros_like(values)
        out[(..., *self.seen[0])] = values[(..., *self.seen[0])]
        return out


def cut_and_odd_first(image):
    """int() for both sides, and an odd row or column in front."""
    _, scale, _ = letterbox(image, whole=int)
    h, w = round(image.shape[0] * scale[0]), round(image.shape[1] * scale[1])
    top, left = -(-(SIZE[0] - h) // 2), -(-(SIZE[1] - w) // 2)
    return (
        np.pad(
            cv2.resize(image, (w, h)),
            ((top, SIZE[0] - h - top), (left, SIZE[1] - w - left), (0, 0)),
            constant_values=114,
        ),
        scale,
        (top, left),
    )


def height_for_width(image):
    """cv2.resize(image, (h, w)), laid in the middle by what came out."""
    h, w = image.shape[:2]
    r = min(SIZE[0] / h, SIZE[1] / w)
    small = cv2.resize(image, (round(h * r), round(w * r)))
    (nh, nw), out = small.shape[:2], np.full((*SIZE, 3), 114, np.uint8)
    top, left = (SIZE[0] - nh) // 2, (SIZE[1] - nw) // 2
    out[top : top + nh, left : left + nw] = small
    return out, (nh / h, nw / w), (top, left)


LETTERBOX = {
    "height-for-width": ("resize-mode", RIGHT.but(resize=height_for_width)),
    "height-for-width-back-as-meant": ("resize-mode", RIGHT.but(resize=height_for_width, back=as_letterboxed)),
    "stretch": ("resize-mode", RIGHT.but(resize=stretch)),
    "stretch-back-as-letterboxed": ("resize-mode", RIGHT.but(resize=stretch, back=as_letterboxed)),
    "crop": ("resize-mode", RIGHT.but(resize=partial(crop, short=320))),
    "black": ("pad-value", RIGHT.but(resize=partial(letterbox, pad=0))),
    "level-77": ("pad-value", RIGHT.but(resize=partial(letterbox, pad=77))),
    "color": ("pad-value", RIGHT.but(resize=partial(letterbox, pad=(10, 90, 200)))),
    "replicate": ("pad-value", RIGHT.but(resize=partial(bordered, kind=cv2.BORDER_REPLICATE))),
    "top-left": ("pad-anchor", RIGHT.but(resize=partial(letterbox, corner="top_left"))),
    "bottom-right": ("pad-anchor", RIGHT.but(resize=partial(letterbox, corner="bottom_right"))),
    "odd-first": ("pad-anchor", RIGHT.but(resize=odd_first)),
}
BY_ANSWERS = ("stretch", "stretch-back-as-letterboxed", "level-77", "top-left")


@pytest.mark.parametrize("case", LETTERBOX)
def test_plan_of_a_letterbox(case):
    assert_named(LETTERBOX[case][0], LETTERBOX[case][1], "taps")


@pytest.mark.parametrize("case", ["stretch", "level-77", "color", "bottom-right"])
def test_plan_of_a_letterbox_by_the_input(case):
    assert_named(LETTERBOX[case][0], LETTERBOX[case][1], "input")


@pytest.mark.parametrize("case", BY_ANSWERS)
def test_plan_of_a_letterbox_by_answers(case):
    found = assert_named(LETTERBOX[case][0], LETTERBOX[case][1], "answers")
    assert ("as if it did not" in what(found)) == (case == "stretch-back-as-letterboxed")


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in LETTERBOX if c not in (*BY_ANSWERS, "color")])
def test_plan_of_a_letterbox_by_answers_all(case):
    assert_named(LETTERBOX[case][0], LETTERBOX[case][1], "answers")


@pytest.mark.slow
def test_a_colour_of_no_list_is_not_guessed_from_answers():
    """Three numbers that show through the model alone: nothing is named, rather than something else."""
    assert named(compared(LETTERBOX["color"][1], "answers")) == ()


@pytest.mark.parametrize(("case", "number"), [("level-77", "77"), ("color", "(10, 90, 200)")])
def test_a_level_of_no_list_is_fitted_and_said(case, number):
    for level in ("taps", "input"):
        assert number in what(compared(LETTERBOX[case][1], level))


def test_zeros_behind_normalising_are_a_value_that_no_level_gives():
    made = ZerosAround()
    plan = reference(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    candidate = RIGHT.but(resize=made.resize, tensor=made.tensor)
    assert "after normalising" in what(assert_named("pad-value", candidate, "taps", plan))


CROPPED = {
    "short-320": ("crop-fraction", partial(crop, short=320)),
    "short-352": ("crop-fraction", partial(crop, short=352)),
    "short-377": ("crop-fraction", partial(crop, short=377)),
    "long-side-rounded": ("crop-fraction", partial(crop, whole=round)),
    "stretch": ("resize-mode", stretch),
    "squashed": ("resize-mode", squashed),
    "letterbox-black": ("resize-mode", partial(letterbox, pad=0)),
}


@pytest.mark.parametrize("level", ["taps", "input"])
@pytest.mark.parametrize("case", CROPPED)
def test_plan_of_a_crop(case, level):
    plan = reference(mode="resize_center_crop", pad_value=None)
    assert_named(CROPPED[case][0], RIGHT.but(resize=CROPPED[case][1]), level, plan)


@pytest.mark.parametrize("case", ["short-320", "short-377", "stretch"])
def test_plan_of_a_crop_by_answers(case):
    plan = reference(mode="resize_center_crop", pad_value=None)
    assert_named(CROPPED[case][0], RIGHT.but(resize=CROPPED[case][1]), "answers", plan)


@pytest.mark.parametrize("level", ["taps", "answers"])
def test_plan_of_a_stretch_against_a_letterbox(level):
    assert_named(
        "resize-mode", RIGHT.but(resize=partial(letterbox, pad=128)), level, reference(mode="stretch", pad_value=None)
    )


def test_boxes_back_as_stretched_from_a_letterbox():
    """Where the plan stretches, and the candidate letterboxes and forgets that it did."""
    candidate = RIGHT.but(resize=partial(letterbox, pad=0), back=as_stretched)
    found = assert_named("resize-mode", candidate, "answers", reference(mode="stretch", pad_value=None))
    assert "as if it did not" in what(found)


def test_sides_cut_to_whole_pixels():
    """640 x 427 goes to 320 x 213.5."""
    files = demo_files(["scene-06", "scene-14", "scene-22", "scene-00"])
    assert_named("resize-mode", RIGHT.but(resize=partial(letterbox, whole=int)), "taps", files=files)


def test_padding_and_filter_together():
    found = compared(RIGHT.but(resize=partial(letterbox, pad=33, how=cv2.INTER_AREA)), "taps")
    assert set(named(found)) == {"pad-value", "interpolation"}, said(found)


def test_images_of_the_inputs_size_show_no_padding():
    """A square image has none: nothing differs, and nothing is accused."""
    files = demo_files(["scene-07", "scene-15", "scene-23"])
    assert not said(compared(LETTERBOX["black"][1], "taps", files=files))


def odd_files() -> dict[str, bytes]:
    """Of sides that a letterbox of 320 rounds in both directions."""
    sizes = [(431, 637), (640, 411), (353, 500), (477, 638), (639, 433), (301, 517), (419, 601), (555, 403)]
    pictures = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in demo_files().values()]
    files = {}
    for k, ((h, w), picture) in enumerate(zip(sizes, pictures, strict=False)):
        files[f"{k}.png"] = cv2.imencode(".png", cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA))[1].tobytes()
    return files


@pytest.mark.parametrize(
    ("resize", "fault", "words"),
    [
        (partial(letterbox, whole=int), "resize-mode", "cuts the resized sides"),
        (partial(letterbox, whole=math.ceil), "resize-mode", "rounds the resized sides up"),
        (cut_and_odd_first, "resize-mode", "cuts the resized sides to whole pixels, which are rounded here, and pads"),
        (odd_first, "pad-anchor", "odd pixel at the left and above"),
    ],
    ids=["cut", "up", "cut-and-odd-first", "odd-first"],
)
def test_sides_that_are_rounded_otherwise(resize, fault, words):
    assert words in what(assert_named(fault, RIGHT.but(resize=resize), "taps", files=odd_files()))


@pytest.mark.parametrize("mode", ["stretch", "letterbox"])
def test_an_input_that_is_not_square_with_its_sides_swapped(mode):
    """cv2.resize given the plan's (height, width): an image that is as high as it should be wide, where the model takes it."""
    plain = reference()
    image = plain.subject.model.inputs[0]
    open_sides = replace(image, shape=(*image.shape[:2], "height", "width"))
    subject = replace(plain.subject, model=replace(plain.subject.model, inputs=(open_sides,)))
    way = way_of(subject, plain.spec).with_settings("preprocess", mode=mode, size=[192, 320])
    turned = next(m for m in place_mutations(way) if "input's height for its width" in m.what)
    encoded = demo_files()["scene-00.jpg"]
    found = turned.change(way).steps[RESIZED](way.steps[DECODED](At(encoded))).value
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert found.shape == (320, 192, 3)
    if mode == "stretch":
        assert np.array_equal(found, cv2.resize(pixels, (192, 320)))
    assert not [m for m in place_mutations(plain) if "input's height for its width" in m.what]
