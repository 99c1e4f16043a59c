"""Who is compared with whom, by the plan alone."""

import pytest
import records

from seatrial.plan.models import Plan
from seatrial.plan.reference import baseline_name, is_reference_configuration, reference_cell

PIPELINE = {"model": "m.onnx", "postprocess": {"task": "raw"}, "preprocess": {"size": [8, 8], "mode": "stretch"}}
MATRIX = {
    "backends": ["openvino-cpu", "fake"],
    "precisions": ["int8", "fp32"],
    "batch_sizes": [4, 1],
    "threads": [2, 1],
}


def plan(names=("first", "second", "third"), **parts):
    return Plan.model_validate(
        {"version": 1, "images": {"path": "x"}, "pipelines": dict.fromkeys(names, PIPELINE), "matrix": MATRIX} | parts
    )


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({}, "first"),
        ({"parity": {}}, "first"),
        ({"parity": {"reference": {"pipeline": "third"}}}, "third"),
        ({"regression": {"against": "second"}}, "second"),
        # Parity's word is the stronger one, where it says one.
        ({"regression": {"against": "second"}, "parity": {"reference": {"pipeline": "third"}}}, "third"),
        ({"regression": {"against": "second"}, "parity": {"reference": {"backend": "fake"}}}, "second"),
        ({"names": ("only",)}, "only"),
    ],
)
def test_the_baseline(parts, name):
    assert baseline_name(plan(**parts)) == name


@pytest.mark.parametrize(
    ("reference", "configuration"),
    [
        (None, ("openvino-cpu", "int8", 4, 2)),
        ({}, ("openvino-cpu", "int8", 4, 2)),
        ({"backend": "fake"}, ("fake", "int8", 4, 2)),
        ({"precision": "fp32", "batch": 1}, ("openvino-cpu", "fp32", 1, 2)),
        ({"threads": 1, "pipeline": "second"}, ("openvino-cpu", "int8", 4, 1)),
    ],
)
def test_the_reference_is_the_matrix_first_value_unless_another_is_named(reference, configuration):
    given = plan(**{} if reference is None else {"parity": {"reference": reference}})
    cells = [
        records.cell(name, backend, precision, batch, threads)
        for name in ("third", "second", "first")
        for backend in MATRIX["backends"] for precision in MATRIX["precisions"]
        for batch in MATRIX["batch_sizes"] for threads in MATRIX["threads"]
    ]  # fmt: skip
    chosen = [c for c in cells if is_reference_configuration(given, c)]
    assert {(c.backend, c.precision, c.batch, c.threads) for c in chosen} == {configuration}
    assert [c.pipeline for c in chosen] == ["third", "second", "first"]
    assert reference_cell(given, cells).pipeline == baseline_name(given)
    assert reference_cell(given, cells, "third").pipeline == "third"


def test_a_cell_that_is_not_there_is_none():
    cells = [records.cell("first", "fake", "int8", 4, 2)]
    assert reference_cell(plan(), cells) is None
    assert reference_cell(plan(), []) is None
    assert reference_cell(plan(), [records.cell("first", "openvino-cpu", "int8", 4, 2)], "nobody") is None
