"""What tables show of a percentile that too few requests were taken to bound."""

import io
import re

import numpy as np
import pytest
import records
from rich.console import Console

from seatrial.history.records import LoadResult, Measured
from seatrial.jobs.summarise import exact, throughput
from seatrial.report.bench_text import print_cell
from seatrial.report.percentiles import asked_of, asked_percentiles, bounded, in_a_row, median, missing
from seatrial.report.stage_table import stage_table
from seatrial.warning import Warning


def p99(value, low, high, n=300, *warnings):
    return Measured(value=value, unit="s", interval=(low, high), confidence=0.95, n=n, n_eff=n, warnings=warnings)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.01, 0.02, "15.0 ms"), (None, 0.02, "15.0 ms"), (0.01, None, "≥ 10.0 ms"), (None, None, "–")],
)
def test_without_an_upper_bound_what_is_surely_reached_is_shown(low, high, shown):
    assert bounded(p99(0.015, low, high)) == shown
    assert bounded(Measured(value=0.015, unit="s")) == "–"


def test_of_each_percentile_the_one_with_the_fewest_requests_says_what_is_missing():
    def too_few(name, n):
        lower = Warning("no-lower-bound", f"{name} has no lower bound")
        return name, p99(1, 1, None, n, lower, Warning("no-upper-bound", f"{name} has no upper bound: {n} are too few"))

    measures = [
        ("p99", p99(1, 1, 2)),
        too_few("p90", 90),
        too_few("p99", 120),
        too_few("p99", 80),
        ("p50", p99(1, None, None, 9, Warning("unserved", "9 unserved"))),
        ("p90", p99(1, None, None, 9, Warning("unserved", "9 unserved"))),
    ]
    assert missing((name, m, bounded(m)) for name, m in measures) == [
        "–: 9 unserved",
        "≥: p99 has no upper bound: 80 are too few",
        "≥: p90 has no upper bound: 90 are too few",
    ]
    assert missing([("p99", p99(1, 1, 2), "1 s")]) == []


def test_a_line_names_the_signs_that_it_explains():
    few = p99(1, 1, None, 9, Warning("no-upper-bound", "p90 has no upper bound"))
    said = [[f"{signs}: p90 has no upper bound"] for signs in ("≥", "–", "≥, –", "?")]
    shown = [["≥ 1 s"], ["–"], ["–", "≥ 1 s"], ["1 s?"]]
    assert [missing(("p90", few, text) for text in texts) for texts in shown] == said


@pytest.mark.parametrize(
    ("tail", "shown"),
    [
        # Below the median, between the two, below the p90 that is known, and without an end at all.
        ([p99(11, 9, None), p99(12, 10.5, None)], ["10.0 s", "–", "≥ 10.5 s"]),
        ([p99(11, 10.5, 11.5), p99(12, 10.6, None)], ["10.0 s", "11.0 s", "–"]),
        ([p99(11, 10.5, None), p99(12, 10.2, None)], ["10.0 s", "≥ 10.5 s", "–"]),
        ([p99(11, None, None), p99(12, 11, 13)], ["10.0 s", "–", "12.0 s"]),
    ],
)
def test_what_a_percentile_surely_reaches_is_not_shown_below_what_stands_before_it(tail, shown):
    assert in_a_row(p99(10, 9.5, 10.5), tail) == shown


def test_a_median_is_shown_as_it_was_seen_but_of_requests_that_nobody_served():
    assert median(p99(10, 9, 11)) == "10.0 s"
    assert median(p99(10, None, None)) == "10.0 s?"
    assert median(p99(10, 9, None, 9, Warning("unserved", "9 requests were never served"))) == "≥ 9.00 s"


def cell(n, name="only"):
    rng = np.random.default_rng(0)
    infer = rng.normal(10e6, 1e5, n)
    rows = np.stack([np.arange(n) * 1e8, infer / 4, infer * 3 / 4, infer], axis=1).astype(np.int64)
    found = records.measurement(
        rows, ["decode", "infer"], throughput=throughput(rows, 4), peak_memory=exact(1 << 28, "B"), cold_start=exact(1.5, "s"),
        io_policy="bound",
    )  # fmt: skip
    load = LoadResult(scenario="server")
    return records.cell(name, "onnxruntime-cpu", "int8", batch=4, measurement=found, load=load)


def printed(draw, width=128):
    console = Console(width=width, record=True, file=io.StringIO())
    draw(console)
    return console.export_text()


@pytest.mark.parametrize("width", [80, 128])
def test_the_table_of_stages_says_what_is_missing_and_stays_in_its_width(width):
    text = printed(lambda out: out.print(stage_table([cell(200, "long-candidate"), cell(900)], width)), width)
    assert "*" not in text
    rows = text.splitlines()
    assert "≥" in rows[1]
    assert rows[1].startswith("long-candidate onnxruntime-cpu int8 b4 t1")
    said = " ".join(text.split())
    assert "≥: p99 has no upper bound at 95 %: it needs 7,268 requests, 7,068 more than these 200" in said
    assert "≥: p90 has no upper bound at 95 %: it needs 631 requests, 431 more than these 200" in said or width == 80
    assert max(map(len, rows)) <= width


def test_a_median_that_nothing_bounds_is_marked_too():
    few, many = (printed(lambda out, n=n: out.print(stage_table([cell(n)], 128))) for n in (30, 200))
    assert re.search(r"\d\?", few)
    assert "?: p50 has no upper bound at 95 %: it needs 54 requests, 24 more than these 30" in " ".join(few.split())
    assert "?" not in many


def test_a_bench_says_it_too():
    stages = cell(200).stages
    server = records.with_measurement(
        cell(200), stages={"queue": stages["decode"], "service": stages["infer"], **stages}
    )
    said = " ".join(printed(lambda out: print_cell(out, "m.onnx", server)).split())
    assert "median; p99 ≥ " in said
    assert "≥: p99 has no upper bound at 95 %: it needs 7,268 requests, 7,068 more than these 200" in said


def test_the_requests_of_a_bench_are_counted_once_by_one_word():
    said = " ".join(printed(lambda out: print_cell(out, "m.onnx", cell(200))).split())
    n_eff = cell(200).stages["end_to_end"].p50.n_eff
    worth = f"worth {n_eff} independent ones, since neighbours are alike" if n_eff < 200 else "as good as independent"
    assert f"requests 200 of 4 images each; {worth}" in said
    assert said.count("independent") == 1
    assert "runs, worth" not in said


ALL = ["decode", "infer", "p50", "p90", "p99", "n", "images/s", "memory", "cold start"]


def heads_and_left_out(width, asked=()):
    lines = printed(
        lambda out: out.print(stage_table([cell(900, "long-candidate")], width, asked)), max(width, 20)
    ).splitlines()
    text = " ".join(" ".join(lines).split())
    said = text.partition(f"{width} columns: ")[2].partition(" left out; wider, or --json")[0]
    heads = lines[0].replace("cold start", "cold-start").split()[1:]
    return [h.replace("-", " ") for h in heads], said.split(", ") if said else [], lines


@pytest.mark.parametrize("asked", [(), ("p95",), ("p99",)])
@pytest.mark.parametrize("width", range(50, 130, 3))
def test_every_column_is_shown_or_said_to_be_left_out(width, asked):
    heads, left_out, lines = heads_and_left_out(width, asked)
    assert sorted(heads + left_out) == sorted({*ALL, *asked})
    assert all(len(line.rstrip()) <= width for line in lines)
    assert "…" not in lines[1]


def test_what_a_budget_is_about_is_left_out_last():
    assert heads_and_left_out(200)[:2] == (ALL, [])
    assert "p95" in heads_and_left_out(200, ["p95"])[0]
    for width in range(60, 130):
        heads, left_out, _ = heads_and_left_out(width, ["p95"])
        assert "p95" in heads or not {"p90", "p99", "decode", "images/s"} & set(heads), left_out


def test_no_column_is_left_out_for_which_there_is_room():
    """The narrow one that went before a wide one comes back."""
    for width in range(50, 130):
        heads, left_out, lines = heads_and_left_out(width)
        narrowest = min((len(name) for name in left_out), default=width)
        free = width - max(len(line.rstrip()) for line in lines[:2])
        assert free < max(narrowest, 7) + 1 or not left_out, (width, heads)


@pytest.mark.parametrize(
    ("budgets", "asked"),
    [
        ([], []),
        ([{"metric": "latency", "at": None, "stage": None}, {"metric": "latency", "at": "p50"}], []),
        ([{"metric": "latency", "at": "p95", "stage": "end_to_end"}, {"metric": "latency", "at": "p90"}], ["p90", "p95"]),
        # Of one stage, of another metric; and of a percentile that no record keeps.
        ([{"metric": "latency", "at": "p95", "stage": "infer"}, {"metric": "throughput"}, {"metric": "latency", "at": "p99.9"}], []),
    ],
)  # fmt: skip
def test_percentiles_that_budgets_limit_have_a_column(budgets, asked):
    assert asked_percentiles(budgets) == asked
    made = records.record()
    plan = made.plan.model_copy(update={"resolved": {"budgets": budgets}})
    assert asked_of(made.model_copy(update={"plan": plan})) == asked
    assert asked_of(made) == []
