"""What a cell's fields warn of: types that compute, against what was asked for."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from seatrial.cells.fields import _computed_otherwise
from seatrial.jobs.summarise import changed_kernels, measurement_of, unaccounted_time
from seatrial.jobs.workload import OpenedFacts, Stopping, Timing
from seatrial.runtimes.choice import BackendChoice
from seatrial.stages import PIPELINE_STAGES

OPENED = OpenedFacts(load_s=0.1, first_inference_s=0.1, details={}, io_policy="", kernels_change=True)


def table(infer_ns):
    """Rows of a pipeline whose decode grows from image to image."""
    rows = [[1000 * k, 100 + 10 * k, 10, infer, 10, 120 + 10 * k + infer] for k, infer in enumerate(infer_ns)]
    return np.array(rows, np.int64)


STEP = table([2000] * 60 + [1000] * 90)


@pytest.mark.parametrize(
    ("rows", "opened", "code"),
    [
        (STEP, OPENED, "level-shift"),
        (STEP[::-1], OPENED, "level-shift"),
        (STEP, replace(OPENED, kernels_change=False), ""),
        (STEP, None, ""),
        (table([1000] * 100), OPENED, ""),
        (table([1000] * 100), replace(OPENED, steady=False), "unsteady-warm-up"),
    ],
)
def test_kernels_that_change_put_times_in_doubt(rows, opened, code):
    found = changed_kernels(PIPELINE_STAGES, rows, opened)
    assert (found.code if found else "") == code
    stopping = Stopping(max_time_s=1, longest_run=20)
    m = measurement_of(PIPELINE_STAGES, rows, 1, opened, Timing(ended="converged"), stopping)
    assert m.doubt == (found.text if found else ""), "and nothing is judged by them"
    assert unaccounted_time(m) is None
    if code == "level-shift":
        assert found.text.startswith("the latency went from 2.00 µs to 1.00 µs after 60 of 150 requests")


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({}, "name a backend that has kernels for it, or leave the precision out"),
        (
            {"inference_precision": "bf16"},
            "inference_precision: bf16 asks for that; with precisions: [bf16] answers are judged as bf16's",
        ),
        (
            {"inference_precision": "f16"},
            "inference_precision: f16 asks for that; with precisions: [fp16] answers are judged as fp16's",
        ),
    ],
)
def test_a_type_that_an_option_asked_for_is_not_blamed_on_the_backend(options, cure):
    w = SimpleNamespace(
        precision="fp32", model_info=SimpleNamespace(weights=""), backend=BackendChoice("openvino-cpu", "", options)
    )
    m = SimpleNamespace(computed_in={"bf16": 64})
    found = _computed_otherwise(w, m, False)
    assert found is not None
    assert (found.code, found.cure) == ("computed-otherwise", cure)


@pytest.mark.parametrize(
    ("precision", "computed_in", "code"),
    [
        ("fp16", {"unknown": 5}, "computed-unknown"),
        ("fp16", {"fp32": 2, "unknown": 3}, "computed-unknown"),
        ("fp16", {"fp32": 3, "unknown": 2}, "computed-otherwise"),
        ("fp16", {"fp16": 3, "unknown": 2}, ""),
        ("fp16", {}, ""),
        ("fp32", {"unknown": 5}, ""),
    ],
)
def test_a_type_that_the_runtime_does_not_tell_is_warned_of(precision, computed_in, code):
    w = SimpleNamespace(
        precision=precision, model_info=SimpleNamespace(weights=""), backend=BackendChoice("openvino-cpu")
    )
    found = _computed_otherwise(w, SimpleNamespace(computed_in=computed_in), False)
    assert (found.code if found else "") == code
