"""int8 variants: real quantization, cached by everything they depend on."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

import seatrial.demo
from seatrial.errors import ModelError
from seatrial.model.file import inspect_model
from seatrial.precision import Calibration, unsupported, variant
from seatrial.precision.variants import variant_path

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v1.onnx"


@pytest.fixture
def info(tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return inspect_model(MODEL)


def calibration(calls, digest="a"):
    def feeds():
        calls.append(1)
        for seed in range(2):
            yield {"images": np.random.default_rng(seed).random((1, 3, 320, 320), np.float32)}

    return Calibration(feeds, digest)


def test_fp32_is_the_file_itself(info):
    assert variant(info, "fp32", calibration([])) == MODEL


def test_int8_is_made_once_and_quantizes_the_heavy_operators_only(info):
    calls = []
    path = variant(info, "int8", calibration(calls))
    assert variant(info, "int8", calibration(calls)) == path
    assert calls == [1]
    model = onnx.load(path)
    onnx.checker.check_model(model)
    kinds = Counter(n.op_type for n in model.graph.node)
    assert kinds["QuantizeLinear"] > 0
    fed = {i for n in model.graph.node if n.op_type == "Concat" for i in n.input}
    made_by = {o: n.op_type for n in model.graph.node for o in n.output}
    assert not any(made_by.get(i) == "DequantizeLinear" for i in fed), "boxes and scores must not share one scale"
    assert path.stat().st_size < MODEL.stat().st_size / 2
    assert inspect_model(path).inputs == info.inputs


def test_the_cache_key_holds_what_the_variant_depends_on(info, tmp_path):
    copy = tmp_path / "other.onnx"
    copy.write_bytes(MODEL.with_name("seamarks-v2.onnx").read_bytes())
    keys = {
        variant_path(info, "int8", "a"),
        variant_path(info, "int8", "b"),
        variant_path(inspect_model(copy), "int8", "a"),
    }
    assert len(keys) == 3


def test_a_failed_making_leaves_nothing_behind(info):
    def broken():
        yield {"wrong": np.zeros((1, 3, 320, 320), np.float32)}

    with pytest.raises(ModelError, match="cannot be quantized to int8"):
        variant(info, "int8", Calibration(broken, "c"))
    assert list(variant_path(info, "int8", "c").parent.iterdir()) == []


@pytest.mark.parametrize(("precision", "runs"), [("fp32", True), ("int8", True), ("fp16", False), ("bf16", False)])
def test_what_is_not_made_yet_says_so(precision, runs):
    assert (unsupported(precision) is None) == runs
