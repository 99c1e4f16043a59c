"""Classes of a head from the shapes in the model's file, and labels that are not as many."""

from pathlib import Path

import pytest

from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.class_count import check_labels, head_classes
from seatrial.plan import pipelines


def model(*shapes, **metadata):
    outputs = tuple(TensorInfo(f"o{i}", shape, "float32") for i, shape in enumerate(shapes))
    return ModelInfo(Path("m.onnx"), (), outputs, metadata, 17, 0, "")


def pipeline(task, **post):
    return pipelines.Pipeline.model_validate(
        {"model": "m.onnx", "preprocess": {"size": [8, 8]}, "postprocess": {"task": task, **post}}
    )


BOXES = (1, 100, 4)
COUNTS = [
    ("detect", "yolov8", [(1, 84, 8400)], 80),
    ("detect", "yolo11", [("batch", 84, "anchors")], 80),
    ("detect", "yolov8", [(1, "rows", 8400)], None),
    ("detect", "yolov8", [(1, 4, 8400)], None),
    ("detect", "yolov5", [(1, 25200, 85)], 80),
    ("detect", "yolox", [(1, 3549, 6)], 1),
    ("detect", "detr", [BOXES, (1, 100, 92)], 91),
    ("detect", "detr", [(1, 100, 92), BOXES], 91),
    ("detect", "detr", [("b", 100, 4), ("b", 100, "n")], None),
    ("detect", "ssd", [BOXES, (1, 100, 91)], 90),
    ("detect", "rtdetr", [BOXES, (1, 100, 80)], 80),
    ("detect", "rtdetr", [BOXES, (1, 100, 4)], 4),
    ("detect", "end_to_end", [(1, 300, 6)], None),
    ("detect", "yolov8_turned", [(1, 8400, 84)], 80),
    ("detect", "yolov8_logits", [(1, 84, 8400)], 80),
    ("detect", "rtdetr_joined", [(1, 300, 84)], 80),
    ("detect", "rtdetr_end_to_end", [(1, 300, 6)], None),
    ("detect", "yolonas", [(1, 100, 80), BOXES], 80),
    ("detect", "damoyolo", [BOXES, (1, 100, 4)], 4),
    ("detect", "ppyoloe", [BOXES, (1, 80, 100)], 80),
    ("detect", "ppyoloe", [BOXES, (1, "classes", 100)], None),
    ("detect", "nanodet", [(1, 3598, 112)], 80),
    ("detect", "picodet", [(1, n, w) for w in (80, 32) for n in (1600, 400, 100, 25)], 80),
    ("detect", "nms_tensors", [BOXES, (1, 100), (1, 100)], None),
    ("detect", "yolov7_end_to_end", [("n", 7)], None),
    ("classify", None, [(1, 1001)], 1001),
    ("classify", None, [(1, "n")], None),
    ("classify", None, [("b", 1000, 1, 1)], 1000),
    ("classify", None, [(1, 10), (1, 3)], 10),
    ("classify", None, [()], None),
    ("segment", None, [(1, 21, 64, 64)], 21),
    ("segment", None, [(1, 64, 64)], None),
    ("segment", None, [("b", 21, "h", "w"), (1, 2)], 21),
    ("embed", None, [(1, 512)], None),
    ("raw", None, [(1, 84, 8400)], None),
]


@pytest.mark.parametrize(("task", "form", "shapes", "count"), COUNTS, ids=range(len(COUNTS)))
def test_a_heads_classes_are_counted(task, form, shapes, count):
    assert head_classes(pipeline(task, **({"format": form} if form else {})).postprocess, model(*shapes)) == count


def test_only_the_outputs_that_the_plan_names_count():
    spec = pipeline("detect", format="yolov8", outputs=["o1"])
    assert head_classes(spec.postprocess, model((1, 32, 16, 16), (1, 7, 84))) == 3
    boxes_last = pipeline("detect", format="rtdetr", outputs=["o1", "o0"])
    assert head_classes(boxes_last.postprocess, model((1, 100, 4), (1, 100, 4))) == 4


def test_the_users_own_stage_says_nothing():
    spec = pipelines.Pipeline.model_validate(
        {"model": "m.onnx", "preprocess": {"size": [8, 8]}, "postprocess": {"python": "a:b", "labels": ["x"]}}
    )
    assert head_classes(spec.postprocess, model((1, 5))) is None
    check_labels("p", spec, model((1, 5)), ["x"])


# Task, format, shapes, labels, metadata; then words of the refusal, the likely cure among them.
UNLIKE = [
    ("detect", "yolov8", [(1, 7, 84)], 2, {}, ["names 2 classes", "head has 3", "one class more than labels is often a background"]),
    ("classify", None, [(1, 1001)], 1000, {}, ["names 1000 classes", "head has 1001", "background class"]),
    ("detect", "detr", [BOXES, (1, 100, 92)], 80, {}, ["80 classes", "head has 91", "COCO's category ids do, with gaps"]),
    ("detect", "detr", [BOXES, (1, 100, 92)], 92, {}, ["92 classes", "head has 91", "the last column, 'no object'"]),
    ("detect", "ssd", [BOXES, (1, 100, 21)], 21, {}, ["21 classes", "head has 20", "leaves out background's column"]),
    ("detect", "yolov8", [(1, 22, 2100)], 3, {}, ["3 classes", "head has 18", "one label a class, 18 in all"]),
    ("detect", "yolov8", [(1, 38, 84)], 2, {"task": "segment"}, ["head has 34", "metadata says task 'segment'"]),
    ("segment", None, [(1, 21, 8, 8)], 20, {}, ["20 classes", "head has 21"]),
]  # fmt: skip


@pytest.mark.parametrize(("task", "form", "shapes", "given", "metadata", "said"), UNLIKE, ids=range(len(UNLIKE)))
def test_labels_that_are_not_as_many_are_refused(task, form, shapes, given, metadata, said):
    spec = pipeline(task, **({"format": form} if form else {}))
    with pytest.raises(ModelError) as e:
        check_labels("pipelines.a", spec, model(*shapes, **metadata), [str(i) for i in range(given)])
    for words in said:
        assert words in str(e.value)


def test_the_plans_own_labels_are_named():
    spec = pipeline("classify", labels=["a", "b"])
    with pytest.raises(
        ModelError, match=r"pipelines\.a\.postprocess\.labels has 2 classes, but the model's head has 3"
    ):
        check_labels("pipelines.a", spec, model((1, 3)), ["a", "b"])
    check_labels("pipelines.a", spec, model((1, 2)), ["a", "b"])
    check_labels("pipelines.a", spec, model((1, "n")), ["a", "b"])
    check_labels("pipelines.a", spec, model((1, 3)), None)
