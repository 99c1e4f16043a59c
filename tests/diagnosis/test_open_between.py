"""How far images pin a threshold down: as far as scores lie on either side of it."""

import numpy as np
import pytest
from logged_detector import ENCODED, NAMES, own
from result_candidates import Shown, Taps, demo_way

from seatrial.diagnosis.conclude import conclude
from seatrial.diagnosis.diagnose import compare
from seatrial.diagnosis.runner import Runner


def above(threshold):
    """Of the demo's detector, with a threshold of its own."""
    way, runner = demo_way(confidence=threshold), Runner(list(ENCODED.values()).__getitem__)
    taps = [
        Taps(outputs={"output0": y}, results=runner.at(way, i, "results").value)
        for i, (y,) in enumerate(own("outputs"))
    ]
    return Shown(dict(zip(NAMES, taps, strict=True)), frozenset({"outputs", "results"}))


@pytest.mark.parametrize("threshold", [0.36, 0.5])
def test_any_value_between_two_scores_does_the_same(threshold):
    shown = above(threshold)
    record = conclude(compare(demo_way(), ENCODED.__getitem__, NAMES, shown, time_s=60), demo_way(), "r", "c")
    (found,) = record.diagnosis
    assert (found.fault, found.exact) == ("nms-settings", True)
    low, high = found.open_between
    assert low <= threshold <= high
    kept = np.concatenate([t.results.scores for t in shown.by_name.values()])
    dropped = np.concatenate([r.scores for r in own("results")])
    below = dropped[dropped < threshold].max(initial=0.25)
    assert (low, high) == pytest.approx((below, kept.min()), abs=2e-3)
