"""ONNX Runtime's C API path against its own Python session: the same answers to the bit, and the same words for errors."""

import ctypes.util
import gc
import shutil
import subprocess
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import seatrial.demo
from seatrial._native.ort import LoadedModel, Request, library_version
from seatrial._native.timing import MixWork, StageSamples, closed_loop, closed_loops, open_loop
from seatrial.backends.onnxruntime.native import library_path

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
if library_path() is None:
    pytest.skip("this onnxruntime has no library to load", allow_module_level=True)

LIBRARY = str(library_path())
DEMO = Path(seatrial.demo.__file__).parent / "models"
FOREVER_NS = (1 << 63) - 1
F32, I64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
# All that _DTYPES of ort.pyx names.
DTYPES = [
    "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "bool", "float16", "float64", "uint32", "uint64",
]  # fmt: skip


def onnx_type(dtype):
    return onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def node(kind, inputs, outputs, **attributes):
    return onnx.helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def port(name, kind, shape):
    return onnx.helper.make_tensor_value_info(name, kind, shape)


def write(path, nodes, inputs, outputs, **constants):
    graph = onnx.helper.make_graph(
        nodes, "g", inputs, outputs, [onnx.numpy_helper.from_array(a, n) for n, a in constants.items()]
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    return str(path)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def session(path, named_sizes=None):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    for name, size in (named_sizes or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def bound(model, feeds):
    """A request with its inputs bound, and its outputs: preallocated where the shape is known, else None and left."""
    request, outputs = Request(model), []
    for i, (name, _, _) in enumerate(model.inputs):
        request.bind_input(i, feeds[name])
    for i, (_, shape, dtype) in enumerate(model.outputs):
        if None in shape:
            request.leave_output(i)
            outputs.append(None)
        else:
            outputs.append(np.full(shape, 7).astype(dtype))
            request.bind_output(i, outputs[-1])
    return request, outputs


def answers(request, outputs):
    request.run()
    return [request.fetch(i) if o is None else o for i, o in enumerate(outputs)]


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.tobytes() == b.tobytes()


# ---- Answers ----

IMAGE = [port("x", F32, [1, 3, 24, 24])]
MODELS = {
    # nodes, inputs, outputs, constants, sizes by name, feeds
    "identity": ([node("Identity", "x", "y")], [port("x", F32, [2, 3])], [port("y", F32, [2, 3])], {}, {}, {"x": numbers(2, 3)}),
    "matmul": (
        [node("MatMul", "x w", "y")], [port("x", F32, [5, 64])], [port("y", F32, [5, 33])],
        {"w": numbers(64, 33, seed=1)}, {}, {"x": numbers(5, 64)},
    ),
    "conv": (
        [node("Conv", "x w b", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "y")], IMAGE, [port("y", F32, [1, 8, 24, 24])],
        {"w": numbers(8, 3, 3, 3, seed=2), "b": numbers(8, seed=3)}, {}, {"x": numbers(1, 3, 24, 24)},
    ),
    "several inputs and outputs": (
        [node("Sub", "a b", "d"), node("Mul", "a c", "e"), node("Shape", "a", "s")],
        [port("a", F32, [4]), port("b", F32, [4]), port("c", F32, [4])],
        [port("e", F32, [4]), port("s", I64, [1]), port("d", F32, [4])],
        {}, {}, {"c": numbers(4, seed=1), "a": numbers(4), "b": numbers(4, seed=2)},
    ),
    "named sizes": (
        [node("MatMul", "x w", "y")], [port("x", F32, ["batch", 8])], [port("y", F32, ["batch", 4])],
        {"w": numbers(8, 4, seed=1)}, {"batch": 6}, {"x": numbers(6, 8)},
    ),
    "a batch that nobody fixed": (
        [node("MatMul", "x w", "y")], [port("x", F32, ["batch", 8])], [port("y", F32, ["batch", 4])],
        {"w": numbers(8, 4, seed=1)}, {}, {"x": numbers(6, 8)},
    ),
    "dimensions called ?": (
        [node("Neg", "x", "y")], [port("x", F32, ["?", "?"])], [port("y", F32, ["?", "?"])], {}, {}, {"x": numbers(2, 9)},
    ),
    "dimensions of -1 and none": (
        [node("Neg", "x", "y")], [port("x", F32, [-1, None])], [port("y", F32, [-1, None])], {}, {}, {"x": numbers(3, 2)},
    ),
    "an output whose shape depends on the data": (
        [node("NonZero", "x", "i"), node("Neg", "x", "y")], [port("x", F32, [3, 4])],
        [port("i", I64, [2, "found"]), port("y", F32, [3, 4])], {}, {}, {"x": np.round(numbers(3, 4))},
    ),
    "fixed and free outputs in turn": (
        [node("Neg", "x", "a"), node("NonZero", "x", "b"), node("Abs", "x", "c"), node("Unique", "x", "d")],
        [port("x", F32, [9])],
        [port("a", F32, [9]), port("b", I64, [1, "n"]), port("c", F32, [9]), port("d", F32, ["u"])],
        {}, {}, {"x": np.round(numbers(9))},
    ),
    "nothing found": (
        [node("NonZero", "x", "i")], [port("x", F32, [5])], [port("i", I64, [1, "n"])], {}, {}, {"x": np.zeros(5, np.float32)},
    ),
    "a scalar": (
        [node("Neg", "x", "y"), node("ReduceSum", "v", "z", keepdims=0)], [port("x", F32, []), port("v", F32, [3])],
        [port("y", F32, []), port("z", F32, [])], {}, {}, {"x": np.array(2.5, np.float32), "v": numbers(3)},
    ),
    "nothing in it": (
        [node("Concat", "x y", "z", axis=0), node("Neg", "x", "w")], [port("x", F32, [0, 3]), port("y", F32, [2, 3])],
        [port("z", F32, [2, 3]), port("w", F32, [0, 3])], {}, {}, {"x": numbers(0, 3), "y": numbers(2, 3)},
    ),
    "a named size of nothing": (
        [node("Neg", "x", "y")], [port("x", F32, ["n", 3])], [port("y", F32, ["n", 3])], {}, {"n": 0}, {"x": numbers(0, 3)},
    ),
}  # fmt: skip
every_model = pytest.mark.parametrize("name", MODELS)


def loaded(name, folder):
    nodes, inputs, outputs, constants, sizes, feeds = MODELS[name]
    path = write(folder / "model.onnx", nodes, inputs, outputs, **constants)
    return path, LoadedModel(LIBRARY, path, named_sizes=sizes), sizes, feeds


@every_model
def test_answers_are_those_of_a_session_to_the_bit(name, tmp_path):
    path, model, sizes, feeds = loaded(name, tmp_path)
    expected = session(path, sizes).run(None, feeds)
    request, outputs = bound(model, feeds)
    assert_same(answers(request, outputs), expected)
    # And again, from the same buffers.
    assert_same(answers(request, outputs), expected)


@every_model
def test_outputs_that_are_left_are_the_same_as_those_that_are_bound(name, tmp_path):
    path, model, sizes, feeds = loaded(name, tmp_path)
    request, _ = bound(model, feeds)
    for i in range(len(model.outputs)):
        request.leave_output(i)
    request.run()
    assert_same([request.fetch(i) for i in range(len(model.outputs))], session(path, sizes).run(None, feeds))


@every_model
def test_ports_are_those_of_a_session(name, tmp_path):
    path, model, sizes, _ = loaded(name, tmp_path)
    theirs = session(path, sizes)
    for ours, expected in ((model.inputs, theirs.get_inputs()), (model.outputs, theirs.get_outputs())):
        shapes = [tuple(d if isinstance(d, int) else None for d in e.shape) for e in expected]
        assert [(p[0], p[1]) for p in ours] == [(e.name, s) for e, s in zip(expected, shapes, strict=True)]


@pytest.mark.parametrize("file", sorted(DEMO.glob("*.onnx")), ids=lambda f: f.name)
@pytest.mark.parametrize("batch", [1, 2])
def test_the_bundled_models_answer_as_in_a_session(file, batch):
    theirs = session(str(file))
    sizes = {d: batch for d in theirs.get_inputs()[0].shape if isinstance(d, str)}
    theirs = session(str(file), sizes)
    feeds = {"images": np.random.default_rng(batch).random((batch, 3, 320, 320), np.float32)}
    model = LoadedModel(LIBRARY, str(file), named_sizes=sizes)
    assert model.inputs == [("images", (batch, 3, 320, 320), "float32")]
    assert_same(answers(*bound(model, feeds)), theirs.run(None, feeds))


@cache
def identity(dtype, rank):
    """Of any shape of that rank: a session of the wheel's, and ours."""
    shape = [f"d{i}" for i in range(rank)]
    graph = onnx.helper.make_graph(
        [node("Identity", "x", "y")], "g", [port("x", onnx_type(dtype), shape)], [port("y", onnx_type(dtype), shape)]
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    folder = Path(identity.folder.name)
    path = folder / f"{dtype}-{rank}.onnx"
    onnx.save(made, path)
    return session(str(path)), LoadedModel(LIBRARY, str(path))


@pytest.fixture(scope="module", autouse=True)
def _folder_of_identities():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        identity.folder = type("Folder", (), {"name": folder})
        yield
        identity.cache_clear()


# One of each size by default.
@pytest.mark.parametrize(
    "dtype",
    [d if d in ("uint8", "float16", "float32", "int64") else pytest.param(d, marks=pytest.mark.slow) for d in DTYPES],
)
@given(data=st.data())
def test_any_array_of_any_dtype_comes_back_to_the_bit(dtype, data):
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
    theirs, model = identity(dtype, array.ndim)
    assert model.inputs[0][2] == model.outputs[0][2] == dtype
    request = Request(model)
    request.bind_input(0, array)
    output = np.ones_like(array)
    request.bind_output(0, output)
    request.run()
    assert_same([output], theirs.run(None, {"x": array}))
    assert_same([request.fetch(0)], [array])


def test_an_output_that_is_left_changes_its_shape_from_run_to_run(tmp_path):
    path = write(tmp_path / "m.onnx", [node("NonZero", "x", "i")], [port("x", F32, [4])], [port("i", I64, [1, "n"])])
    request, x = Request(LoadedModel(LIBRARY, path)), np.zeros(4, np.float32)
    request.bind_input(0, x)
    request.leave_output(0)
    for found in ([], [2], [0, 1, 2, 3], [3], []):
        x[:] = 0
        x[found] = 1
        request.run()
        kept = request.fetch(0)
        np.testing.assert_array_equal(kept, np.array([found]).reshape(1, -1))
    # A copy: a later run does not change it, and it needs no request.
    x[:] = 1
    request.run()
    del request
    assert kept.shape == (1, 0)


# ---- Buffers ----


@pytest.fixture(scope="module")
def two_outputs(tmp_path_factory):
    """a = -x and b = |x|."""
    path = write(
        tmp_path_factory.mktemp("two") / "two.onnx", [node("Neg", "x", "a"), node("Abs", "x", "b")],
        [port("x", F32, [2])], [port("a", F32, [2]), port("b", F32, [2])],
    )  # fmt: skip
    return LoadedModel(LIBRARY, path)


def test_an_input_changed_in_place_is_seen_by_the_next_run(two_outputs):
    x = np.array([1, -2], np.float32)
    request, outputs = bound(two_outputs, {"x": x})
    assert answers(request, outputs)[0].tolist() == [-1, 2]
    x[:] = [5, 6]
    assert answers(request, outputs)[0].tolist() == [-5, -6]


def test_binding_again_takes_the_new_buffers(two_outputs):
    request, old = bound(two_outputs, {"x": np.array([1, -2], np.float32)})
    request.run()
    new = np.zeros(2, np.float32)
    request.bind_input(0, np.array([7, -8], np.float32))
    request.bind_output(1, new)
    gc.collect()
    request.run()
    assert [o.tolist() for o in (*old, new)] == [[-7, 8], [1, 2], [7, 8]]


@pytest.mark.slow
def test_the_request_keeps_its_buffers_alive(two_outputs):
    for _ in range(5):
        request = Request(two_outputs)
        request.bind_input(0, np.array([3, -4], np.float32))
        request.bind_output(0, np.empty(2, np.float32))
        request.leave_output(1)
        gc.collect()
        trash = [np.full(2, 9, np.float32) for _ in range(100)]
        request.run()
        assert [request.fetch(i).tolist() for i in range(2)] == [[-3, 4], [3, 4]]
        del trash


ORDERS = [
    # (output, how) in the order of binding
    [(1, "leave"), (0, "leave")],
    [(1, "bind"), (0, "leave")],
    [(1, "leave"), (0, "bind")],
    [(0, "leave"), (1, "bind"), (0, "bind")],
    [(1, "bind"), (0, "bind"), (1, "leave")],
    [(0, "leave"), (0, "leave"), (1, "leave"), (0, "leave")],
]


@pytest.mark.parametrize("order", ORDERS)
def test_outputs_keep_their_numbers_in_whatever_order_they_are_bound(two_outputs, order):
    request, arrays = Request(two_outputs), {}
    request.bind_input(0, np.array([1, -2], np.float32))
    for index, how in order:
        if how == "bind":
            arrays[index] = np.zeros(2, np.float32)
            request.bind_output(index, arrays[index])
        else:
            arrays.pop(index, None)
            request.leave_output(index)
    for _ in range(2):
        request.run()
        assert [request.fetch(i).tolist() for i in range(2)] == [[-1, 2], [1, 2]]
    for index, array in arrays.items():
        assert array.tolist() == [[-1, 2], [1, 2]][index]


def test_an_output_that_nobody_asked_for_is_not_there(two_outputs):
    request = Request(two_outputs)
    request.bind_input(0, np.array([1, -2], np.float32))
    request.leave_output(1)
    request.run()
    assert request.fetch(1).tolist() == [1, 2]
    for index in (0, 2, -1):
        with pytest.raises((RuntimeError, IndexError)):
            request.fetch(index)
    with pytest.raises(RuntimeError, match="output 0 was not bound"):
        request.fetch(0)


def test_a_request_that_is_not_ready_is_told_in_onnxruntimes_words(two_outputs):
    x = np.ones(2, np.float32)
    nothing, no_input, no_output, not_run = (Request(two_outputs) for _ in range(4))
    no_input.leave_output(0)
    no_output.bind_input(0, x)
    not_run.leave_output(0)
    for request, message in (
        (no_input, "Missing Input: x"),
        (no_output, "At least one output"),
        (nothing, "At least one"),
    ):
        with pytest.raises(RuntimeError, match=message):
            request.run()
    with pytest.raises(RuntimeError, match="must contain a constructed tensor"):
        not_run.fetch(0)


def frozen(array):
    array.flags.writeable = False
    return array


X = np.float32
REFUSED = {
    # side, array, message
    "wide": ("input", np.zeros((3, 4)), "x: expected float32, got float64"),
    "whole numbers": ("input", np.zeros((3, 4), np.int32), "x: expected float32, got int32"),
    "other byte order": ("input", np.zeros((3, 4), ">f4"), "x: expected float32, got >f4"),
    "text": ("input", np.full((3, 4), "a"), "x: expected float32, got str32"),
    "too few": ("input", np.zeros((3, 3), X), r"x: expected shape \['\?', 4\], got \[3, 3\]"),
    "flat": ("input", np.zeros(12, X), r"x: expected shape \['\?', 4\], got \[12\]"),
    "deep": ("input", np.zeros((1, 3, 4), X), r"x: expected shape \['\?', 4\], got \[1, 3, 4\]"),
    "scalar": ("input", np.zeros((), X), r"x: expected shape \['\?', 4\], got \[\]"),
    "transposed": ("input", np.zeros((4, 3), X).T, "x: expected a contiguous array"),
    "strided": ("input", np.zeros((3, 8), X)[:, ::2], "x: expected a contiguous array"),
    "backwards": ("input", np.zeros((3, 4), X)[::-1], "x: expected a contiguous array"),
    "output wide": ("output", np.zeros((4, 2)), "y: expected float32, got float64"),
    "output too few": ("output", np.zeros((4, 1), X), r"y: expected shape \[4, 2\], got \[4, 1\]"),
    "output strided": ("output", np.zeros((4, 4), X)[:, ::2], "y: expected a contiguous writable array"),
    "output read-only": ("output", frozen(np.zeros((4, 2), X)), "y: expected a contiguous writable array"),
}


@pytest.fixture(scope="module")
def picky(tmp_path_factory):
    """y = z + z of a fixed shape, and w = x of a free batch."""
    path = write(
        tmp_path_factory.mktemp("picky") / "picky.onnx", [node("Add", "z z", "y"), node("Identity", "x", "w")],
        [port("x", F32, ["n", 4]), port("z", F32, [4, 2])], [port("y", F32, [4, 2]), port("w", F32, ["n", 4])],
    )  # fmt: skip
    return LoadedModel(LIBRARY, path)


@pytest.mark.parametrize("case", REFUSED)
def test_an_array_that_does_not_fit_is_refused(picky, case):
    side, array, message = REFUSED[case]
    request, x, y = Request(picky), np.ones((3, 4), X), np.zeros((4, 2), X)
    request.bind_input(0, x)
    request.bind_input(1, frozen(np.ones((4, 2), X)))
    request.bind_output(0, y)
    request.leave_output(1)
    with pytest.raises(ValueError, match=f"^{message}$"):
        (request.bind_input if side == "input" else request.bind_output)(0, array)
    # What was bound before stays bound.
    request.run()
    assert (y == 2).all()
    assert request.fetch(1).tolist() == x.tolist()


@pytest.mark.parametrize("index", [2, -1, 1 << 62])
def test_an_index_out_of_range_is_refused(picky, index):
    request = Request(picky)
    for bind in (request.bind_input, request.bind_output):
        with pytest.raises(IndexError, match=f"expected an index below 2, got {index}"):
            bind(index, np.zeros((3, 4), X))
    with pytest.raises(IndexError):
        request.leave_output(index)


@pytest.mark.parametrize("kind", [onnx.TensorProto.STRING, onnx.TensorProto.BFLOAT16])
def test_a_dtype_that_numpy_has_not_is_unknown_and_cannot_be_bound(kind, tmp_path):
    path = write(tmp_path / "m.onnx", [node("Identity", "x", "y")], [port("x", kind, [1])], [port("y", kind, [1])])
    model = LoadedModel(LIBRARY, path)
    assert model.inputs == [("x", (1,), "unknown")]
    assert model.outputs == [("y", (1,), "unknown")]
    for array in (np.array(["a"]), np.array(["a"], object), np.zeros(1, np.uint16)):
        with pytest.raises(ValueError, match="x: expected unknown, got"):
            Request(model).bind_input(0, array)


def test_an_output_of_text_is_not_fetched(tmp_path):
    text = onnx.TensorProto.STRING
    path = write(tmp_path / "m.onnx", [node("Cast", "x", "y", to=text)], [port("x", F32, [1])], [port("y", text, [1])])
    request = Request(LoadedModel(LIBRARY, path))
    request.bind_input(0, np.ones(1, X))
    request.leave_output(0)
    request.run()
    with pytest.raises(ValueError, match="output 0 is of ONNX type 8, which has no NumPy dtype"):
        request.fetch(0)


def test_a_sequence_is_no_tensor(tmp_path):
    sequence = onnx.helper.make_tensor_sequence_value_info("y", F32, None)
    path = write(tmp_path / "m.onnx", [node("SequenceConstruct", "x", "y")], [port("x", F32, [1])], [sequence])
    assert LoadedModel(LIBRARY, path).outputs == [("y", (), "unknown")]


# ---- What fails ----


def test_a_failed_run_is_raised_once_and_the_request_serves_on(tmp_path):
    path = write(
        tmp_path / "m.onnx",
        [node("Gather", "x i", "y")],
        [port("x", F32, [3]), port("i", I64, [1])],
        [port("y", F32, [1])],
    )
    at = np.array([9])
    request, (y,) = bound(LoadedModel(LIBRARY, path), {"x": np.array([1, 2, 3], X), "i": at})
    samples = StageSamples(20, 1)
    loops = [
        lambda: request.run(),
        lambda: closed_loop(request, samples, deadline_ns=FOREVER_NS, most=4),
        lambda: closed_loop(MixWork([request], [0]), samples, deadline_ns=FOREVER_NS, most=4),
        lambda: closed_loops([request], [samples], deadline_ns=FOREVER_NS, most=4),
    ]
    for number, loop in enumerate(loops):
        at[:] = 9
        with pytest.raises(RuntimeError, match="indices element out of data bounds, idx=9"):
            loop()
        request.check()
        at[:] = 1
        loop()
        assert y[0] == 2
        assert len(samples) == 4 * number


TRUNCATIONS = [1, 50, 5000]


@pytest.mark.parametrize("length", TRUNCATIONS)
def test_a_truncated_model_is_told(length, tmp_path):
    path = tmp_path / "short.onnx"
    path.write_bytes((DEMO / "seamarks-v2.onnx").read_bytes()[:length])
    with pytest.raises(RuntimeError, match=r"short\.onnx failed:|[Pp]rotobuf|[Nn]o graph|[Mm]odel"):
        LoadedModel(LIBRARY, str(path))


BAD_FILES = {
    "no model": (b"hello world, I am no model", "Protobuf parsing failed"),
    "empty": (b"", "No graph was found in the protobuf"),
    "zeros": (bytes(500), "Protobuf parsing failed|No graph"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_model_is_told(case, tmp_path):
    content, message = BAD_FILES[case]
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=message):
        LoadedModel(LIBRARY, str(path))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(RuntimeError, match=r"none\.onnx failed. File doesn't exist"):
        LoadedModel(LIBRARY, str(tmp_path / "none.onnx"))


def test_a_folder_is_told(tmp_path):
    with pytest.raises(RuntimeError, match="directory"):
        LoadedModel(LIBRARY, str(tmp_path))


def test_a_model_whose_shapes_contradict_each_other_is_told(tmp_path):
    path = write(
        tmp_path / "m.onnx", [node("MatMul", "x w", "y")], [port("x", F32, [2, 3])], [port("y", F32, [2, 2])],
        w=numbers(4, 2),
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="[Ii]ncompatible"):
        LoadedModel(LIBRARY, path)


def test_a_failed_load_leaves_nothing_behind_that_hurts_the_next(tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"bad")
    for _ in range(20):
        with pytest.raises(RuntimeError):
            LoadedModel(LIBRARY, str(bad))
    path, model, _, feeds = loaded("identity", tmp_path)
    assert_same(answers(*bound(model, feeds)), session(path).run(None, feeds))


@pytest.mark.parametrize(
    ("provider", "build_name"), [("CUDAExecutionProvider", "CUDA"), ("TensorrtExecutionProvider", "TensorRT")]
)
def test_a_provider_that_the_build_has_not_is_told(provider, build_name, tmp_path):
    if provider in ort.get_available_providers():
        pytest.skip("this wheel has it")
    path = write(tmp_path / "m.onnx", *MODELS["identity"][:3])
    with pytest.raises(RuntimeError, match=f"{build_name} execution provider is not enabled in this build"):
        LoadedModel(LIBRARY, path, 1, provider)


def test_a_provider_that_nobody_knows_is_told(tmp_path):
    path = write(tmp_path / "m.onnx", *MODELS["identity"][:3])
    with pytest.raises(RuntimeError, match="no way is known to ask for TeapotExecutionProvider"):
        LoadedModel(LIBRARY, path, 1, "TeapotExecutionProvider")


# ---- The library ----


def test_the_librarys_version_is_the_wheels():
    assert library_version(LIBRARY) == ort.__version__


def test_what_is_no_library_is_refused(tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    other = ctypes.util.find_library("m")
    for path, message in (
        (str(tmp_path / "none.so"), "none.so: the library cannot be loaded: .*No such file"),
        (str(text), "text.so: the library cannot be loaded: .*(file too short|invalid ELF header)"),
        (str(other), f"{other}: expected ONNX Runtime's library, but it has no OrtGetApiBase"),
    ):
        with pytest.raises(RuntimeError, match=message):
            library_version(path)
        with pytest.raises(RuntimeError, match=message):
            LoadedModel(path, str(DEMO / "seamarks-v2.onnx"))


@pytest.mark.skipif(shutil.which("cc") is None, reason="makes a library with the C compiler")
def test_a_library_that_is_too_old_is_told(tmp_path):
    source, library = tmp_path / "old.c", tmp_path / "libold.so"
    source.write_text(
        "static const void* get(unsigned version) { (void)version; return 0; }\n"
        'static const char* named(void) { return "1.2.3"; }\n'
        "static const struct { const void* (*get)(unsigned); const char* (*named)(void); } base = {get, named};\n"
        "const void* OrtGetApiBase(void) { return &base; }\n"
    )
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(RuntimeError, match=r"libold\.so: ONNX Runtime 1\.2\.3 is too old; 1\.12 or newer is needed"):
        library_version(str(library))


# ---- Clients ----


@pytest.fixture(scope="module")
def conv(tmp_path_factory):
    path, model, _, _ = loaded("conv", tmp_path_factory.mktemp("conv"))
    return session(path), model


@pytest.mark.parametrize("clients", [2, 4])
def test_requests_of_one_model_answer_rightly_on_threads_of_python(conv, clients):
    theirs, model = conv
    wrong, met = [], threading.Barrier(clients)

    def client(number):
        slot = numbers(1, 3, 24, 24)
        request, (y,) = bound(model, {"x": slot})
        met.wait(60)
        for turn in range(40):
            slot[...] = numbers(1, 3, 24, 24, seed=1000 * number + turn % 4)
            y.fill(np.nan)
            request.run()
            if turn >= 36 and y.tobytes() != theirs.run(None, {"x": slot})[0].tobytes():
                wrong.append((number, turn))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("clients", [1, 2, 4])
@pytest.mark.parametrize("loop", ["closed", "open"])
def test_requests_of_one_model_answer_rightly_in_a_loop(conv, clients, loop):
    theirs, model = conv
    feeds = [{"x": numbers(1, 3, 24, 24, seed=n)} for n in range(clients)]
    made = [bound(model, f) for f in feeds]
    works = [request for request, _ in made]
    if loop == "closed":
        tables = [StageSamples(60, 1) for _ in works]
        assert closed_loops(works, tables, deadline_ns=FOREVER_NS, most=60) == "count"
        assert [len(t) for t in tables] == [60] * clients
    else:
        tables = [StageSamples(60, 2) for _ in works]
        assert open_loop(works, tables, [0] * 60, first_ns=0, deadline_ns=FOREVER_NS) == "count"
        assert sum(len(t) for t in tables) == 60
    assert all((t.to_array()[:, 1:] >= 0).all() for t in tables)
    for (_, outputs), feed, table in zip(made, feeds, tables, strict=True):
        if len(table):
            assert_same(outputs, theirs.run(None, feed))


def test_a_mix_of_shapes_on_one_model(tmp_path):
    path, model, _, _ = loaded("a batch that nobody fixed", tmp_path)
    made = [bound(model, {"x": numbers(n, 8, seed=n)}) for n in (1, 3, 5)]
    closed_loop(MixWork([r for r, _ in made], [0, 1, 2, 1]), StageSamples(40, 1), deadline_ns=FOREVER_NS)
    for n, (request, _) in zip((1, 3, 5), made, strict=True):
        assert_same([request.fetch(0)], session(path).run(None, {"x": numbers(n, 8, seed=n)}))


def test_a_request_outlives_the_name_of_its_model(tmp_path):
    path, model, _, feeds = loaded("conv", tmp_path)
    expected = session(path).run(None, feeds)
    request, outputs = bound(model, feeds)
    Path(path).unlink()
    del model
    gc.collect()
    assert_same(answers(request, outputs), expected)
    samples = StageSamples(3, 1)
    closed_loop(request, samples, deadline_ns=FOREVER_NS)
    assert len(samples) == 3


class Holder(Request):
    """A Python class, which can take part in a cycle."""


@pytest.mark.slow
def test_a_request_in_a_cycle_goes_before_its_model(tmp_path):
    path = write(tmp_path / "m.onnx", *MODELS["identity"][:3])
    for _ in range(5):
        request = Holder(LoadedModel(LIBRARY, path))
        request.bind_input(0, numbers(2, 3))
        request.bind_output(0, np.zeros((2, 3), X))
        request.run()
        request.me = request
        del request
        gc.collect()


def test_models_come_and_go(tmp_path):
    path, _, _, feeds = loaded("conv", tmp_path)
    threads = len(list(Path("/proc/self/task").iterdir())) if Path("/proc/self/task").exists() else 0
    for _ in range(20):
        answers(*bound(LoadedModel(LIBRARY, path, 3), feeds))
    gc.collect()
    if threads:
        assert len(list(Path("/proc/self/task").iterdir())) == threads


def test_no_model_is_refused():
    with pytest.raises(TypeError):
        Request(None)
