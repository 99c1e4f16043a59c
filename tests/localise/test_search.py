"""Faults planted inside models are found by the node's name; what is the same, or only carries a fault, is not blamed."""

import numpy as np
import onnx
import pytest
from float_graphs import model_of, node
from long_graphs import network, pictures
from onnx import helper, numpy_helper

from seatrial.errors import ModelError
from seatrial.localise.graph import graph_of
from seatrial.localise.scratch import Scratch
from seatrial.localise.search import search
from seatrial.localise.taps import Side
from seatrial.precision.half import halved
from seatrial.runtimes.choice import BackendChoice

ORT, OPENVINO = "onnxruntime-cpu", "openvino-cpu"


@pytest.fixture
def between(tmp_path):
    scratch = Scratch(tmp_path)

    def found(a, b, feeds, backends=(ORT, ORT), **more):
        sides = [
            Side(graph_of(copied(p), tmp_path), BackendChoice(backend), scratch)
            for p, backend in zip((a, b), backends, strict=True)
        ]
        result = search(*sides, feeds, **more)
        assert not any(p.is_dir() for p in tmp_path.iterdir()), "edited models are removed"
        return result

    return found


def copied(proto):
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    return made


def named(found):
    return [j.node for j in found.jumps]


def weights(proto, target, rng):
    tensor = next(t for t in proto.graph.initializer if t.name == target.input[1])
    values = numpy_helper.to_array(tensor).copy()
    values.flat[int(rng.integers(values.size))] += 3 * values.std()
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def put(target, **attributes):
    kept = [a for a in target.attribute if a.name not in attributes]
    del target.attribute[:]
    target.attribute.extend([*kept, *(helper.make_attribute(k, v) for k, v in attributes.items())])


def replaced(target, operator):
    target.op_type = operator
    del target.attribute[:]


FAULTS = {
    "Conv": [
        weights,
        lambda _p, n, _r: n.input.pop(),
        lambda _p, n, _r: put(n, pads=[2, 1, 0, 1]),
    ],
    "BatchNormalization": [lambda _p, n, _r: put(n, epsilon=1e-3), weights],
    "LeakyRelu": [lambda _p, n, _r: put(n, alpha=0.12)],
    "AveragePool": [
        lambda _p, n, _r: put(n, pads=[0, 1, 2, 1]),
        lambda _p, n, _r: put(n, count_include_pad=1),
        lambda _p, n, _r: setattr(n, "op_type", "MaxPool"),
    ],
    "Sigmoid": [lambda _p, n, _r: replaced(n, "HardSigmoid")],
    "Mul": [lambda _p, n, _r: replaced(n, "Max")],
    "Relu": [lambda _p, n, _r: replaced(n, "LeakyRelu")],
    "Add": [lambda _p, n, _r: replaced(n, "Sub")],
    "Softmax": [lambda _p, n, _r: put(n, axis=3)],
    "Gemm": [weights],
}


def test_a_fault_in_any_node_of_a_long_network_is_found_by_name_and_no_other_is_named(between):
    proto, rng = network(), np.random.default_rng(3)
    assert len(proto.graph.node) > 100
    places = [n.name for n in proto.graph.node if n.op_type in FAULTS]
    for name in rng.choice(places, 12, replace=False).tolist():
        made = copied(proto)
        target = node(made, name)
        faults = FAULTS[target.op_type]
        faults[int(rng.integers(len(faults)))](made, target, rng)
        found = between(proto, made, pictures(1))
        assert named(found) == [name]
        (jump,) = found.jumps
        assert found.first == jump
        assert jump.error_in < jump.tolerance < jump.own_error
        assert jump.how
        assert found.verdict in ("differ", "not enough")


def test_equal_models_are_equal_and_every_tensor_was_tried(between):
    proto = network()
    found = between(proto, proto, pictures())
    assert (found.verdict, found.jumps, found.unmatched_a, found.unmatched_b) == ("equal", (), 0, 0)
    # The side's own kernels are chosen for the whole graph, a node's alone for it.
    assert max(e.own_error for e in found.errors) < 1e-6
    assert [e.tensor for e in found.errors] == [o for n in proto.graph.node for o in n.output]


def test_two_backends_that_only_round_otherwise_are_equal(between):
    proto = network()
    for backends in ((ORT, OPENVINO), (OPENVINO, ORT), (OPENVINO, OPENVINO)):
        found = between(proto, proto, pictures(1), backends)
        assert (found.verdict, found.jumps) == ("equal", ())


@pytest.mark.parametrize("backends", [(ORT, OPENVINO), (OPENVINO, ORT), (OPENVINO, OPENVINO)])
def test_a_fault_is_found_whichever_side_runs_elsewhere(between, backends):
    proto, made = network(), network()
    put(node(made, "LeakyRelu_42"), alpha=0.2)
    found = between(proto, made, pictures(1), backends)
    assert named(found) == ["LeakyRelu_42"]
    assert found.first.judged == ("B" if backends[1] == OPENVINO else "A")
    assert {e.tensor for e in found.errors} == {o for n in proto.graph.node for o in n.output}


def test_every_faulty_node_is_named_not_only_the_first(between):
    proto, made = network(), network()
    places = ["AveragePool_13", "Relu_56", "BatchNormalization_91"]
    put(node(made, places[0]), count_include_pad=1)
    replaced(node(made, places[1]), "Abs")
    put(node(made, places[2]), epsilon=0.01)
    found = between(proto, made, pictures())
    assert named(found) == places
    assert found.verdict == "differ"
    assert found.jumps[1].error_in > found.jumps[1].tolerance, "an error came in, and was not taken for this node's"


def test_with_little_memory_stretches_are_halved_and_the_same_is_found(between):
    proto, made = network(), network()
    places = ["Add_27", "Softmax_88"]
    replaced(node(made, places[0]), "Max")
    put(node(made, places[1]), axis=2)
    whole, little = between(proto, made, pictures(1)), between(proto, made, pictures(1), budget_bytes=60_000)
    assert named(whole) == named(little) == places
    assert len(little.errors) < len(whole.errors) / 2
    equal = between(proto, proto, pictures(1), budget_bytes=60_000)
    assert (equal.verdict, equal.errors) == ("equal", ())
    assert equal.reason.endswith("and every stretch of nodes on equal inputs")


def test_a_renamed_network_is_matched_by_its_structure(between):
    proto, made = network(), network()
    put(node(made, "LeakyRelu_62"), alpha=0.3)
    replaced(node(made, "Relu_26"), "Abs")
    for number, n in enumerate(made.graph.node):
        n.name = f"other{number}"
        n.output[:] = [f"t/{o}" for o in n.output]
        n.input[:] = [i if i in {t.name for t in made.graph.initializer} or i == "x" else f"t/{i}" for i in n.input]
    for output in made.graph.output:
        output.name = f"t/{output.name}"
    del made.graph.value_info[:]
    found = between(proto, made, pictures(1))
    assert named(found) == ["Relu_26", "LeakyRelu_62"]
    assert [j.other_node for j in found.jumps] == ["other26", "other62"]
    assert (found.unmatched_a, found.unmatched_b) == (0, 0)
    assert any("by the graphs' structure" in n for n in found.notes)


def test_another_shape_behind_a_node_is_that_nodes(between):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Relu", ["p"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["y"], keepdims=0),
    ]
    proto = model_of(nodes, {"x": (1, 2, 7, 7)}, {"y": ()})
    made = copied(proto)
    put(made.graph.node[0], ceil_mode=1)
    del made.graph.value_info[:]
    found = between(proto, made, [{"x": np.random.default_rng(0).normal(size=(1, 2, 7, 7)).astype(np.float32)}])
    assert named(found) == ["MaxPool_0"]
    assert np.isinf(found.jumps[0].own_error)


def test_what_reaches_no_output_on_these_inputs_is_told_and_is_no_pass(between):
    nodes = [
        helper.make_node("Abs", ["x"], ["a"]),
        helper.make_node("LeakyRelu", ["x"], ["l"], alpha=0.1),
        helper.make_node("Mul", ["l", "zero"], ["m"]),
        helper.make_node("Add", ["a", "m"], ["y"]),
    ]
    proto = model_of(nodes, {"x": (1, 40)}, {"y": (1, 40)}, {"zero": np.zeros(1, np.float32)})
    made = copied(proto)
    put(made.graph.node[1], alpha=0.4)
    found = between(proto, made, [{"x": np.linspace(-1, 1, 40, dtype=np.float32)[None]}])
    assert (found.verdict, named(found)) == ("not enough", ["LeakyRelu_1"])


def test_lost_scores_beside_pixels_are_no_pass(between):
    nodes = [
        helper.make_node("Mul", ["x", "pixels"], ["boxes"]),
        helper.make_node("Sigmoid", ["x"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["y"], axis=1),
    ]
    proto = model_of(nodes, {"x": (1, 2, 50)}, {"y": (1, 4, 50)}, {"pixels": np.float32([4000])})
    made = copied(proto)
    made.graph.node[1].op_type = "HardSigmoid"
    found = between(proto, made, [{"x": np.random.default_rng(0).normal(size=(1, 2, 50)).astype(np.float32)}])
    assert found.outputs[0].error < 1e-3
    assert (found.verdict, named(found)) == ("differ", ["Sigmoid_1"])
    assert "worst of 4 rows" in found.reason


def test_a_float16_model_that_overflows_is_found_though_onnxruntime_would_compute_it_in_float32(between):
    nodes = [
        helper.make_node("Mul", ["x", "big"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Mul", ["r", "small"], ["y"]),
    ]
    proto = model_of(nodes, {"x": (1, 30)}, {"y": (1, 30)}, {"big": np.float32([3000]), "small": np.float32([1e-3])})
    made = halved(proto, "fp16", {}).proto
    x = np.linspace(-40, 40, 30, dtype=np.float32)[None]
    found = between(proto, made, [{"x": x}], precisions=("fp32", "fp16"))
    assert (found.verdict, named(found)) == ("differ", ["Mul_0"])
    assert any("rounded between nodes" in n for n in found.notes)
    small = between(proto, made, [{"x": x / 4}], precisions=("fp32", "fp16"))
    assert (small.verdict, named(small)) == ("equal", [])


def test_other_weights_everywhere_are_called_another_training(between):
    found = between(network(0), network(1), pictures(1))
    assert found.verdict == "differ"
    assert any("another training" in n for n in found.notes)


def test_two_networks_share_nothing_and_that_is_not_enough(between):
    one = model_of(
        [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Exp", ["a"], ["y"])], {"x": (1, 4)}, {"y": (1, 4)}
    )
    other = model_of(
        [
            helper.make_node("Softmax", ["x"], ["b"]),
            helper.make_node("Gemm", ["b", "w"], ["c"]),
            helper.make_node("Neg", ["c"], ["d"]),
        ],
        {"x": (1, 4)},
        {"c": (1, 5), "d": (1, 5)},
        {"w": np.ones((4, 5), np.float32)},
    )
    found = between(one, other, [{"x": np.ones((1, 4), np.float32)}])
    assert found.verdict == "not enough"
    assert found.unmatched_a + found.unmatched_b > 0


def test_an_input_that_only_b_has_is_refused(between):
    one = model_of([helper.make_node("Relu", ["x"], ["y"])], {"x": (1, 4)}, {"y": (1, 4)})
    two = model_of([helper.make_node("Add", ["x", "z"], ["y"])], {"x": (1, 4), "z": (1, 4)}, {"y": (1, 4)})
    with pytest.raises(ModelError, match=r"B's inputs z have no partner among A's \(x\)"):
        between(one, two, [{"x": np.ones((1, 4), np.float32)}])


def test_weights_outside_of_the_file_are_followed(between, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    proto, made = network(), network()
    node(made, "Conv_50").input.pop()
    onnx.save_model(made, folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    scratch = Scratch(tmp_path_factory.mktemp("scratch"))
    a = Side(graph_of(copied(proto), folder), BackendChoice(ORT), scratch)
    b = Side(graph_of(onnx.load(folder / "m.onnx", load_external_data=False), folder), BackendChoice(ORT), scratch)
    assert named(search(a, b, pictures(1))) == named(search(b, a, pictures(1))) == ["Conv_50"]


def test_a_node_that_holds_graphs_is_one_node(between):
    def branch(operator):
        inner = helper.make_graph(
            [helper.make_node(operator, ["a"], ["out"])], "g", [], [helper.make_tensor_value_info("out", 1, (1, 6))]
        )
        other = helper.make_graph(
            [helper.make_node("Neg", ["a"], ["out2"])], "h", [], [helper.make_tensor_value_info("out2", 1, (1, 6))]
        )
        nodes = [
            helper.make_node("Sin", ["x"], ["a"]),
            helper.make_node("ReduceSum", ["a"], ["s"], keepdims=0),
            helper.make_node("Less", ["s", "zero"], ["negative"]),
            helper.make_node("Not", ["negative"], ["positive"]),
            helper.make_node("If", ["positive"], ["b"], then_branch=inner, else_branch=other),
            helper.make_node("Relu", ["b"], ["y"]),
        ]
        return model_of(nodes, {"x": (1, 6)}, {"y": (1, 6)}, {"zero": np.float32(0)})

    found = between(branch("Exp"), branch("Cos"), [{"x": np.linspace(0.1, 1, 6, dtype=np.float32)[None]}])
    assert named(found) == ["If_4"]
    assert any(n.startswith("If_4: a graph of its own") for n in found.notes)


def test_inputs_in_float16_are_fed_in_float16(between):
    proto = model_of(
        [helper.make_node("Mul", ["x", "k"], ["y"])], {"x": (1, 30)}, {"y": (1, 30)}, {"k": np.float32([3])}
    )
    made = model_of(
        [helper.make_node("Mul", ["x", "k"], ["y"])], {"x": (1, 30)}, {"y": (1, 30)}, {"k": np.float16([4])}
    )
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    feeds = [{"x": np.linspace(-1, 1, 30, dtype=np.float32)[None]}]
    assert named(between(proto, made, feeds, precisions=("fp32", "fp16"))) == ["Mul_0"]
    assert named(between(made, proto, feeds, precisions=("fp16", "fp32"))) == ["Mul_0"]


def test_a_node_that_only_its_own_runtime_has_is_judged_by_the_errors_before_and_behind_it(between):
    def swish(beta):
        own = helper.make_node("Swish", ["a", "beta"], ["s"], domain="org.openvinotoolkit")
        nodes = [helper.make_node("Abs", ["x"], ["a"]), own, helper.make_node("Relu", ["s"], ["y"])]
        made = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, (1, 30))],
            [helper.make_tensor_value_info("y", 1, None)],
            [numpy_helper.from_array(np.float32(beta), "beta")],
        )
        for index, n in enumerate(made.node):
            n.name = f"{n.op_type}_{index}"
        opsets = [helper.make_opsetid("", 19), helper.make_opsetid("org.openvinotoolkit", 1)]
        return helper.make_model(made, opset_imports=opsets, ir_version=10)

    feeds = [{"x": np.linspace(-2, 2, 30, dtype=np.float32)[None]}]
    found = between(swish(1.0), swish(3.0), feeds, (OPENVINO, OPENVINO))
    assert [(j.node, j.confirmed) for j in found.jumps] == [("Swish_1", False)]
    assert found.untested == ("Swish_1",)
    assert any("could not be run alone" in n for n in found.notes)


def test_probabilities_of_nothing_are_no_difference(between):
    nodes = [helper.make_node("Mul", ["x", "k"], ["a"]), helper.make_node("Sigmoid", ["a"], ["s"])]
    nodes.append(helper.make_node("Transpose", ["s"], ["y"], perm=[0, 2, 1]))
    proto = model_of(nodes, {"x": (1, 20, 20)}, {"y": (1, 20, 20)}, {"k": np.float32([40])})
    x = -1 + np.random.default_rng(0).random((1, 20, 20), np.float32) / 2
    found = between(proto, proto, [{"x": x}], (ORT, OPENVINO))
    assert (found.verdict, found.jumps) == ("equal", ())
    assert found.notes[0].startswith("y: no value reaches 0.05 on either side")


def logarithms(factor):
    """NaN wherever x is above zero."""
    nodes = [
        helper.make_node("Mul", ["x", "k"], ["a"]),
        helper.make_node("Neg", ["a"], ["n"]),
        helper.make_node("Log", ["n"], ["y"]),
    ]
    return model_of(nodes, {"x": (1, 64)}, {"y": (1, 64)}, {"k": np.float32([factor])})


def test_nan_on_both_sides_is_no_agreement(between):
    above = np.linspace(1, 2, 64, dtype=np.float32)[None]
    for other in (1.0, 3.0):
        found = between(logarithms(1.0), logarithms(other), [{"x": above}])
        assert found.verdict != "equal"
        assert found.outputs[0].neither == 64
    found = between(logarithms(1.0), logarithms(1.0), [{"x": above}])
    assert found.verdict == "not enough"
    assert "output y: NaN or infinite on both sides throughout" in found.reason
    half = between(logarithms(1.0), logarithms(1.0), [{"x": np.where(np.arange(64) < 32, above, -above)}])
    assert half.verdict == "equal"
    assert "y: 32 of 64 values NaN or infinite on both sides, and not compared" in half.notes
