"""A decoder whose assumption is observably false. Shapes and numbers are right by construction for the format named first."""

import re
from pathlib import Path

import numpy as np
import pytest

from seatrial.errors import ModelError
from seatrial.kernels.geometry import fit
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.plausibility import Plausibility
from seatrial.plan import pipelines, tasks
from seatrial.warning import Warning

RNG = np.random.default_rng(3)
SIDE, ANCHORS = 320, 2100


def boxes(count, scale=1.0):
    return np.concatenate([RNG.uniform(0, SIDE, (count, 2)), RNG.uniform(4, SIDE / 2, (count, 2))], 1) * scale


def corners(count, scale=1.0):
    b = boxes(count)
    return np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1) * scale


def scores(count, classes):
    s = RNG.uniform(0, 0.02, (count, classes))
    s[:3] = 0.9
    return s


def sigmoid_logits(count, classes):
    s = RNG.normal(-6, 0.5, (count, classes))
    s[:3, 0] = 2
    return s


def no_object(count, classes):
    s = RNG.normal(0, 1, (count, classes))
    s[3:, -1] = 9
    return s


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def joined(*parts):
    return np.concatenate(parts, 1)[None].astype(np.float32)


def turned(*parts):
    return np.ascontiguousarray(joined(*parts).transpose(0, 2, 1))


def listed(scale=1.0):
    rows = np.zeros((300, 6))
    rows[:5] = np.concatenate([corners(5, scale), np.linspace(0.9, 0.3, 5)[:, None], np.arange(5)[:, None]], 1)
    return rows[None].astype(np.float32)


def pair(b, s):
    return b[None].astype(np.float32), s[None].astype(np.float32)


def seen_by(post, *outputs, labels=None, runs=1, metadata=None, names=None):
    """A pipeline's plausibility after so many images of these outputs.

    Dimensions are symbolic, so that only a run tells, except of outputs that are called otherwise than output0.
    """
    names = names or [f"output{i}" for i in range(len(outputs))]
    tensors = tuple(
        TensorInfo(n, ("n", *"abc"[: o.ndim - 1]) if n.startswith("output") else o.shape, o.dtype.name)
        for n, o in zip(names, outputs, strict=True)
    )
    info = ModelInfo(
        Path("m.onnx"), (TensorInfo("x", ("n", 3, SIDE, SIDE), "float32"),), tensors, metadata or {}, 17, 1, ""
    )
    spec = pipelines.Pipeline.model_validate(
        {"model": "m.onnx", "preprocess": {"size": [SIDE, SIDE]}, "postprocess": post}
    )
    found = Plausibility("only", spec, info, labels)
    for _ in range(runs):
        found.add(outputs, 1)
    return found


def detect(form, **more):
    return {"task": "detect", "format": form, **more}


def f4(array):
    return np.asarray(array, np.float32)


def chosen(scale=1.0, label=0.0, score=1.0):
    """boxes (1, 5, 4), scores and classes (1, 5)."""
    rows = listed(scale)[:, :5]
    return rows[..., :4], rows[..., 4] * f4(score), rows[..., 5] + f4(label)


def flat(*columns, scale=1.0):
    rows = listed(scale)[0, :5]
    return f4(np.concatenate([rows[:, c] if isinstance(c, slice) else rows[:, [c]] for c in columns], axis=1))


V8 = turned(boxes(ANCHORS), scores(ANCHORS, 4))
V5 = joined(boxes(3 * ANCHORS), scores(3 * ANCHORS, 5))
YOLOX = joined(RNG.uniform(-1, 2, (ANCHORS, 2)), RNG.uniform(-2, 3, (ANCHORS, 2)), scores(ANCHORS, 5))
DETR = pair(boxes(100, 1 / SIDE), no_object(100, 6))
RTDETR = pair(boxes(300, 1 / SIDE), sigmoid_logits(300, 4))
SSD = pair(corners(3000, 1 / SIDE), softmax(RNG.normal(0, 1, (3000, 5)) + np.eye(1, 5) * 4))
BOX = slice(0, 4)
BEST = f4(np.stack([np.linspace(0.9, 0.01, 300), RNG.integers(0, 4, 300)], axis=1))
SOUND_LAYOUTS = {
    "yolov8, fractions": (detect("yolov8", boxes="fractions"), (turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 4)),)),
    "yolov8, logits": (detect("yolov8_logits"), (turned(boxes(ANCHORS), sigmoid_logits(ANCHORS, 4)),)),
    "yolov8, turned": (detect("yolov8_turned"), (joined(boxes(ANCHORS), scores(ANCHORS, 4)),)),
    "rtdetr_joined": (detect("rtdetr_joined"), (joined(boxes(300, 1 / SIDE), scores(300, 4)),)),
    "rtdetr_end_to_end": (detect("rtdetr_end_to_end"), (joined(boxes(300, 1 / SIDE), BEST),)),
    "end_to_end, fractions": (detect("end_to_end", boxes="fractions"), (listed(1 / SIDE),)),
    "end_to_end, source": (detect("end_to_end", boxes="source"), (listed(),)),
    "yolonas": (detect("yolonas"), pair(corners(ANCHORS), scores(ANCHORS, 5))),
    "ppyoloe": (detect("ppyoloe"), (f4(corners(ANCHORS)[None]), f4(scores(ANCHORS, 5).T[None]))),
    "nms_tensors": (detect("nms_tensors", outputs=["output0", "output1", "output2"]), chosen()),
    "nms_tensors, nothing found": (
        detect("nms_tensors", outputs=["output0", "output1", "output2"]), (f4(np.zeros((1, 0, 4))), f4([[]]), f4([[]]))
    ),
    "nms_tensors, filled up": (
        detect("nms_tensors", outputs=["output0", "output1", "output2"]),
        tuple(np.concatenate([o, np.full_like(o, -1)], axis=1) for o in chosen()),
    ),
    "yolov7_end_to_end": (detect("yolov7_end_to_end"), (np.insert(flat(BOX, 5, 4), 0, 0, axis=1),)),
    "yolonas_flat": (detect("yolonas_flat"), (np.insert(flat(BOX, 4, 5), 0, 0, axis=1),)),
    "paddle": (detect("paddle"), (flat(5, 4, BOX), np.array([5]))),
    "nanodet": (detect("nanodet"), (joined(scores(2125, 4), RNG.normal(0, 3, (2125, 32))),)),
}  # fmt: skip
SOUND = {
    **SOUND_LAYOUTS,
    "yolov8": (detect("yolov8"), (V8,)),
    "yolo11": (detect("yolo11"), (V8,)),
    "yolov5": (detect("yolov5"), (V5,)),
    "yolox": (detect("yolox"), (YOLOX,)),
    "end_to_end": (detect("end_to_end"), (listed(),)),
    "detr": (detect("detr"), DETR),
    "rtdetr": (detect("rtdetr"), RTDETR),
    "rtdetr, logits first": (detect("rtdetr"), pair(boxes(300, 1 / SIDE), sigmoid_logits(300, 6))[::-1]),
    "ssd": (detect("ssd"), SSD),
    "nothing found": (detect("end_to_end"), (np.zeros((1, 300, 6), np.float32),)),
    "zeros": (detect("yolov8"), (np.zeros((1, 8, ANCHORS), np.float32),)),
    "sizes a little below 0": (detect("yolov8"), (V8 - np.array([0, 0, 3, 3, 0, 0, 0, 0], np.float32)[:, None] * 3,)),
    "a NaN among them": (detect("yolov8"), (np.where(V8[0, 0, 0] == V8, np.nan, V8),)),
    "scores a hundredth over": (detect("yolov8"), (np.minimum(V8 * np.float32(1.004), SIDE),)),
    "classify": ({"task": "classify"}, (np.array([[3.0, -2, 1]]),)),
    "classify with ones behind": ({"task": "classify"}, (np.array([[3.0, -2, 1]]).reshape(1, 3, 1, 1),)),
    "segment": ({"task": "segment"}, (RNG.normal(0, 3, (1, 5, 20, 20)),)),
    "embed": ({"task": "embed"}, (RNG.normal(0, 3, (1, 64)),)),
    "raw": ({"task": "raw"}, (turned(boxes(ANCHORS), sigmoid_logits(ANCHORS, 4)),)),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_can_be_right_is_let_through(name):
    post, outputs = SOUND[name]
    found = seen_by(post, *outputs)
    assert found.problem() == ""
    assert found.settle(reduced=False) == []


V8_LOGITS = turned(boxes(ANCHORS), sigmoid_logits(ANCHORS, 4))
OBB = turned(boxes(ANCHORS), scores(ANCHORS, 2), RNG.uniform(-0.7, 2.3, (ANCHORS, 1)))
POSE = turned(boxes(ANCHORS), scores(ANCHORS, 1), RNG.uniform(0, SIDE, (ANCHORS, 51)))


def points(scale=1.0):
    """Five of three values an anchor."""
    places = RNG.uniform(0, SIDE * scale, (ANCHORS, 5, 2))
    return np.concatenate([places, RNG.uniform(0, 1, (ANCHORS, 5, 1))], 2).reshape(ANCHORS, 15)


POSED = {"task": "pose", "format": "yolov8", "keypoints": [5, 3]}
POSE_FRACTIONS = turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 1), points(1 / SIDE))
SEG = turned(boxes(ANCHORS), scores(ANCHORS, 2), RNG.normal(0, 1, (ANCHORS, 32)))
FALSE_LAYOUTS = {
    "fractions of pixels": (detect("yolov8", boxes="fractions"), (V8,), None, "boxes as fractions of the input, but they go", ""),
    "end_to_end fractions of centres": (
        detect("end_to_end", boxes="fractions"), (joined(boxes(300, 1 / SIDE), BEST),), None, "expects corners, but in",
        "try format: rtdetr_end_to_end"),
    "rtdetr_end_to_end of corners": (
        detect("rtdetr_end_to_end"), (joined(corners(300, 1 / SIDE), BEST),), None, "expects centre and size, but 100% of",
        "try format: end_to_end, boxes: fractions"),
    "rtdetr_end_to_end of pixels": (detect("rtdetr_end_to_end"), (joined(boxes(300), BEST),), None, "as fractions of the input", ""),
    "rtdetr_joined of the newer": (
        detect("rtdetr_joined"), (joined(boxes(300, 1 / SIDE), BEST),), None, "expects probabilities", "try format: rtdetr_end_to_end"),
    "rtdetr_end_to_end of the older": (
        detect("rtdetr_end_to_end"), (joined(boxes(300, 1 / SIDE), scores(300, 2)),), None, "class numbers", "rtdetr_joined"),
    "logits of probabilities": (detect("yolov8_logits"), (V8,), None, "expects logits, but all scores are prob", "format: yolov8"),
    "yolov8_turned of logits": (detect("yolov8_turned"), (joined(boxes(ANCHORS), sigmoid_logits(ANCHORS, 4)),), None,
                                "expects probabilities", ""),
    "yolov8_turned of five labels": (detect("yolov8_turned"), (joined(boxes(ANCHORS), scores(ANCHORS, 4)),), list("abcde"),
                                     "reads 4 classes from the head, but there are 5 labels", ""),
    "yolonas of centres": (detect("yolonas"), pair(boxes(ANCHORS), scores(ANCHORS, 5)), None, "expects corners", "no corners"),
    "yolonas of fractions": (detect("yolonas"), pair(corners(ANCHORS, 1 / SIDE), scores(ANCHORS, 5)), None, "2 px", ""),
    "ppyoloe of logits": (detect("ppyoloe"), (f4(corners(ANCHORS)[None]), f4(sigmoid_logits(ANCHORS, 5).T[None])), None,
                          "expects probabilities", ""),
    "nms_tensors, classes before scores": (
        detect("nms_tensors", outputs=["output0", "output2", "output1"]), chosen(), None, "expects probabilities", ""),
    "nms_tensors, a class too many": (
        detect("nms_tensors", outputs=["output0", "output1", "output2"]), chosen(label=1), list("abcde"),
        "class numbers up to 5, but there are 5 labels", "counted from 1? give class 0 a label"),
    "nms_tensors of fractions": (
        detect("nms_tensors", outputs=["output0", "output1", "output2"]), chosen(1 / SIDE), None, "2 px", "boxes: fractions"),
    "nms_tensors, source of fractions": (
        detect("nms_tensors", boxes="source", outputs=["output0", "output1", "output2"]), chosen(1 / SIDE), None,
        "pixels of the picture, but all are smaller", ""),
    "yolov7_end_to_end of YOLO-NAS": (
        detect("yolov7_end_to_end"), (np.insert(flat(BOX, 4, 5), 0, 0, axis=1),), None, "expects probabilities", "yolonas_flat"),
    "yolonas_flat of YOLOv7": (
        detect("yolonas_flat"), (np.insert(flat(BOX, 5, 4), 0, 0, axis=1),), None, "expects probabilities", "yolov7_end_to_end"),
    "paddle of other rows": (detect("paddle"), (flat(BOX, 4, 5), np.array([5])), None, "expects", ""),
    "nanodet of pixels": (detect("nanodet"), (joined(boxes(2125), scores(2125, 40)),), None, "expects probabilities", ""),
}  # fmt: skip
FALSE = {
    **FALSE_LAYOUTS,
    # what is asked, outputs, labels, what is said, what is named
    "yolov5 of [1, 22, 2100]": (detect("yolov5"), (turned(boxes(ANCHORS), scores(ANCHORS, 18)),), None,
                                "22 × 2100 has anchors and classes the other way round", "try format: yolov8"),
    "classify of [1, 22, 2100]": ({"task": "classify"}, (turned(boxes(ANCHORS), scores(ANCHORS, 18)),), None,
                                  "one row of scores an image", "try task: detect, format: yolov8"),
    "yolov8 of (anchors, 5 + classes)": (detect("yolov8"), (V5,), None, "the other way round", "try format: yolov5"),
    "3 labels for 18 classes": (detect("yolov8"), (turned(boxes(ANCHORS), scores(ANCHORS, 18)),), ["a", "b", "c"],
                                "reads 18 classes from the head, but there are 3 labels", ""),
    "yolov8 of logits": (detect("yolov8"), (V8_LOGITS,), None, "expects probabilities, but its scores go from -",
                         "with logits in place of probabilities"),
    "yolov8 of fractions": (detect("yolov8"), (turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 4)),), None,
                            "all are smaller than 2 px", "boxes from 0 to 1"),
    "yolov5 of fractions": (detect("yolov5"), (joined(boxes(3 * ANCHORS, 1 / SIDE), scores(3 * ANCHORS, 5)),), None,
                            "all are smaller than 2 px", "boxes from 0 to 1"),
    "yolov8 of obb": (detect("yolov8"), (OBB,), None, "expects probabilities", "oriented-box head"),
    "yolov8 of pose": (detect("yolov8"), (POSE,), None, "expects probabilities", "a pose head"),
    "yolov8 of seg": (detect("yolov8"), (SEG,), None, "expects probabilities", "task: raw"),
    "pose of fractions": (POSED, (POSE_FRACTIONS,), None, "all are smaller than 2 px", "set boxes: fractions"),
    "pose in fractions with points in pixels": (
        POSED | {"boxes": "fractions"}, (turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 1), points()),), None,
        "expects keypoints as fractions of the input, but they go from", ""),
    "pose in fractions of pixels": (
        POSED | {"boxes": "fractions"}, (turned(boxes(ANCHORS), scores(ANCHORS, 1), points()),), None, "expects boxes as fractions", ""),
    "instances of fractions": (
        {"task": "instances", "format": "yolov8"},
        (turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 2), RNG.normal(0, 1, (ANCHORS, 32))), np.zeros((1, 32, 80, 80))),
        ["a", "b"], "all are smaller than 2 px", "set boxes: fractions"),
    "instances in fractions of logits": (
        {"task": "instances", "format": "yolov8", "boxes": "fractions"},
        (turned(boxes(ANCHORS, 1 / SIDE), sigmoid_logits(ANCHORS, 2), RNG.normal(0, 1, (ANCHORS, 32))),
         np.zeros((1, 32, 80, 80))), None, "expects probabilities, but its scores go", ""),
    "yolov5 of RT-DETR": (detect("yolov5"), (joined(boxes(300, 1 / SIDE), scores(300, 3)),), None,
                          "all are smaller than 2 px", "RT-DETR's in one tensor"),
    "yolov5 of yolox": (detect("yolov5"), (joined(boxes(ANCHORS, 1 / SIDE) - 0.1, scores(ANCHORS, 5)),), None, "2 px", "YOLOX"),
    "yolox of decoded boxes": (detect("yolox"), (joined(boxes(ANCHORS), scores(ANCHORS, 5)),), None,
                               "logarithms of sizes, but they go up to", "try format: yolox_decoded"),
    "end_to_end of fractions": (detect("end_to_end"), (listed(1 / SIDE),), None, "2 px", "boxes go from 0 to 1"),
    "end_to_end of RT-DETR's two classes": (detect("end_to_end"), (joined(boxes(300, 1 / SIDE), scores(300, 2)),), None,
                                            "expects class numbers", "RT-DETR's in one tensor"),
    "end_to_end, swapped": (detect("end_to_end"), (listed()[..., [0, 1, 2, 3, 5, 4]],), None, "expects", "class before the score"),
    "end_to_end of sizes": (detect("end_to_end"), (np.concatenate([boxes(300)[None], listed()[..., 4:] + [[0.1, 0]]], 2),), None,
                            "expects corners", "not corners"),
    "end_to_end, more classes than labels": (detect("end_to_end"), (listed(),), ["a", "b"],
                                             "class numbers up to 4, but there are 2 labels", ""),
    "end_to_end, counted from 1": (detect("end_to_end"), (listed(),), ["a", "b", "c", "d"],
                                   "class numbers up to 4, but there are 4 labels, for 0 to 3", "labels: [background, …]"),
    "detr of sigmoids": (detect("detr"), RTDETR, None, "'no object'", "try format: rtdetr"),
    "rtdetr of a softmax": (detect("rtdetr"), DETR, None, "would be read as a class", "try format: detr"),
    "detr of probabilities": (detect("detr"), pair(boxes(100, 1 / SIDE), softmax(no_object(100, 6))), None,
                              "expects logits, but all scores are probabilities", ""),
    "rtdetr of pixels": (detect("rtdetr"), pair(boxes(300), sigmoid_logits(300, 6)), None,
                         "boxes as fractions of the input, but they go from", "boxes in pixels"),
    "rtdetr, four classes, logits first": (detect("rtdetr"), RTDETR[::-1], None, "boxes and scores swapped?", ""),
    "ssd of YOLO-NAS": (detect("ssd"), pair(corners(ANCHORS), scores(ANCHORS, 5)), None, "boxes as fractions", "YOLO-NAS"),
    "ssd of logits": (detect("ssd"), pair(corners(3000, 1 / SIDE), sigmoid_logits(3000, 5)), None, "expects probabilities", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE)
def test_what_cannot_be_right_is_said_with_the_likely_format(name):
    post, outputs, labels, said, named = FALSE[name]
    found = seen_by(post, *outputs, labels=labels, runs=2)
    problem = found.problem()
    assert problem.startswith("pipelines.only.postprocess.")
    assert said in problem
    assert named in problem
    with pytest.raises(ModelError) as e:
        found.settle(reduced=False)
    assert e.value.exit_code == 4
    # A reduced precision breaks numbers too, and that is a finding about it, not about the format.
    doubt = found.settle(reduced=True)[0]
    assert doubt.code == "implausible-outputs"
    assert doubt.text.startswith(problem)


def reached(unit, source_hw, reach, images=12, boxes_each=4, form="nms_tensors"):
    """Plausibility after so many pictures, whose boxes end at `reach` (x, y)."""
    names = ["output0", "output1", "output2"]
    rows = np.linspace(0.2, 1, boxes_each)[:, None] * f4([0, 0, *reach])
    outputs = f4(rows[None]), np.full((1, boxes_each), 0.9, np.float32), np.zeros((1, boxes_each), np.float32)
    found = seen_by(detect(form, boxes=unit, outputs=names), *outputs, runs=images)
    geometry = fit(source_hw, (SIDE, SIDE), "letterbox")
    for _ in range(images):
        found.add_reach([[o[0] for o in outputs]], [geometry])
    return found


@pytest.mark.parametrize(
    ("unit", "source_hw", "reach", "said"),
    [
        (
            "pixels",
            (1000, 1000),
            (900, 900),
            "pixels of the input, but they reach to 2.81 times its size.*boxes: source",
        ),
        ("source", (100, 100), (300, 300), "pixels of the picture, but they reach to 3 times its size.*boxes: pixels"),
        ("pixels", (1000, 1000), (330, 310), ""),
        # Of four boxes at each picture only one ends beyond.
        ("pixels", (1000, 1000), (500, 310), "reach to 1.56 times"),
        ("source", (1000, 1000), (990, 600), ""),
    ],
)
def test_boxes_that_lie_far_beyond_what_they_count_are_refused(unit, source_hw, reach, said):
    problem = reached(unit, source_hw, reach).problem()
    assert bool(problem) is bool(said)
    assert re.search(said, problem)


@pytest.mark.parametrize(
    ("unit", "source_hw", "reach", "images", "said"),
    [
        (
            "source",
            (1000, 1000),
            (310, 300),
            12,
            "48 boxes on 12 images all lie within the size of the input.*boxes: pixels",
        ),
        ("pixels", (100, 100), (99, 90), 12, "all lie within the size of the picture.*boxes: source"),
        ("source", (1000, 1000), (700, 300), 12, ""),
        # Too few to say anything, or pictures of about the input's size.
        ("source", (1000, 1000), (310, 300), 7, ""),
        ("source", (400, 400), (310, 300), 12, ""),
    ],
)
def test_boxes_that_never_leave_what_is_smaller_are_a_doubt(unit, source_hw, reach, images, said):
    doubts = [d for d in reached(unit, source_hw, reach, images).settle(reduced=False) if d.code == "boxes-unit"]
    assert bool(doubts) is bool(said)
    assert all(re.search(said, d.text) for d in doubts)


def test_one_sound_image_among_many_is_enough():
    """An image without objects says little, so all are looked at together."""
    tiny = turned(boxes(ANCHORS, 1 / SIDE), scores(ANCHORS, 4))
    found = seen_by(detect("yolov8"), tiny, runs=3)
    assert "3 images" in found.problem()
    found.add([V8], 1)
    assert found.problem() == ""


DOUBTS = [
    ("softmax", softmax(np.array([[3.0, 1, 2]])), "sum to 1 already: set activation: none"),
    ("sigmoid", softmax(np.array([[3.0, 1, 2]])), "sum to 1 already: set activation: none"),
    ("sigmoid", np.array([[0.9, 0.8, 0.1]]), "between 0 and 1 already: set activation: none"),
    ("none", np.array([[3.0, 1, -2]]), "these are logits; set activation: softmax"),
    (
        "softmax",
        np.array([[0.9, 0.8, 0.1]]),
        "sum to 1.8 to 1.8: a sigmoid's, of a model",
    ),
    ("softmax", np.array([[3.0, 1, -2]]), ""),
    ("none", softmax(np.array([[3.0, 1, 2]])), ""),
    ("none", np.array([[0.9, 0.8, 0.1]]), ""),
]


@pytest.mark.parametrize(("activation", "values", "said"), DOUBTS)
def test_an_activation_that_flattens_the_scores_is_a_warning(activation, values, said):
    doubts = seen_by({"task": "classify", "activation": activation}, values).settle(reduced=False)
    assert len(doubts) == bool(said)
    assert all(said in str(d) for d in doubts)


def test_a_users_own_postprocess_is_not_second_guessed():
    found = seen_by({"python": "mine:post"}, turned(boxes(ANCHORS), sigmoid_logits(ANCHORS, 4)))
    assert found.settle(reduced=False) == []


def test_a_background_that_is_none_is_a_warning():
    """Where the first column is a class, ssd would drop it."""
    sound = seen_by(detect("ssd"), *SSD)
    assert sound.doubts() == ()
    (doubt,) = seen_by(detect("ssd"), *pair(corners(3000, 1 / SIDE), scores(3000, 5))).settle(reduced=False)
    assert "drops column 0 of the scores as the background" in doubt.text


@pytest.mark.parametrize("form", [*tasks.FORMATS["detect"], None])
def test_whatever_a_model_gives_there_is_an_answer(form):
    rng = np.random.default_rng(1)
    for _ in range(40):
        sides = rng.choice([0, 1, 4, 5, 6, 7, 30], rng.integers(0, 4))
        outputs = [rng.normal(0, rng.choice([0.1, 50]), [1, *sides]).astype("f4") for _ in range(rng.integers(1, 4))]
        post = detect(form) | ({"anchors": "a.npy"} if form in tasks.ANCHORED else {}) if form else {"task": "classify"}
        found = seen_by(post, *outputs, labels=[None, ["a"]][rng.integers(2)])
        assert isinstance(found.problem(), str)
        assert all(isinstance(d, Warning) for d in found.doubts())


FOUR_CLASSES = {
    "rtdetr": pair(boxes(300, 1 / SIDE), sigmoid_logits(300, 4)),
    "detr": pair(boxes(100, 1 / SIDE), no_object(100, 4)),
    "ssd": pair(corners(3000, 1 / SIDE), softmax(RNG.normal(0, 1, (3000, 4)) + np.eye(1, 4) * 4)),
}


@pytest.mark.parametrize("form", FOUR_CLASSES)
def test_of_a_pair_of_four_columns_each_names_or_the_plan_say_which_are_the_boxes(form):
    boxes_first, scores_first = FOUR_CLASSES[form], FOUR_CLASSES[form][::-1]
    for post, outputs, names in [
        (detect(form), boxes_first, ["pred_boxes", "pred_logits"]),
        (detect(form), scores_first, ["pred_logits", "pred_boxes"]),
        (detect(form) | {"outputs": ["b", "a"]}, scores_first, ["a", "b"]),
    ]:
        found = seen_by(post, *outputs, names=names)
        assert not found.problem()
        assert not found.doubts()
    swapped = seen_by(detect(form) | {"outputs": ["a", "b"]}, *scores_first, names=["a", "b"])
    assert ("expects probabilities" if form == "ssd" else "boxes and scores swapped?") in swapped.problem()


def test_a_pair_that_turns_out_four_columns_wide_is_refused_where_not_even_numbers_say_which():
    assert not seen_by(detect("rtdetr"), *FOUR_CLASSES["rtdetr"]).problem(), "logits are no fractions"
    # Fractions and probabilities, and in each row the last two values are the larger ones: either may be the boxes.
    both = FOUR_CLASSES["ssd"][0].clip(0, 1), np.sort(FOUR_CLASSES["ssd"][1], axis=-1)
    found = seen_by(detect("ssd"), *both)
    with pytest.raises(ModelError, match="neither names nor numbers say which holds the boxes; name them in order"):
        found.settle(reduced=False)
    assert any(doubt.code == "undecided-outputs" for doubt in found.settle(reduced=True))
    told = seen_by(detect("ssd") | {"outputs": ["output0", "output1"]}, *both).settle(reduced=False)
    assert not any(doubt.code == "undecided-outputs" for doubt in told)
