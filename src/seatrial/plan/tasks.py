"""What each task of a built-in postprocess reads: its formats, and what its boxes may count.

For: pipelines.py, and whoever asks what a task is. Not for: keys that a task passes over (unread_keys.py), or what a format's
tensors hold (kernels/).
"""

from __future__ import annotations

_EXTENDED = ("yolov5", "yolov8", "yolo11", "yolov10", "yolo26", "end_to_end")
_PLAIN = ("yolov5", "yolov8", "yolo11", "yolov10", "yolo26", "yolox", "end_to_end", "ssd", "detr", "rtdetr")
_ANCHORS = ("yolox_decoded", "yolov8_turned", "yolov8_logits", "yolonas", "damoyolo", "ppyoloe", "nanodet", "picodet")
_CHOSEN = ("rtdetr_joined", "rtdetr_end_to_end", "nms_tensors", "nms_tensors_yxyx", "mmdet", "paddle")
# Offsets from anchors that a file of the plan has.
ANCHORED = ("ssd_anchors", "retinanet_anchors", "efficientdet", "efficientdet_logits")
_OF_THE_BATCH = ("yolov7_end_to_end", "yolonas_flat", "detections_flat")
# What a model has chosen itself, with a mask a detection.
WITH_MASKS = ("mask_rcnn", "mmdet_masks")
# By task; a task without any takes no `format`.
FORMATS: dict[str, tuple[str, ...]] = {
    "detect": (*_PLAIN, *_ANCHORS, *_CHOSEN, *_OF_THE_BATCH, *ANCHORED),
    "instances": (*_EXTENDED, "rtdetr", "detr", *WITH_MASKS),
    "pose": tuple(f for f in _EXTENDED if f != "yolov5"),
    "segment": ("scores", "class_map", "one_channel", "channels_last"),
    "oriented": tuple(f for f in _EXTENDED if f != "yolov5"),
    "text": ("db", "ctc"),
}
# What a task reads where the plan names no format.
DEFAULT_FORMATS = {"segment": "scores"}
# What the numbers of boxes may count where it is not always the same, by format, first what they count unless a plan says so.
_PIXELS, _FRACTIONS, _SOURCE = "pixels", "fractions", "source"
_EITHER = (_PIXELS, _FRACTIONS)
BOXES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("yolov5", "yolov8", "yolo11", "yolox_decoded", "yolov8_turned", "yolov8_logits"), _EITHER),
    **dict.fromkeys(("end_to_end", "yolov10", "yolo26", "detections_flat", "nms_tensors"), (*_EITHER, _SOURCE)),
    **dict.fromkeys(("ppyoloe", "mmdet", "mmdet_masks"), (_PIXELS, _SOURCE)),
    "mask_rcnn": (*_EITHER, _SOURCE),
    "nms_tensors_yxyx": (_FRACTIONS, _PIXELS),
    "paddle": (_SOURCE, _PIXELS),
}
# Tasks whose results are objects, each with a box, a score and a class.
OBJECTS = ("detect", "instances", "pose", "oriented")
# What exporters call inputs beside the image, and fill them with: Paddle has rows first, RT-DETR's own code the width.
USUAL_INPUTS = {
    "im_shape": "resized_hw",
    "scale_factor": "scale_yx",
    "orig_target_sizes": "source_wh",
    "target_sizes": "source_hw",
}
# What Ultralytics' exports call their tasks in the metadata.
OF_METADATA = {"detect": "detect", "classify": "classify", "segment": "instances", "pose": "pose", "obb": "oriented"}
# Tasks whose results have no classes, so that labels name none: of text they are its characters.
WITHOUT_CLASSES = ("raw", "embed", "dense", "text")
# Tasks that have no results to be held against a truth.
WITHOUT_TRUTH = ("raw", "embed")
