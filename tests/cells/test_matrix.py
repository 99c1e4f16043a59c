"""Why a cell is not run: what a runtime on that device has no kernels for, said of that one alone."""

import pytest

from seatrial.cells.matrix import why_skipped
from seatrial.demo import MODEL
from seatrial.model.file import inspect_model
from seatrial.runtimes.names import OWN

INFO = inspect_model(MODEL)


@pytest.mark.parametrize(
    ("precision", "skipped", "said"),
    [
        ("bf16", {"onnxruntime-cpu"}, "ONNX Runtime's CPU provider has no bfloat16 kernels"),
        ("fp8", {"onnxruntime-cpu"}, "ONNX Runtime's CPU provider computes fp8 models in float32"),
        (
            "int8-u8",
            {"tensorrt", "tensorrt-rtx", "onnxruntime-tensorrt", "onnxruntime-tensorrt-rtx"},
            "TensorRT reads uint8 as int8",
        ),
        ("fp16", set(), ""),
    ],
)
def test_only_the_provider_that_lacks_kernels_is_left_out(precision, skipped, said):
    found = {backend: why_skipped(INFO, backend, precision, 1, 1, 8, 1) for backend in OWN if backend != "fake"}
    assert {backend for backend, why in found.items() if why} == skipped
    assert all(found[backend].startswith(said) for backend in skipped)
