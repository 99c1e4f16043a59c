"""A precision that the runtime did not compute in: told in the cell's name, and failed where the plan asks."""

import pytest
import records

from seatrial.gate.budgets import judge_budget
from seatrial.history.records import Measurement, said_of_types


def cell(precision, computed_in, weights=""):
    measured = Measurement(stages={}, computed_in=computed_in)
    return records.cell("only", "onnxruntime-cpu", precision, measurement=measured, weights=weights)


@pytest.mark.parametrize(
    ("precision", "computed_in", "name"),
    [
        ("fp16", {"fp32": 35}, "onnxruntime-cpu fp16 (ran in fp32) b1 t1"),
        ("fp16", {"fp16": 35}, "onnxruntime-cpu fp16 b1 t1"),
        ("int8-u8", {"int8": 31, "fp32": 4}, "onnxruntime-cpu int8-u8 b1 t1"),
        ("int8", {"int8": 17, "fp32": 18}, "onnxruntime-cpu int8 (ran in fp32) b1 t1"),
        ("int8", {"int8": 17, "fp32": 17}, "onnxruntime-cpu int8 b1 t1"),
        ("fp8", {}, "onnxruntime-cpu fp8 b1 t1"),
        ("fp32", {"bf16": 3}, "onnxruntime-cpu fp32 (ran in bf16) b1 t1"),
        ("fp16", {"unknown": 5}, "onnxruntime-cpu fp16 (ran in: not told) b1 t1"),
        ("fp16", {"fp32": 2, "unknown": 2}, "onnxruntime-cpu fp16 (ran in: not told) b1 t1"),
        ("fp16", {"fp32": 3, "unknown": 2}, "onnxruntime-cpu fp16 (ran in fp32) b1 t1"),
        ("fp16", {"fp16": 3, "unknown": 3}, "onnxruntime-cpu fp16 b1 t1"),
        ("fp32", {"unknown": 5}, "onnxruntime-cpu fp32 b1 t1"),
        ("fp16", {"fp16": 1, "fp32": 2, "unknown (fused)": 1}, "onnxruntime-cpu fp16 (ran in: not told) b1 t1"),
        ("fp16", {"fp16": 1, "fp32": 4, "unknown (fused)": 1}, "onnxruntime-cpu fp16 (ran in fp32) b1 t1"),
    ],
)
def test_a_cells_name_says_what_ran(precision, computed_in, name):
    assert cell(precision, computed_in).configuration == name


def test_of_the_file_as_it_is_nothing_is_said_where_that_is_no_float32():
    assert cell("fp32", {"int8": 3}, weights="int8").configuration == "onnxruntime-cpu fp32 (int8 in the file) b1 t1"


def test_types_are_said_with_the_most_first():
    said = said_of_types({"fp32": 6, "int8": 29})
    assert said == "29 of 35 convolutions and matrix products compute in int8, 6 in fp32"
    assert said_of_types({"unknown": 2, "fp32": 1}) == (
        "1 of 3 convolutions and matrix products compute in fp32; of 2 the runtime does not tell"
    )
    assert said_of_types({"unknown": 2}) == (
        "the runtime tells of none of its 2 convolutions and matrix products in which type they compute"
    )


@pytest.mark.parametrize(
    ("computed_in", "verdict", "share"),
    [
        ({"int8": 35}, "PASS", 1.0),
        ({"int8": 28, "fp32": 7}, "PASS", 0.8),
        ({"int8": 27, "fp32": 8}, "FAIL", 27 / 35),
        ({"fp32": 35}, "FAIL", 0.0),
        ({}, "INCONCLUSIVE", None),
        ({"unknown": 5}, "INCONCLUSIVE", 0.0),
        ({"int8": 7, "unknown": 3}, "INCONCLUSIVE", 0.7),
        ({"int8": 8, "unknown": 2}, "PASS", 0.8),
        ({"int8": 5, "fp32": 3, "unknown": 2}, "FAIL", 0.5),
        # Of what was fused nobody knows: neither a PASS nor a FAIL hangs on it.
        ({"int8": 28, "unknown (fused: int8 goes in, int8 comes out)": 7}, "PASS", 0.8),
        ({"int8": 20, "unknown (fused: int8 goes in, int8 comes out)": 15}, "INCONCLUSIVE", 20 / 35),
        ({"fp32": 8, "unknown": 27}, "FAIL", 0.0),
        ({"unknown": 35}, "INCONCLUSIVE", 0.0),
    ],
)
@pytest.mark.parametrize("precision", ["int8", "int8-u8"])
def test_a_budget_fails_what_ran_otherwise(workspace, precision, computed_in, verdict, share):
    plan = workspace.load(budgets=[{"metric": "computed_in", "min": "80%"}]).plan
    own = cell(precision, computed_in).model_copy(update={"pipeline": "candidate"})
    (found,) = judge_budget(plan, plan.budgets[0], [own], lambda *_: None, lambda _: None)
    assert (found.verdict, found.value) == (verdict, pytest.approx(share) if share is not None else None)
    if computed_in:
        assert found.reason == said_of_types(computed_in)
