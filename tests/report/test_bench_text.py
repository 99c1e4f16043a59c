"""What a sweep prints: how throughput grows, and where its knee is, if that can be told."""

import io

import pytest
import records
from rich.console import Console

from seatrial.history.records import LoadResult, Measured
from seatrial.report.bench_text import print_sweep
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
