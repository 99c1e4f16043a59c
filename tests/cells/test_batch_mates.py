"""One image among others, and in all places of a batch: it is to have one answer."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import seatrial
from seatrial.cells.batch_mates import batch_mates
from seatrial.errors import ModelError
from seatrial.kernels.results import Classification, Detections, Labels, Poses
from seatrial.model.file import TensorInfo
from seatrial.plan.pipelines import Postprocess

OUTPUTS = (TensorInfo("y", ("batch", 3), "float32"),)
REFUSED = r"pipelines\.p: an image's answer depends on its place in a batch of \d+, or on its neighbours: of i\d+ among others"


def checked(answers, batch=4, images=6, decoded=None, busiest=2, outputs=OUTPUTS):
    """answers(order, run): (batch, 3), what the model gives of images in this order; decoded: of one row, a result or None."""
    orders = []

    class Data(list):
        images = [SimpleNamespace(name=f"i{k}") for k in range(99)]

    def preprocess(decoded_images, _):
        orders.append(decoded_images)
        return [None] * batch

    def postprocess(outputs, _):
        rows = outputs[0]
        return [decoded(rows[k]) if decoded else None for k in range(batch)]

    pipeline = SimpleNamespace(decode=lambda i: i, preprocess=preprocess, postprocess=postprocess)
    backend = SimpleNamespace(run=lambda _: [np.asarray(answers(orders[-1], len(orders)), np.float32)])
    opened = SimpleNamespace(pipeline=pipeline, backend=backend, data=Data(range(images)), feeds={})
    spec = SimpleNamespace(postprocess=Postprocess(task="raw"))
    info = SimpleNamespace(inputs=(TensorInfo("x", ("batch", 3, 8, 8), "float32"),), outputs=outputs)
    w = SimpleNamespace(batch=batch, name="p", spec=spec, model_info=info)
    return batch_mates(w, opened, busiest), orders


def own(order, _run=0):
    return np.array([[i + 1, 2 * i - 3, 0.5] for i in order], np.float64)


def boxes(row):
    """As many boxes as the first number says, moved by the second, as sure as the third."""
    count = int(row[0])
    corners = np.tile(np.array([0, 0, 10, 10], np.float32), (count, 1)) + 20 * np.arange(count)[:, None] + 7 * row[1]
    return Detections(corners.astype(np.float32), np.full(count, row[2], np.float32), np.zeros(count, np.int64))


def keeping(places):
    """Only these places are answered."""
    return lambda order, run: own(order) * np.isin(np.arange(len(order)), places)[:, None]


FAULTS = {
    "the first alone": keeping([0]),
    "all but the last": lambda order, run: keeping(range(len(order) - 1))(order, run),
    "all but the first": lambda order, run: keeping(range(1, len(order)))(order, run),
    "the neighbour's": lambda order, _: np.roll(own(order), 1, axis=0),
    "a pair trades": lambda order, _: own(order)[[1, 0, *range(2, len(order))]],
    "sums of the batch": lambda order, _: np.abs(own(order) - 3 * own(order).mean(axis=0)),
    "the first's second number for all": lambda order, _: np.column_stack(
        [own(order)[:, 0], np.full(len(order), own(order)[0, 1]), own(order)[:, 2]]
    ),
}


@pytest.mark.parametrize("batch", [2, 4, 33])
@pytest.mark.parametrize("decoded", [None, boxes], ids=["raw", "boxes"])
def test_a_sound_model_is_run_twice(batch, decoded):
    warnings, orders = checked(own, batch, 40, decoded)
    assert (warnings, len(orders)) == ([], 2)
    assert orders[0][1] == 2
    assert 2 not in orders[0][:1] + orders[0][2:]
    assert orders[1] == [2] * batch


@pytest.mark.parametrize("batch", [2, 4, 33])
@pytest.mark.parametrize("decoded", [None, boxes], ids=["raw", "boxes"])
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_an_answer_that_depends_on_place_or_company_is_refused(fault, decoded, batch):
    """However many places there are of which only one is wrong."""
    if fault == "the neighbour's" and batch == 2:
        fault = "a pair trades"
    with pytest.raises(ModelError, match=REFUSED):
        checked(FAULTS[fault], batch, 40, decoded)


def test_few_images_for_many_places_are_enough():
    assert checked(own, batch=4, images=2, busiest=1)[0] == []
    with pytest.raises(ModelError, match=REFUSED):
        checked(FAULTS["all but the last"], batch=4, images=2, busiest=1)
    assert checked(own, batch=1) == ([], [])
    assert checked(own, batch=4, images=1, busiest=0) == ([], [])


@pytest.mark.parametrize("change", [(1, 1, 0.4), (1, 1.3, 1)], ids=["less sure", "elsewhere"])
def test_scores_and_places_of_boxes_count(change):
    """Of one session against itself nothing excuses another score, or a box a pixel off."""

    def behind_the_first(order, _):
        return own(order) * np.where(np.arange(len(order))[:, None] == 0, 1, change)

    with pytest.raises(ModelError, match="0 of 3 objects are found again, and 3 others, in place 1"):
        checked(behind_the_first, decoded=boxes)


def test_what_is_not_the_same_twice_is_no_matter_of_company():
    rng = np.random.default_rng(0)
    warnings, orders = checked(lambda order, _: rng.normal(size=(len(order), 3)))
    assert warnings == []
    assert orders[2] == orders[0]


@pytest.mark.parametrize(("decibels", "told"), [(60, False), (25, True)])
def test_a_small_difference_is_told_and_rounding_is_not(decibels, told):
    """As where a scale is taken over the batch."""
    warnings, _ = checked(
        lambda order, _: own(order) * (1 + 10 ** (-decibels / 20) * np.mean(np.array(order) == order[0]))
    )
    assert [w.code for w in warnings] == (["batch-mates"] if told else [])


def test_rows_that_trade_places_are_the_same_objects():
    """As equal scores do."""
    turns = iter([1, 1, 1, 1, -1, -1, -1, -1])

    def two(row):
        turn = next(turns)
        corners = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)[::turn]
        return Detections(corners, np.full(2, 0.5, np.float32), np.zeros(2, np.int64))

    assert checked(own, batch=4, decoded=two)[0] == []


@pytest.mark.parametrize(
    "outputs",
    [
        (TensorInfo("y", ("unk__2", 3), "float32"),),
        (TensorInfo("y", (None, 3), "float32"),),
        (TensorInfo("y", (4, 3), "float32"),),
    ],
)
def test_names_of_dimensions_do_not_matter(outputs):
    assert checked(own, outputs=outputs)[0] == []
    with pytest.raises(ModelError, match=REFUSED):
        checked(FAULTS["the first alone"], outputs=outputs)


def test_rows_that_are_no_images_are_said_to_prove_nothing():
    """All images' detections in one list."""
    flat = lambda order, _: np.repeat(own(order), 2, axis=0)  # noqa: E731
    (told,), _ = checked(flat)
    assert told.code == "batch-mates-unknown"


def test_of_pictures_without_objects_nothing_is_known_and_that_is_told_elsewhere():
    assert checked(lambda order, _: np.zeros((len(order), 3)), decoded=boxes)[0] == []


def test_the_same_class_twice_hides_nothing():
    """A classifier that answers zeros behind its first image has class 0 for many."""
    best = lambda row: Classification(np.array([int(row[1] > row[0])]), np.ones(1, np.float32))  # noqa: E731
    with pytest.raises(ModelError, match="keeps .* dB over the difference"):
        checked(FAULTS["the first alone"], decoded=best)


def test_several_classes_go_by_their_scores():
    def present(row):
        return Labels(np.array([1, 4]), np.array([row[2], row[2] / 2], np.float32))

    assert checked(own, decoded=present)[0] == []
    with pytest.raises(ModelError, match="0 of 2 classes are found again"):
        checked(FAULTS["the first alone"], decoded=present)


def test_keypoints_are_part_of_an_object():
    def pose(row):
        found = boxes(row)
        points = np.repeat(found.boxes_xyxy[:, None, :2], 3, axis=1) + row[2]
        keypoints = np.concatenate([points, np.ones((len(points), 3, 1))], axis=2).astype(np.float32)
        return Poses(
            found.boxes_xyxy, np.ones(len(points), np.float32), found.class_ids, keypoints, np.full(3, 0.1, np.float32)
        )

    assert checked(own, decoded=pose)[0] == []
    with pytest.raises(ModelError, match="0 of 3 objects"):
        checked(lambda order, _: own(order) + np.array([0, 0, 5]) * (np.arange(len(order)) > 1)[:, None], decoded=pose)


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


@pytest.mark.parametrize("answered", [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
def test_a_matrix_without_a_batch_of_1_does_not_pass_a_model_that_forgets_images(workspace, answered):
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
        assert (cell.status, [w for w in cell.warnings if "batch" in w.code]) == ("ok", []), cell.reason
    else:
        assert cell.status == "failed"
        assert "an image's answer depends on its place in a batch of 4" in cell.reason
        assert record.verdict != "PASS"
