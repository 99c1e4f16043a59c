"""An input changed in place changes the answer: on every backend, by every way of calling it, and where binding copies.

A buffer that is filled anew for each image keeps its address. A device that copies inputs when they are bound would answer for
the first image for ever, were it bound once, and its upload would be in nobody's time.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from copying_device import CopyingSession, build_library

from seatrial._native.ort import reads_host_memory
from seatrial._native.timing import MixWork, StageSamples, closed_loop, closed_loops, open_loop
from seatrial.backends import OpenOptions, open_backend
from seatrial.backends.onnxruntime.native import NATIVE, library_path
from seatrial.backends.onnxruntime.python import OnnxRuntimeCudaBackend

FOREVER_NS = (1 << 63) - 1
SHAPE = (1, 3, 4, 4)
OPTIONS = OpenOptions(1, 2, {"x": SHAPE})
needs_library = pytest.mark.skipif(library_path() is None, reason="this onnxruntime has no library to load")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="makes a library with the C compiler")


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """The mean of each channel, as a model and as a script."""
    folder = tmp_path_factory.mktemp("mean")
    x, y = (
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", SHAPE), ("y", SHAPE[:2]))
    )
    mean = onnx.helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)
    opset = [onnx.helper.make_opsetid("", 13)]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([mean], "g", [x], [y]), opset_imports=opset, ir_version=9),
        folder / "m.onnx",
    )
    script = {
        "inputs": {"x": {"shape": ["batch", 3, 4, 4]}},
        "outputs": {"y": {"shape": ["batch", 3], "values": "channel_mean"}},
    }
    (folder / "m.fake.json").write_text(json.dumps(script))
    return {"onnx": folder / "m.onnx", "fake": folder / "m.fake.json"}


def open_copying_session(model, options=OPTIONS):
    """The CUDA backend through Python, with a session that copies at bind_input."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return OnnxRuntimeCudaBackend(CopyingSession(session), model, options)


@pytest.fixture(scope="module")
def copying_library(tmp_path_factory) -> Path:
    return build_library(tmp_path_factory.mktemp("device"), library_path())


@pytest.fixture(params=[
    "onnxruntime-cpu from Python", pytest.param("onnxruntime-cpu native", marks=needs_library), "openvino-cpu", "fake",
    "a device from Python", pytest.param("a device native", marks=[needs_library, needs_compiler]),
])  # fmt: skip
def backend(request, models, monkeypatch):
    name, _, loop = request.param.partition(" ")
    if request.param == "a device from Python":
        opened = open_copying_session(models["onnx"])
    elif request.param == "a device native":
        library = request.getfixturevalue("copying_library")
        monkeypatch.setattr("seatrial.backends.onnxruntime.native.library_path", lambda: library)
        opened = NATIVE["onnxruntime-cuda"].open(models["onnx"], OPTIONS)
    else:
        opened = open_backend(name, models["fake" if name == "fake" else "onnx"], OPTIONS, native=loop == "native")
    with opened:
        yield opened


def by_run(backend, feeds):
    return lambda: backend.run(feeds)[0].copy()


def by_loop(loop):
    """A work, made once, and called by a timing loop time after time; each call gives its last output."""

    def ready(backend, feeds):
        outputs = []
        run = backend.run
        # A work that calls run() has no outputs of its own to ask for.
        backend.run = lambda fed: outputs.append(run(fed)) or outputs[-1]
        work = backend.work(feeds)

        def call():
            loop(work)
            return (work.fetch(0) if hasattr(work, "fetch") else outputs[-1][0]).copy()

        return call

    return ready


WAYS = {
    "run": by_run,
    "another run": lambda backend, feeds: by_run(backend.another(), feeds),
    "closed loop": by_loop(lambda w: closed_loop(w, StageSamples(2, 1), deadline_ns=FOREVER_NS)),
    "closed loops": by_loop(lambda w: closed_loops([w], [StageSamples(2, 1)], deadline_ns=FOREVER_NS)),
    "open loop": by_loop(lambda w: open_loop([w], [StageSamples(2, 2)], [0, 0], first_ns=0, deadline_ns=FOREVER_NS)),
    "mix": by_loop(lambda w: closed_loop(MixWork([w], [0]), StageSamples(2, 1), deadline_ns=FOREVER_NS)),
    "another's loop": lambda backend, feeds: WAYS["closed loop"](backend.another(), feeds),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_input_changed_in_place_changes_the_answer(backend, way):
    x = np.zeros(SHAPE, np.float32)
    answer = WAYS[way](backend, {"x": x})
    for seed in range(4):
        x[...] = np.random.default_rng(seed).standard_normal(SHAPE, np.float32)
        np.testing.assert_allclose(answer(), x.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)


def test_clients_of_one_model_see_their_own_input_and_none_but_that(backend):
    other = backend.another()
    mine, theirs = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    for seed in range(3):
        mine[...], theirs[...] = seed, 10 + seed
        assert backend.run({"x": mine})[0].ravel().tolist() == [seed] * 3
        assert other.run({"x": theirs})[0].ravel().tolist() == [10 + seed] * 3


def test_a_new_buffer_at_the_place_of_the_old_one_is_seen(backend):
    """What a key of an address cannot tell apart."""
    memory = np.zeros(48, np.float32)
    for value in range(3):
        memory[:] = value
        assert backend.run({"x": memory.reshape(SHAPE)})[0].ravel().tolist() == [value] * 3


# ---- What moves when ----

POLICIES = {
    # in place, open shapes: words
    (True, False): "inputs bound in place, outputs read without a copy, shapes fixed when opened",
    (True, True): "inputs bound in place, outputs allocated in each run, shapes open",
    (False, False): "inputs copied to the device in each run, outputs copied back, shapes fixed when opened",
    (False, True): "inputs copied to the device in each run, outputs copied back, shapes open",
}


def test_the_opened_backend_says_what_it_moves(backend, request):
    policy = POLICIES["device" not in request.node.callspec.params["backend"], False]
    assert backend.io_policy() == backend.another().io_policy() == policy


@pytest.mark.parametrize(("name", "native"), [
    ("onnxruntime-cpu", False), pytest.param("onnxruntime-cpu", True, marks=needs_library), ("openvino-cpu", False),
    ("fake", False),
])  # fmt: skip
def test_a_backend_opened_for_a_mix_says_so(models, name, native):
    model = models["fake" if name == "fake" else "onnx"]
    with open_backend(name, model, OpenOptions.for_mix(1), native=native) as backend:
        assert backend.io_policy() == POLICIES[True, True]


def test_a_device_opened_for_a_mix_says_both(models):
    from seatrial.backends.openvino import OpenVinoGpuBackend

    with open_copying_session(models["onnx"], OpenOptions.for_mix(1)) as backend:
        assert backend.io_policy() == POLICIES[False, True]
    with open_backend("openvino-cpu", models["onnx"], OPTIONS) as cpu:
        gpu = OpenVinoGpuBackend(cpu.compiled, models["onnx"], OPTIONS)
        assert gpu.io_policy() == POLICIES[False, False]


@pytest.mark.parametrize(
    "provider", ["CUDAExecutionProvider", "TensorrtExecutionProvider", "TeapotExecutionProvider", ""]
)
def test_only_the_cpu_is_taken_to_read_host_memory_where_it_lies(provider):
    assert reads_host_memory("CPUExecutionProvider")
    assert not reads_host_memory(provider)


def test_each_run_from_python_uploads_once_and_waits_for_it(models):
    with open_copying_session(models["onnx"]) as backend:
        session = backend.session
        feeds = {"x": np.ones(SHAPE, np.float32)}
        (binding,) = session.bindings
        order = []
        binding.synchronize_inputs = lambda: order.append(binding.uploads)
        for _ in range(3):
            backend.run(feeds)
        assert order == [1, 2, 3]


@needs_library
@needs_compiler
def test_each_native_run_uploads_once_and_waits_for_it(models, copying_library, monkeypatch):
    import ctypes

    monkeypatch.setattr("seatrial.backends.onnxruntime.native.library_path", lambda: copying_library)
    counts = ctypes.CDLL(str(copying_library))
    counts.copying_device_bound.restype = counts.copying_device_synchronized.restype = ctypes.c_long

    def moved(call) -> tuple[int, int]:
        before = counts.copying_device_bound(), counts.copying_device_synchronized()
        call()
        return counts.copying_device_bound() - before[0], counts.copying_device_synchronized() - before[1]

    with NATIVE["onnxruntime-cuda"].open(models["onnx"], OPTIONS) as backend:
        feeds = {"x": np.ones(SHAPE, np.float32)}
        assert moved(lambda: backend.work(feeds)) == (0, 0), "an upload outside of a run would be in nobody's time"
        work, samples = backend.work(feeds), StageSamples(50, 1)
        assert moved(lambda: closed_loop(work, samples, deadline_ns=FOREVER_NS)) == (50, 50)
        assert moved(lambda: backend.run(feeds)) == (1, 1)
        assert moved(lambda: backend.run({"x": np.zeros(SHAPE, np.float32)})) == (1, 1)
    # The same library with the provider that reads in place: bound once, and nothing in a run.
    with NATIVE["onnxruntime-cpu"].open(models["onnx"], OPTIONS) as backend:
        work = backend.work(feeds)
        assert moved(lambda: closed_loop(work, StageSamples(50, 1), deadline_ns=FOREVER_NS)) == (0, 0)


def test_an_upload_that_fails_is_told_like_a_run_that_fails(models):
    from seatrial.errors import CellError

    def no_memory():
        raise RuntimeError("CUDA failure 2: out of memory")

    with open_copying_session(models["onnx"]) as backend:
        backend.session.bindings[0].synchronize_inputs = no_memory
        with pytest.raises(CellError, match="^out of device memory: CUDAExecutionProvider .*no batch is smaller"):
            backend.run({"x": np.ones(SHAPE, np.float32)})


class CopyingRequest:
    """An OpenVINO request of a plugin that would copy when a tensor is set."""

    def __init__(self, request) -> None:
        self.real = request

    def set_input_tensor(self, index, tensor) -> None:
        import openvino as ov

        self.real.set_input_tensor(index, ov.Tensor(np.array(tensor.data), shared_memory=False))

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_openvinos_gpu_would_be_right_if_its_plugin_copied_at_once(models):
    from seatrial.backends.openvino import OpenVinoGpuBackend

    with open_backend("openvino-cpu", models["onnx"], OPTIONS) as cpu:
        gpu = OpenVinoGpuBackend(cpu.compiled, models["onnx"], OPTIONS)
        gpu.request = CopyingRequest(gpu.request)
        x = np.zeros(SHAPE, np.float32)
        for value in range(3):
            x[...] = value
            assert gpu.run({"x": x})[0].ravel().tolist() == [value] * 3
