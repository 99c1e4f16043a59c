"""Mistakes behind the model of classifiers, masks, dense maps and text, as NumPy and OpenCV code makes them, from raw outputs on."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from result_candidates import Shown, Taps, demo_images, said_of, way

from seatrial import Classification, DenseMap, SemanticMask, Text
from seatrial.diagnosis.runner import Runner

NO_SCORES = np.float32(np.nan)


def saved(path, nodes, constants, shape):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def weights(**shapes):
    rng = np.random.default_rng(8)
    return [numpy_helper.from_array(rng.normal(0, 1, s).astype(np.float32), n) for n, s in shapes.items()]


def classifier(folder):
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], strides=[4, 4]),
        helper.make_node("ReduceMax", ["c"], ["v"], axes=[2, 3], keepdims=0),
        helper.make_node("ReduceMean", ["v"], ["m"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["v", "m"], ["y"]),
    ]
    return saved(folder / "c.onnx", nodes, weights(w=(7, 3, 5, 5)), [1, 7])


def maps(folder, channels):
    nodes = [helper.make_node("Conv", ["images", "w"], ["y"], strides=[4, 4], pads=[1, 1, 1, 1])]
    return saved(folder / "m.onnx", nodes, weights(w=(channels, 3, 6, 6)), [1, channels, 16, 16])


def text(folder, classes):
    """A step a column: by how much each class is more there than elsewhere in the image."""
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], strides=[4, 4]),
        helper.make_node("ReduceMean", ["c"], ["m"], axes=[2], keepdims=0),
        helper.make_node("ReduceMean", ["m"], ["b"], axes=[2], keepdims=1),
        helper.make_node("Sub", ["m", "b"], ["s"]),
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Softmax", ["t"], ["y"], axis=2),
    ]
    return saved(folder / "t.onnx", nodes, weights(w=(classes, 3, 4, 4)), [1, 16, classes])


def reference(model, post, mode="stretch"):
    return way(model, {"preprocess": {"size": [64, 64], "mode": mode}, "postprocess": post})


def named(own, results):
    """results: (raw output, picture's height and width) to a result, by the user's code."""
    encoded = demo_images()
    runner = Runner(lambda i: list(encoded.values())[i])
    taps = {}
    for i, name in enumerate(encoded):
        at = runner.at(own, i, "outputs")
        taps[name] = Taps(outputs={"y": at.value[0]}, results=results(at.value[0], at.geometry.source_hw))
    return said_of(own, encoded, Shown(taps, frozenset(("outputs", "results"))))[0]


def probabilities(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def best(scores, shift=0, table=None, logged=True, most=5):
    order = np.argsort(-scores, kind="stable")[:most]
    ids = order + shift if table is None else np.asarray(table)[order]
    return Classification(
        ids.astype(np.int64), scores[order].astype(np.float32) if logged else np.full(most, NO_SCORES)
    )


CLASSES = {
    "right": ((), lambda y, _: best(probabilities(y[0]))),
    "off-by-one": (("label-offset",), lambda y, _: best(probabilities(y[0]), 1)),
    "another-list": (("label-map",), lambda y, _: best(probabilities(y[0]), table=[2, 0, 1, 6, 3, 5, 4])),
    "no-softmax": (("activation",), lambda y, _: best(y[0])),
    "softmax-twice": (("activation",), lambda y, _: best(probabilities(probabilities(y[0])))),
    "sigmoid": (("activation",), lambda y, _: best(1 / (1 + np.exp(-y[0])))),
    "off-by-one-in-a-log-of-classes": (("label-offset",), lambda y, _: best(y[0], -1, logged=False, most=1)),
}


@pytest.mark.parametrize("case", CLASSES)
def test_classes(tmp_path, case):
    faults, results = CLASSES[case]

    assert named(reference(classifier(tmp_path), {"task": "classify"}), results) == faults


def nearest_mask(classes, hw):
    rows = ((np.arange(hw[0]) + 0.5) * 16 / hw[0]).astype(int)
    columns = ((np.arange(hw[1]) + 0.5) * 16 / hw[1]).astype(int)
    return SemanticMask(classes[rows][:, columns].astype(np.uint8))


def drawn(scores, hw, interpolation=cv2.INTER_LINEAR):
    return np.stack([cv2.resize(s, (hw[1], hw[0]), interpolation=interpolation) for s in scores])


def aligned(scores, hw):
    """As align_corners=True has it."""
    y, x = np.meshgrid(np.linspace(0, 15, hw[0]), np.linspace(0, 15, hw[1]), indexing="ij")
    return np.stack([cv2.remap(s, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR) for s in scores])


MASKS = {
    "right": ((), lambda y, hw: nearest_mask(y[0].argmax(0), hw)),
    "off-by-one": (("label-offset",), lambda y, hw: nearest_mask(y[0].argmax(0) + 1, hw)),
    "another-list": (("label-map",), lambda y, hw: nearest_mask(np.array([4, 2, 0, 1, 3])[y[0].argmax(0)], hw)),
    "drawn-out": (("interpolation",), lambda y, hw: SemanticMask(drawn(y[0], hw).argmax(0).astype(np.uint8))),
    "align-corners": (("half-pixel",), lambda y, hw: SemanticMask(aligned(y[0], hw).argmax(0).astype(np.uint8))),
}


@pytest.mark.parametrize("case", MASKS)
def test_masks(tmp_path, case):
    faults, results = MASKS[case]

    assert named(reference(maps(tmp_path, 5), {"task": "segment"}), results) == faults


def test_a_mask_with_the_letterboxs_padding_left_in(tmp_path):
    own = reference(maps(tmp_path, 5), {"task": "segment"}, mode="letterbox")

    assert named(own, lambda y, hw: nearest_mask(y[0].argmax(0), hw)) == ("unletterbox",)


@pytest.mark.parametrize(
    ("faults", "change"),
    [
        ((), lambda y, hw: cv2.resize(y, hw[::-1], interpolation=cv2.INTER_LINEAR)),
        (("half-pixel",), lambda y, hw: aligned(y[None], hw)[0]),
    ],
)
def test_dense_maps(tmp_path, faults, change):
    own = reference(maps(tmp_path, 1), {"task": "dense"})

    assert named(own, lambda y, hw: DenseMap(change(y[0, 0], hw))) == faults


LETTERS = [*"abcdefghij"]


def best_path(steps, letters, blank):
    """As in many a repository: repeats merged, blanks dropped."""
    ids = steps.argmax(axis=1)
    kept = [k for k in range(len(ids)) if ids[k] != blank and (k == 0 or ids[k] != ids[k - 1])]
    scores = [steps[k, ids[k]] for k in kept]
    return Text.of("".join(letters[ids[k]] for k in kept), float(np.mean(scores)) if kept else 0.0)


TEXTS = {
    "right": ((), lambda y, _: best_path(y[0], ["", *LETTERS], 0)),
    "blank-last": (("decode-mode",), lambda y, _: best_path(y[0], [*LETTERS, ""], 10)),
    "next-letter": (("label-offset",), lambda y, _: best_path(y[0], ["", *LETTERS[1:], LETTERS[0]], 0)),
    "capitals": (("label-map",), lambda y, _: best_path(y[0], ["", *"ABCDEFGHIJ"], 0)),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(tmp_path, case):
    faults, results = TEXTS[case]

    assert named(reference(text(tmp_path, 11), {"task": "text", "format": "ctc", "labels": LETTERS}), results) == faults
