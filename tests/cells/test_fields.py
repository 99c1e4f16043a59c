"""What a cell's fields warn of: types that compute, against what was asked for."""

from types import SimpleNamespace

import pytest

from seatrial.cells.fields import _computed_otherwise
from seatrial.runtimes.choice import BackendChoice


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
    m = SimpleNamespace(share_as_asked=lambda _precision: 0.0, computed_in={"bf16": 64})
    found = _computed_otherwise(w, m, False)
    assert found is not None
    assert (found.code, found.cure) == ("computed-otherwise", cure)
