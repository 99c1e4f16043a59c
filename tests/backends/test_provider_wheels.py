"""The real wheels of device and plugin providers, each in a folder of its own: their exact words without a driver, and a plugin
that computes.

onnxruntime-gpu shares its files with onnxruntime, so nothing here is installed beside it: SEATRIAL_WHEELS names a folder with
gpu/, rtx/, openvino/ and ggml/, each filled by `pip install --no-deps --target`, and each test is a process that sees one.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import seatrial.demo

pytestmark = pytest.mark.extra

MODEL = Path(seatrial.demo.__file__).parent / "models" / "seamarks-v2.onnx"
NO_SUCH_FILE = "cannot open shared object file: No such file or directory"
DRIVER = (
    "install NVIDIA's driver, which no wheel brings; start a container with the host's GPUs (docker run --gpus all)"
)
CUDA_WHEELS = "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
TENSORRT_10 = (
    "onnxruntime-gpu's TensorRT provider wants TensorRT 10, and PyPI's is 11: python -m pip install --extra-index-url "
    "https://pypi.nvidia.com 'tensorrt-cu13<11', in an environment without tensorrt 11"
)
SCRIPT = """
import json, sys
from pathlib import Path
from seatrial.backends import OpenOptions, availability
from seatrial.backends.onnxruntime import python
from seatrial.backends.onnxruntime.native import NATIVE
from seatrial.errors import SeatrialError
name = sys.argv[1]
kinds = {k.name: k for k in vars(python).values() if isinstance(k, type) and issubclass(k, python.OnnxRuntimeBackend)}
status = availability(name)
said = {"ok": status.ok, "reason": status.reason, "cure": status.cure}
for loop, kind in (("python", kinds[name]), ("native", NATIVE[name])):
    try:
        kind.open(Path(sys.argv[2]), OpenOptions(named_sizes={"batch": 1}))
        said[loop] = "opened"
    except SeatrialError as e:
        said[loop] = f"{type(e).__name__}: {e}"
print(json.dumps(said))
"""


def wheel(name: str) -> Path:
    folder = Path(os.environ.get("SEATRIAL_WHEELS", ""), name)
    if not os.environ.get("SEATRIAL_WHEELS") or not folder.is_dir():
        if os.environ.get("SEATRIAL_EXTRAS") == "required":
            pytest.fail(f"SEATRIAL_WHEELS holds no {name}/")
        pytest.skip(f"SEATRIAL_WHEELS holds no {name}/")
    return folder


def ran(folder: Path, script: str, *words: object) -> dict:
    """The last line that a process says which finds `folder` before everything installed."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def driver_is_here() -> bool:
    words = [sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


WITHOUT_A_DRIVER = {
    # backend: the wheel, its library, what is missing behind the driver, the cures behind the driver's
    "onnxruntime-cuda": (
        "gpu", "libonnxruntime_providers_cuda.so", ["libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudnn.so.9"],
        [CUDA_WHEELS],
    ),
    "onnxruntime-tensorrt": (
        "gpu", "libonnxruntime_providers_tensorrt.so",
        ["libcublas.so.13", "libnvinfer.so.10", "libnvonnxparser.so.10", "libcudnn.so.9"], [CUDA_WHEELS, TENSORRT_10],
    ),
    "onnxruntime-tensorrt-rtx": ("rtx", "libonnxruntime_providers_nv_tensorrt_rtx.so", ["libnvidia-ml.so.1"], []),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_A_DRIVER)
def test_without_a_driver_the_provider_is_refused_for_its_real_reason(name):
    if driver_is_here():
        pytest.skip("NVIDIA's driver is here")
    kind, library, missing, cures = WITHOUT_A_DRIVER[name]
    said = ran(wheel(kind), SCRIPT, name, MODEL)
    reason = (
        f"{library} needs libcuda.so.1: {NO_SUCH_FILE}; nor does it find {said['reason'].split('nor does it find ')[1]}"
    )
    # A CUDA toolkit may bring some of the others.
    named = said["reason"].split("nor does it find ")[1].replace(" or ", ", ").split(", ")
    assert set(named) <= {*missing, "libcudart.so.13"}
    assert said["reason"] == reason
    if set(missing) <= set(named):
        assert said["cure"] == "; then ".join([DRIVER, *cures])
    error = f"BackendUnavailableError: {name}: {said['reason']}; {said['cure']}"
    assert (said["ok"], said["python"], said["native"]) == (False, error, error)


def test_openvinos_plugin_opens_on_intels_processors_and_offers_nothing_on_others():
    said = ran(wheel("openvino"), SCRIPT, "onnxruntime-openvino", MODEL)
    if "GenuineIntel" in Path("/proc/cpuinfo").read_text():
        assert (said["python"], said["native"]) == ("opened", "opened")
        return
    error = (
        "BackendUnavailableError: onnxruntime-openvino: OpenVINOExecutionProvider is registered, but offers no CPU of this "
        "machine; it computes on Intel's processors only; on others use openvino-cpu"
    )
    assert (said["python"], said["native"]) == (error, error)


COMPUTES = """
import json, sys
from pathlib import Path
import numpy as np
from seatrial._native.timing import StageSamples, closed_loop
from seatrial.backends import OpenOptions
from seatrial.backends.onnxruntime import native, python, settings as table
from seatrial.backends.onnxruntime.providers import PROVIDERS, Provider
from seatrial.errors import ModelError
model, loop = Path(sys.argv[1]), sys.argv[2]
# In OpenVINO's place, so that all of the way is the product's.
name = "onnxruntime-openvino"
PROVIDERS[name] = Provider(name, "ggml", "onnxruntime-ggml", "lib/libonnxruntime_ggml.so", plugin="onnxruntime_ggml")
table._provider_options = lambda *_: {"device": "cpu", "threads": "1", "partial": "1", "weights": "f32"}
kind = {"python": python.OnnxRuntimeOpenVinoBackend, "native": native.NATIVE[name]}[loop]
x = {"x": np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)}
shapes = {"x": (1, 3, 16, 16)}
expected = python.OnnxRuntimeBackend.open(model, OpenOptions(1, 1, shapes)).run(x)[0].copy()
said = {"refused": ""}
try:
    kind.open(model, OpenOptions(1, 1, shapes)).close()
except ModelError as e:
    said["refused"] = str(e)
with kind.open(model, OpenOptions(1, 1, shapes, settings={"cpu_fallback": True})) as backend:
    said |= {"nodes": backend.details()["nodes"], "settings": backend.details()["settings"], "policy": backend.io_policy()}
    said["error"] = float(abs(backend.run(x)[0] - expected).max())
    work, samples = backend.work(x), StageSamples(8, 1)
    closed_loop(work, samples, deadline_ns=(1 << 63) - 1, most=3)
    x["x"][...] = 0
    said["changed"] = float(abs(backend.run(x)[0] - expected).max())
    said["samples"] = len(samples)
    said["computed_in"] = backend.computed_in(x)
print(json.dumps(said))
"""


def small(path: Path, *kinds: str) -> Path:
    """A matrix product, and operators of those kinds behind it."""
    weights = np.random.default_rng(1).standard_normal((16, 16)).astype(np.float32)
    nodes = [onnx.helper.make_node("MatMul", ["x", "w"], ["0"], name="product")]
    nodes += [onnx.helper.make_node(k, [str(i)], [str(i + 1)], name=f"n{i}") for i, k in enumerate(kinds)]
    x, y = (
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [1, 3, 16, 16]) for n in ("x", str(len(kinds)))
    )
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [onnx.numpy_helper.from_array(weights, "w")])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("loop", ["python", "native"])
def test_a_plugin_computes_by_both_loops(loop, tmp_path):
    """ggml's, which runs on any processor."""
    found = ran(wheel("ggml"), COMPUTES, small(tmp_path / "m.onnx", "Relu"), loop)
    assert found["refused"] == ""
    assert found["nodes"] == "2 nodes on ggml"
    assert found["error"] < 1e-4 < found["changed"], "an input changed in place is seen"
    assert found["policy"].startswith("inputs copied to the device in each run")
    assert (found["samples"], found["settings"]) == (3, "cpu_fallback=1")
    assert found["computed_in"] == {}, "one fused kernel shows no products"


@pytest.mark.parametrize("loop", ["python", "native"])
def test_what_a_plugin_leaves_to_the_cpu_is_refused_by_name_or_counted(loop, tmp_path):
    model = small(tmp_path / "m.onnx", "Relu", "Softplus")
    found = ran(wheel("ggml"), COMPUTES, model, loop)
    assert found["refused"] == (
        f"{model}: onnxruntime-openvino: 1 of 3 nodes would run on CPUExecutionProvider and not on ggml: Softplus (n1); set "
        "cpu_fallback: true for this backend to have them counted and timed there, or change the model"
    )
    assert found["nodes"] == "2 nodes on ggml, 1 on CPUExecutionProvider: Softplus (n1)"
    assert found["error"] < 1e-4 < found["changed"]
