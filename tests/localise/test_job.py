"""Two model files looked into from a fresh process: with arrays, pictures or made-up inputs, and what is refused."""

import math
from dataclasses import asdict

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from long_graphs import network, pictures
from onnx import helper

from seatrial.errors import BackendUnavailableError, BrokenProcessError, DataError, ModelError, UsageError
from seatrial.localise import models
from seatrial.localise.as_json import inside_json, recipe_json
from seatrial.localise.recipe_job import recipe_of
from seatrial.precision.half import halved


@pytest.fixture
def files(tmp_path):
    proto = network()
    onnx.save(proto, tmp_path / "a.onnx")
    target = next(n for n in proto.graph.node if n.name == "LeakyRelu_42")
    target.op_type = "Relu"
    del target.attribute[:]
    onnx.save(proto, tmp_path / "b.onnx")
    return tmp_path / "a.onnx", tmp_path / "b.onnx"


def test_made_up_inputs_find_the_node(files):
    told = []
    found = models(*files, tell=lambda step, _share: told.append(step))
    assert (found.first.node, found.first.operator, found.first.other_operator) == ("LeakyRelu_42", "LeakyRelu", "Relu")
    assert (found.verdict, found.images) == ("differ", 2)
    assert "running nodes on the other side's tensors" in told


def test_arrays_of_ones_own_find_it_too(files):
    found = models(*files, feeds=pictures(3), backends=("onnxruntime-cpu", "openvino-cpu"))
    assert ([j.node for j in found.jumps], found.images) == (["LeakyRelu_42"], 3)


def test_an_infinite_error_comes_through_and_is_null_in_json(tmp_path):
    def pool(ceil_mode):
        nodes = [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=ceil_mode)]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, (1, 2, 7, 7))],
            [helper.make_tensor_value_info("y", 1, None)],
        )
        path = tmp_path / f"{ceil_mode}.onnx"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10), path)
        return path

    found = models(pool(0), pool(1))
    assert math.isinf(found.first.own_error)
    assert found.outputs[0].shapes == ((1, 2, 3, 3), (1, 2, 4, 4))
    shown = inside_json(found)
    assert (shown["verdict"], shown["first_divergence"]["value"]) == ("FAIL", None)
    assert shown["inside"].keys() == asdict(found).keys() - {"verdict", "reason", "first"}


def test_a_recipe_is_hunted_in_a_process_too(tmp_path):
    nodes = [
        helper.make_node("Mul", ["x", "big"], ["a"], name="up"),
        helper.make_node("Relu", ["a"], ["r"], name="between"),
        helper.make_node("Mul", ["r", "small"], ["s"], name="down"),
        helper.make_node("Sqrt", ["s"], ["y"], name="rest"),
    ]
    values = {"big": np.float32([60000]), "small": np.float32([1e-4])}
    proto = model_of(nodes, {"x": (1, 64)}, {"y": (1, 64)}, values)
    proto.graph.node.insert(0, helper.make_node("Mul", ["x", "three"], ["x3"], name="three"))
    proto.graph.node[1].input[0] = "x3"
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([3]), "three"))
    onnx.save(proto, tmp_path / "m.onnx")
    found = recipe_of(tmp_path / "m.onnx", "fp16")
    assert (set(found.nodes), found.restores) == ({"up", "between", "down"}, True)
    assert recipe_json(found)["before"] is None


def test_what_cannot_be_compared_is_refused_in_words(files, tmp_path):
    a, b = files
    with pytest.raises(ModelError, match="no such model"):
        models(a, tmp_path / "none.onnx")
    with pytest.raises(DataError, match="no values for input x; give an array for each input of A"):
        models(a, b, feeds=[{"y": np.zeros(1)}])
    with pytest.raises(ModelError, match="takes no 1x3; give shape with its own"):
        models(a, b, shapes={"x": (1, 3)})
    with pytest.raises(BrokenProcessError, match=r"took longer than .* raise max_time"):
        models(a, b, timeout_s=0.01)
    with pytest.raises(BackendUnavailableError):
        models(a, b, backends=("onnxruntime-cpu", "tensorrt"))
    script = tmp_path / "m.fake.json"
    script.write_text('{"inputs": {"x": {"shape": [1]}}, "outputs": {"y": {"shape": [1]}}}')
    with pytest.raises(UsageError, match="which has no graph"):
        models(a, script)


def test_a_model_that_is_in_16_bits_is_known_as_such(files, tmp_path):
    onnx.save(halved(network(), "fp16", {}).proto, tmp_path / "h.onnx")
    found = models(files[0], tmp_path / "h.onnx")
    assert (found.verdict, found.jumps, found.limits) == ("equal", (), (0.01, 0.1))
