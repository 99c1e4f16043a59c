"""Dense maps in a trial: in one scale of colours on both sides, and a whole run whose figures are known by construction."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from seatrial.api import run
from seatrial.drawing.heat import BAR, GREY, heat, heat_with_bar, scale_of
from seatrial.kernels.results import DenseMap
from seatrial.trial.telling import WRONG_PICTURES

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from heads import maps  # noqa: F401 (adds its heads)
from heads.encode import build


def dense(*rows):
    return DenseMap(np.array(rows, np.float32))


def test_both_sides_have_one_scale_over_what_has_a_value():
    left, right = dense([1, np.nan]), dense([-2, 8])
    assert scale_of([left, right, None]) == (-2, 8)
    assert scale_of([dense([np.nan])]) is None


def test_below_a_map_a_bar_has_its_colours_from_the_least_to_the_greatest_and_both_numbers():
    drawn = heat_with_bar(dense([-2, 8]), (-2, 8), (200, 100))
    assert drawn.shape == (100 + BAR, 200, 3)
    assert (drawn[104, [0, -1]] == drawn[50, [0, -1]]).all()
    other = heat_with_bar(dense([-2, 8]), (-2, 9), (200, 100))
    changed = (drawn != other).any(axis=2)[100 + BAR // 2 :]
    assert not changed[:, :100].any()
    assert changed[:, 100:].any(), "the greatest value's number stands on the right"
    assert heat_with_bar(dense([np.nan]), None, (1, 1)).shape == (1, 1, 3), "nothing to say without a value"


def test_less_is_darker_and_what_has_no_value_is_grey():
    drawn = heat(dense([0, 5, 10, np.nan]), (0, 10), (4, 1))
    assert drawn.shape == (1, 4, 3)
    assert drawn.dtype == np.uint8
    dark, middle, light, nothing = drawn[0].astype(int)
    assert dark.sum() < middle.sum() < light.sum()
    assert tuple(nothing) == GREY
    flat = heat(dense([3, 3]), (3, 3), (2, 1))
    assert (flat[0, 0] == flat[0, 1]).all()
    assert (heat(dense([np.nan]), None, (1, 1)) == GREY).all()


@pytest.mark.slow
def test_a_whole_trial_of_depths_that_are_a_tenth_too_great(tmp_path):
    path = build("dense-depth", tmp_path)
    plan = json.loads(path.read_text())
    own = plan["pipelines"]["only"]
    plan["pipelines"]["far"] = {"extends": "only", "postprocess": {**own["postprocess"], "scale": 1.1}}
    plan["matrix"]["batch_sizes"] = [1]
    plan["budgets"] = [
        {"metric": "abs_rel", "max": 0.02},
        {"metric": "abs_rel", "max": 0.95},
        {"metric": "rmse", "max": 100},
    ]
    path.write_text(json.dumps(plan))
    record = run(path)
    values = {c.pipeline: c.accuracy.value.value for c in record.cells}
    assert values["only"] == pytest.approx(0, abs=1e-6)
    assert values["far"] == pytest.approx(0.1, rel=1e-5)
    judged = [d for d in record.decisions if d.cell.startswith("far") and "agreement" not in d.check]
    verdicts = [(d.check, d.limit, d.verdict) for d in judged if d.check.split()[0] in ("abs_rel", "rmse")]
    assert verdicts == [("abs_rel", 0.02, "FAIL"), ("abs_rel", 0.95, "PASS"), ("rmse", 100.0, "PASS")]
    across = next(c.across for c in record.cells if c.pipeline == "far")
    assert across.agreement == 0
    assert across.agreement_unit == "values within 1% of each other, share of pixels"
    shown = [(p.shows, p.pipeline) for p in record.pictures if p.why == "wrong"]
    assert shown == [("image", "far"), ("result", "far"), ("truth", "far")] * WRONG_PICTURES
    assert all("AbsRel 10.0 % here" in p.note for p in record.pictures if p.why == "wrong")
