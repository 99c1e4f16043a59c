"""Where boxes end and by whose scale they go back: legacy pixels, half pixels, clips, a batch's first image."""

from __future__ import annotations

import numpy as np
import pytest
from result_candidates import Detector, demo_images, demo_way, said_of, shown, xyxy

RIGHT = Detector()


def placed(boxes, gain, left, top):
    return (boxes - [left, top, left, top]) / gain


def last_pixel(columns):
    """Detectron's and Caffe's: a box of one pixel has x2 = x1."""
    x, y, w, h = columns.T
    x1, y1 = x - w / 2, y - h / 2
    return np.stack([x1, y1, x1 + w - 1, y1 + h - 1], axis=1)


def clipped_before(boxes, gain, left, top, _w, _h):
    return placed(np.clip(boxes, 0, 320), gain, left, top)


def dropped(boxes, gain, left, top, w, h):
    found = placed(boxes, gain, left, top)
    inside = (found >= 0).all(axis=1) & (found <= [w, h, w, h]).all(axis=1)
    return np.where(inside[:, None], found, 0)


CASES = {
    "last-pixel": ("box-format", "last pixel", RIGHT.but(to_boxes=last_pixel)),
    "written-with-one-more": (
        "box-format",
        "one more",
        RIGHT.but(finish=lambda b, s, c: (b + np.array([0, 0, 1, 1]), s, c)),
    ),
    "corners-moved-by-odd-numbers": (
        "box-format",
        "lower right one by 2.25, 0.75",
        RIGHT.but(finish=lambda b, s, c: (b + np.array([-1.5, 0.5, 2.25, 0.75]), s, c)),
    ),
    "half-a-pixel-of-the-input": (
        "unletterbox",
        "half a pixel (+0.5) of the input",
        RIGHT.but(back=lambda b, gain, left, top, w, h: placed(b + 0.5, gain, left, top)),
    ),
    "half-a-pixel-of-the-picture": (
        "unletterbox",
        "half a pixel (-0.5) of the picture",
        RIGHT.but(back=lambda b, gain, left, top, w, h: placed(b, gain, left, top) - 0.5),
    ),
    "clipped-to-the-input": (
        "unletterbox",
        "clips boxes to the input, and not",
        RIGHT.but(back=clipped_before, clip=False),
    ),
    "clipped-to-the-input-s-size": (
        "unletterbox",
        "in place of the picture's",
        RIGHT.but(back=lambda b, gain, left, top, w, h: np.clip(placed(b, gain, left, top), 0, 320)),
    ),
    "dropped-at-the-edge": ("unletterbox", "beyond the picture", RIGHT.but(back=dropped)),
    "sides-swapped": (
        "unletterbox",
        "x by the height's ratio",
        RIGHT.but(back=lambda b, gain, left, top, w, h: b * ([h / 320, w / 320] * 2)),
    ),
}  # fmt: skip
QUICK = ("last-pixel", "corners-moved-by-odd-numbers", "clipped-to-the-input-s-size")


def named(case: str, stages: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    encoded = demo_images()
    faults, _, compared = said_of(demo_way(), encoded, shown(encoded, stages, CASES[case][2].taps))
    part = next(p for p in compared.parts if p.stretch.end == "results")
    said = [m.what for m in part.found.best.mutations] if part.found and part.found.best else []
    return faults, "; ".join(said)


@pytest.mark.parametrize("case", QUICK)
def test_named_and_said(case):
    fault, words, _ = CASES[case]
    faults, said = named(case, ("outputs", "results"))
    assert faults == (fault,)
    assert words in said


@pytest.mark.slow
@pytest.mark.parametrize("stages", [("outputs", "results"), ("results",)], ids=["outputs", "answers"])
@pytest.mark.parametrize("case", CASES)
def test_all_named_and_said(case, stages):
    fault, words, _ = CASES[case]
    faults, said = named(case, stages)
    assert faults == (fault,)
    assert words in said


@pytest.mark.parametrize("whole", [True, False], ids=["into-its-picture", "into-its-own"])
def test_a_batch_is_brought_back_by_its_first_image(whole):
    """Twelve pictures of several sizes in batches of four."""
    encoded = demo_images()
    first: list = []

    def taps(data):
        place = list(encoded.values()).index(data)
        tensor, *own = RIGHT.tensor(data)
        if place % 4 == 0:
            first[:] = own
        gain, left, top, size = first
        head = RIGHT.outputs(tensor)
        found = RIGHT.results(head, gain, left, top, size if whole else own[-1])
        return type(RIGHT.taps(data))(input=tensor, outputs={"output0": head}, results=found)

    made = shown(encoded, ("outputs", "results"), taps)
    faults, _, compared = said_of(demo_way(), encoded, made)
    assert faults == ("unletterbox",)
    (best,) = compared.parts[-1].found.best.mutations
    assert "first image of its batch of 4" in best.what
    assert best.what.endswith("into its picture") == whole


def test_right_boxes_are_no_fault():
    assert RIGHT.but(to_boxes=lambda b: xyxy(*b.T)).named("outputs") == ()
