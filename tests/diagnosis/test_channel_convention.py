"""The order of channels of decoded and resized images is a convention: forgiven where something behind it judges it."""

import dataclasses

import pytest
from image_candidates import LEVELS, RIGHT, Shown, demo_files, reference

from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare


class Turned(Shown):
    def load(self, name):
        taps = super().load(name)
        return dataclasses.replace(taps, resized=taps.resized[..., ::-1].copy())


def judged(stages, colors=None):
    files = dict(list(demo_files().items())[:5])
    shown, way = Turned(RIGHT, files, stages), reference()
    found = compare(way, files.__getitem__, list(files), shown, time_s=600, colors=colors)
    return conclude(found, way, "reference", "candidate")


def test_behind_it_the_input_is_the_judge():
    found = judged(LEVELS["taps"])
    assert (found.verdict, [w.code for w in found.warnings]) == ("EQUAL", ["channel-convention"])


@pytest.mark.parametrize("stages", [("resized",), ("decoded", "resized")])
def test_with_nothing_behind_it_nobody_knows(stages):
    found = judged(stages)
    assert (found.verdict, found.diagnosis) == ("INCONCLUSIVE", ())
    assert "what the model is fed, which would tell, is not shown" in found.reason


def test_what_the_taps_say_of_their_order_is_held_against_them():
    found = judged(("decoded", "resized"), {"resized": "bgr"})
    assert (found.verdict, found.first_divergence.stage) == ("DIFFER", "resized")
    assert judged(LEVELS["taps"], {"resized": "rgb"}).verdict == "EQUAL"
