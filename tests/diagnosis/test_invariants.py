"""Models that mix the rows of a batch, or keep something from one run to the next, are caught; sound ones are not."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from seatrial.diagnosis.invariants import dynamic_as_fixed, invariants
from seatrial.diagnosis.tolerances import same_in

RNG = np.random.default_rng(3)
IMAGES = [{"x": RNG.normal(k, 1 + k, (1, 3, 8, 8)).astype(np.float32)} for k in range(5)]


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
    return lambda feeds: session.run(None, feeds)


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

    def __call__(self, feeds):
        x = feeds["x"]
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
    def run(feeds):
        x = feeds["x"]
        return [x + np.arange(len(x), dtype=np.float32).reshape(-1, 1, 1, 1)]

    found = invariants(run, IMAGES, 3)

    assert not found[1].holds
    assert "rows 1, 2 differ from row 0" in found[1].said


def test_the_last_runs_answer():
    assert held(OfTheLastRun())["order"] is False


def test_a_model_of_one_row_is_not_tried():
    def run(feeds):
        if len(feeds["x"]) != 1:
            raise ValueError("Got invalid dimensions: expected 1")
        return [feeds["x"]]

    found = invariants(run, IMAGES, 4)

    assert {i.holds for i in found} == {None}
    assert "expected 1" in found[0].said
    assert {i.holds for i in invariants(run, IMAGES, 1)} == {None}


def test_dynamic_shapes():
    sound = convolution()

    assert dynamic_as_fixed(sound, sound, IMAGES).holds
    assert not dynamic_as_fixed(lambda x: [sound(x)[0] * np.float32(1.01)], sound, IMAGES).holds


def test_rows_that_are_ordered_by_score_may_change_places():
    """Two queries as sure as each other, whose order the last bit decides."""

    def run(feeds):
        rows = np.sort(feeds["x"].reshape(len(feeds["x"]), -1), axis=1)
        return [rows if len(rows) == 1 else rows[:, ::-1]]

    assert {i.holds for i in invariants(run, IMAGES, 4)} == {True}


def test_of_eight_bits_an_element_may_differ_and_a_neighbours_part_not():
    def noisy(feeds):
        x = feeds["x"]
        return [x + (len(x) > 1) * np.float32(0.02) * np.sign(x)]

    def leaking(feeds):
        x = feeds["x"].copy()
        x[1:] = 0.75 * x[1:] + 0.25 * x[:-1]
        return [x]

    assert {i.holds for i in invariants(noisy, IMAGES, 4, same_in("int8-u8"))} == {True}
    assert not invariants(noisy, IMAGES, 4, same_in("fp32"))[0].holds
    assert not invariants(leaking, IMAGES, 4, same_in("int8-u8"))[0].holds


def test_not_every_row_of_a_large_batch_is_run_alone():
    counted = []

    def run(feeds):
        counted.append(len(feeds["x"]))
        return [feeds["x"]]

    assert {i.holds for i in invariants(run, IMAGES, 16)} == {True}
    assert counted.count(1) == 4
    assert counted.count(16) == 4
