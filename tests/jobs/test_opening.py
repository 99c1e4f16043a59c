"""Does a backend take a model? In a process of its own, whose death is an answer. The model is a script that can break."""

import json

import onnx
import pytest
from onnx import TensorProto, helper

from seatrial.jobs.opening import try_to_open
from seatrial.model.file import inspect_model

SHAPES = {"x": (2, 3, 8, 8)}


@pytest.fixture
def model(tmp_path):
    """`fail` says how it breaks; dtype is its input's."""

    def make(dtype="float32", shape=(2, 3, 8, 8), **fail):
        script = {
            "inputs": {"x": {"shape": shape, "dtype": dtype}},
            "outputs": {"y": {"shape": [2, 3], "values": 1}},
        }
        path = tmp_path / "m.fake.json"
        path.write_text(json.dumps(script | ({"fail": {"at": 0, **fail}} if fail else {})))
        return inspect_model(path)

    return make


def test_a_model_that_opens_is_run_too(model):
    found = try_to_open(model(), "fake", SHAPES, 1)
    assert (found.opens, found.problem, found.run_problem) == (True, "", "")
    assert found.run_s is not None
    assert found.load_s >= 0


def test_where_shapes_are_not_known_it_is_only_opened(model):
    found = try_to_open(model(how="raise"), "fake", {}, 1)
    assert (found.opens, found.run_s, found.run_problem) == (True, None, "")


@pytest.mark.parametrize(
    ("dtype", "shape", "ran"), [("uint8", (2, 3, 8, 8), True), ("int64", (2, 3, 8, 8), False), ("uint8", (2, 3), False)]
)
def test_integers_are_made_up_for_images_alone(model, dtype, shape, ran):
    """Zeros may be no index, no length and no shape."""
    found = try_to_open(model(dtype, shape), "fake", {"x": shape}, 1)
    assert (found.run_s is not None) == ran


def test_a_run_that_fails_is_told_in_its_own_words(model):
    found = try_to_open(model(how="raise", message="no room"), "fake", SHAPES, 1)
    assert (found.opens, found.run_s, found.run_problem) == (True, None, "no room")


@pytest.mark.parametrize(
    ("how", "words"), [("segfault", "crashed with SIGSEGV inside native code"), ("kill", "was killed (SIGKILL)")]
)
def test_a_crash_is_an_answer(model, how, words):
    found = try_to_open(model(how=how), "fake", SHAPES, 1)
    assert not found.opens
    assert found.problem.startswith(words)


@pytest.mark.slow
def test_a_hang_ends(model):
    found = try_to_open(model(how="hang"), "fake", SHAPES, 1, timeout_s=3.0)
    assert found.problem == "it took longer than 3.00 s"


def test_a_runtimes_refusal_is_its_own_first_line(tmp_path):
    node = helper.make_node("NoSuchOperator", ["x"], ["y"])
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in "xy"]
    made = helper.make_model(helper.make_graph([node], "g", value[:1], value[1:]), ir_version=9)
    onnx.save(made, tmp_path / "m.onnx")
    info = inspect_model(tmp_path / "m.onnx")
    for backend in ("onnxruntime-cpu", "openvino-cpu"):
        found = try_to_open(info, backend, {}, 1)
        assert not found.opens
        assert "NoSuchOperator" in found.problem
        assert "cannot load the model" not in found.problem
        assert len(found.problem.splitlines()) == 1
