"""Both real runtimes behind the protocol: same answers, same policy, no silent fallback."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import seatrial.demo
from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.backends.catalogue import NAMES
from seatrial.errors import BackendUnavailableError, CellError, ModelError
from seatrial.plan.model_file import inspect_model

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v2.onnx"
REAL = ["onnxruntime-cpu", "openvino-cpu"]


def opened(name, batch=1, threads=1, model=MODEL):
    shapes = {"images": (batch, 3, 320, 320)}
    return open_backend(name, model, OpenOptions.for_shapes(inspect_model(model), threads, shapes))


def feeds(batch=1, seed=0):
    return {"images": np.random.default_rng(seed).random((batch, 3, 320, 320), np.float32)}


@pytest.mark.parametrize("name", REAL)
def test_tensors_are_described_with_the_opened_shapes(name):
    with opened(name, batch=2) as backend:
        assert [(t.name, t.shape, t.dtype) for t in backend.inputs()] == [("images", (2, 3, 320, 320), "float32")]
        assert [(t.name, t.shape, t.dtype) for t in backend.outputs()] == [("output0", (2, 9, 2100), "float32")]


def test_both_runtimes_agree_with_a_plain_session():
    import onnxruntime as ort

    expected = ort.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"]).run(None, feeds())[0]
    for name in REAL:
        with opened(name) as backend:
            np.testing.assert_allclose(backend.run(feeds())[0], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", REAL)
def test_a_buffer_changed_in_place_is_seen_and_a_new_buffer_too(name):
    with opened(name) as backend:
        slot = feeds(seed=1)
        first = backend.run(slot)[0].copy()
        slot["images"][...] = feeds(seed=2)["images"]
        second = backend.run(slot)[0].copy()
        other = backend.run(feeds(seed=1))[0].copy()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("name", REAL)
def test_a_row_of_a_batch_equals_the_image_alone(name):
    both = feeds(2)
    with opened(name, batch=2) as backend:
        rows = backend.run(both)[0].copy()
    with opened(name) as backend:
        for i in range(2):
            alone = backend.run({"images": np.ascontiguousarray(both["images"][i : i + 1])})[0]
            np.testing.assert_allclose(rows[i], alone[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", REAL)
def test_wrong_feeds_are_told(name):
    with opened(name) as backend:
        with pytest.raises(ModelError, match="no input called 'image'.*did you mean 'images'"):
            backend.run({"image": feeds()["images"]})
        with pytest.raises(ModelError, match="no values for input"):
            backend.run({})


def test_onnxruntime_refuses_a_strided_input():
    with opened("onnxruntime-cpu") as backend, pytest.raises(CellError, match="contiguous"):
        backend.run({"images": feeds()["images"][:, ::-1]})


@pytest.mark.parametrize("name", REAL)
def test_the_details_say_what_runs(name):
    with opened(name) as backend:
        details = backend.details()
    assert name.split("-")[0] in details["runtime"]
    assert details["threads"].startswith("1 ")
    if name == "openvino-cpu":
        # AMX machines would compute fp32 models in bf16 by default.
        assert (details["device"], details["inference_precision"]) == ("CPU", "f32")


@pytest.mark.parametrize("name", REAL)
def test_closing_twice_is_harmless(name):
    backend = opened(name)
    backend.close()
    backend.close()


@pytest.mark.parametrize("name", REAL)
def test_a_model_that_does_not_load_is_told(name, tmp_path):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(MODEL.read_bytes()[:5000])
    with pytest.raises(ModelError, match="broken.onnx"):
        open_backend(name, broken, OpenOptions())


@pytest.mark.parametrize(
    "name", ["onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx", "openvino-gpu"]
)
def test_what_this_machine_lacks_is_an_error_with_its_cure(name):
    status = availability(name)
    if status.ok:
        pytest.skip(f"{name} is available here")
    assert status.reason
    assert status.cure
    with pytest.raises(BackendUnavailableError, match=name):
        open_backend(name, MODEL, OpenOptions())


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(
        "seatrial.backends.catalogue.find_spec", lambda name: None if name == "openvino" else find_spec(name)
    )
    assert availability("openvino-cpu").cure == "python -m pip install 'seatrial[cpu]'"


def test_every_backend_of_a_plan_is_in_the_catalogue():
    from typing import get_args

    from seatrial.plan.fields import BackendName

    assert set(get_args(BackendName)) == set(NAMES)


def test_asking_what_is_available_loads_no_runtime():
    import subprocess

    code = "from seatrial.backends import availability as a; a('onnxruntime-cpu'), a('openvino-cpu');" + (
        "import sys; assert not {'onnxruntime', 'openvino'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
