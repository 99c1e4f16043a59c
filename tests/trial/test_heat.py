"""Dense maps in a trial: in one scale of colours on both sides, and a whole run whose figures are known by construction."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from seatrial.api import run
from seatrial.kernels.results import DenseMap
from seatrial.trial.heat import GREY, heat, heat_legend, scale_of

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from heads import maps  # noqa: F401 (adds its heads)
from heads.encode import build


def dense(*rows):
    return DenseMap(np.array(rows, np.float32))


def test_both_sides_have_one_scale_over_what_has_a_value():
    left, right = dense([1, np.nan]), dense([-2, 8])
    assert scale_of([left, right, None]) == (-2, 8)
    assert scale_of([dense([np.nan])]) is None
    assert heat_legend(None) == ()
    least, greatest = heat_legend((-2.0, 8.0))
    assert (least.name, greatest.name) == ("-2", "8")
    assert least.colour != greatest.colour


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
        {"metric": "accuracy", "min": 0.01},
    ]
    path.write_text(json.dumps(plan))
    record = run(path)
    values = {c.pipeline: c.accuracy.value.value for c in record.cells}
    assert values["only"] == pytest.approx(0, abs=1e-6)
    assert values["far"] == pytest.approx(0.1, rel=1e-5)
    judged = [d for d in record.decisions if d.cell.startswith("far") and "agreement" not in d.check]
    verdicts = [(d.check, d.limit, d.verdict) for d in judged if d.check.split()[0] in ("abs_rel", "rmse", "accuracy")]
    assert verdicts == [
        ("abs_rel", 0.02, "FAIL"), ("abs_rel", 0.95, "PASS"), ("rmse", 100.0, "PASS"), ("accuracy", 0.01, "INCONCLUSIVE"),
    ]  # fmt: skip
    across = next(c.across for c in record.cells if c.pipeline == "far")
    assert across.agreement == 0
    assert across.agreement_unit == "values within 1% of each other, share of pixels"
    sides = {p.pipeline: p for p in record.pictures if p.why == "differs"}
    assert [c.name for c in sides["only"].legend] == [c.name for c in sides["far"].legend]
