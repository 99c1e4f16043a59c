"""In which type a runtime's products really compute, by its own account, of models made in each precision."""

import json
from pathlib import Path

import numpy as np
import pytest

import seatrial.demo
from seatrial.backends import OpenOptions, open_backend
from seatrial.backends.computed_in import of_profile
from seatrial.model.file import inspect_model
from seatrial.precision import Calibration
from seatrial.precision.variants import convert

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v1.onnx"
FEEDS = {"images": np.random.default_rng(0).random((1, 3, 320, 320), np.float32)}
PRODUCTS = 35


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The demo's detector in any precision, made once."""
    folder, info = tmp_path_factory.mktemp("made"), inspect_model(MODEL)

    def call(precision):
        out = folder / f"{precision}.onnx"
        if precision == "fp32":
            return MODEL
        if not out.is_file():
            convert(info, precision, Calibration(lambda: iter([FEEDS]), "x"), out)
        return out

    return call


def types(backend, model, native=False):
    options = OpenOptions.for_shapes(inspect_model(MODEL), 1, {"images": (1, 3, 320, 320)})
    with open_backend(backend, model, options, native) as opened:
        return opened.computed_in(FEEDS)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(("precision", "most"), [("fp32", "fp32"), ("fp16", "fp32"), ("int8-u8", "int8")])
def test_onnx_runtime_says_it_by_its_profile(made, precision, most, native, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = types("onnxruntime-cpu", made(precision), native)
    assert sum(found.values()) == PRODUCTS
    assert found[most] > PRODUCTS / 2
    assert not list(tmp_path.iterdir()), "no profile is left in the user's folder"


def test_onnx_runtime_does_not_fuse_the_symmetric_form_whole(made):
    """What the two names are for: of its int8 many products compute in floats here, of its int8-u8 few."""
    symmetric, unsigned = (types("onnxruntime-cpu", made(p)).get("fp32", 0) for p in ("int8", "int8-u8"))
    assert symmetric > unsigned


@pytest.mark.parametrize(
    ("precision", "most"), [("fp32", "fp32"), ("fp16", "fp32"), ("int8", "int8"), ("int8-u8", "int8")]
)
def test_openvino_says_it_by_its_runtime_model(made, precision, most):
    found = types("openvino-cpu", made(precision))
    assert found[most] > PRODUCTS / 2


def test_a_profile_of_fused_and_quantising_kernels(tmp_path):
    def event(operator, kind, name, shapes=True):
        types = [{kind: [1, 3]}, {"float": [3]}] if shapes else []
        return {"cat": "Node", "name": f"{name}_kernel_time", "args": {"op_name": operator, "input_type_shape": types}}

    events = [
        event("FusedConv", "float", "a"), event("FusedConv", "float", "a"), event("NhwcFusedConv", "float16", "b"),
        event("QLinearConv", "uint8", "c"), event("QGemm", "int8", "d"), event("MatMulInteger", "uint8", "e"),
        event("DynamicQuantizeMatMul", "float", "f"), event("Relu", "float", "g"), event("ConvertLike", "float", "h"),
        event("MatMul", "bfloat16", "i"), event("Conv", "Float8E4M3FN", "j"), event("Gemm", "double", "k"),
        event("Conv", "float", "l", shapes=False), {"cat": "Session", "name": "model_run"},
        {"name": "a_fence_before", "args": {"op_name": "Conv"}},
    ]  # fmt: skip
    path = tmp_path / "p.json"
    path.write_text(json.dumps(events))
    assert of_profile(path) == {"fp32": 1, "fp16": 1, "int8": 4, "bf16": 1, "fp8": 1, "double": 1, "unknown": 1}


def test_products_that_the_cpu_took_from_a_device_are_counted_apart(tmp_path):
    def event(name, provider):
        given = {"op_name": "Conv", "provider": provider, "input_type_shape": [{"float": [1, 3]}]}
        return {"cat": "Node", "name": f"{name}_kernel_time", "args": given}

    path = tmp_path / "p.json"
    path.write_text(
        json.dumps(
            [
                event("a", "CUDAExecutionProvider"),
                event("b", "CUDAExecutionProvider"),
                event("c", "CPUExecutionProvider"),
            ]
        )
    )
    assert of_profile(path, "CUDAExecutionProvider") == {"fp32": 2, "fp32 on CPUExecutionProvider": 1}
    assert of_profile(path) == {"fp32": 3}
