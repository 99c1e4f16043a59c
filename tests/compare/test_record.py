"""A comparison's record: what follows from its verdicts, and that it can be read again."""

import re
from datetime import datetime

import pytest
from records import measured

from seatrial.compare.record import now, record_comparisons
from seatrial.errors import ResultsError
from seatrial.gate.verdict import RULES
from seatrial.history.find import load_record
from seatrial.history.records import Comparison, Environment, RunStart
from seatrial.history.run_folder import new_run
from seatrial.warning import Warning


def comparison(verdict, metric="p50"):
    return Comparison(
        a="old", b="new", metric=metric, stage="infer", design="lock-step", verdict=verdict, reason="why", margin=0.02,
        change=measured(0.1, 0.05, 0.15, "ratio"), a_value=measured(1.0), b_value=measured(1.1), p_value=0.01, p_adjusted=0.01,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        (["EQUIVALENT"], "PASS"),
        (["IMPROVED"], "PASS"),
        (["REGRESSION"], "FAIL"),
        (["INCONCLUSIVE"], "INCONCLUSIVE"),
        (["IMPROVED", "REGRESSION", "INCONCLUSIVE"], "FAIL"),
        (["IMPROVED", "INCONCLUSIVE"], "INCONCLUSIVE"),
    ],
)
def test_the_verdict_is_the_worst_one(tmp_path, verdicts, verdict):
    asked = [comparison(v, m) for v, m in zip(verdicts, ("p50", "p90", "mean"), strict=False)]
    with new_run(tmp_path, "here") as run:
        run.save_start(RunStart(kind="compare", created="2026-01-02T03:04:05+00:00", subject=("old", "new")))
        made = record_comparisons(
            run, asked, Environment(machine="here"), {}, 1.23456, warnings=(Warning("frames", "w"),)
        )
    assert (made.verdict, made.kind, made.status, made.rules) == (verdict, "compare", "complete", RULES)
    assert (made.created, made.wall_s, made.warnings) == ("2026-01-02T03:04:05+00:00", 1.23, (Warning("frames", "w"),))
    assert made.comparisons == tuple(asked)
    assert len(made.decisions) == len(asked)
    assert load_record(run) == made, "and its decisions follow from its files"
    with pytest.raises(ResultsError, match="a record is never rewritten"):
        record_comparisons(run, asked, Environment(), {}, 1.0)


def test_now_is_a_moment_anywhere():
    said = now()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", said)
    assert datetime.fromisoformat(said).utcoffset().total_seconds() == 0
