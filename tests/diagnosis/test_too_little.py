"""A candidate that says next to nothing: that it differs is known, and not which of several mistakes it makes."""

import numpy as np
import pytest
from result_candidates import Detector, Shown, Taps, demo_images, demo_way

from seatrial import Detections
from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare

RIGHT = Detector()
NOTHING = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


def record(taps, stages):
    encoded = demo_images()
    shown = Shown(
        {name: taps(k, RIGHT.taps(data)) for k, (name, data) in enumerate(encoded.items())}, frozenset(stages)
    )
    compared = compare(demo_way(), encoded.__getitem__, list(encoded), shown, time_s=120.0)
    return conclude(compared, demo_way(), "r", "c")


def faults(found):
    return {o.fault for o in found.near}


def test_no_object_on_any_image():
    found = record(lambda _k, t: Taps(outputs=t.outputs, results=NOTHING), ("outputs", "results"))
    assert (found.verdict, found.diagnosis) == ("DIFFER", ())
    assert "the candidate gives nothing on any of 12 images, which is too little to tell why" in found.reason
    assert len(faults(found)) > 1
    assert all(fault in found.reason for fault in faults(found))


@pytest.mark.slow
def test_no_object_on_any_image_by_results_alone():
    found = record(lambda _k, t: Taps(results=NOTHING), ("results",))
    assert (found.verdict, found.diagnosis) == ("DIFFER", ())
    assert len(faults(found)) > 2


def test_one_and_the_same_object_on_every_image():
    one = Detections(np.array([[5, 5, 60, 60]], np.float32), np.array([0.5], np.float32), np.array([1]))
    found = record(lambda _k, t: Taps(outputs=t.outputs, results=one), ("outputs", "results"))
    assert (found.verdict, found.diagnosis) == ("DIFFER", ())


@pytest.mark.slow
def test_outputs_of_zeros():
    found = record(lambda _k, t: Taps(outputs={"output0": 0 * t.outputs["output0"]}), ("outputs",))
    assert (found.verdict, found.diagnosis) == ("DIFFER", ())
    assert "one and the same on all of 12 images" in found.reason


def test_a_threshold_that_leaves_few_is_still_named():
    def few(_k, taps):
        r = taps.results
        keep = r.scores > 0.6
        return Taps(outputs=taps.outputs, results=Detections(r.boxes_xyxy[keep], r.scores[keep], r.class_ids[keep]))

    found = record(few, ("outputs", "results"))
    assert [d.fault for d in found.diagnosis] == ["nms-settings"]
