"""Which head a model has. Each case is an export as it is described in public; each was once ticked for another."""

import re
from pathlib import Path

import numpy as np
import pytest

from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.plan.heads import HEADS, against_metadata, recognise
from seatrial.plan.seen import Seen, observe

F = np.float32
RNG = np.random.default_rng(5)
SIDE = 320
ANCHORS = 2100  # of a 320 × 320 input at strides 8, 16 and 32


def boxes(count, scale=1.0):
    """Centre and size in pixels, spread over the input."""
    centre = RNG.uniform(0, SIDE, (count, 2))
    return np.concatenate([centre, RNG.uniform(4, SIDE / 2, (count, 2))], axis=1) * scale


def corners(count, scale=1.0):
    b = boxes(count)
    return np.concatenate([b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], axis=1) * scale


def scores(count, classes, most=0.9):
    """Low everywhere, and high for three objects."""
    s = RNG.uniform(0, 0.02, (count, classes))
    for i in range(3):
        s[i, i % classes] = most
    return s


def logits(count, classes, lowest=-6.0):
    s = RNG.uniform(lowest - 1, lowest + 1, (count, classes))
    for i in range(3):
        s[i, i % classes] = 2.0
    return s


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def joined(*parts):
    return np.concatenate(parts, axis=1)[None].astype(np.float32)


def keypoints(count, points=17, values=3):
    """x and y over the input, and where there are three values how sure each is."""
    whole = np.concatenate([RNG.uniform(0, SIDE, (count, points, 2)), RNG.uniform(0, 1, (count, points, 1))], axis=2)
    return whole[..., :values].reshape(count, -1)


def listed(count=300, found=5, scale=1.0, more=0, classes=9):
    """(detections, 6 + more): corners, score, class number."""
    rows = np.zeros((count, 6 + more))
    rows[:found, :4] = corners(found, scale)
    rows[:found, 4] = np.linspace(0.9, 0.3, found)
    rows[:found, 5] = RNG.integers(0, classes, found)
    rows[:found, 6:] = RNG.normal(0, 40, (found, more))
    return rows


def chosen(count, classes):
    """A score and a class number a row, the best first."""
    return np.stack([np.linspace(0.9, 0.01, count), RNG.integers(0, classes, count)], axis=1)


def after_nms(found, scale=1.0, most=0.9):
    """Corners, scores and class numbers in a tensor each, with a batch of one."""
    rows = listed(found, found, scale)
    return {"det_boxes": rows[None, :, :4].astype(F), "det_scores": (rows[None, :, 4] * most / 0.9).astype(F),
            "det_classes": rows[None, :, 5].astype(np.int64)}  # fmt: skip


def turned_boxes(count=300, found=5):
    """(detections, 7): centre, size, score, class number, angle."""
    rows = listed(count, found, more=1)
    rows[:found, :4], rows[:found, 6] = boxes(found), np.linspace(-0.7, 2.3, found)
    return rows


def offsets(count):
    """YOLOX's: a cell's offset, and logarithms of sizes in strides."""
    return np.concatenate([RNG.uniform(-1, 2, (count, 2)), RNG.uniform(-2, 3, (count, 2))], axis=1)


def no_object(count, classes):
    """DETR's logits: the last column wins wherever nothing is."""
    s = RNG.normal(0, 1, (count, classes + 1))
    s[:, -1] = 9
    s[:3, -1] = -2
    s[:3, 0] = 8
    return s


def background_first(count, classes):
    s = RNG.normal(0, 1, (count, classes + 1))
    s[3:, 0] = 9
    s[:3, 1] = 8
    return softmax(s)


def info(outputs, metadata=None, batch="batch", out_batch="batch", side=SIDE, labels=0):
    """A model's facts: outputs by name, as arrays with a batch of one."""
    names = {"names": str({i: f"kind{i}" for i in range(labels)})} if labels else {}
    tensors = tuple(
        TensorInfo(name, (out_batch, *a.shape[1:]) if a.ndim else (), a.dtype.name) for name, a in outputs.items()
    )
    image = TensorInfo("images", (batch, 3, side, side), "float32")
    return ModelInfo(Path("m.onnx"), (image,), tensors, names | (metadata or {}), 17, 1, "sha256:0")


def seen(outputs):
    return observe(list(outputs), [(list(outputs.values()), 1)])


ULTRALYTICS = {"stride": "32", "task": "detect"}
RTDETR = ULTRALYTICS | {"description": "Ultralytics rtdetr-l model"}


def one(array):
    return {"output0": array.astype(F)}


def turned(array):
    return np.ascontiguousarray(array.transpose(0, 2, 1))


def pair(first, second, names=("pred_boxes", "logits")):
    return {names[0]: first[None].astype(F), names[1]: second[None].astype(F)}


def key_of(head):
    return next(k for k, h in HEADS.items() if h is head)


A, Q = ANCHORS, 300
POSE = {"task": "pose", "kpt_shape": "[17, 3]"}
PROTOTYPES = {"output1": np.zeros((1, 32, 80, 80), F)}
UNIT = RNG.normal(0, 1, (1, 100))
UNIT /= np.linalg.norm(UNIT)
# name: outputs, labels, metadata, head, whether it is ticked
CASES = {
    "yolov8 by Ultralytics": (one(turned(joined(boxes(A), scores(A, 3)))), 3, ULTRALYTICS, "yolov8", True),
    "yolov8 without metadata": (one(turned(joined(boxes(A), scores(A, 3)))), 0, {}, "yolov8", False),
    "yolov8 whose picture was empty": (one(np.zeros((1, 7, A))), 0, {}, "yolov8", False),
    "yolov8 whose picture was empty, labelled": (one(np.zeros((1, 7, A))), 3, {}, "yolov8", False),
    "corners in yolov8's rows": (one(turned(joined(corners(A), scores(A, 3)))), 3, {}, "yolov8", False),
    "corners in yolov5's columns": (one(joined(corners(3 * A), scores(3 * A, 1), scores(3 * A, 4))), 4, {}, "yolov5", False),
    "end-to-end that found one": (one(listed(found=1)[None]), 0, {}, "end_to_end", False),
    "yolov8 with boxes from 0 to 1": (one(turned(joined(boxes(A, 1 / SIDE), scores(A, 3)))), 3, {}, "yolov8_fractions", False),
    "yolov8 with logits": (one(turned(joined(boxes(A), logits(A, 3)))), 3, {}, "yolov8_logits", False),
    "yolov8 with anchors first": (one(joined(boxes(A), scores(A, 3))), 3, {}, "yolov8_turned", False),
    "yolov8 of 18 classes with 3 labels": (one(turned(joined(boxes(A), scores(A, 18)))), 3, {}, "unknown", False),
    "pose": (one(turned(joined(boxes(A), scores(A, 1), keypoints(A)))), 1, {}, "pose", False),
    "pose without labels": (one(turned(joined(boxes(A), scores(A, 1), keypoints(A)))), 0, {}, "pose", False),
    "pose of two values a point": (one(turned(joined(boxes(A), scores(A, 3), keypoints(A, 4, 2)))), 3, {}, "pose", False),
    "pose by Ultralytics": (one(turned(joined(boxes(A), scores(A, 1), keypoints(A)))), 1, POSE, "pose", True),
    "pose by Ultralytics, keypoints in cells": (
        one(turned(joined(boxes(A), scores(A, 1), keypoints(A) / np.tile([8, 8, 1], 17)))), 1, POSE, "pose", False),
    "yolo26-pose by Ultralytics, keypoints in cells": (
        one(np.concatenate([listed(), keypoints(300) / np.tile([8, 8, 1], 17) * (np.arange(300)[:, None] < 5)], 1)[None]), 9, POSE,
        "pose_end_to_end", False),
    "pose in fractions": (
        one(turned(joined(boxes(A, 1 / SIDE), scores(A, 1), keypoints(A) / np.tile([SIDE, SIDE, 1], 17)))), 1, POSE,
        "pose_fractions", False),
    "a softmax a step": (one(softmax(RNG.normal(0, 2, (1, 64, 12)))), 0, {}, "ctc_nameless", False),
    "a softmax a step, labelled": (one(softmax(RNG.normal(0, 2, (1, 64, 12)))), 12, {}, "ctc_nameless", False),
    "a softmax a step without a batch": (one(softmax(RNG.normal(0, 2, (64, 12)))), 12, {}, "ctc_without_batch", False),
    "a softmax a pixel": (one(softmax(RNG.normal(0, 2, (1, 40, 40, 3))).transpose(0, 3, 1, 2)), 3, {}, "segment", True),
    "logits a pixel": (one(RNG.normal(0, 2, (1, 3, 40, 40))), 3, {}, "segment", True),
    "heat maps": (one(RNG.uniform(0, 1, (1, 3, 40, 40)) ** 20), 3, {}, "segment", False),
    "heat maps as logits": (one(RNG.normal(-6, 1, (1, 3, 40, 40))), 3, {}, "segment", False),
    "pose with another kpt_shape": (one(turned(joined(boxes(A), scores(A, 1), keypoints(A, 5)))), 1, POSE, "pose_other", False),
    "pose with a broken kpt_shape": (one(turned(joined(boxes(A), scores(A, 1), keypoints(A)))), 1, POSE | {"kpt_shape": "17"}, "pose", False),
    "yolo26-pose by Ultralytics": (one(np.concatenate([listed(), keypoints(300)], 1)[None]), 9, POSE, "pose_end_to_end", True),
    "yolo26-pose without metadata": (one(np.concatenate([listed(), keypoints(300)], 1)[None]), 0, {}, "pose_end_to_end", False),
    "yolo26-seg by Ultralytics": (one(listed(more=32)[None]) | PROTOTYPES, 9, {"task": "segment"}, "instances_end_to_end", True),
    "yolov8-seg by Ultralytics": (one(turned(joined(boxes(A), scores(A, 2), RNG.normal(0, 1, (A, 32))))) | PROTOTYPES,
                                  2, {"task": "segment"}, "instances", True),
    "yolov5-seg by its metadata": (one(joined(boxes(3 * A), scores(3 * A, 5), RNG.normal(0, 1, (3 * A, 32)))) | PROTOTYPES,
                                   4, {"task": "segment"}, "instances_yolov5", True),
    "yolov8-seg whose labels are too few": (one(turned(joined(boxes(A), scores(A, 4), RNG.normal(0, 1, (A, 32))))) | PROTOTYPES,
                                            2, {"task": "segment"}, "instances_other", False),
    "pose by its metadata": (one(turned(joined(boxes(A), scores(A, 1)))), 1, {"task": "pose"}, "pose_other", False),
    "obb": (one(turned(joined(boxes(A), scores(A, 2), RNG.uniform(-0.7, 2.3, (A, 1))))), 2, {}, "obb", False),
    "obb without labels": (one(turned(joined(boxes(A), scores(A, 2), RNG.uniform(-0.7, 2.3, (A, 1))))), 0, {}, "obb", False),
    "segment": ({"output0": turned(joined(boxes(A), scores(A, 2), RNG.normal(0, 1, (A, 32)))),
                 "output1": np.zeros((1, 32, 80, 80), F)}, 2, {}, "instances", False),
    "segment by its metadata": (one(turned(joined(boxes(A), scores(A, 2)))), 2, {"task": "segment"}, "instances_other", False),
    "yolov5": (one(joined(boxes(3 * A), scores(3 * A, 1), scores(3 * A, 4))), 4, {"stride": "32"}, "yolov5", True),
    "yolov5 without labels": (one(joined(boxes(3 * A), scores(3 * A, 1), scores(3 * A, 4))), 0, {}, "yolov5", False),
    "yolov5 with its levels": (one(joined(boxes(3 * A), scores(3 * A, 1), scores(3 * A, 4)))
                               | {f"l{i}": np.zeros((1, 3, s, s, 9), F) for i, s in enumerate((40, 20, 10))},
                               4, {}, "yolov5", False),
    "yolov5 with boxes from 0 to 1": (one(joined(boxes(3 * A, 1 / SIDE), scores(3 * A, 5))), 4, {}, "yolov5_fractions", False),
    "yolov5-seg": (one(joined(boxes(3 * A), scores(3 * A, 5), RNG.uniform(0, 1, (3 * A, 32)))), 4, {}, "instances_other", False),
    "yolov7-face": (one(joined(boxes(3 * A), scores(3 * A, 1), boxes(3 * A), boxes(3 * A)[:, :1])), 1, {}, "pose_other", False),
    "yolov6, decoded in YOLOX's grid": (one(joined(boxes(A), np.ones((A, 1)), scores(A, 4))), 4, {}, "yolox_decoded", True),
    "yolox": (one(joined(offsets(A), scores(A, 1), scores(A, 4))), 0, {}, "yolox", False),
    "only levels": ({f"l{i}": np.zeros((1, 255, s, s), F) for i, s in enumerate((40, 20, 10))}, 0, {}, "levels", False),
    "a mask and its side outputs": ({f"d{i}": RNG.uniform(0, 1, (1, 1, 64, 64)).astype(F) for i in range(7)}, 0, {}, "one_channel", False),
    "older RT-DETR": (one(joined(boxes(Q, 1 / SIDE), scores(Q, 3))), 3, RTDETR, "rtdetr_joined", True),
    "older RT-DETR without its name": (one(joined(boxes(Q, 1 / SIDE), scores(Q, 3))), 3, ULTRALYTICS, "rtdetr_joined", False),
    "older RT-DETR of two classes": (one(joined(boxes(Q, 1 / SIDE), scores(Q, 2))), 0, {}, "rtdetr_joined", False),
    "older RT-DETR with labels for more": (one(joined(boxes(Q, 1 / SIDE), scores(Q, 3))), 5, RTDETR, "rtdetr_joined", False),
    "older RT-DETR of two classes, named": (one(joined(boxes(Q, 1 / SIDE), scores(Q, 2))), 2, RTDETR, "rtdetr_joined", False),
    "newer RT-DETR": (one(joined(boxes(Q, 1 / SIDE), chosen(Q, 9))), 9, RTDETR, "rtdetr_end_to_end", True),
    "newer RT-DETR of two classes": (one(joined(boxes(Q, 1 / SIDE), chosen(Q, 2))), 2, RTDETR, "rtdetr_end_to_end", False),
    "newer RT-DETR in pixels": (one(joined(boxes(Q), chosen(Q, 9))), 9, RTDETR, "rtdetr_end_to_end", False),
    "newer RT-DETR without its name": (one(joined(boxes(Q, 1 / SIDE), chosen(Q, 9))), 9, ULTRALYTICS, "rtdetr_end_to_end", False),
    "end-to-end, corners from 0 to 1": (one(listed(scale=1 / SIDE)[None]), 9, ULTRALYTICS, "end_to_end_fractions", False),
    "yolo26": (one(listed()[None]), 9, ULTRALYTICS, "end_to_end", True),
    "yolov10 without metadata": (one(listed()[None]), 0, {}, "end_to_end", True),
    "end-to-end that found nothing": (one(np.zeros((1, 300, 6))), 9, ULTRALYTICS, "end_to_end", False),
    "end-to-end, class before score": (one(listed()[None][..., [0, 1, 2, 3, 5, 4]]), 0, {}, "end_to_end_swapped", False),
    "end-to-end, centre and size": (one(np.concatenate([boxes(5), listed()[:5, 4:]], 1)[None] * 1.0), 0, {}, "end_to_end_sizes", False),
    "end-to-end with pixels behind": (one(listed(more=1)[None]), 0, {}, "end_to_end_more", False),
    "yolo26-pose": (one(listed(more=51)[None]), 0, {}, "end_to_end_more", False),
    "yolov7 end2end": (one(np.concatenate([np.zeros((5, 1)), listed(5)[:, [0, 1, 2, 3, 5, 4]]], 1)), 0, {}, "yolov7_end_to_end", False),
    "yolov7 end2end that found one": (
        one(np.concatenate([np.zeros((1, 1)), listed(1, 1)[:, [0, 1, 2, 3, 5, 4]]], 1)), 0, {}, "yolov7_end_to_end", False),
    "yolov7 end2end that found nothing": (one(np.zeros((0, 7))), 0, {}, "yolov7_end_to_end", False),
    "yolov7 end2end's look, score before class": (one(np.concatenate([np.zeros((5, 1)), listed(5)], 1)), 0, {}, "yolonas_flat", False),
    "YOLO-NAS, flat": ({"graph2_flat_predictions": np.zeros((0, 7), F)}, 0, {}, "yolonas_flat", False),
    "detections without a batch": (one(listed(5)), 0, {}, "detections_flat", False),
    "rows of class and score": (one(listed(5)[:, [5, 4, 0, 1, 2, 3]]), 0, {}, "paddle", False),
    "PaddleDetection": ({"a": listed(5)[:, [5, 4, 0, 1, 2, 3]].astype(F), "b": np.array([5], np.int32)}, 0, {}, "paddle", False),
    "rows and counts in another order": ({"a": listed(5).astype(F), "b": np.array([5], np.int32)}, 0, {}, "unknown", False),
    "EfficientNMS": ({"num_dets": np.zeros((1, 1), np.int32), "det_boxes": np.zeros((1, 100, 4), F),
                      "det_scores": np.zeros((1, 100), F), "det_classes": np.zeros((1, 100), np.int32)}, 0, {}, "nms_tensors", False),
    "EfficientNMS with boxes from 0 to 1": (
        {"num_dets": np.array([[5]], np.int32), **after_nms(5, scale=1 / SIDE)}, 0, {}, "nms_tensors_fractions", False),
    "EfficientNMS with scores above 1": ({"num_dets": np.array([[5]], np.int32), **after_nms(5, most=40)}, 0, {}, "unknown", False),
    "torchvision": ({k: v[0] for k, v in after_nms(5).items()}, 0, {}, "nms_tensors", False),
    "TensorFlow": ({"detection_boxes": corners(5, 1 / SIDE)[None].astype(F), "detection_classes": np.ones((1, 5), F),
                    "detection_scores": np.full((1, 5), 0.5, F), "num_detections": np.array([5], F),
                    "raw_detection_boxes": np.zeros((1, 900, 4), F), "raw_detection_scores": np.zeros((1, 900, 9), F)},
                   0, {}, "nms_tensors_yxyx", False),
    "mmdetection": ({"dets": np.zeros((1, 100, 5), F), "labels": np.zeros((1, 100), np.int64)}, 0, {}, "mmdet", False),
    "D-FINE with its postprocessor": ({"labels": np.zeros((1, 300), np.int64), "boxes": np.zeros((1, 300, 4), F),
                                       "scores": np.zeros((1, 300), F)}, 0, {}, "nms_tensors", False),
    "DETR": (pair(boxes(100, 1 / SIDE), no_object(100, 5)), 0, {}, "detr", False),
    "DETR, logits first": (pair(no_object(100, 5), boxes(100, 1 / SIDE), ("logits", "pred_boxes")), 0, {}, "detr", False),
    "RF-DETR": (pair(boxes(Q, 1 / SIDE), logits(Q, 6), ("dets", "labels")), 0, {}, "rtdetr", False),
    "RF-DETR of three classes": (pair(boxes(Q, 1 / SIDE), logits(Q, 4), ("dets", "labels")), 0, {}, "rtdetr", False),
    "transformers' RT-DETR": (pair(logits(Q, 80), boxes(Q, 1 / SIDE), ("logits", "pred_boxes")), 0, {}, "rtdetr", False),
    "four classes, logits first": (pair(logits(Q, 4), boxes(Q, 1 / SIDE), ("logits", "pred_boxes")), 0, {}, "rtdetr", False),
    "four classes without names": (pair(logits(Q, 4), boxes(Q, 1 / SIDE), ("a", "b")), 0, {}, "rtdetr", False),
    "four classes, no names, alike": (pair(scores(Q, 4), boxes(Q, 1 / SIDE), ("a", "b")), 0, {}, "pair_alike", False),
    "RF-DETR-seg": (pair(boxes(Q, 1 / SIDE), logits(Q, 6), ("dets", "labels")) | {"masks": np.zeros((1, Q, 80, 80), F)}, 0, {},
                    "instances_queries", False),
    "SSD": (pair(corners(2000, 1 / SIDE), background_first(2000, 5), ("boxes", "scores")), 0, {}, "ssd", False),
    "PP-YOLOE": ({"b": corners(A)[None].astype(F), "s": scores(A, 5).T[None].astype(F)}, 0, {}, "ppyoloe", False),
    "NanoDet": (one(joined(scores(2125, 4), RNG.normal(0, 3, (2125, 32)))), 4, {}, "nanodet", False),
    "PicoDet": ({f"o{k}": np.zeros((1, n, 4 if k < 4 else 32), F) for k, n in enumerate((1600, 400, 100, 25) * 2)}, 4, {},
                "picodet", False),
    "boxes in pixels and logits": (pair(corners(A), logits(A, 5)), 0, {}, "pair_pixels_logits", False),
    "centres in pixels and probabilities": (pair(boxes(A), scores(A, 5)), 0, {}, "pair_sizes", False),
    "YOLO-NAS": (pair(corners(A), scores(A, 5), ("boxes", "scores")), 0, {}, "pair_pixels", False),
    "boxes and sigmoids": (pair(corners(2000, 1 / SIDE), scores(2000, 5), ("boxes", "scores")), 0, {}, "pair_no_background", False),
    "boxes and logits of anchors": (pair(RNG.normal(0, 0.5, (2000, 4)), logits(2000, 5), ("loc", "conf")), 0, {}, "pair_logits", False),
    "boxes and logits of anchors, far away": (
        pair(RNG.normal(0, 3, (2000, 4)), logits(2000, 5), ("loc", "conf")), 0, {}, "pair_logits", False),
    "EfficientDet's offsets and sigmoids": (
        pair(RNG.normal(0, 0.5, (2000, 4)), scores(2000, 5), ("regression", "classification")), 0, {}, "pair_offsets", False),
    "SSD's offsets and a softmax": (
        pair(RNG.normal(0, 0.5, (2000, 4)), background_first(2000, 4), ("loc", "conf")), 0, {}, "pair_offsets_softmax", False),
    "a classifier's softmax": (one(softmax(RNG.normal(0, 3, (1, 10)))), 10, {}, "classify", True),
    "a classifier's logits": (one(RNG.normal(0, 3, (1, 10))), 0, {}, "classify", False),
    "a classifier's logits, labelled": (one(RNG.normal(0, 3, (1, 10))), 10, {}, "classify", True),
    "a classifier of 1001": (one(softmax(RNG.normal(0, 3, (1, 1001)))), 0, {}, "classify", False),
    "a classifier of 1001 with 1000 labels": (one(RNG.normal(0, 3, (1, 1001))), 1000, {}, "classify", False),
    "an Ultralytics classifier": (one(softmax(RNG.normal(0, 3, (1, 10)))), 10, {"task": "classify"}, "classify", True),
    "an embedding": (one(RNG.normal(0, 1, (1, 512))), 0, {}, "embed", False),
    "an embedding of length 1": (one(UNIT), 0, {}, "embed", False),
    "a regression": (one(RNG.normal(0, 1, (1, 1))), 0, {}, "unknown", False),
    "tokens of a transformer": (one(RNG.normal(0, 2, (1, 197, 768))), 0, {}, "unknown", False),
    "an OCR recogniser": (one(softmax(RNG.normal(0, 2, (1, 80, 6625)))), 6623, {}, "unknown", False),
    "a segmentation": (one(RNG.normal(0, 2, (1, 21, 80, 80))), 0, {}, "segment", False),
    "a picture": (one(RNG.uniform(0, 1, (1, 3, 640, 640))), 0, {}, "segment", False),
    "a mask": (one(RNG.uniform(0, 1, (1, 1, 80, 80))), 0, {}, "one_channel", False),
    "a segmentation, channels last": (one(RNG.normal(0, 2, (1, 80, 80, 5))), 0, {}, "channels_last", False),
    "a class map": ({"y": np.zeros((1, 80, 80), np.int64)}, 0, {}, "class_map", False),
    "yolo26-obb": (one(turned_boxes()[None]), 0, {}, "obb_end_to_end", False),
    "yolo26-obb by its metadata": (one(turned_boxes()[None]), 9, {"task": "obb"}, "obb_end_to_end", True),
    "obb by its metadata": (one(turned(joined(boxes(A), scores(A, 2), RNG.uniform(-0.7, 2.3, (A, 1))))), 2, {"task": "obb"},
                            "obb", True),
    "obb by its metadata, without labels": (one(np.zeros((1, 7, A))), 0, {"task": "obb"}, "obb", False),
    "obb by its metadata, three labels for two": (one(np.zeros((1, 7, A))), 3, {"task": "obb"}, "obb_other", False),
    "yolov5-obb, an angle as 180 classes": (one(joined(boxes(3 * A), scores(3 * A, 1 + 4 + 180))), 4, {}, "obb_other", False),
    "yolov5-obb by metadata": (one(joined(boxes(3 * A), scores(3 * A, 184))), 4, {"task": "obb"}, "obb_other", False),
    "end-to-end with a column of whole numbers": (one(np.pad(listed(), ((0, 0), (0, 1)))[None]), 0, {}, "end_to_end_more", False),
}  # fmt: skip


# Whose outputs begin with a count of detections.
OF_THE_BATCH = (
    "yolov7 end2end",
    "YOLO-NAS, flat",
    "detections without",
    "rows of",
    "rows and",
    "PaddleDetection",
    "torchvision",
    "a softmax a step without a batch",
)


@pytest.mark.parametrize("name", CASES)
def test_a_head_is_told_by_what_it_held(name):
    outputs, labels, metadata, expected, ticked = CASES[name]
    model = info(outputs, metadata, labels=labels, out_batch="n" if name.startswith(OF_THE_BATCH) else "batch")
    found = recognise(model, seen(outputs), (SIDE, SIDE))
    assert key_of(found.head) == expected, (found.certain, found.doubts)
    assert bool(found.certain) is ticked, (found.certain, found.doubts)
    assert bool(found.doubts) is not ticked
    assert bool(found.refused) is (found.head.task == "raw")


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if "task" not in c[2]])
def test_shapes_alone_are_never_ticked(name):
    """Where no runtime is installed, or the model did not run. A count of labels is more than a shape."""
    outputs, labels, metadata, _, _ = CASES[name]
    found = recognise(info(outputs, metadata, labels=labels), {}, (SIDE, SIDE))
    assert not found.certain or (labels and found.head.task in ("classify", "segment")), found.certain


@pytest.mark.parametrize("first", ["DETR, logits first", "four classes, logits first", "RF-DETR of three classes"])
def test_the_plan_is_told_to_read_the_boxes_first(first):
    outputs = CASES[first][0]
    found = recognise(info(outputs), seen(outputs), (SIDE, SIDE))
    assert found.outputs[0] in ("pred_boxes", "dets")


def test_the_older_yolov5_names_the_output_to_read():
    outputs = CASES["yolov5 with its levels"][0]
    assert recognise(info(outputs, labels=4), seen(outputs), (SIDE, SIDE)).outputs == ("output0",)


def test_a_softmax_inside_is_not_applied_again():
    outputs = CASES["a classifier's softmax"][0]
    assert recognise(info(outputs), seen(outputs)).activation == "none"
    assert recognise(info(CASES["a classifier's logits"][0]), seen(CASES["a classifier's logits"][0])).activation == ""


@pytest.mark.parametrize(
    ("metadata", "task", "form", "problem"),
    [
        ({"task": "pose"}, "detect", "yolov8", "task 'pose'; set task: pose"),
        ({"task": "pose"}, "pose", "yolov8", ""),
        ({"task": "obb"}, "detect", "yolov8", "task 'obb'; set task: oriented"),
        ({"task": "obb"}, "oriented", "yolov8", ""),
        ({"task": "segment"}, "detect", "yolov8", "task 'segment'; set task: instances"),
        ({"task": "segment"}, "segment", None, "task 'segment'; set task: instances"),
        ({"task": "segment"}, "instances", "yolov8", ""),
        ({"task": "detect"}, "classify", None, "set task: detect"),
        ({"task": "classify"}, "detect", "yolov8", "set task: classify"),
        (RTDETR, "detect", "yolov5", "names RT-DETR.*set format: rtdetr_"),
        (RTDETR, "detect", "rtdetr", "names RT-DETR.*set format: rtdetr_"),
        # Six columns without labels may be either of its two.
        (RTDETR, "detect", "rtdetr_joined", ""),
        (RTDETR, "detect", "rtdetr_end_to_end", ""),
        (ULTRALYTICS | {"head": "RTDETRDecoder"}, "detect", "end_to_end", "names RT-DETR"),
        (ULTRALYTICS, "detect", "yolov8", ""),
        ({"task": "pose"}, "raw", None, ""),
        ({"task": "something new"}, "detect", "yolov8", ""),
        ({}, "detect", "yolov8", ""),
    ],
)
def test_a_plan_is_held_against_the_models_own_words(metadata, task, form, problem):
    columns = 38 if metadata.get("task") in ("pose", "obb", "segment") else 6
    said = against_metadata(info(one(np.zeros((1, 300, columns))), metadata), task, form)
    assert bool(said) is bool(problem)
    if problem:
        assert re.search(problem, said)


def test_what_several_runs_held_adds_up():
    """Ranges, shares and images of two runs, the second filled up to its batch, as JSON carries them."""
    first, second = np.zeros((2, 3, 5), F), np.full((2, 3, 5), -1, F)
    second[0, 0] = [3, 4, 1, 9, 0.5]
    second[0, 1, 0] = np.nan
    held = Seen()
    held.add(first, 2)
    held.add(second, 2, images=1)
    for s in (held, Seen.from_json(held.to_json())):
        assert (s.shape, s.images, s.an_image_a_row, s.finite) == ((2, 3, 5), 3, True, False)
        assert (s.columns.low[0], s.columns.high[3], list(s.columns.whole)) == (-1, 9, [True] * 4 + [False])
        assert s.rows.high.tolist() == [9, 0, 0]
        assert s.share("negative") == 4 / 12
        assert s.share("corners") == pytest.approx(
            4 / 6
        )  # of six that are not zeros, one has 1 < 3 and one a zero for its NaN


def test_halves_and_whole_numbers_are_taken_as_they_are():
    held = Seen()
    held.add(np.full((1, 2000), 40, np.float16), 1)
    assert held.sums == (80_000, 80_000)  # more than a float16 holds
    held = Seen()
    held.add(np.full((1, 4), 7, np.int8), 1)
    assert held.columns.most == 7


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_model_gives_there_is_an_answer(seed):
    """Shapes, types and numbers at random, empty and broken ones among them: never an exception, never a tick without a reason."""
    rng = np.random.default_rng(seed)
    sides = [0, 1, 2, 4, 5, 6, 7, 9, 40]
    for _ in range(100):
        outputs = {}
        for i in range(rng.integers(1, 5)):
            shape = [1, *rng.choice(sides, rng.integers(0, 4))]
            if len(shape) == 3 and rng.random() < 0.5:
                shape[rng.integers(1, 3)] = 2100
            values = np.where(rng.random(shape) < 0.01, np.nan, rng.normal(0, rng.choice([0.01, 1, 300]), shape))
            with np.errstate(all="ignore"):
                outputs[f"output{i}"] = (
                    values.astype(rng.choice(["f4", "f2", "f8"])) if rng.random() < 0.8 else values > 0
                )
        facts = info(outputs, {"task": "detect"} if rng.random() < 0.3 else {}, labels=int(rng.choice([0, 3])))
        for given in (seen(outputs), {}):
            found = recognise(facts, given, (SIDE, SIDE))
            assert found.certain or found.doubts
            assert set(found.outputs) <= set(outputs)
            for task, form in (("detect", "yolov8"), ("classify", None), ("segment", None)):
                assert isinstance(against_metadata(facts, task, form), str)


@pytest.mark.parametrize("name", ["boxes and logits of anchors", "EfficientDet's offsets and sigmoids"])
def test_of_offsets_the_plan_gets_the_line_with_anchors_to_fill_in(name):
    outputs = CASES[name][0]
    (doubt,) = recognise(info(outputs), seen(outputs), (SIDE, SIDE)).doubts
    assert re.search("set task: detect, format: .*, and anchors: FILE, a .npy or .csv with x1, y1, x2, y2", doubt)


@pytest.mark.parametrize(
    ("behind", "labels", "said"),
    [
        (keypoints(ANCHORS, 3), 0, "what is behind from"),
        (keypoints(ANCHORS, 3), 1, "what is behind from"),
        (RNG.uniform(-0.5, 0.7, (ANCHORS, 1)), 2, "what is behind from -0."),
    ],
)
def test_only_scores_are_told_as_scores(behind, labels, said):
    """Keypoints and an angle were counted among them."""
    head = joined(boxes(ANCHORS), scores(ANCHORS, labels or 1), behind).transpose(0, 2, 1)
    found = recognise(info({"y": head}, labels=labels), seen({"y": head}), (SIDE, SIDE))
    (doubt,) = found.doubts
    assert "scores from 0 to 0.9, " in re.sub(r"from \S+e-\d+ to", "from 0 to", doubt)
    assert said in doubt


def test_a_map_from_0_to_1_may_be_one_of_text():
    values = RNG.uniform(0, 1, (1, 1, 64, 64)).astype(F)
    found = recognise(info({"prob": values}), seen({"prob": values}), (64, 64))
    assert found.head.format == "one_channel"
    assert "set task: text, format: db" in found.doubts[0]
