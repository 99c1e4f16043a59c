"""A batch whose images are put in another order: each is to have the answer that it had."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seatrial
from seatrial.cells.batch_order import MOST_TURNS, batch_order
from seatrial.errors import ModelError
from seatrial.kernels.results import Classification, Detections
from seatrial.model.file import TensorInfo
from seatrial.plan.pipelines import Postprocess

OUTPUTS = (TensorInfo("y", ("batch", 2), "float32"),)


def checked(answers, batch=4, images=6, decoded=None, task="raw", outputs=OUTPUTS):
    """answers(order, run): (batch, 2), what the model gives of images in this order; decoded: of one row, a result or None."""
    orders = []

    def preprocess(decoded_images, _):
        orders.append(decoded_images)
        return [None] * batch

    pipeline = SimpleNamespace(
        decode=lambda i: i,
        preprocess=preprocess,
        postprocess=lambda o, _: [decoded(r) if decoded else None for r in o[0]],
    )
    backend = SimpleNamespace(run=lambda _: [np.asarray(answers(orders[-1], len(orders)), np.float32)])
    opened = SimpleNamespace(pipeline=pipeline, backend=backend, data=range(images), feeds={})
    spec = SimpleNamespace(postprocess=Postprocess(task=task))
    info = SimpleNamespace(inputs=(TensorInfo("x", ("batch", 3, 8, 8), "float32"),), outputs=outputs)
    w = SimpleNamespace(batch=batch, name="p", spec=spec, model_info=info)
    return batch_order(w, opened), orders


def own(order, _run):
    return [[i + 1, 2 * i - 3] for i in order]


def first_only(order, run):
    return [row if k == 0 else [0, 0] for k, row in enumerate(own(order, run))]


def test_a_model_that_answers_for_each_image_is_run_twice():
    assert checked(own) == ([], [[0, 1, 2, 3], [1, 2, 3, 0]])
    assert checked(own, batch=1) == ([], [])
    assert checked(own, images=3) == ([], []), "a batch filled up with one image has nothing to tell by"


def test_a_model_that_answers_for_the_first_image_alone_is_refused():
    with pytest.raises(
        ModelError, match=r"pipelines\.p: an image's answer depends on its place in a batch of 4: .*dB of"
    ):
        checked(first_only)


def test_what_is_not_the_same_twice_is_no_matter_of_order():
    rng = np.random.default_rng(0)
    warnings, orders = checked(lambda order, _: rng.normal(size=(len(order), 2)))
    assert warnings == []
    assert orders[-1] == orders[0]


def test_a_small_difference_is_told_and_rounding_is_not():
    (told,), _ = checked(lambda order, run: np.array(own(order, run)) * (1 + 0.1 * np.arange(4))[:, None])
    assert told.code == "batch-order"
    assert checked(lambda order, run: np.array(own(order, run)) * (1 + 1e-6 * np.arange(4))[:, None])[0] == []


def test_rows_that_are_no_images_prove_nothing():
    """All images' detections in one list: in another order of images they stand in another order too."""
    flat = (TensorInfo("rows", ("n", 2), "float32"),)
    assert checked(own, outputs=flat)[0] == []
    assert checked(lambda order, _: own(order, 0) * 2, outputs=flat)[0] == []


def boxes(row):
    """As many boxes as the first number says, where the second does."""
    count = int(row[0])
    corners = np.tile(np.array([0, 0, 10, 10], np.float32), (count, 1)) + 20 * np.arange(count)[:, None] + 5 * row[1]
    return Detections(corners.astype(np.float32), np.ones(count, np.float32), np.zeros(count, np.int64))


@pytest.mark.parametrize("where", range(4))
def test_of_objects_it_is_looked_for_an_image_that_has_some(where):
    """Whichever of the four it is, it has to be put first before a model that sees the first alone finds anything."""

    def some(order, _):
        return [[3, i] if i == where else [0, 0] for i in order]

    warnings, orders = checked(some, decoded=boxes)
    assert (warnings, len(orders)) == ([], 2)
    with pytest.raises(ModelError, match="0% of their boxes matched"):
        checked(
            lambda order, _: [[3, i] if i == where and k == 0 else [0, 0] for k, i in enumerate(order)], decoded=boxes
        )


def test_where_nothing_is_found_nobody_looks_for_ever():
    warnings, orders = checked(lambda order, _: np.zeros((len(order), 2)), batch=32, images=32, decoded=boxes)
    assert (warnings, len(orders)) == ([], MOST_TURNS + 1)


def test_rows_that_trade_places_are_the_same_objects():
    def turned(order, run):
        return [[2, i + 0.001 * run] for i in order]

    assert checked(turned, decoded=boxes)[0] == []


def test_the_same_class_twice_hides_nothing():
    """A classifier that answers zeros behind its first image has class 0 for many."""
    best = lambda row: Classification(np.array([int(row[1] > row[0])]), np.ones(1, np.float32))  # noqa: E731
    with pytest.raises(ModelError, match="dB of signal to noise"):
        checked(lambda o, _: [[i + 1, 0] if k == 0 else [0, 0] for k, i in enumerate(o)], decoded=best)


def detector(path, answered):
    """(4, 2, 6): two boxes an image, moved by its brightness; those of images that are not `answered` are zero."""
    tensors = {
        "boxes": np.array([[[2, 2, 12, 12, 0.9, 0], [10, 4, 20, 9, 0.8, 1]]]),
        "move": np.array([[[9.0, 9, 9, 9, 0, 0]]]),
        "answered": np.array(answered, np.float32).reshape(4, 1, 1),
        "shape": np.array([4, 1, 1], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["each"]),
        helper.make_node("Mul", ["each", "move"], ["moved"]),
        helper.make_node("Add", ["moved", "boxes"], ["found"]),
        helper.make_node("Mul", ["found", "answered"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 3, 32, 32])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [4, 2, 6])],
        [
            numpy_helper.from_array(v if v.dtype == np.int64 else v.astype(np.float32), name)
            for name, v in tensors.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9)
    onnx.save(model, path)


@pytest.mark.parametrize("answered", [[1, 1, 1, 1], [1, 0, 0, 0]])
def test_a_matrix_without_a_batch_of_1_does_not_pass_a_model_that_answers_for_one_image(workspace, answered):
    """As Ultralytics' exports with NMS have done at a batch above 1: agreement with itself is perfect."""
    detector(workspace.folder / "d.onnx", answered)
    plan = workspace.plan(
        pipelines="\n  d:\n    model: d.onnx\n    preprocess: {size: [32, 32], mode: stretch, scale: 1/255}\n"
        "    postprocess: {task: detect, format: end_to_end, labels: [a, b]}\n",
        matrix="{backends: [onnxruntime-cpu], batch_sizes: [4]}",
    )
    record = seatrial.run(plan, results=workspace.folder / "results")
    (cell,) = record.cells
    if all(answered):
        assert (cell.status, [w for w in cell.warnings if w.code == "batch-order"]) == ("ok", []), cell.reason
    else:
        assert cell.status == "failed"
        assert "an image's answer depends on its place in a batch of 4" in cell.reason
        assert record.verdict != "PASS"
