"""What a sweep prints: how throughput grows, and where its knee is, if that can be told."""

import io

import numpy as np
import pytest
import records
from rich.console import Console

from seatrial.history.records import LoadResult, Measured, PythonPath
from seatrial.jobs.summarise import exact
from seatrial.loads import cross_check
from seatrial.report.bench_text import binding_costs, print_cell, print_sweep
from seatrial.stats.separate import PROCESS_SPREAD


def cell(threads, per_s, clients=1, scenario="single-stream", spread=0.01):
    rate = Measured(value=per_s, unit="1/s", interval=(per_s * (1 - spread), per_s * (1 + spread)))
    load = LoadResult(scenario=scenario, clients=clients, requests_per_s=rate)
    return records.cell("bench", threads=threads, id=f"m.t{threads}", load=load)


def printed(*cells):
    out = io.StringIO()
    print_sweep(Console(file=out, width=160), cells)
    return out.getvalue()


def test_processes_lie_as_far_apart_as_was_measured():
    """10.5 % is of two medians' ratio; one process has its root of a half of that."""
    assert pytest.approx(1.157, abs=0.001) == PROCESS_SPREAD


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        # Four threads surely reach what the best does, one surely not.
        (
            {1: 100, 4: 390},
            "knee: 4 thread(s) give 95 % of the best throughput, with ±16%, which separate processes differ",
        ),
        ({1: 100, 2: 190, 4: 195}, "knee: 2 to 4 thread(s) give 95 %"),
        ({4: 195, 2: 190, 1: 100}, "knee: 2 to 4 thread(s) give 95 %"),
        # A model that no second thread helps, and one that it hinders.
        (
            {1: 100, 2: 104},
            "knee: not told: 1 to 2 thread(s) lie within ±16%, which separate processes differ by without any",
        ),
        ({1: 100, 2: 50}, "knee: 1 thread(s) give 95 %"),
    ],
)
def test_a_sweep_over_threads_has_a_knee_as_far_as_processes_let_it_be_seen(rates, said):
    text = printed(*(cell(threads, per_s) for threads, per_s in rates.items()))
    assert said in text
    assert "1 thread(s): 100 requests/s, 100% of 1 × one thread's" in text


@pytest.mark.parametrize(
    "cells",
    [
        [cell(1, 100)],
        [cell(1, 100), cell(1, 120)],
        [cell(1, 100, clients=1), cell(2, 150, clients=2)],
        [cell(1, 100, scenario="server"), cell(2, 150, scenario="server")],
        [cell(1, 100), cell(2, 150, scenario="offline")],
    ],
)
def test_what_is_no_sweep_over_one_thing_has_none(cells):
    assert printed(*cells) == ""


def test_clients_have_theirs():
    text = printed(*(cell(1, r, c, "multi-stream") for c, r in ((1, 100), (2, 199))))
    assert "2 client(s): 199 requests/s, 100% of 2 × one client's" in text
    assert "knee: 2 client(s) give 95 % of the best throughput; more only wait" in text


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((1.1e-4, 3e-4), "200 µs more a request (95 % interval 110 µs to 300 µs)"),
        ((-3e-2, -1e-3), "15.0 ms less a request (95 % interval -30.0 ms to -1.00 ms)"),
        ((-1e-4, 3e-4), "no difference told (95 % interval -100 µs to 300 µs)"),
        ((None, 3e-4), "too few turns to tell a difference"),
    ],
)
def test_what_the_binding_costs_has_an_interval_in_a_unit_that_fits(interval, said):
    value = -15e-3 if interval[0] and interval[0] < -1e-3 else 2e-4
    difference = Measured(value=value, unit="s", interval=interval, confidence=0.95, n=9)
    path = PythonPath(same_outputs=True, native_p50_s=0.02, python_p50_s=0.02, difference=difference)
    assert binding_costs(path) == said
    assert binding_costs(path.model_copy(update={"difference": None})) == ""


def test_turns_are_compared_in_pairs():
    """The machine slows down from turn to turn; in each of them the binding takes a tenth of a millisecond more."""
    native = np.repeat(np.linspace(0.01, 0.02, 12), 5)
    found = cross_check._difference(native, native + 1e-4, 12)
    assert found.value == pytest.approx(1e-4)
    assert found.interval == pytest.approx((1e-4, 1e-4))
    assert found.n == 12


def test_a_percentile_without_an_interval_says_so_once_with_the_time_that_would_do():
    rows = np.zeros((20, 4), np.int64)
    rows[:, 0], rows[:, 1:] = np.arange(20) * 10**8, np.array([0, 10**8, 10**8]) + np.arange(20)[:, None]
    found = records.measurement(rows, ["decode", "infer"], throughput=exact(1, "images/s"), peak_memory=exact(1, "B"))
    out = Console(file=io.StringIO(), width=200, color_system=None)
    print_cell(out, "m.onnx", records.cell("only", measurement=found, load=LoadResult(scenario="single-stream")))
    (line,) = (line for line in out.file.getvalue().splitlines() if line.startswith("p50"))
    assert (
        "no 95 % interval; p50 has no upper bound at 95 %: it needs 115 requests, 95 more than these 20; about" in line
    )
    assert line.count("115 requests") == 1
    assert "about --max-time 12s would do" in line
