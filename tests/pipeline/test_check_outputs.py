"""What a model's file alone says against a postprocess, before anything runs."""

from pathlib import Path

import pytest

from seatrial.errors import ModelError
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.build import build_pipeline
from seatrial.plan import pipelines

IMAGE = TensorInfo("x", ("n", 3, 320, 320), "float32")


def built(post, *shapes, metadata=None, names=None, image=IMAGE, dtype="float32", folder=Path()):
    names = names or [f"output{i}" for i in range(len(shapes))]
    outputs = tuple(TensorInfo(n, s, dtype) for n, s in zip(names, shapes, strict=True))
    info = ModelInfo(Path("m.onnx"), (image,), outputs, metadata or {}, 17, 1, "")
    pre = {"size": [320, 320], "layout": "nhwc" if image.shape[-1] == 3 else "nchw"}
    spec = pipelines.Pipeline.model_validate({"model": "m.onnx", "preprocess": pre, "postprocess": post})
    return build_pipeline("only", spec, info, folder)


V8, V5, E2E = (
    {"task": "detect", "format": "yolov8"},
    {"task": "detect", "format": "yolov5"},
    {"task": "detect", "format": "end_to_end"},
)
OBB = {"task": "oriented", "format": "yolov8"}
POSE = {"task": "pose", "format": "yolov8", "keypoints": [17, 3]}
RTDETR = {"task": "detect", "format": "rtdetr"}
ABC = {"labels": ["a", "b", "c"]}
CAN = {
    "yolov8": (V8, [("n", 22, 2100)], {}),
    "yolov8, one label a class": (V8 | ABC, [("n", 7, 2100)], {}),
    "symbolic": (V8 | ABC, [("n", "rows", "anchors")], {}),
    "yolov5": (V5 | ABC, [("n", 6300, 8)], {}),
    "classify": ({"task": "classify"}, [("n", 10, 1, 1)], {}),
    "ultralytics": (V8, [("n", 7, 2100)], {"task": "detect", "names": "{0: 'a', 1: 'b', 2: 'c'}"}),
    "raw of a pose head": ({"task": "raw"}, [("n", 56, 2100)], {"task": "pose"}),
    "a map": ({"task": "segment"}, [("n", 21, 80, 80)], {}),
    "oriented boxes": (OBB | ABC, [("n", 8, 2100)], {"task": "obb"}),
    "oriented boxes, end to end": (OBB | {"format": "yolo26"} | ABC, [("n", 300, 7)], {"task": "obb"}),
    "a map of many classes": ({"task": "segment"}, [("n", 150, 32, 32)], {}),
    "a pair": (RTDETR, [("n", 300, 80), ("n", 300, 4)], {}),
    "older RT-DETR": (
        {"task": "detect", "format": "rtdetr_joined"},
        [("n", 300, 84)],
        {"task": "detect", "head": "RTDETRDecoder"},
    ),
    "newer RT-DETR": (
        {"task": "detect", "format": "rtdetr_end_to_end"},
        [("n", 300, 6)],
        {"task": "detect", "head": "RTDETRDecoder", "names": "{0: 'a', 1: 'b', 2: 'c'}"},
    ),
    "rtdetr_joined of 365 classes": ({"task": "detect", "format": "rtdetr_joined"}, [("n", 300, 369)], {}),
    "a list of the batch": ({"task": "detect", "format": "yolov7_end_to_end"}, [("m", 7)], {}),
    "a pair with names": (RTDETR | {"outputs": ["output1", "output0"]}, [("n", 300, 4), ("n", 300, 4)], {}),
}


@pytest.mark.parametrize("name", CAN)
def test_what_may_be_right_is_built(name):
    post, shapes, metadata = CAN[name]
    built(post, *shapes, metadata=metadata)


NAMES = {"names": "{0: 'a', 1: 'b', 2: 'c'}"}
CANNOT = {
    "yolov5 of [1, 22, 2100]": (V5, [(1, 22, 2100)], {}, "anchors and classes look swapped; did you mean yolov8"),
    "classify of [1, 22, 2100]": ({"task": "classify"}, [(1, 22, 2100)], {}, "one row of scores an image.*try format: yolov8"),
    "classify of a map": ({"task": "classify"}, [(1, 5, 40, 40)], {}, "one row of scores an image"),
    "3 labels for 18 classes": (V8 | ABC, [(1, 22, 2100)], {}, "reads 18 classes from the head, but there are 3 labels"),
    "3 labels for 18 classes, yolov5": (V5 | ABC, [(1, 6300, 23)], {}, "reads 18 classes.*3 labels"),
    "the model's own labels": (V8, [(1, 7, 2100)], {"names": "{0: 'a', 1: 'b'}"}, r"reads 3 classes.*2 labels.*\(obb\)"),
    "end_to_end of an obb head": (E2E, [(1, 300, 7)], {}, "end_to_end, which reads one tensor"),
    "a pose head": (V8, [(1, 56, 2100)], {"task": "pose"}, "its metadata says task 'pose'"),
    "an oriented head": (V8, [(1, 7, 2100)], {"task": "obb"}, "task 'obb'; set task: oriented"),
    "a detector as an oriented head": (OBB, [(1, 7, 2100)], {"task": "detect"}, "task 'detect'; set task: detect"),
    "no room for an angle": (OBB | ABC, [(1, 7, 2100)], {}, "reads 2 classes from the head, but there are 3 labels"),
    "an oriented head turned": (OBB, [(1, 2100, 8)], {}, "with an angle behind, but .* look swapped"),
    "end to end without an angle": (OBB | {"format": "yolo26"}, [(1, 300, 6)], {},
                                     "with an angle behind, but .* these are boxes and classes alone: .* or set task: detect"),
    "boxes alone as a segment head": ({"task": "instances", "format": "yolov8"}, [(1, 7, 2100)], {"task": "segment", **NAMES},
                                      "these are boxes and classes alone: export .* take 'task' .segment. out of the file's"),
    "boxes alone as a pose head": ({"task": "pose", "format": "yolov8", "keypoints": [17, 3]}, [(1, 7, 2100)],
                                   {"task": "pose", **NAMES}, "with keypoints behind, but .* boxes and classes alone: export"),
    "boxes alone as an obb head": (OBB, [(1, 7, 2100)], {"task": "obb", **NAMES}, "boxes and classes alone: export"),
    "boxes alone, whose metadata has masks": (V8, [(1, 7, 2100)], {"task": "segment", **NAMES},
                                              "its outputs are boxes and classes alone; export it with what task instances"),
    "a segment head": (V8 | {"outputs": ["output0"]}, [(1, 38, 2100)], {"task": "segment"}, "task 'segment'; set task: instances"),
    "RT-DETR as yolov5": (V5, [(1, 300, 84)], {"task": "detect", "head": "RTDETRDecoder"}, "names RT-DETR"),
    "RT-DETR as end_to_end": (E2E, [(1, 300, 6)], {"task": "detect", "description": "Ultralytics rtdetr-l"}, "names RT-DETR"),
    "a classifier as a detector": (V8, [(1, 7, 2100)], {"task": "classify"}, "set task: classify"),
    "a detector as an embedding": ({"task": "embed"}, [(1, 7, 2100)], {"task": "detect"}, "set task: detect"),
    "a map of one channel": ({"task": "segment"}, [(1, 1, 80, 80)], {}, "two channels or more.*set format: one_channel for a mask"),
    "a map, channels last": ({"task": "segment"}, [(1, 80, 80, 5)], {}, "its channels last: set format: channels_last"),
    "older RT-DETR as the newer": ({"task": "detect", "format": "rtdetr_end_to_end"}, [(1, 300, 84)],
                                   {"task": "detect", "head": "RTDETRDecoder"}, "set format: rtdetr_joined"),
    "YOLOv7's list as one of images": ({"task": "detect", "format": "detections_flat"}, [("m", 7)], {}, r"reads one tensor.*name another"),
    "more keypoints than columns": (POSE, [(1, 14, 2100)], {}, r"of its 14 numbers an anchor, a box takes 4 and keypoints: \[17, 3\] "
                                    "takes 51: no class is left; is postprocess.keypoints right"),
    "more keypoints, and one label": (POSE | {"labels": ["a"]}, [(1, 14, 2100)], {}, r"no class is left; with 1 class .* a pose "
                                      r"head.*; set task: pose, format: yolov8, keypoints: \[3, 3\]"),
    "no class": (V8, [(1, 4, 2100)], {}, "a box takes 4: no class is left; name another format"),
    "a pose head as a detector": (V8 | {"labels": ["a"]}, [(1, 14, 2100)], {}, r"reads 10 classes .* 1 label.*with 1 class it looks "
                                  r"like a pose head.*set task: pose, format: yolov8, keypoints: \[3, 3\]; or give a label"),
    "an instance head as a detector": (V8, [(1, 15, 2100), (1, 8, 80, 80)], {}, "instance segmentation's.*set task: instances, "
                                       "format: yolov8; or name another format, or the outputs to read"),
    "its list alone": (V8 | ABC | {"outputs": ["output0"]}, [(1, 15, 2100), (1, 8, 80, 80)], {}, "reads 11 classes.*with 3 classes it "
                       "looks like an instance segmentation's.*set task: instances, format: yolov8"),
    "three tensors of two": ({"task": "detect", "format": "mmdet"}, [(1, 100, 4), (1, 100), (1, 100)], {}, "reads dets"),
    "scores or classes": ({"task": "detect", "format": "nms_tensors"}, [(1, 100, 4), (1, 100), (1, 100)], {},
                          r"neither names nor types say.*outputs: \[boxes, scores, classes\]"),
    "anchors last as anchors first": ({"task": "detect", "format": "yolov8_turned"}, [(1, 22, 2100)], {}, "look swapped"),
    "four classes": (RTDETR, [("n", 300, 4), ("n", 300, 4)], {}, r"alike.*outputs: \[boxes, scores\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_right_is_refused_before_a_run(name):
    post, shapes, metadata, said = CANNOT[name]
    with pytest.raises(ModelError, match=said):
        built(post, *shapes, metadata=metadata)


@pytest.mark.parametrize(
    ("names", "boxes"),
    [(("logits", "pred_boxes"), "pred_boxes"), (("dets", "labels"), "dets"), (("conf", "loc"), "loc")],
)
def test_with_four_classes_the_names_tell_which_tensor_holds_the_boxes(names, boxes):
    """Logits before boxes were read as boxes."""
    import numpy as np

    from seatrial.kernels.geometry import Geometry

    logits, fractions = np.full((1, 300, 4), -6, np.float32), np.full((1, 300, 4), 0.5, np.float32)
    logits[0, 0, 2] = 2
    pipeline = built(RTDETR, ("n", 300, 4), ("n", 300, 4), names=names)
    outputs = [fractions if n == boxes else logits for n in names]
    (found,) = pipeline.postprocess(outputs, [Geometry((320, 320), (320, 320), (320, 320), 0, 0)])
    assert found.boxes_xyxy.tolist() == [[80, 80, 240, 240]]
    assert found.class_ids.tolist() == [2]


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("float64", "takes float64, and the built-in preprocess gives"),
        ("int64", "takes int64"),
        ("bfloat16", "NumPy does not have"),
    ],
)
def test_an_input_that_the_preprocess_cannot_feed_is_told_with_the_cure(dtype, said):
    """It said 'set dtype: bfloat16', which the plan does not take."""
    with pytest.raises(ModelError, match=said):
        built({"task": "raw"}, ("n", 7, 2100), image=TensorInfo("x", ("n", 3, 320, 320), dtype))


@pytest.mark.parametrize(
    ("dtype", "said"), [("sequence", "holds a value of type sequence"), ("bfloat16", "NumPy does not have")]
)
def test_an_output_that_is_no_array_is_told_before_a_run(dtype, said):
    with pytest.raises(ModelError, match=said):
        built({"task": "raw"}, ("n", 7, 2100), dtype=dtype)
