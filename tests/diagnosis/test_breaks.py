"""Mistakes and fits that break, or for which memory does not suffice: counted, said, and of no cost to the others."""

from dataclasses import replace

import numpy as np
import pytest
from logged_detector import ENCODED, NAMES, logged, said
from result_candidates import demo_way

import seatrial.diagnosis.diagnose as diagnose
from seatrial import Detections
from seatrial.diagnosis.explanation import Untried
from seatrial.diagnosis.fit import NO_ROOM, Fit
from seatrial.diagnosis.limits import Limits
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.open_models import OpenModels
from seatrial.diagnosis.runner import Runner
from seatrial.diagnosis.search import Search
from seatrial.diagnosis.stretch import Stretch


def raising(error):
    def broken(*_):
        raise error
        yield

    return broken


def added(at):
    return replace(at, value=[y + np.float32(1) for y in at.value])


ADDS = Mutation("stale-output", "adds one", "outputs", lambda way: way.behind("outputs", added), parameters=1)


@pytest.fixture
def stretch():
    shown = logged(of_outputs=lambda y: {"output0": y + np.float32(1)})
    return Stretch("input", "outputs", NAMES, shown, Runner(list(ENCODED.values()).__getitem__), demo_way(), Limits())


def found(stretch, mutations, fits):
    return Search(stretch, demo_way(), range(6), [], lambda: True).find(mutations, fits)


@pytest.mark.parametrize("error", [IndexError("17"), ValueError("shapes"), MemoryError(), AssertionError()])
def test_a_fit_that_breaks_is_said_and_costs_no_other(stretch, error):
    fits = [Fit("pad-value", raising(error)), Fit("stale-output", lambda *_: [ADDS])]
    result = found(stretch, [], fits)
    assert result.best.mutations == (ADDS,)
    (untried,) = result.untried
    assert untried.why.startswith("pad-value, with numbers fitted to the candidate's: ")
    assert untried.why.endswith(NO_ROOM if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}")


def test_what_a_fit_gave_before_it_broke_is_tried(stretch):
    def one_and_no_more(*_):
        yield ADDS
        raise IndexError("17")

    result = found(stretch, [], [Fit("stale-output", one_and_no_more)])
    assert (result.best.mutations, len(result.untried)) == ((ADDS,), 1)


def test_a_fit_of_results_that_breaks_is_a_warning(monkeypatch):
    monkeypatch.setattr(diagnose, "RESULT_FITS", (Fit("label-map", raising(KeyError(3))), *diagnose.RESULT_FITS))
    shown = logged()
    fewer = {n: replace(t, results=first_of(t.results)) for n, t in shown.by_name.items()}
    _, record = said(replace(shown, by_name=fewer))
    assert [d.fault for d in record.diagnosis] == ["nms-settings"]
    assert [w.code for w in record.warnings] == ["mistakes-untried"]
    assert "label-map, with numbers fitted to the candidate's: KeyError: 3" in str(record.warnings[0])


def first_of(results):
    return Detections(results.boxes_xyxy[:1], results.scores[:1], results.class_ids[:1])


def no_room(_):
    raise MemoryError


@pytest.mark.parametrize(
    "change", [lambda way: way.behind("outputs", no_room), no_room], ids=["when it is run", "when it is made"]
)
def test_a_mistake_without_room_is_untried_once_and_ends_nothing(stretch, change):
    """What was kept is given back, and no pair with it is tried."""
    huge = [Mutation("activation", f"needs all {k}", "outputs", change) for k in range(2)]
    half = Mutation("mean-std", "adds a half", "outputs", lambda way: way.behind("outputs", half_added))
    result = found(stretch, [*huge, half], ())
    assert result.untried == (Untried(f"activation: {NO_ROOM}", 2),)
    assert (result.tried, [e.faults for e in result.near]) == (1, [("mean-std",)])
    assert found(stretch, [*huge, ADDS], ()).best.mutations == (ADDS,)


def half_added(at):
    return replace(at, value=[y + np.float32(0.5) for y in at.value])


def test_what_a_runner_kept_is_free_again_and_made_anew():
    runner = Runner(lambda _i: b"", memory_bytes=100)
    assert runner.kept("own", 0, lambda: np.zeros(50, np.uint8)).sum() == 0
    runner.forget()
    assert runner.kept("own", 0, lambda: np.ones(50, np.uint8)).sum() == 50
    assert runner.bytes == 50


def test_models_that_are_open_for_later_make_room():
    """As many as fit: one."""
    open_now = []

    class Model:
        def run(self, feeds):
            return [feeds["x"]]

        def close(self):
            open_now.remove(self)

    def opening():
        if open_now:
            raise MemoryError
        open_now.append(Model())
        return open_now[0]

    with OpenModels() as models:
        runs = [models.run(opening) for _ in range(3)]
        assert [run({"x": k}) for k, run in enumerate(runs)] == [[0], [1], [2]]
    assert open_now == []


def test_too_little_is_said_of_whichever_stage_has_it():
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    shown = logged(of_input=lambda x: np.ascontiguousarray(x[:, ::-1]))
    taps = {n: replace(t, results=nothing) for n, t in shown.by_name.items()}
    _, record = said(replace(shown, by_name=taps, stages=frozenset({"input", "results"})))
    assert [d.fault for d in record.diagnosis] == ["channel-order"]
    assert record.too_little == "the candidate gives nothing on any of 6 images"
    assert len(record.near) > 1
