"""A known word in the wrong place of a plan: where it belongs."""

import pytest

from seatrial.plan.models import Plan
from seatrial.plan.places import belongs


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (("pipelines", "a", "labels"), "under postprocess"),
        (("pipelines", "a", "postprocess", "size"), "under preprocess"),
        (("pipelines", "a", "preprocess", "extends"), "under pipelines.a"),
        (("labels",), "under pipelines.NAME.postprocess"),
        (("max_time",), "under measure or under regression"),
        (("measure", "budgets"), "at the top of the plan"),
        (("budgets", 0, "batch"), "under where"),
        (("metric",), "under budgets"),
    ],
)
def test_the_nearest_place_is_named(at, said):
    assert belongs(Plan, at) == f"; it belongs {said}"


def test_of_a_word_that_no_plan_has_nothing_is_said():
    assert belongs(Plan, ("measure", "nonsense")) == ""
