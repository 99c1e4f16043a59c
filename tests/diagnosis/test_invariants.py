"""Models that mix the rows of a batch, or keep something from one run to the next, are caught; sound ones are not."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from seatrial.diagnosis.invariants import dynamic_as_fixed, invariants, odd_one_out, precision_not_applied

RNG = np.random.default_rng(3)
IMAGES = [RNG.normal(k, 1 + k, (1, 3, 8, 8)).astype(np.float32) for k in range(5)]


def model(nodes, *constants, batch="batch"):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3, None, None])],
        list(constants),
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"x": x})


def convolution():
    weights = numpy_helper.from_array(RNG.normal(0, 1, (3, 3, 3, 3)).astype(np.float32), "w")
    return model([helper.make_node("Conv", ["x", "w"], ["y"])], weights)


def batch_normalised():
    """Mean over the batch axis too, as a model that was exported while training."""
    return model(
        [
            helper.make_node("ReduceMean", ["x"], ["m"], axes=[0, 2, 3], keepdims=1),
            helper.make_node("Sub", ["x", "m"], ["y"]),
        ]
    )


def first_row_for_all():
    """What a flattened axis makes: each row is added the first one's mean."""
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    return model(
        [helper.make_node("Gather", ["x", "zero"], ["f"], axis=0), helper.make_node("Add", ["x", "f"], ["y"])], zero
    )


class OfTheLastRun:
    """Answers with what it was given before, as without a synchronisation."""

    def __init__(self):
        self.last = None

    def __call__(self, x):
        before, self.last = self.last, x.copy()
        return [x if before is None or before.shape != x.shape else before]


def held(run, batch=4):
    return {i.name: i.holds for i in invariants(run, IMAGES, batch)}


def test_a_sound_model_holds_all():
    assert held(convolution()) == {"row-alone": True, "identical-rows": True, "order": True}


def test_a_mean_over_the_batch():
    found = invariants(batch_normalised(), IMAGES, 4)

    assert not found[0].holds
    assert "all rows give another output 0 than their images alone" in found[0].said


def test_the_first_row_in_all():
    found = held(first_row_for_all())

    assert not found["row-alone"]
    assert not found["order"]


def test_rows_of_one_image_that_differ():
    def run(x):
        return [x + np.arange(len(x), dtype=np.float32).reshape(-1, 1, 1, 1)]

    found = invariants(run, IMAGES, 3)

    assert not found[1].holds
    assert "rows 1, 2 differ from row 0" in found[1].said


def test_the_last_runs_answer():
    assert held(OfTheLastRun())["order"] is False


def test_a_model_of_one_row_is_not_tried():
    def run(x):
        if len(x) != 1:
            raise ValueError("Got invalid dimensions: expected 1")
        return [x]

    found = invariants(run, IMAGES, 4)

    assert {i.holds for i in found} == {None}
    assert "expected 1" in found[0].said
    assert {i.holds for i in invariants(run, IMAGES, 1)} == {None}


def test_dynamic_shapes():
    sound = convolution()

    assert dynamic_as_fixed(sound, sound, IMAGES).holds
    assert not dynamic_as_fixed(lambda x: [sound(x)[0] * np.float32(1.01)], sound, IMAGES).holds


@pytest.mark.parametrize("odd", ["a", "b", "c"])
def test_the_odd_one_of_three(odd):
    right = [[i] for i in IMAGES]
    noisy = {n: [[i + RNG.normal(0, 1e-6, i.shape).astype(np.float32)] for i in IMAGES] for n in "abc"}
    wrong = noisy | {odd: [[i * np.float32(1.1) + 1] for (i,) in right]}

    assert odd_one_out(wrong) == odd
    assert odd_one_out(noisy) is None
    assert odd_one_out({n: wrong[n] for n in "ab"}) is None


def test_no_two_of_three_agree():
    assert odd_one_out({n: [[i * np.float32(f)] for i in IMAGES] for n, f in (("a", 1), ("b", 1.5), ("c", 2))}) is None


def test_a_precision_that_was_not_applied():
    full = [[i] for i in IMAGES]
    half = [[i.astype(np.float16).astype(np.float32)] for i in IMAGES]

    assert "to the bit" in precision_not_applied("fp16", {}, full, full)
    assert precision_not_applied("fp16", {}, full, half) == ""
    assert "54 in fp32" in precision_not_applied("fp16", {"fp32": 54}, full, half)
    assert precision_not_applied("fp16", {"fp16": 50, "fp32": 4}, full, half) == ""
    assert precision_not_applied("int8-u8", {"int8": 50}, full, half) == ""
    assert precision_not_applied("fp32", {"fp32": 54}, full, full) == ""
