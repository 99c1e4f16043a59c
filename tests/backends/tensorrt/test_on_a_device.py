"""Both TensorRT libraries on a card, where one is at hand: answers, what really computes, and what is kept."""

import numpy as np
import onnxruntime as ort
import pytest

from seatrial import cuda
from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.demo import MODEL
from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.variants import convert

pytestmark = pytest.mark.gpu
NAMES = ("tensorrt", "tensorrt-rtx")


@pytest.fixture(params=NAMES)
def name(request, monkeypatch, tmp_path):
    found = availability(request.param)
    if not found.ok:
        pytest.skip(f"{request.param}: {found.reason}")
    cuda.load()  # tests before may have named a simulated driver
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    return request.param


def options(batch=1, **settings):
    return OpenOptions(input_shapes={"images": (batch, 3, 320, 320)}, settings=settings)


def pictures(batch=1, seed=0):
    return {"images": np.random.default_rng(seed).random((batch, 3, 320, 320), np.float32)}


def expected(feeds):
    return ort.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"]).run(None, dict(feeds))[0]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("graph", [True, False])
def test_fp32_answers_as_onnx_runtime_does(name, batch, graph):
    with open_backend(name, MODEL, options(batch, cuda_graph=graph)) as backend:
        for seed in (1, 2):
            feeds = pictures(batch, seed)
            np.testing.assert_allclose(backend.run(feeds)[0], expected(feeds), rtol=1e-3, atol=2e-2)
        assert backend.details()["launch"].startswith("one CUDA graph" if graph else "kernel by kernel"), (
            backend.details()
        )


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_inspector_counts_the_products_of_a_variant(name, tmp_path, precision):
    made = tmp_path / "variant.onnx"
    convert(inspect_model(MODEL), precision, Calibration(lambda: iter([pictures()]), "test"), made)
    with open_backend(name, made, options()) as backend:
        counted = backend.computed_in(pictures())
        assert sum(counted.values()) == 35, counted
        assert counted.get(precision, 0) > 17, counted


def test_an_engine_is_built_once_and_a_tampered_one_refused(name, tmp_path):
    with open_backend(name, MODEL, options()) as backend:
        first = backend.run(pictures())[0].copy()
        assert "built now" in backend.details()["engine"]
    with open_backend(name, MODEL, options()) as backend:
        assert "from the cache" in backend.details()["engine"]
        np.testing.assert_allclose(backend.run(pictures())[0], first, rtol=1e-3, atol=1e-2)
    [path] = (tmp_path / "cache" / "engines").rglob("*.engine")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Exception, match="changed or cut short since"):
        open_backend(name, MODEL, options())


def test_two_clients_do_not_share_buffers(name):
    with open_backend(name, MODEL, options()) as backend, backend.another() as other:
        kept = backend.run(pictures(seed=1))[0].copy()
        other.run(pictures(seed=2))
        np.testing.assert_array_equal(backend.run(pictures(seed=1))[0], kept)
