"""ONNX Runtime on an NVIDIA GPU: right answers, no silent fallback, and the two ways of moving inputs told apart.

Needs onnxruntime-gpu[cuda,cudnn] in place of onnxruntime. Nothing here depends on speed.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest

import seatrial.demo
from seatrial._native.timing import StageSamples, closed_loop
from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.backends.onnxruntime.providers import PROVIDERS
from seatrial.errors import BackendUnavailableError, ModelError
from seatrial.model.file import inspect_model

pytestmark = pytest.mark.gpu

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v2.onnx"
FOREVER_NS = (1 << 63) - 1
LOOPS = pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
# Those of NVIDIA's; each is skipped with its own reason where it is not to be had.
DEVICES = [name for name, provider in PROVIDERS.items() if provider.nvidia]


def needs(name: str) -> None:
    status = availability(name)
    if not status.ok:
        pytest.skip(f"{name}: {status.reason}; {status.cure}")
    try:
        open_backend(name, identity(), OpenOptions(settings={"cpu_fallback": True})).close()
    except BackendUnavailableError as e:
        pytest.skip(str(e))


_IDENTITY: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("gpu")
    _IDENTITY[:] = [write(found / "identity.onnx", [onnx.helper.make_node("Relu", ["x"], ["y"])], [4])]
    return found


def identity() -> Path:
    return _IDENTITY[0]


def write(path: Path, nodes, shape, weights=()) -> Path:
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None)))
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in weights]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "g", [x], [y], constants),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(onnx.shape_inference.infer_shapes(model), path)
    return path


@pytest.fixture(scope="module")
def convolutions(folder) -> Path:
    """Deep enough that rounding its inputs to TF32 shows."""
    random = np.random.default_rng(0)
    weights = [
        (f"w{i}", (random.standard_normal((32, 3 if i == 0 else 32, 3, 3)) / 8).astype(np.float32)) for i in range(4)
    ]
    names = ["x", "a", "b", "c", "y"]
    nodes = [
        onnx.helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], name=f"conv{i}", pads=[1, 1, 1, 1])
        for i in range(4)
    ]
    return write(folder / "convolutions.onnx", nodes, [1, 3, 32, 32], weights)


def demo_options(**settings) -> OpenOptions:
    shapes = {"images": (1, 3, 320, 320)}
    base = OpenOptions.for_shapes(inspect_model(MODEL), 1, shapes)
    return OpenOptions(1, 1, base.input_shapes, base.named_sizes, settings=settings)


def small_options(**settings) -> OpenOptions:
    return OpenOptions(1, 1, {"x": (1, 3, 32, 32)}, settings=settings)


def noise(seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).standard_normal((1, 3, 32, 32)).astype(np.float32)}


@LOOPS
@pytest.mark.parametrize("name", DEVICES)
def test_the_demo_answers_as_on_the_cpu(name, native):
    needs(name)
    feeds = {"images": np.random.default_rng(0).random((1, 3, 320, 320), np.float32)}
    with open_backend("onnxruntime-cpu", MODEL, demo_options()) as cpu:
        expected = cpu.run(feeds)[0].copy()
    with open_backend(name, MODEL, demo_options(cpu_fallback=True), native=native) as device:
        np.testing.assert_allclose(device.run(feeds)[0], expected, rtol=1e-3, atol=1e-2)
        assert PROVIDERS[name].execution_provider in device.details()["nodes"]


@LOOPS
@pytest.mark.parametrize("name", DEVICES)
def test_an_input_changed_in_place_changes_the_answer(name, native, convolutions):
    needs(name)
    x = noise()
    with (
        open_backend("onnxruntime-cpu", convolutions, small_options()) as cpu,
        open_backend(name, convolutions, small_options(), native=native) as device,
    ):
        for seed in range(4):
            x["x"][...] = noise(seed)["x"]
            np.testing.assert_allclose(device.run(x)[0], cpu.run(x)[0], rtol=1e-3, atol=1e-4)


def test_tf32_is_off_unless_asked_for_and_told_apart(convolutions):
    needs("onnxruntime-cuda")
    x = noise()
    with open_backend("onnxruntime-cpu", convolutions, small_options()) as cpu:
        expected = cpu.run(x)[0].copy()
    with open_backend("onnxruntime-cuda", convolutions, small_options()) as exact:
        np.testing.assert_allclose(exact.run(x)[0], expected, rtol=1e-4, atol=1e-5)
        assert (exact.details()["tf32"], exact.computed_in(x)) == ("off", {"fp32": 4})
    with open_backend("onnxruntime-cuda", convolutions, small_options(tf32=True)) as fast:
        np.testing.assert_allclose(fast.run(x)[0], expected, rtol=1e-1, atol=1e-2)
        assert (fast.details()["tf32"], fast.computed_in(x)) == ("allowed", {"tf32": 4})


@LOOPS
@pytest.mark.parametrize("graph", [False, True], ids=["launched", "captured"])
@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_bound_on_the_device_once(name, graph, native, convolutions):
    """run() answers for what it is given whatever the works do; a work says what it moves, and nothing else."""
    needs(name)
    settings = {"device_io": True, "cuda_graph": graph}
    x, other = noise(), noise(1)
    with open_backend("onnxruntime-cpu", convolutions, small_options()) as cpu:
        expected, changed = cpu.run(x)[0].copy(), cpu.run(other)[0].copy()
    with open_backend(name, convolutions, small_options(**settings), native=native) as device:
        works = [device.work(x), device.another().work(other)]
        for work in works:
            closed_loop(work, StageSamples(64, 1), deadline_ns=FOREVER_NS, most=20)
        assert (
            device.io_policy()
            == "inputs bound on the device once, outputs left on the device, shapes fixed when opened"
        )
        np.testing.assert_allclose(device.run(x)[0], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(device.run(other)[0], changed, rtol=1e-3, atol=1e-4)
        closed_loop(works[0], StageSamples(8, 1), deadline_ns=FOREVER_NS, most=5)
        np.testing.assert_allclose(device.run(x)[0], expected, rtol=1e-3, atol=1e-4)


def test_what_a_captured_graph_computes_is_right(convolutions):
    """Read back through Python's tensors on the device, after replays, and after another graph was captured."""
    needs("onnxruntime-cuda")
    x, other = noise(), noise(1)
    with open_backend("onnxruntime-cpu", convolutions, small_options()) as cpu:
        expected = cpu.run(x)[0].copy()
    with open_backend("onnxruntime-cuda", convolutions, small_options(device_io=True, cuda_graph=True)) as device:
        from seatrial.backends.onnxruntime.device_io import next_graph

        bindings = [(device._device_binding(feeds), next_graph(device._setup)) for feeds in (x, other)]
        for _ in range(5):
            for binding, options in bindings:
                device.session.run_with_iobinding(binding, options)
        np.testing.assert_allclose(bindings[0][0].get_outputs()[0].numpy(), expected, rtol=1e-3, atol=1e-4)


@LOOPS
def test_a_node_that_the_device_has_no_kernel_for_is_refused_by_name(native, folder):
    needs("onnxruntime-cuda")
    path = folder / "strings.onnx"
    nodes = [
        onnx.helper.make_node("Relu", ["x"], ["a"], name="first"),
        onnx.helper.make_node("Det", ["a"], ["y"], name="determinant"),
    ]
    write(path, nodes, [1, 4, 4])
    options = OpenOptions(1, 1, {"x": (1, 4, 4)})
    with pytest.raises(ModelError, match=r"1 of 2 nodes would run on CPUExecutionProvider .*: Det \(determinant\)"):
        open_backend("onnxruntime-cuda", path, options, native=native)
    allowed = OpenOptions(1, 1, {"x": (1, 4, 4)}, settings={"cpu_fallback": True})
    with open_backend("onnxruntime-cuda", path, allowed, native=native) as backend:
        assert backend.details()["nodes"].endswith("1 on CPUExecutionProvider: Det (determinant)")
        x = np.random.default_rng(0).random((1, 4, 4), np.float32)
        np.testing.assert_allclose(backend.run({"x": x})[0], np.linalg.det(x), rtol=1e-3, atol=1e-5)
