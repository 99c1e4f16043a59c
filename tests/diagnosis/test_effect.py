"""What a mistake does to the task is a figure of all images, not of those that it hits."""

import numpy as np
import pytest
from logged_detector import ENCODED, NAMES, own
from result_candidates import Shown, Taps, demo_way

from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.effect import effect_of
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.way import At
from seatrial.kernels.results import Classification, Detections
from seatrial.report.finding_words import effect_said


class Made:
    """A way that is a function of the image."""

    mates = None

    def __init__(self, of):
        self.of = of


class Stretch:
    def __init__(self, count):
        self.names = [str(k) for k in range(count)]

    def own(self, way, image, _stage):
        return At(way.of(image), None)


def classes(k):
    return Classification(np.array([k]), np.array([0.9], np.float32))


def box(x):
    row = np.array([[x, 10, x + 40, 60]], np.float32)
    return Detections(row, np.array([0.9], np.float32), np.array([1]))


def effect(count, right, wrong):
    return effect_of(
        Stretch(count), Made(right), [Mutation("exif", "ignores EXIF", "decoded", lambda _way: Made(wrong))]
    )


def test_a_mistake_of_few_images_is_weighed_as_such():
    e = effect(60, lambda _image: classes(0), lambda image: classes(int(image < 6)))
    assert (e.within, e.images) == (0.9, 60)
    assert e.interval[0] < 0.9 < e.interval[1]
    many = effect(960, lambda _image: classes(0), lambda image: classes(int(image < 96)))
    assert many.images <= 96
    assert many.interval[0] < 0.9 < many.interval[1]
    assert f"on {many.images} images" in effect_said(many)


def test_boxes_that_move_without_an_effect_are_said_to():
    e = effect(20, lambda _image: box(10), lambda image: box(10 + image / 40))
    assert (e.within, e.moved_px) == (1.0, pytest.approx(0.475, abs=1e-5))
    assert effect_said(e).endswith("; no box is lost or gained; matched boxes move by at most 0.48 pixels")


def test_each_of_two_mistakes_has_its_own_effect_and_both_one_together():
    """A threshold that drops most, and classes that are one off: another share of the answers each."""
    way, runner = demo_way(confidence=0.6), Runner(list(ENCODED.values()).__getitem__)
    taps = {}
    for i, (name, (y,)) in enumerate(zip(NAMES, own("outputs"), strict=True)):
        r = runner.at(way, i, "results").value
        taps[name] = Taps(
            outputs={"output0": y}, results=Detections(r.boxes_xyxy, r.scores, np.asarray(r.class_ids) + 1)
        )
    shown = Shown(taps, frozenset({"outputs", "results"}))
    record = conclude(compare(demo_way(), ENCODED.__getitem__, NAMES, shown, time_s=600), demo_way(), "r", "c")
    first, second = record.diagnosis
    assert {first.fault, second.fault} == {"nms-settings", "label-offset"}
    effects = {d.fault: d.effect.within for d in record.diagnosis}
    assert effects["label-offset"] == 0 < effects["nms-settings"] < 1
    assert (first.together.within, second.together) == (0, None)
