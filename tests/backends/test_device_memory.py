"""ONNX Runtime out of device memory: told by the runtime's own words, with the batch that may fit."""

import numpy as np
import onnx
import pytest
from copying_device import CopyingSession
from simulated_cuda import SimulatedCuda, other

from seatrial import cuda
from seatrial.backends import OpenOptions
from seatrial.backends.onnxruntime.device_memory import batch_that_may_fit, out_of_device_memory
from seatrial.backends.onnxruntime.providers import PROVIDERS
from seatrial.backends.onnxruntime.python import OnnxRuntimeCudaBackend
from seatrial.backends.onnxruntime.session import failure
from seatrial.backends.onnxruntime.settings import session_setup
from seatrial.errors import CellError, ModelError

GIB = 1 << 30
ARENA = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'/a/Conv' Status "
    "Message: /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal("
    "size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size {}"
)
LIMIT = "bfc_arena.cc:346 Available memory of 1048576 is smaller than requested bytes of {}"
CUDA = (
    "/onnxruntime_src/core/providers/cuda/cuda_call.cc:121 bool onnxruntime::CudaCall() CUDA failure 2: out of memory ; GPU=0 ; "
    "hostname=h ; file=cuda_stream_handle.cc ; line=175 ; expr=cudaStreamCreateWithFlags(&stream, 1);"
)
TENSORRT = "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)"


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    return SimulatedCuda(other(tmp_path_factory.mktemp("driver")))


@pytest.fixture
def card(driver):
    """Of 8 GiB, all of it free."""
    driver.script(f"memory {8 * GIB}")
    cuda.load(str(driver.path))
    return driver


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("relu") / "relu.onnx"
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["n", 3, 4, 4]) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def said(model, text, batch=8, name="onnxruntime-cuda", **settings):
    options = OpenOptions(input_shapes={"x": (batch, 3, 4, 4)} if batch else {}, settings=settings)
    provider = PROVIDERS[name]
    return out_of_device_memory(provider, model, session_setup(model, options, provider), RuntimeError(text))


@pytest.mark.parametrize(
    ("text", "batch", "words"),
    [
        (ARENA.format(2 * GIB), 8, "for 2.00 GiB more at a batch of 8, with 8.00 GiB of 8.00 GiB free; a batch of 4 may fit, which "
         "is an estimate, or free what other programs hold (nvidia-smi)"),
        (ARENA.format(28 * GIB), 8, "for 28.0 GiB more at a batch of 8, with 8.00 GiB of 8.00 GiB free; a batch of 2 may fit"),
        (ARENA.format(900 * GIB), 8, "a batch of 1 may fit"),
        (ARENA.format(2 * GIB), 1, "at a batch of 1, with 8.00 GiB of 8.00 GiB free; no batch is smaller"),
        (ARENA.format(2 * GIB), 0, "for 2.00 GiB more, with 8.00 GiB of 8.00 GiB free; make the inputs smaller"),
        # An overflow in the runtime is no size.
        (ARENA.format(4585490524328388608), 8, "found no room at a batch of 8, with 8.00 GiB of 8.00 GiB free; a batch of 4 may fit"),
        (CUDA, 8, "found no room at a batch of 8, with 8.00 GiB of 8.00 GiB free; a batch of 4 may fit"),
        (TENSORRT, 8, "a batch of 4 may fit"),
        ("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0", 8, "a batch of 4 may fit"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", 8, "a batch of 4 may fit"),
    ],
)  # fmt: skip
def test_each_way_to_say_it(card, model, text, batch, words):
    error = said(model, text, batch)
    assert error.text.startswith("out of device memory: CUDAExecutionProvider found no room")
    assert words in error.text


def test_what_is_about_something_else_or_the_host_is_left_as_it_is(model):
    assert said(model, "Non-zero status code returned while running Gather node: idx=7 out of data bounds") is None
    assert said(model, ARENA.format(GIB), name="onnxruntime-cpu") is None


def test_a_limit_that_was_set_is_named(card, model):
    assert "raise gpu_mem_limit" in said(model, LIMIT.format(2 * GIB), gpu_mem_limit=GIB).text
    assert "gpu_mem_limit" not in said(model, ARENA.format(2 * GIB), gpu_mem_limit=GIB).text


def test_without_a_driver_that_tells_half_the_batch_is_named(driver, model):
    driver.script("devices 0")
    cuda.load(str(driver.path))
    assert said(model, ARENA.format(2 * GIB)).text.startswith(
        "out of device memory: CUDAExecutionProvider found no room for 2.00 GiB more at a batch of 8; a batch of 4 may fit"
    )


@pytest.mark.parametrize(
    ("batch", "wanted", "free", "total", "weights", "fits"),
    [
        (8, 2, 1, 8, 0, 4),
        # Nine are needed at the least beside a weight, and seven there: 8 × 7 / 24.
        (8, 18, 1, 8, 1, 2),
        (8, 100, 0, 8, 7, 1),
        # A model larger than the card.
        (8, 100, 0, 8, 9, 1),
        (3, 1, 0, 8, 0, 1),
        (1, 1, 0, 8, 0, 0),
        (0, 1, 0, 8, 0, 0),
        (8, 0, 1, 8, 0, 4),
        (8, 2, 0, 0, 0, 4),
    ],
)
def test_the_batch_that_may_fit(batch, wanted, free, total, weights, fits):
    assert batch_that_may_fit(batch, wanted, free, total, weights) == fits


def test_a_run_that_fails_says_it(card, model):
    import onnxruntime as ort

    options = OpenOptions(input_shapes={"x": (8, 3, 4, 4)})
    real = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    with OnnxRuntimeCudaBackend(CopyingSession(real), model, options) as backend:

        def full():
            raise RuntimeError(ARENA.format(2 * GIB))

        backend.session.bindings[0].synchronize_inputs = full
        with pytest.raises(CellError, match="out of device memory: .*; a batch of 4 may fit, which is an estimate"):
            backend.run({"x": np.ones((8, 3, 4, 4), np.float32)})


def test_an_opening_that_fails_says_it(card, model, monkeypatch):
    monkeypatch.setattr("seatrial.backends.onnxruntime.session.why_not_opened", lambda provider: None)
    provider = PROVIDERS["onnxruntime-tensorrt"]
    setup = session_setup(model, OpenOptions(input_shapes={"x": (8, 3, 4, 4)}), provider)
    assert "a batch of 4 may fit" in failure(provider, model, setup, RuntimeError(TENSORRT)).text
    assert isinstance(failure(provider, model, setup, RuntimeError("no such operator")), ModelError)
