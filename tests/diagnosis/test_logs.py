"""Logs that are not as the reference has them: of another type, layout or shape, with other names; and steps that break."""

from dataclasses import replace

import numpy as np
import pytest
from logged_detector import ENCODED, NAMES, logged, own, said
from result_candidates import demo_way

from seatrial.diagnosis.explanation import Untried
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.logged import in_type, outputs_in_order
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.search import Search
from seatrial.diagnosis.stretch import Stretch


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_input_that_was_logged_in_another_type_is_fed_in_the_models(dtype):
    compared, record = said(logged(lambda x: x.astype(dtype)))
    assert (record.verdict, compared.passed_over) == ("EQUAL", ())


def test_an_input_that_was_logged_in_half_the_digits_is_held_to_them_and_that_is_said():
    """And what lies behind it is not judged from the rounded values."""
    _, record = said(logged(lambda x: x.astype(np.float16)))
    assert (record.verdict, [w.code for w in record.warnings]) == ("EQUAL", ["stage-passed-over"])
    assert "float16" in record.warnings[0].text
    assert said(logged(lambda x: (x * np.float16(1.004)).astype(np.float16)))[1].verdict == "DIFFER"


def test_nan_in_the_input_accuses_nothing_behind_it():
    """Outputs that were right are judged from the stage in front."""

    def broken(x):
        changed = x.copy()
        changed[0, 0, :4] = np.nan
        return changed

    compared, record = said(logged(broken))
    assert (record.verdict, record.first_divergence.stage, record.diagnosis) == ("DIFFER", "input", ())
    assert [p.diverges for p in compared.parts] == [True, False, False]
    assert "NaN" in record.reason


def test_bytes_are_fed_as_the_numbers_that_they_are():
    """Levels of 0 to 255 as the model's float32: no value changes, and what the model makes of them is judged."""
    seen = []
    stretch = Stretch(
        "input",
        "outputs",
        NAMES,
        logged(lambda x: np.rint(x * 255).astype(np.uint8)),
        runner_of(),
        spied(seen),
        Limits(),
    )
    stretch.made(spied(seen), 0)
    assert [(x.dtype.name, bool(x.max() > 200)) for x in seen[-1:]] == [("float32", True)]


def runner_of():
    return Runner(list(ENCODED.values()).__getitem__)


def spied(seen):
    run = demo_way().subject.run

    def spy(feeds):
        seen.extend(feeds.values())
        return run(feeds)

    return demo_way().with_run(spy)


@pytest.mark.slow
def test_channels_last_are_named_and_what_is_behind_is_judged_all_the_same():
    _, record = said(logged(lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1))))
    assert [(d.fault, d.what, d.exact) for d in record.diagnosis] == [
        ("layout-reshape", "hands over NHWC for NCHW", True)
    ]
    assert [(s.stage, s.start, s.images) for s in record.stages[1:]] == [
        ("outputs", "encoded", 0),
        ("results", "outputs", 0),
    ]
    (warning,) = (w for w in record.warnings if w.code == "stage-passed-over")
    assert "'input' is (1, 320, 320, 3) float32 where the reference has (1, 3, 320, 320) float32" in warning.text


def test_an_input_of_another_size_is_a_finding_and_no_crash():
    _, record = said(logged(lambda _x: np.zeros((1, 3, 640, 640), np.float32)))
    assert (record.verdict, [s.images for s in record.stages]) == ("DIFFER", [6, 0, 0])
    assert "stage-passed-over" in [w.code for w in record.warnings]


def test_values_that_the_models_type_cannot_hold_are_not_rounded():
    assert in_type(np.array([3.0, 255.0]), np.uint8).dtype == np.uint8
    assert in_type(np.array([3.0, 254.5]), np.uint8).dtype == np.float64
    assert in_type(np.array([3.0, 256.0]), np.uint8).dtype == np.float64
    assert in_type(np.array([0.1, np.nan]), np.float32).dtype == np.float32


def test_outputs_of_two_models_that_are_of_no_kind_are_said_and_results_are_not_accused():
    """Another head altogether: nothing behind it can be told from it."""
    shown = logged(of_outputs=lambda y: {"boxes": y[0, :4, :7], "scores": y[0, 4:, :7]})
    changed = {n: replace(t, results=own("results")[0]) for n, t in shown.by_name.items()}
    compared, record = said(replace(shown, by_name=changed), other_model=True)
    assert (record.verdict, record.diagnosis, record.tried) == ("DIFFER", (), 0)
    assert "two models, whose outputs are not of one kind" in record.reason
    assert [p.on_purpose for p in compared.parts] == [False, True, True]


def test_outputs_are_taken_by_name_or_else_in_their_order():
    a, b = np.zeros(1), np.ones(1)
    assert outputs_in_order({"b": b, "a": a}, ["a", "b"])[0] is a
    assert outputs_in_order({"b": b, "x": a}, ["a", "b"])[0] is b


def test_a_mistake_that_breaks_is_counted_and_costs_no_other():
    def broken(_at):
        raise KeyError("anything")

    one = Mutation("pooling-mode", "breaks", "outputs", lambda way: way.behind("outputs", broken))
    other = Mutation("stale-output", "adds one", "outputs", lambda way: way.behind("outputs", more))
    shown = logged(of_outputs=lambda y: {"output0": y + np.float32(1)})
    stretch = Stretch("input", "outputs", NAMES, shown, runner_of(), demo_way(), Limits())
    found = Search(stretch, demo_way(), range(6), [], lambda: True).find([one, other], ())
    assert found.best.mutations == (other,)
    assert found.untried == (Untried("pooling-mode: KeyError: 'anything'"),)


def more(at):
    return replace(at, value=[y + np.float32(1) for y in at.value])
