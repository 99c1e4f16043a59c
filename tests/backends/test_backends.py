"""Both real runtimes behind the protocol: same answers, same policy, no silent fallback."""

import gc
import json
import re
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

import seatrial.demo
from seatrial._native.timing import StageSamples, closed_loop, closed_loops
from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.backends.catalogue import has_native_loop
from seatrial.backends.onnxruntime.native import NATIVE, library_path
from seatrial.backends.onnxruntime.providers import PROVIDERS
from seatrial.errors import BackendUnavailableError, CellError, ModelError, count_of
from seatrial.model.file import inspect_model
from seatrial.runtimes.names import OWN

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


@pytest.mark.parametrize("name", REAL)
def test_an_input_that_cannot_be_written_to_is_read_anew_each_time(name):
    own = feeds()["images"]
    kept = own.view()
    kept.flags.writeable = False
    with opened(name) as backend:
        first = [np.array(o) for o in backend.run({"images": kept})]
        own[:] = 0.5
        second = [np.array(o) for o in backend.run({"images": kept})]
        right = [np.array(o) for o in backend.run({"images": own.copy()})]
    assert any((a != b).any() for a, b in zip(first, second, strict=True))
    assert all((a == b).all() for a, b in zip(second, right, strict=True))


PATHS = [*((name, False) for name in REAL), ("onnxruntime-cpu", True)]


@pytest.fixture
def small(tmp_path):
    """Opens y = -x of 2 × 2 by any path."""
    x, y = (onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 2]) for n in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)

    def call(name, native):
        options = OpenOptions.for_shapes(inspect_model(path), 1, {"x": (2, 2)})
        return open_backend(name, path, options, native)

    return call


@pytest.mark.parametrize(("name", "native"), PATHS)
@pytest.mark.parametrize(
    ("feed", "said"),
    [
        (lambda a: a.T, "expected a contiguous array, got strides (4, 8); give np.ascontiguousarray(array)"),
        (lambda a: a[::-1], "expected a contiguous array"),
        (lambda a: a.astype(">f4"), "expected this machine's byte order, got >f4; give array.astype('float32')"),
        (lambda a: a.astype(np.float64), "expected float32, got float64; give array.astype('float32')"),
        (lambda a: a.view(np.int32), "expected float32, got int32"),
        (lambda a: a.reshape(4, 1), "expected shape [2, 2], got [4, 1]"),
        (lambda a: a.reshape(4), "expected shape [2, 2], got [4]"),
    ],
)
def test_what_would_be_read_otherwise_is_refused_also_behind_a_good_run(small, name, native, feed, said):
    """The same memory, of which nothing but how it is read has changed."""
    own = np.float32([[1, 2], [3, 4]])
    with small(name, native) as backend:
        np.testing.assert_array_equal(backend.run({"x": own})[0], -own)
        with pytest.raises(CellError, match=re.escape(f"input x: {said}")):
            backend.run({"x": feed(own)})
        np.testing.assert_array_equal(backend.run({"x": own})[0], -own)


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
    "name",
    [
        "onnxruntime-cuda",
        "onnxruntime-tensorrt",
        "onnxruntime-tensorrt-rtx",
        "onnxruntime-openvino",
        "tensorrt",
        "tensorrt-rtx",
        "openvino-gpu",
    ],
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


def test_what_else_a_provider_needs_is_said_before_its_runtime_is_here(monkeypatch):
    """What is installed next may not fit by then: PyPI's TensorRT is 11."""
    monkeypatch.setattr(
        "seatrial.backends.catalogue.find_spec", lambda name: None if name == "onnxruntime" else find_spec(name)
    )
    cure = availability("onnxruntime-tensorrt").cure
    assert cure.startswith(
        "python -m pip install 'seatrial[gpu]'; onnxruntime-gpu's TensorRT provider wants TensorRT 10"
    )
    assert "TensorRT" not in availability("onnxruntime-cuda").cure


@pytest.mark.parametrize("name", OWN)
def test_of_every_backend_of_a_plan_it_is_known_whether_it_runs_here(name):
    status = availability(name)
    assert status.name == name
    assert status.ok or (status.reason and status.cure)


def test_asking_what_is_available_loads_no_runtime():
    import subprocess

    code = "from seatrial.backends import availability as a; a('onnxruntime-cpu'), a('openvino-cpu');" + (
        "import sys; assert not {'onnxruntime', 'openvino'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- ONNX Runtime with and without the interpreter ----

FOREVER_NS = (1 << 63) - 1
LOOPS = pytest.mark.parametrize("native", [False, True], ids=["python", "native"])
needs_library = pytest.mark.skipif(library_path() is None, reason="this onnxruntime has no library to load")


def node(kind, inputs, outputs, **attributes):
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def port(name, dtype, *shape):
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def write(path, nodes, inputs, outputs):
    graph = onnx.helper.make_graph(nodes, "g", inputs, outputs)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


DTYPES = [
    "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool", "float16", "float64", "uint32", "uint64",
]  # fmt: skip
MODELS = {
    # nodes, inputs, outputs, options, feeds
    **{
        f"identity of {dtype}": (
            [node("Identity", "x", "y")], [port("x", dtype, 2, 3)], [port("y", dtype, 2, 3)], {},
            {"x": (np.arange(6) % 2).reshape(2, 3).astype(dtype)},
        )
        for dtype in DTYPES
    },
    "inputs fed in another order": (
        [node("Sub", "a b", "d"), node("Mul", "a b", "e")], [port("a", "f4", 4), port("b", "f4", 4)],
        [port("e", "f4", 4), port("d", "f4", 4)], {}, {"b": numbers(4), "a": numbers(4, seed=1)},
    ),
    "a batch by name": (
        [node("Softmax", "x", "y")], [port("x", "f4", "batch", 9)], [port("y", "f4", "batch", 9)],
        {"named_sizes": {"batch": 5}, "input_shapes": {"x": (5, 9)}}, {"x": numbers(5, 9)},
    ),
    "a batch that nobody fixed": (
        [node("Softmax", "x", "y")], [port("x", "f4", "?", "?")], [port("y", "f4", "?", "?")], {}, {"x": numbers(5, 9)},
    ),
    "fixed and free outputs": (
        [node("NonZero", "x", "i"), node("Neg", "x", "y")], [port("x", "f4", 3, 4)],
        [port("i", "i8", 2, "n"), port("y", "f4", 3, 4)], {}, {"x": np.round(numbers(3, 4))},
    ),
    "a scalar": ([node("Neg", "x", "y")], [port("x", "f4")], [port("y", "f4")], {}, {"x": np.array(3, np.float32)}),
    "nothing": ([node("Neg", "x", "y")], [port("x", "f4", 0, 3)], [port("y", "f4", 0, 3)], {}, {"x": numbers(0, 3)}),
}  # fmt: skip


@needs_library
@pytest.mark.parametrize("name", MODELS)
def test_both_loops_give_a_sessions_outputs_to_the_bit_and_describe_them_alike(name, tmp_path):
    import onnxruntime as ort

    nodes, inputs, outputs, options, fed = MODELS[name]
    path = write(tmp_path / "m.onnx", nodes, inputs, outputs)
    expected = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, fed)
    described = []
    for native in (False, True):
        with open_backend("onnxruntime-cpu", path, OpenOptions(**options), native) as backend:
            described.append((backend.inputs(), backend.outputs(), backend.details()["outputs"]))
            for _ in range(2):
                got = backend.run(fed)
                assert [(a.dtype, a.shape) for a in got] == [(a.dtype, a.shape) for a in expected]
                assert [a.tobytes() for a in got] == [a.tobytes() for a in expected]
    assert described[0] == described[1]


@needs_library
@pytest.mark.parametrize("model", sorted(MODEL.parent.glob("*.onnx")), ids=lambda p: p.name)
@pytest.mark.parametrize("batch", [1, 3])
def test_both_loops_agree_on_the_bundled_models_to_the_bit(model, batch):
    options = OpenOptions.for_shapes(inspect_model(model), 1, {"images": (batch, 3, 320, 320)})
    found = []
    for native in (False, True):
        with open_backend("onnxruntime-cpu", model, options, native) as backend:
            found.append([a.tobytes() for a in backend.run(feeds(batch))])
    assert found[0] == found[1]


@needs_library
def test_the_details_say_what_calls_the_runtime():
    with open_backend("onnxruntime-cpu", MODEL, OpenOptions(2), native=True) as backend:
        native = backend.details()
    with open_backend("onnxruntime-cpu", MODEL, OpenOptions(2)) as backend:
        python = backend.details()
    assert python.pop("called") == "from Python"
    assert native.pop("called") == f"by the C API of {library_path().name}"
    assert native == python
    assert native["threads"] == "2 intra-op, 1 inter-op"


NATIVE_REFUSES = {
    "float64": (lambda x: x.astype("f8"), "input images: expected float32, got float64"),
    "byte order": (lambda x: x.astype(">f4"), "input images: expected this machine's byte order, got >f4"),
    "shape": (lambda x: x[0], r"input images: expected shape \[\?, 3, 320, 320\], got \[3, 320, 320\]"),
    "strides": (lambda x: x[:, ::-1], "input images: expected a contiguous array"),
}


@needs_library
@pytest.mark.parametrize("case", NATIVE_REFUSES)
def test_the_native_loop_refuses_a_feed_that_does_not_fit(case):
    change, message = NATIVE_REFUSES[case]
    with open_backend("onnxruntime-cpu", MODEL, OpenOptions(), native=True) as backend:
        for call in (backend.run, backend.work):
            with pytest.raises(CellError, match=f"^{message}"):
                call({"images": change(feeds()["images"])})
            with pytest.raises(ModelError, match="no input called 'image'.*did you mean 'images'"):
                call({"image": feeds()["images"]})
        # A feed may be read-only, and the backend serves on.
        slot = feeds()
        slot["images"].flags.writeable = False
        assert backend.run(slot)[0].shape == (1, 9, 2100)


@needs_library
def test_the_native_loop_refuses_a_model_of_text(tmp_path):
    text = onnx.TensorProto.STRING
    value = onnx.helper.make_tensor_value_info
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "y")], [value("x", text, [1])], [value("y", text, [1])])
    with pytest.raises(
        ModelError, match="x, y is not a tensor of numbers, which the C API path cannot bind; use loop python"
    ):
        open_backend("onnxruntime-cpu", path, OpenOptions(), native=True)


BAD_MODELS = {
    "no model": (b"I am no model", "Protobuf parsing failed"),
    "truncated": (MODEL.read_bytes()[:5000], "Protobuf parsing failed"),
    "empty": (b"", "No graph was found in the protobuf"),
    "missing": (None, "File doesn't exist"),
}


@needs_library
@LOOPS
@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_model_that_does_not_load_is_told_in_onnxruntimes_words(case, native, tmp_path):
    content, words = BAD_MODELS[case]
    path = tmp_path / "bad.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"bad\.onnx: onnxruntime cannot load the model: .*{words}"):
        open_backend("onnxruntime-cpu", path, OpenOptions(), native)


@needs_library
@LOOPS
def test_a_run_that_fails_is_told_in_onnxruntimes_words(native, tmp_path):
    path = write(
        tmp_path / "m.onnx",
        [node("Gather", "x i", "y")],
        [port("x", "f4", 3), port("i", "i8", 1)],
        [port("y", "f4", 1)],
    )
    fed = {"x": numbers(3), "i": np.array([7])}
    with open_backend("onnxruntime-cpu", path, OpenOptions(), native) as backend:
        with pytest.raises(CellError, match="onnxruntime failed in a run: .*out of data bounds, idx=7"):
            backend.run(fed)
        fed["i"][:] = 2
        assert backend.run(fed)[0] == fed["x"][2]


@needs_library
def test_work_outlives_its_backend_and_has_outputs_of_its_own(tmp_path):
    path = write(tmp_path / "m.onnx", [node("Neg", "x", "y")], [port("x", "f4", 3)], [port("y", "f4", 3)])
    backend = open_backend("onnxruntime-cpu", path, OpenOptions(), native=True)
    ours, theirs = numbers(3), numbers(3, seed=1)
    output = backend.run({"x": ours})[0]
    work = backend.work({"x": theirs})
    backend.close()
    backend.close()
    del backend, theirs
    gc.collect()
    samples = StageSamples(20, 1)
    assert closed_loop(work, samples, deadline_ns=FOREVER_NS) == "full"
    np.testing.assert_array_equal(work.fetch(0), -numbers(3, seed=1))
    np.testing.assert_array_equal(output, -ours)


@pytest.mark.parametrize("name", OWN)
def test_onnxruntime_alone_has_a_native_loop(name):
    assert has_native_loop(name) == (name.startswith("onnxruntime-") and library_path() is not None)


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("library", [False, True])
def test_another_interpreters_wheel_decides_whether_it_has_a_native_loop(name, library):
    assert has_native_loop(name, library) == (name.startswith("onnxruntime-") and library)


@pytest.mark.parametrize("kind", ["python", "openvino", "fake"])
@pytest.mark.parametrize("wanted", [False, True])
def test_an_opened_backend_says_whether_it_is_called_natively(kind, wanted, tmp_path):
    with client(kind, tmp_path, native=wanted) as backend:
        native = wanted and kind == "python" and library_path() is not None
        assert backend.native == backend.another().native == native
        assert ("C API" in backend.details().get("called", "")) == native


def test_a_wheel_without_its_library_has_no_native_loop(monkeypatch):
    monkeypatch.setattr("seatrial.backends.onnxruntime.native.library_path", lambda: None)
    assert not has_native_loop("onnxruntime-cpu")
    with open_backend("onnxruntime-cpu", MODEL, OpenOptions(), native=True) as backend:
        assert (backend.native, backend.details()["called"]) == (False, "from Python")
    with pytest.raises(BackendUnavailableError, match="has no libonnxruntime to load; the Python path serves instead"):
        NATIVE["onnxruntime-cpu"].open(MODEL, OpenOptions())


@needs_library
@pytest.mark.parametrize("name", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_provider_that_the_wheel_lacks_is_refused_with_the_cure(name):
    import onnxruntime as ort

    provider = PROVIDERS[name].execution_provider
    if provider in ort.get_available_providers():
        pytest.skip(f"this onnxruntime has the {provider}")
    with pytest.raises(
        BackendUnavailableError,
        match=rf"^{name}: this onnxruntime has no {provider}; install seatrial\[gpu\] in place of seatrial\[cpu\]$",
    ):
        NATIVE[name].open(MODEL, OpenOptions())


# ---- Several clients ----

FAKE = {
    "inputs": {"images": {"shape": ["batch", 3, 320, 320]}},
    "outputs": {"y": {"shape": ["batch", 3], "values": "channel_mean"}},
}
CLIENTS = {"python": ("onnxruntime-cpu", False), "openvino": ("openvino-cpu", False), "fake": ("fake", False)}
if library_path() is not None:
    CLIENTS["native"] = ("onnxruntime-cpu", True)


def client(kind, tmp_path, clients=2, native=None, **script):
    name, own = CLIENTS[kind]
    native = own if native is None else native
    model = MODEL
    if name == "fake":
        model = tmp_path / "m.fake.json"
        model.write_text(json.dumps(FAKE | script))
    options = OpenOptions(1, clients, {"images": (1, 3, 320, 320)}, {"batch": 1})
    return open_backend(name, model, options, native)


@pytest.mark.parametrize("kind", CLIENTS)
def test_another_client_has_outputs_of_its_own(kind, tmp_path):
    with client(kind, tmp_path) as first, first.another() as second:
        one = first.run(feeds(seed=1))[0]
        kept = one.copy()
        two = second.run(feeds(seed=2))[0]
        assert not np.shares_memory(one, two)
        np.testing.assert_array_equal(one, kept)
        assert not np.array_equal(one, two)
        np.testing.assert_array_equal(second.run(feeds(seed=1))[0], kept)
        assert second.inputs() == first.inputs()
        assert second.details() == first.details()


@pytest.mark.parametrize("kind", CLIENTS)
def test_another_client_goes_on_where_the_first_is_closed(kind, tmp_path):
    first = client(kind, tmp_path)
    second = first.another()
    expected = first.run(feeds())[0].copy()
    first.close()
    del first
    gc.collect()
    with second:
        np.testing.assert_array_equal(second.run(feeds())[0], expected)


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients_at_once_get_their_own_answers(kind, tmp_path):
    with client(kind, tmp_path) as first, first.another() as second:
        expected = [first.run(feeds(seed=n))[0].copy() for n in range(2)]
        meet, wrong = threading.Barrier(2), []

        def ask(backend, number):
            fed = feeds(seed=number)
            for _ in range(8):
                meet.wait(60)
                if not np.array_equal(backend.run(fed)[0], expected[number]):
                    wrong.append(number)

        threads = [threading.Thread(target=ask, args=(b, n)) for n, b in enumerate((first, second))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize("kind", CLIENTS)
def test_clients_can_be_timed_at_once(kind, tmp_path):
    with client(kind, tmp_path) as first, first.another() as second:
        works = [first.work(feeds(seed=1)), second.work(feeds(seed=2))]
        tables = [StageSamples(4, 1) for _ in works]
        assert closed_loops(works, tables, deadline_ns=FOREVER_NS) == "full"
    assert all((t.to_array() > 0).all() for t in tables)


@pytest.mark.parametrize(("threads", "clients"), [(1, 1), (1, 2), (2, 1)])
def test_openvino_has_a_stream_a_client(threads, clients):
    options = OpenOptions(threads, clients, {"images": (1, 3, 320, 320)})
    with open_backend("openvino-cpu", MODEL, options) as backend:
        assert backend.details()["threads"] == f"{threads * clients} threads, {count_of(clients, 'stream')}"


def test_a_scripted_stall_is_in_exactly_one_request_of_each_client(tmp_path):
    with client("fake", tmp_path, stall={"at": 3, "ms": 200}) as first, first.another() as second:
        for backend in (first, second):
            samples = StageSamples(8, 1)
            closed_loop(backend.work(feeds()), samples, deadline_ns=FOREVER_NS)
            assert np.flatnonzero(samples.to_array()[:, -1] >= 200_000_000).tolist() == [3]


def test_a_scripted_failure_ends_a_loop_and_keeps_the_rows_before_it(tmp_path):
    with client("fake", tmp_path, fail={"at": 3, "how": "raise", "message": "as told"}) as backend:
        samples = StageSamples(8, 1)
        with pytest.raises(CellError, match="as told"):
            closed_loop(backend.work(feeds()), samples, deadline_ns=FOREVER_NS)
        assert len(samples) == 3


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", REAL)
def test_an_input_of_unknown_rank_takes_any_shape(tmp_path, name, native):
    value = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", value[:1], value[1:])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path / "m.onnx"
    onnx.save(made, path)
    for given in (np.float32([[1, -2, 3]]), np.float32([4, -5]), np.array(6, np.float32)):
        # OpenVINO opens it for a shape only, and says so otherwise.
        for shapes in ({"x": given.shape}, {})[: 2 if name == "onnxruntime-cpu" else 1]:
            options = OpenOptions.for_shapes(inspect_model(path), 1, shapes)
            kind = NATIVE.get(name) if native else None
            with kind.open(path, options) if kind else open_backend(name, path, options) as backend:
                np.testing.assert_array_equal(backend.run({"x": given})[0], np.maximum(given, 0))
