"""Which configuration a trial's end names, what that costs, and the plot of accuracy against speed."""

import numpy as np
import pytest
import records
from records import measured
from svg import texts

from seatrial.history.records import Accuracy, Decision, ParityResult
from seatrial.report.choice import choice_said, fastest_that_passes, unbeaten
from seatrial.report.tradeoff_plot import MARKS, tradeoff


def cell(pipeline="new", precision="fp32", seconds=0.01, value=None, metric="mAP", batch=1, across=True, **fields):
    table = np.tile(np.array([0, *[seconds * 1e9 / 4] * 4, seconds * 1e9], np.int64), (60, 1))
    own = records.measurement(table)
    accuracy = None if value is None else Accuracy(metric=metric, value=measured(value))
    other = ParityResult(reference="old.b.fp32.b1.t1", rtol=None, atol=None) if across else None
    return records.cell(
        pipeline, "onnxruntime-cpu", precision, batch, measurement=own, accuracy=accuracy, across=other, **fields
    )


def record(cells, failing=(), limit=1.0):
    decisions = [
        Decision(
            check="latency p50",
            verdict="FAIL" if c.id in failing else "PASS",
            value=0.0,
            limit=limit,
            reason="",
            cell=c.id,
        )
        for c in cells
    ]
    return records.record(cells, kind="trial", decisions=tuple(decisions))


FP32, INT8, FP16 = cell(value=0.8, seconds=0.02), cell(precision="int8", value=0.79, seconds=0.01), cell(
    precision="fp16", value=0.8, seconds=0.005
)  # fmt: skip
OLD = cell("old", "int8", 0.001, 0.7, across=False)


def test_the_fastest_of_those_that_pass_is_named_with_its_cost():
    said = choice_said(record([FP32, INT8, FP16, OLD], failing={FP16.id}))
    assert said == (
        "fastest that passes every check: new · onnxruntime-cpu int8 b1 t1, 10.0 ms an image; mAP 0.790, 1.0 points worse than its fp32"
    )
    assert "as its fp32" in choice_said(record([FP32, FP16]))
    assert choice_said(record([FP32])).endswith("20.0 ms an image; mAP 0.800")


def test_the_reference_is_no_candidate():
    """It is what the candidate would replace."""
    assert fastest_that_passes(record([FP32, OLD])).cell.id == FP32.id
    alone = cell("old", "int8", 0.001, 0.7, across=False)
    assert fastest_that_passes(record([alone])).cell.id == alone.id


def test_a_batch_counts_by_the_image():
    four = cell(seconds=0.03, batch=4)
    assert fastest_that_passes(record([FP32, four])).cell.id == four.id


def test_where_none_passes_it_is_said_and_where_nothing_is_asked_nothing():
    assert choice_said(record([FP32, INT8], failing={FP32.id, INT8.id})).startswith(
        "no configuration passes every check"
    )
    assert choice_said(record([FP32], limit=None)) == ""
    failed = FP32.model_copy(update={"status": "failed"})
    assert choice_said(record([failed])).startswith("no configuration")


def test_of_errors_less_is_better():
    far, near = (
        cell(value=0.2, seconds=0.01, metric="AbsRel", precision="int8"),
        cell(value=0.1, seconds=0.02, metric="AbsRel"),
    )
    assert "10.0 points worse than its fp32" in choice_said(record([far, near]))
    assert [c.id for c in unbeaten([near, far])] == [far.id, near.id]


def test_what_another_one_beats_in_both_is_not_on_the_line():
    slow = cell(precision="bf16", value=0.75, seconds=0.03)
    assert [c.precision for c in unbeaten([FP32, INT8, slow])] == ["int8", "fp32"]
    assert [c.precision for c in unbeaten([FP32, INT8, FP16, slow])] == ["fp16"]


@pytest.mark.parametrize("cells", [[FP32], [FP32, INT8.model_copy(update={"accuracy": None})]])
def test_one_point_is_no_plot(cells):
    assert tradeoff(cells, ["new"]) == ""


def test_every_precision_has_a_mark_and_the_unbeaten_their_names():
    cells = [cell(precision=p, value=0.7 + k / 50, seconds=0.01 * (k + 1)) for k, p in enumerate(MARKS)]
    svg = tradeoff(cells, ["new"])
    assert {*MARKS, "new", "mAP"} <= set(texts(svg))
    assert sum(t.startswith("onnxruntime-cpu") for t in texts(svg)) == len(MARKS)
    assert svg == tradeoff(cells, ["new"]), "the same record, the same bytes"
