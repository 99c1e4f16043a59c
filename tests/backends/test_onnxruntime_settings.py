"""Settings of ONNX Runtime: each reaches the session by both loops, in the same words; what does not fit is refused."""

import ctypes
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from copying_device import CopyingBinding, CopyingSession, build_library

from seatrial._native.timing import StageSamples, closed_loop
from seatrial.backends import OpenOptions, open_backend
from seatrial.backends.onnxruntime import settings as table
from seatrial.backends.onnxruntime.assignment import Assigned, in_words, refuse_fallback
from seatrial.backends.onnxruntime.native import NATIVE, library_path
from seatrial.backends.onnxruntime.providers import PROVIDERS
from seatrial.backends.onnxruntime.python import OnnxRuntimeCudaBackend
from seatrial.errors import CellError, ModelError, UsageError
from seatrial.runtimes.options import settings_of

FOREVER_NS = (1 << 63) - 1
SHAPE = (1, 3, 4, 4)
needs_library = pytest.mark.skipif(library_path() is None, reason="this onnxruntime has no library to load")
needs_device = pytest.mark.skipif(
    library_path() is None or shutil.which("cc") is None, reason="makes a library with the C compiler"
)


def options(**settings) -> OpenOptions:
    return OpenOptions(1, 1, {"x": SHAPE}, settings=settings)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """Its mean of each channel, behind two nodes that the basic level takes away."""
    x, y = (
        onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", SHAPE), ("y", SHAPE[:2]))
    )
    nodes = [
        onnx.helper.make_node("Identity", ["x"], ["a"], name="first"),
        onnx.helper.make_node("Identity", ["a"], ["b"], name="second"),
        onnx.helper.make_node("ReduceMean", ["b"], ["y"], name="mean", axes=[2, 3], keepdims=0),
    ]
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    path = tmp_path_factory.mktemp("settings") / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=9), path)
    return path


class Device:
    """The library of copying_device.c as the C API loop's, and what it was told."""

    def __init__(self, library: Path) -> None:
        self.calls = ctypes.CDLL(str(library))
        self.calls.copying_device_told.restype = ctypes.c_char_p
        for name in ("bound", "synchronized", "awaited", "left"):
            getattr(self.calls, f"copying_device_{name}").restype = ctypes.c_long

    def told(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for pair in self.calls.copying_device_told().decode().split(";")[:-1]:
            key, _, value = pair.partition("=")
            found.setdefault(key, []).append(value)
        return found

    def counts(self) -> np.ndarray:
        names = ("bound", "synchronized", "awaited", "left")
        return np.array([getattr(self.calls, f"copying_device_{n}")() for n in names])


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return build_library(tmp_path_factory.mktemp("device"), library_path())


@pytest.fixture
def device(library, monkeypatch) -> Device:
    monkeypatch.setattr("seatrial.backends.onnxruntime.native.library_path", lambda: library)
    found = Device(library)
    found.calls.copying_device_forget()
    found.calls.copying_device_records(0)
    return found


# ---- Each setting reaches the session ----

REACH = {
    # settings: what the C API is told, and what a Python session then has
    "graph_optimization=basic": ({"graph_optimization": "1"}, lambda s: s.graph_optimization_level.value == 1),
    "graph_optimization=disabled": ({"graph_optimization": "0"}, lambda s: s.graph_optimization_level.value == 0),
    "arena=0": ({"arena": "0"}, lambda s: s.enable_cpu_mem_arena is False),
    "memory_pattern=0": ({"memory_pattern": "0"}, lambda s: s.enable_mem_pattern is False),
    "execution_mode=parallel, inter_op_threads=2": (
        {"parallel": "1", "inter_op": "2"}, lambda s: (s.execution_mode.value, s.inter_op_num_threads) == (1, 2),
    ),
    "allow_spinning=0": (
        {"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": "0"},
        lambda s: s.get_session_config_entry("session.intra_op.allow_spinning") == "0",
    ),
}  # fmt: skip


def read(words: str) -> dict:
    """Settings as details() writes them."""
    pairs = (w.split("=") for w in words.split(", "))
    kinds = {s.name: s.kind for s in settings_of("onnxruntime-cpu")}
    return {n: bool(int(v)) if kinds[n] is bool else kinds[n](v) for n, v in pairs}


@needs_device
@pytest.mark.parametrize(("words", "told", "has"), [(w, *v) for w, v in REACH.items()], ids=REACH)
def test_a_setting_reaches_both_loops(words, told, has, model, device):
    asked = options(**read(words))
    with NATIVE["onnxruntime-cpu"].open(model, asked) as native:
        assert told.items() <= {k: v[-1] for k, v in device.told().items()}.items()
        assert native.details()["settings"] == words
    with open_backend("onnxruntime-cpu", model, asked) as python:
        assert has(python.session.get_session_options())
        assert python.details()["settings"] == words
    with open_backend("onnxruntime-cpu", model, options()) as python:
        assert not has(python.session.get_session_options())
        assert "settings" not in python.details()


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_library)], ids=["python", "native"])
def test_the_graph_is_rewritten_as_far_as_was_said(native, model, monkeypatch):
    """By the record of nodes, which a session on the CPU keeps here too."""
    monkeypatch.setattr(table, "CPU", "none")
    nodes = {}
    for level in ("disabled", "basic", "all"):
        with open_backend("onnxruntime-cpu", model, options(graph_optimization=level), native=native) as backend:
            nodes[level] = backend.details()["nodes"]
            x = np.ones(SHAPE, np.float32)
            assert backend.run({"x": x})[0].tolist() == [[1, 1, 1]]
    assert nodes == {
        "disabled": "3 nodes on CPUExecutionProvider",
        "basic": "1 node on CPUExecutionProvider",
        "all": "1 node on CPUExecutionProvider",
    }


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_library)], ids=["python", "native"])
def test_branches_side_by_side_are_told_and_right(native, model):
    with open_backend(
        "onnxruntime-cpu", model, options(execution_mode="parallel", inter_op_threads=2), native=native
    ) as backend:
        assert backend.details()["threads"] == "1 intra-op, 2 inter-op in parallel"
        assert backend.run({"x": np.ones(SHAPE, np.float32)})[0].tolist() == [[1, 1, 1]]


GIVEN = {
    "nothing": ({}, {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE", "enable_cuda_graph": "0", "device_id": "0"}),
    "all": (
        {
            "cudnn_conv_algo_search": "heuristic", "arena_extend_strategy": "same_as_requested", "gpu_mem_limit": 1 << 30,
            "tf32": True, "prefer_nhwc": True, "device_id": 1, "device_io": True, "cuda_graph": True,
        },
        {
            "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested",
            "gpu_mem_limit": "1073741824", "use_tf32": "1", "prefer_nhwc": "1", "device_id": "1", "enable_cuda_graph": "1",
        },
    ),
}  # fmt: skip


@needs_device
@pytest.mark.parametrize(("settings", "expected"), GIVEN.values(), ids=GIVEN)
def test_cuda_gets_the_same_options_by_both_loops(settings, expected, model, device, monkeypatch):
    import onnxruntime as ort

    asked = {}
    real = ort.InferenceSession

    class Session:
        """On the CPU, whatever it is asked for."""

        def __init__(self, path, options, providers, **_):
            asked.update(dict(providers)["CUDAExecutionProvider"])
            self.real = real(path, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return ["CUDAExecutionProvider"]

        def get_provider_graph_assignment_info(self):
            return []

        def __getattr__(self, name):
            return getattr(self.real, name)

    with NATIVE["onnxruntime-cuda"].open(model, options(**settings)) as native:
        told = {k: v[-1] for k, v in device.told().items()}
        tf32 = native.details()["tf32"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    with OnnxRuntimeCudaBackend.open(model, options(**settings)) as python:
        assert python.details()["tf32"] == tf32 == ("allowed" if settings.get("tf32") else "off")
    assert expected.items() <= asked.items()
    assert asked.items() <= told.items()


REFUSED = {
    "unknown": ("onnxruntime-cpu", {"arenas": True}, r"^onnxruntime-cpu: arenas: onnxruntime-cpu has no option 'arenas' \(did you mean 'arena'\?\)"),
    "another's": (
        "onnxruntime-cpu", {"prefer_nhwc": True},
        r"onnxruntime-cpu has no option 'prefer_nhwc' \(onnxruntime-cuda has\); it takes graph_optimization, execution_mode",
    ),
    "word": (
        "onnxruntime-cuda", {"cudnn_conv_algo_search": "exhausting"},
        "cudnn_conv_algo_search: expected one of exhaustive, heuristic, default, got 'exhausting'$",
    ),
    "a number for a bool": ("onnxruntime-cpu", {"arena": 1}, "arena: expected true or false, got 1$"),
    "a bool for a number": ("onnxruntime-cuda", {"device_id": True}, "device_id: expected a whole number from 0 on, got true$"),
    "too small": ("onnxruntime-cuda", {"gpu_mem_limit": 0}, "gpu_mem_limit: expected a whole number from 1 on, got 0$"),
    "precision": (
        "onnxruntime-tensorrt", {"trt_fp16_enable": True},
        "onnxruntime-tensorrt takes no trt_fp16_enable: precision belongs to the model: ask for it under matrix.precisions",
    ),
    "threads": ("onnxruntime-cpu", {"intra_op_threads": 4}, "threads stand under matrix.threads, for every backend$"),
    "a graph that would not see its inputs": (
        "onnxruntime-cuda", {"cuda_graph": True}, "inputs copied in each run would not be seen; set device_io too$",
    ),
    "threads for no branches": ("onnxruntime-cpu", {"inter_op_threads": 2}, "counts only with execution_mode: parallel"),
    "branches without threads": ("onnxruntime-cpu", {"execution_mode": "parallel"}, "needs inter_op_threads of 2 or more"),
}  # fmt: skip


@pytest.mark.parametrize(("backend", "settings", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused(backend, settings, message):
    with pytest.raises(UsageError, match=message):
        table.checked(backend, settings)


def test_a_mix_of_shapes_cannot_be_bound_once(model):
    with pytest.raises(UsageError, match="device_io binds inputs of one shape once"):
        table.session_setup(
            model, OpenOptions(open_shapes=True, settings={"device_io": True}), PROVIDERS["onnxruntime-cuda"]
        )


def test_openvino_is_told_precision_and_threads_in_the_one_way_that_it_heeds(model):
    setup = table.session_setup(model, OpenOptions(3, 2), PROVIDERS["onnxruntime-openvino"])
    assert json.loads(setup.provider_options["load_config"]) == {
        "CPU": {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "6", "NUM_STREAMS": "2"}
    }


def test_tensorrt_keeps_tf32_off_and_its_engines_apart(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path))
    provider = PROVIDERS["onnxruntime-tensorrt"]

    def setup(**settings):
        return table.session_setup(model, OpenOptions(settings=settings), provider)

    assert setup().environment == {"NVIDIA_TF32_OVERRIDE": "0"}
    assert setup(tf32=True).environment == {}
    folders = [setup(**s).provider_options["trt_engine_cache_path"] for s in ({}, {}, {"builder_level": 5})]
    assert folders[0] == folders[1] != folders[2]
    assert Path(folders[0]).is_relative_to(tmp_path / "engines" / "onnxruntime-tensorrt")
    assert "trt_engine_cache_path" not in setup(engine_cache=False).provider_options
    assert not any("fp16" in o or "int8" in o for o in setup().provider_options)
    builds = [table.session_setup(model, OpenOptions(build_number=n), provider).provider_options for n in range(3)]
    assert builds[0] == setup().provider_options
    for name in ("trt_engine_cache_path", "trt_timing_cache_path"):
        assert len({b[name] for b in builds}) == 3, "builds that shared it would be alike"


@pytest.mark.parametrize(
    ("name", "shapes", "change"),
    [
        ("onnxruntime-tensorrt-rtx", {}, True),
        ("onnxruntime-tensorrt-rtx", {"x": (1, 3)}, False),
        ("onnxruntime-tensorrt", {}, False),
    ],
)
def test_kernels_of_open_shapes_change_while_tensorrt_rtx_runs(model, name, shapes, change):
    assert table.session_setup(model, OpenOptions(input_shapes=shapes), PROVIDERS[name]).kernels_change == change


# ---- Bound on the device once ----


@needs_device
def test_natively_bound_once_means_no_copy_in_any_run(model, device):
    with NATIVE["onnxruntime-cuda"].open(model, options(device_io=True)) as backend:
        x = np.ones(SHAPE, np.float32)
        assert "copied to the device in each run" in backend.io_policy()
        assert "io" not in backend.details()
        before = device.counts()
        work = backend.work({"x": x})
        # The host may write to the input again: its copy was waited for.
        assert (device.counts() - before).tolist() == [1, 1, 0, 1]
        before = device.counts()
        closed_loop(work, StageSamples(50, 1), deadline_ns=FOREVER_NS)
        assert (device.counts() - before).tolist() == [0, 0, 50, 0], "each run waits, and none copies"
        assert backend.io_policy() == (
            "inputs bound on the device once, outputs left on the device, shapes fixed when opened"
        )
        assert backend.details()["io"] == backend.io_policy()
        with pytest.raises(RuntimeError, match="the outputs lie on the device: no run copies them back"):
            work.fetch(0)
        # A single run answers for what it is given, as ever.
        for value in range(3):
            x[...] = value
            assert backend.run({"x": x})[0].tolist() == [[value] * 3]


@needs_device
def test_natively_a_captured_graph_is_each_works_own_and_no_single_runs(model, device):
    with NATIVE["onnxruntime-cuda"].open(model, options(device_io=True, cuda_graph=True)) as backend:
        x = {"x": np.ones(SHAPE, np.float32)}
        backend.work(x), backend.another().work(x)
        graphs = device.told()["gpu_graph_id"]
    assert graphs.count("-1") == 2, "those of run(), of both clients"
    ids = [g for g in graphs if g != "-1"]
    assert len(ids) == len(set(ids)) == 2


@pytest.mark.skipif(library_path() is None, reason="this onnxruntime has no library to load")
def test_the_cpu_has_no_memory_to_bind_in(model):
    from seatrial._native.ort import LoadedModel, Request

    with pytest.raises(RuntimeError, match="the device has no memory of its own to bind tensors in"):
        Request(LoadedModel(str(library_path()), str(model)), True)


class HostPlace:
    """A device whose memory is the host's: copies lie where ONNX Runtime's CPU reads them."""

    copies = 0

    def holding(self, array):
        from onnxruntime import OrtValue

        HostPlace.copies += 1
        return OrtValue.ortvalue_from_numpy(array.copy())

    def empty(self, shape, dtype):
        from onnxruntime import OrtValue

        return OrtValue.ortvalue_from_shape_and_type(shape, np.dtype(dtype).type)


class PlaceBinding(CopyingBinding):
    def bind_ortvalue_input(self, name, value) -> None:
        self.real.bind_ortvalue_input(name, value)

    def bind_ortvalue_output(self, name, value) -> None:
        self.value = value
        self.real.bind_ortvalue_output(name, value)


class PlaceSession(CopyingSession):
    def get_provider_graph_assignment_info(self):
        return []

    def io_binding(self):
        self.bindings.append(PlaceBinding(self.real.io_binding()))
        return self.bindings[-1]


def test_from_python_bound_once_means_no_copy_in_any_run(model, monkeypatch):
    import onnxruntime as ort

    monkeypatch.setattr("seatrial.backends.onnxruntime.python.device_place", lambda *_: HostPlace())
    session = PlaceSession(ort.InferenceSession(str(model), providers=["CPUExecutionProvider"]))
    with OnnxRuntimeCudaBackend(session, model, options(device_io=True)) as backend:
        x = np.full(SHAPE, 2, np.float32)
        assert "copied to the device in each run" in backend.io_policy()
        assert "io" not in backend.details()
        before = HostPlace.copies
        work = backend.work({"x": x})
        x[...] = 5
        closed_loop(work, StageSamples(20, 1), deadline_ns=FOREVER_NS)
        assert HostPlace.copies == before + 1
        assert session.bindings[-1].uploads == 0
        assert session.bindings[-1].value.numpy().tolist() == [[2, 2, 2]], "what it was bound with"
        assert backend.io_policy().startswith("inputs bound on the device once, outputs left on the device")
        assert backend.run({"x": x})[0].tolist() == [[5, 5, 5]]


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_device)], ids=["python", "native"])
def test_an_output_whose_shape_a_run_decides_cannot_be_left_on_the_device(native, tmp_path, monkeypatch, request):
    x, y = (
        onnx.helper.make_tensor_value_info(n, k, s)
        for n, k, s in (("x", onnx.TensorProto.FLOAT, [4]), ("y", onnx.TensorProto.INT64, [1, "n"]))
    )
    graph = onnx.helper.make_graph([onnx.helper.make_node("NonZero", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=9), path)
    asked = OpenOptions(1, 1, {"x": (4,)}, settings={"device_io": True})
    if native:
        request.getfixturevalue("device")
        backend = NATIVE["onnxruntime-cuda"].open(path, asked)
    else:
        import onnxruntime as ort

        monkeypatch.setattr("seatrial.backends.onnxruntime.python.device_place", lambda *_: HostPlace())
        session = PlaceSession(ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]))
        backend = OnnxRuntimeCudaBackend(session, path, asked)
    with backend, pytest.raises(CellError, match="output y: device_io needs outputs of known shape"):
        backend.work({"x": np.ones(4, np.float32)})


# ---- Which node runs where ----

CUDA = PROVIDERS["onnxruntime-cuda"]
MIXED = [Assigned(CUDA.execution_provider, "Conv", f"conv{i}") for i in range(4)] + [
    Assigned("CPUExecutionProvider", "Shape", "/head/Shape"),
    Assigned("CPUExecutionProvider", "Shape", "/head/Shape_1"),
    Assigned("CPUExecutionProvider", "Gather", ""),
    Assigned("CPUExecutionProvider", "com.microsoft.Gelu", "/head/Gelu"),
    Assigned("CPUExecutionProvider", "NonZero", "/head/NonZero"),
]


def test_nodes_are_counted_by_provider_and_those_on_the_cpu_are_named():
    assert in_words(MIXED) == (
        "4 nodes on CUDAExecutionProvider, 5 on CPUExecutionProvider: 2 × Shape, Gather, com.microsoft.Gelu, NonZero "
        "(/head/Shape, /head/Shape_1, /head/Gelu, …)"
    )
    assert in_words(MIXED[:4]) == "4 nodes on CUDAExecutionProvider"
    assert in_words([]) == "no nodes"


def test_a_fallback_is_refused_by_name():
    refuse_fallback(CUDA, Path("m.onnx"), MIXED[:4])
    with pytest.raises(ModelError) as caught:
        refuse_fallback(CUDA, Path("m.onnx"), MIXED)
    assert str(caught.value) == (
        "m.onnx: onnxruntime-cuda: 5 of 9 nodes would run on CPUExecutionProvider and not on CUDAExecutionProvider: "
        "2 × Shape, Gather, com.microsoft.Gelu, NonZero (/head/Shape, /head/Shape_1, /head/Gelu, …); set cpu_fallback: true "
        "for this backend to have them counted and timed there, or change the model"
    )


@needs_device
def test_a_session_that_runs_elsewhere_is_refused_natively_by_its_own_record(model, device):
    """The device's library adds no provider, so that ONNX Runtime gives every node to the CPU, and its record says so."""
    device.calls.copying_device_records(1)
    try:
        with pytest.raises(
            ModelError, match=r"onnxruntime-cuda: 1 of 1 node would run on CPUExecutionProvider .*\(mean\)"
        ):
            NATIVE["onnxruntime-cuda"].open(model, options())
        with NATIVE["onnxruntime-cuda"].open(model, options(cpu_fallback=True)) as backend:
            assert backend.details()["nodes"] == "1 node on CPUExecutionProvider"
    finally:
        device.calls.copying_device_records(0)


@needs_device
def test_a_library_without_the_record_is_told_to_refuse_by_itself(model, tmp_path, monkeypatch):
    from seatrial._native.ort import LoadedModel

    old = build_library(tmp_path, library_path(), "1.23.2")
    monkeypatch.setattr("seatrial.backends.onnxruntime.native.library_path", lambda: old)
    with NATIVE["onnxruntime-cuda"].open(model, options()) as backend:
        assert Device(old).told()["session.disable_cpu_ep_fallback"] == ["1"]
        assert "nodes" not in backend.details()
    with NATIVE["onnxruntime-cuda"].open(model, options(cpu_fallback=True)):
        assert Device(old).told()["session.disable_cpu_ep_fallback"] == ["1"], "not told again"
    with pytest.raises(RuntimeError, match="ONNX Runtime 1.23.2 takes no provider by plugin; 1.24 or newer does"):
        LoadedModel(str(old), str(model), provider="TeapotExecutionProvider", plugin="libteapot.so")
