"""Which configuration a trial's end names, what that costs, and the plot of accuracy against speed."""

import re

import numpy as np
import pytest
import records
from records import measured
from svg import texts

from seatrial.history.records import Accuracy, Decision, NoiseFloor, ParityResult, TensorDifference
from seatrial.report.choice import choice_said, fastest_that_passes, unbeaten
from seatrial.report.rightness import rightness_of
from seatrial.report.tradeoff_plot import MARKS, tradeoff
from seatrial.stages import END_TO_END


def cell(pipeline="new", precision="fp32", seconds=0.01, value=None, metric="mAP", batch=1, across=True, **fields):
    table = np.tile(np.array([0, *[seconds * 1e9 / 4] * 4, seconds * 1e9], np.int64), (60, 1))
    own = records.measurement(table)
    accuracy = None if value is None else Accuracy(metric=metric, value=measured(value))
    other = ParityResult(reference="old.b.fp32.b1.t1", rtol=None, atol=None) if across else None
    return records.cell(
        pipeline, "onnxruntime-cpu", precision, batch, measurement=own, accuracy=accuracy, across=other, **fields
    )


def front(cells):
    return unbeaten(cells, rightness_of(cells).goodness)


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
        "fastest that passes every check: new · onnxruntime-cpu int8 b1 t1, 10.0 ms an image; mAP 0.790 on 100 images, 1.0 points worse than its fp32"
    )
    assert "as its fp32" in choice_said(record([FP32, FP16]))
    assert choice_said(record([FP32])).endswith("20.0 ms an image; mAP 0.800 on 100 images")


@pytest.mark.parametrize(
    ("floor", "said"), [(0.0, ""), (0.9, ""), (1.1, "; another that passes is within"), (4.0, "; 2 others")]
)
def test_what_the_noise_does_not_tell_apart_is_said(floor, said):
    noise = NoiseFloor(cell=FP32.id, first=measured(0.02), again=measured(0.02), shares={END_TO_END: floor})
    found = choice_said(
        record([FP32, INT8, cell(precision="bf16", seconds=0.04)]).model_copy(update={"noise_floor": noise})
    )
    assert "int8" in found
    assert ("within this machine's noise" in found) == bool(said)
    assert said in found


def test_the_plot_has_hollow_marks_for_what_ran_in_another_precision_and_no_tick_above_the_most():
    ran = cell(value=1.0, precision="fp16")
    ran = ran.model_copy(update={"measurement": ran.measurement.model_copy(update={"computed_in": {"fp32": 3}})})
    assert ran.ran_in == "ran in fp32"
    told = texts(tradeoff([ran, cell(value=1.0, seconds=0.02)], ["new"]))
    assert "ran in another, or not told" in told
    assert max(float(t) for t in told if re.fullmatch(r"[01]\.?\d*", t)) == 1.0
    assert "ran in another, or not told" not in texts(tradeoff([FP32, INT8], ["new"]))


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


def decision(check, own, verdict="PASS", **fields):
    return Decision(check=check, verdict=verdict, value=0.0, limit=1.0, reason="", cell=own.id, **fields)


def judged(cells, *decisions):
    return records.record(cells, kind="trial", decisions=decisions)


def test_what_no_budget_judges_is_not_named_and_is_counted():
    """A budget of batch 1 says nothing of batch 4, however fast that is."""
    four, eight = cell(seconds=0.004, batch=4), cell(seconds=0.004, batch=8)
    one = decision("latency p50 end_to_end batch=1", FP32)
    parity = [decision("parity tensors", four), decision("cells run", eight).model_copy(update={"limit": None})]
    found = judged([FP32, four, eight], one, *parity)
    assert fastest_that_passes(found).cell.id == FP32.id
    assert choice_said(found).endswith("; 2 faster configurations are left out, whose speed no budget judges")
    failing = judged([FP32, four], one.model_copy(update={"verdict": "FAIL"}))
    assert choice_said(failing) == (
        "no configuration passes every budget: none is to be deployed by this trial; 1 configuration is left out, whose speed "
        "no budget judges"
    )


def test_a_plan_that_asks_for_latency_at_one_batch_and_throughput_at_another_names_either():
    """As the demo's does."""
    four = cell(seconds=0.03, batch=4)
    found = judged([FP32, four], decision("latency p50 batch=1", FP32), decision("throughput batch=4", four))
    assert fastest_that_passes(found).cell.id == four.id
    assert "left out" not in choice_said(found)


def test_each_metric_that_has_a_budget_must_have_been_judged():
    decisions = [
        decision("latency p50 precision=fp32", FP32),
        decision("peak_memory", FP32),
        decision("peak_memory", INT8),
    ]
    assert fastest_that_passes(judged([FP32, INT8], *decisions)).cell.id == FP32.id
    both = decision("latency p99 precision=int8", INT8)
    assert fastest_that_passes(judged([FP32, INT8], *decisions, both)).cell.id == INT8.id
    open_still = both.model_copy(update={"verdict": "INCONCLUSIVE"})
    assert fastest_that_passes(judged([FP32, INT8], *decisions, open_still)).cell.id == FP32.id


def test_budgets_on_what_is_not_chosen_by_leave_nobody_out():
    four = cell(seconds=0.03, batch=4)
    one = [decision("latency p50 batch=1", FP32), decision("cold_start batch=1", FP32)]
    found = judged([FP32, four], *one, decision("throughput batch=4", four), decision("peak_memory batch=4", four))
    assert fastest_that_passes(found).cell.id == four.id


def test_what_others_are_held_against_needs_no_agreement_and_the_file_as_it_is_no_precision():
    decisions = [
        decision("latency p50", FP32),
        decision("latency p50", INT8),
        decision("agreement", INT8, "FAIL", against=FP32.id),
        decision("computed_in precision=int8", INT8),
    ]
    assert fastest_that_passes(judged([FP32, INT8], *decisions)).cell.id == FP32.id


def test_one_budget_on_how_right_the_answers_are_is_enough():
    decisions = [decision("accuracy precision=fp32", FP32), decision("map_drop precision=int8", INT8)]
    assert fastest_that_passes(judged([FP32, INT8], *decisions)).cell.id == INT8.id
    compared = decision("regression new against old", FP32)
    assert fastest_that_passes(judged([FP32, INT8], *decisions, compared)).cell.id == INT8.id


def test_budgets_of_another_pipeline_are_not_asked_of_this_one():
    maps = cell("maps", seconds=0.001)
    decisions = [decision("miou_drop pipeline=maps", maps), decision("map_drop pipeline=new", FP32)]
    assert fastest_that_passes(judged([FP32, maps], *decisions)).cell.id == maps.id
    assert fastest_that_passes(judged([FP32, maps], decisions[1])).cell.id == FP32.id, "it has no budget at all"


def test_of_errors_less_is_better():
    far, near = (
        cell(value=0.2, seconds=0.01, metric="AbsRel", precision="int8"),
        cell(value=0.1, seconds=0.02, metric="AbsRel"),
    )
    assert "10.0 points worse than its fp32" in choice_said(record([far, near]))
    assert [c.id for c in front([near, far])] == [far.id, near.id]


def test_what_another_one_beats_in_both_is_not_on_the_line():
    slow = cell(precision="bf16", value=0.75, seconds=0.03)
    assert [c.precision for c in front([FP32, INT8, slow])] == ["int8", "fp32"]
    assert [c.precision for c in front([FP32, INT8, FP16, slow])] == ["fp16"]


@pytest.mark.parametrize("cells", [[FP32], [FP32, INT8.model_copy(update={"accuracy": None})]])
def test_one_point_is_no_plot(cells):
    assert tradeoff(cells, ["new"]) == ""


def test_every_precision_has_a_mark_and_the_unbeaten_their_names():
    cells = [cell(precision=p, value=0.7 + k / 50, seconds=0.01 * (k + 1)) for k, p in enumerate(MARKS)]
    svg = tradeoff(cells, ["new"])
    assert {*MARKS, "new", "mAP"} <= set(texts(svg))
    assert sum(t.startswith("onnxruntime-cpu") for t in texts(svg)) == len(MARKS)
    assert svg == tradeoff(cells, ["new"]), "the same record, the same bytes"


def compared(own, agreement=None, *noise_db):
    tensors = tuple(
        TensorDifference(
            name="y",
            max_abs=0.0 if db is None else 0.1,
            mean_abs=0,
            cosine=None,
            sqnr_db=db,
            share_outside=None,
            nan_mismatch=False,
        )
        for db in noise_db
    )
    parity = ParityResult(reference=FP32.id, rtol=None, atol=None, agreement=agreement, tensors=tensors)
    return own.model_copy(update={"parity": parity, "accuracy": None})


PLAIN = FP32.model_copy(update={"accuracy": None})


def test_without_a_truth_the_plot_has_the_share_of_results_that_are_the_references():
    cells = [PLAIN, compared(FP16, 0.99, 50.0), compared(INT8, 0.85, 9.0)]
    found = rightness_of(cells)
    assert found.values == {FP32.id: 1.0, FP16.id: 0.99, INT8.id: 0.85}
    assert [c.precision for c in front(cells)] == ["fp16", "fp32"]
    svg = tradeoff(cells, ["new"])
    assert {"share of results that are the reference's", "fp16", "int8", "new"} <= set(texts(svg))


def test_where_all_results_are_the_references_it_has_the_noise_of_the_worst_output():
    cells = [PLAIN, compared(FP16, 1.0, 80.0, 50.0), compared(INT8, 1.0, None, 9.0), compared(cell("old"), 1.0, None)]
    found = rightness_of(cells)
    assert (found.values[FP16.id], found.values[INT8.id]) == (50.0, 9.0)
    assert found.values[FP32.id] == found.values[cells[3].id] == found.exact > 50
    assert {"signal to noise of the outputs, dB", "as the reference, to the bit"} <= set(
        texts(tradeoff(cells, ["new", "old"]))
    )


def test_where_nothing_differs_or_nobody_knows_there_is_no_plot():
    assert rightness_of([PLAIN, compared(INT8, 1.0, None)]) is None
    assert rightness_of([PLAIN, compared(INT8)]) is None
    unknown = compared(INT8, None, None)
    broken = unknown.parity.tensors[0].model_copy(update={"nan_mismatch": True})
    unknown = unknown.model_copy(update={"parity": unknown.parity.model_copy(update={"tensors": (broken,)})})
    assert rightness_of([PLAIN, unknown]) is None


def test_a_truth_goes_before_parity():
    assert rightness_of([FP32, compared(INT8, 0.5).model_copy(update={"accuracy": INT8.accuracy})]).label == "mAP"
