"""A key that a plan may have changes something: of every task and format each key is refused by name, or read."""

import json

import cv2
import numpy as np
import onnxruntime
import pytest
from heads.all import HEADS, build
from pydantic import ValidationError

from seatrial.kernels.detection_formats import FORMATS
from seatrial.model.file import inspect_model
from seatrial.pipeline.build import build_pipeline
from seatrial.pipeline.decoders import decoder_of
from seatrial.plan import pipelines, tasks
from seatrial.plan.unread_keys import WITHOUT_NMS, drop_unread

# Another value than the default for each key, after which something has to differ, or the key is refused.
OTHER = {
    "confidence": 0.8,
    "iou": 0.01,
    "max_detections": 1,
    "class_agnostic": True,
    "boxes": None,  # tried one by one
    "anchors": "anchors.npy",
    "variances": [0.2, 0.3, 0.4, 0.5],
    "keypoints": [3, 2],
    "sigmas": [0.1, 0.2, 0.3, 0.4, 0.5],
    "nms": "polygon",
    "threshold": 0.9,
    "unclip_ratio": 0.1,
    "min_size": 60.0,
    "score_mode": "slow",
    "dilation": True,
    "blank": "last",
    "space": True,
    "activation": "sigmoid",
    "top_k": 1,
    "multi_label": True,
    "background": "first",
    "resize": "linear",
    "scale": 3.0,
    "shift": 3.0,
    "invert": True,
    "normalize": False,
    "labels": ["a", "b", "c"],
    "class_ids": "order",
}
# Read by others than the decoder: which of the model's outputs (outputs_read.py), and what classes are called.
ELSEWHERE = ("outputs", "labels", "class_ids")
LAYOUTS = [(task, form) for task, forms in tasks.FORMATS.items() for form in forms]
LAYOUTS += [(task, None) for task in ("classify", "dense", "embed", "raw")]
NEEDED = {
    "pose": {"keypoints": [5, 3]},
    "one_channel": {"activation": "none"},
    **{form: {"anchors": "anchors.npy"} for form in tasks.ANCHORED},
}


def post(task, form, **more):
    needed = NEEDED.get(task, {}) | NEEDED.get(form, {})
    return pipelines.Postprocess.model_validate({"task": task} | ({"format": form} if form else {}) | needed | more)


def why_refused(task, form, **more):
    try:
        post(task, form, **more)
    except ValidationError as e:
        return str(e)
    return ""


def test_every_key_is_tried():
    assert set(OTHER) | {"task", "format", "outputs"} == set(pipelines.Postprocess.model_fields)


def test_which_formats_drop_boxes_for_their_overlap_is_what_the_kernels_do():
    assert set(WITHOUT_NMS) == {name for name, form in FORMATS.items() if not form.needs_nms}


# By task and format, the keys that are read beside those that say where tensors and names come from.
OBJECT = {"confidence", "max_detections"}
READ = {
    "instances": OBJECT,
    "pose": OBJECT | {"keypoints", "sigmas"},
    "detect": OBJECT,
    "oriented": OBJECT,
    "classify": {"activation", "top_k", "background", "multi_label"},
    "dense": {"scale", "shift", "invert"},
    "embed": {"normalize"},
    "raw": set(),
}
OF_FORMAT = {
    "db": {"confidence", "max_detections", "threshold", "unclip_ratio", "min_size", "score_mode", "dilation", "activation"},
    "ctc": {"blank", "space", "activation"},
    "scores": {"resize"},
    "channels_last": {"resize"},
    "class_map": set(),
    "one_channel": {"resize", "threshold", "activation"},
    **dict.fromkeys(tasks.ANCHORED, OBJECT | {"anchors", "variances"}),
}  # fmt: skip


@pytest.mark.parametrize(("task", "form"), LAYOUTS)
def test_what_no_decoder_reads_is_refused_by_name(task, form):
    expected = set(OF_FORMAT.get(form, READ.get(task)))
    if task in tasks.OBJECTS and FORMATS[form].needs_nms:
        expected |= {"iou", "class_agnostic"} | ({"nms"} if task == "oriented" else set())
    if task not in tasks.WITHOUT_CLASSES:
        expected |= {"labels", "class_ids"}
    if form == "ctc":
        expected.add("labels")
    accepted = set()
    for key in set(OTHER) - {"boxes"}:
        more = {"activation": "softmax"} if key == "activation" and form == "ctc" else {key: OTHER[key]}
        more |= {"activation": "sigmoid"} if key == "multi_label" and task == "classify" else {}
        more |= {"keypoints": [3, 2]} if key == "keypoints" and task == "pose" else {}
        refused = why_refused(task, form, **more)
        assert not refused or f"'{key}'" in refused or f"{key} " in refused, (key, refused)
        accepted |= set() if refused else {key}
    # An activation that is the default anyway says nothing of itself.
    assert accepted - ({"activation"} if form == "ctc" else set()) == expected - (
        {"activation"} if form == "ctc" else set()
    )


@pytest.mark.parametrize("task", ["classify", "embed", "dense"])
def test_a_format_of_a_task_without_any_is_refused(task):
    with pytest.raises(ValidationError, match=f"task '{task}' takes no format; leave it out"):
        post(task, "yolov8")


def test_without_labels_a_classifier_has_no_threshold_and_a_tagger_has_its_decoders_own():
    with pytest.raises(ValidationError, match="the best classes, whatever their score; leave 'confidence' out"):
        post("classify", None, confidence=0.5)
    tagger = {"multi_label": True, "activation": "sigmoid"}
    assert decoder_of(post("classify", None, **tagger), "native").confidence == 0.5
    assert decoder_of(post("classify", None, **tagger, confidence=0.25), "native").confidence == 0.25


# One head a decoder of objects: noise among which much has a score of up to 0.05.
SAID = {}
for _name, _head in HEADS.items():
    if _head.post["task"] in tasks.OBJECTS:
        SAID.setdefault((_head.post["task"], id(FORMATS[_head.post["format"]])), _name)


@pytest.mark.parametrize("name", SAID.values())
def test_what_is_accepted_changes_what_is_found(tmp_path, name):
    """Of overlapping boxes and low scores each key drops or moves some."""
    build(name, tmp_path)
    plan = json.loads((tmp_path / "plan.yaml").read_text())
    spec = pipelines.Pipeline.model_validate(plan["pipelines"]["only"])
    # Boxes of the picture need one that is not moved.
    spec = spec.model_copy(update={"preprocess": spec.preprocess.model_copy(update={"mode": "stretch"})})
    own = spec.postprocess.model_dump(exclude_unset=True) | {"confidence": 0.03, "iou": 0.45, "max_detections": 5000}
    model = inspect_model(tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    pictures = sorted((tmp_path / "pictures").iterdir())

    def found(**keys):
        said = spec.model_copy(update={"postprocess": pipelines.Postprocess.model_validate(own | keys)})
        pipeline = build_pipeline("only", said, model, tmp_path)
        results = []
        for picture in pictures:
            feeds = pipeline.allocate(1)
            geometries = pipeline.preprocess([cv2.imread(str(picture))], feeds)
            results += pipeline.postprocess(session.run(None, feeds), geometries)
        return results

    before = found()
    units = [{"boxes": u} for u in tasks.BOXES.get(spec.postprocess.format, ()) if u != _unit(spec.postprocess)]
    tried = [
        {k: OTHER[k]} for k in ("confidence", "iou", "max_detections", "class_agnostic", "nms", "sigmas", "variances")
    ]
    accepted = []
    for keys in [*tried, *units]:
        try:
            after = found(**keys)
        except ValidationError:
            continue
        accepted.append(next(iter(keys)))
        assert any(not _alike(a, b) for a, b in zip(before, after, strict=True)), keys
    assert {"confidence", "max_detections"} <= set(accepted)


def _unit(said):
    return said.boxes or FORMATS[said.format].units[0]


def _alike(a, b):
    return all(np.array_equal(v, vars(b)[k]) for k, v in vars(a).items())


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ({"format": "yolov10"}, {"confidence", "labels"}),
        ({"format": "yolov10", "iou": 0.7}, {"confidence", "labels", "iou"}),
        ({"task": "classify", "format": None}, {"confidence", "labels"}),
        ({"confidence": 0.3}, {"confidence", "labels", "iou", "class_agnostic"}),
    ],
)
def test_what_is_only_inherited_and_not_read_is_left_behind(own, left):
    """Whoever extends a pipeline cannot leave out what stands in it; what it says itself is refused as ever."""
    base = {
        "task": "detect",
        "format": "yolov8",
        "confidence": 0.2,
        "iou": 0.7,
        "class_agnostic": True,
        "labels": ["a"],
    }
    merged = base | own
    drop_unread(merged, own)
    assert set(merged) - {"task", "format"} == left
