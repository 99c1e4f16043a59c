"""Keys of a postprocess that its task or its format passes over: they would change nothing, and nobody would be told.

For: pipelines.py, which refuses them by name, and `extends`, which leaves them behind. Not for: values that do not go together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seatrial.plan.tasks import DEFAULT_FORMATS, FORMATS, OBJECTS

_WITH_CLASSES = (*OBJECTS, "classify", "segment")
# Keys that only some tasks read.
ONLY_FOR: dict[str, tuple[str, ...]] = {
    "confidence": (*OBJECTS, "classify", "text"),
    "max_detections": (*OBJECTS, "text"),
    **dict.fromkeys(("iou", "class_agnostic"), OBJECTS),
    "boxes": ("detect", "instances", "pose"),
    **dict.fromkeys(("anchors", "variances"), ("detect",)),
    **dict.fromkeys(("keypoints", "sigmas"), ("pose",)),
    "nms": ("oriented",),
    "threshold": ("segment", "text"),
    **dict.fromkeys(("unclip_ratio", "min_size", "score_mode", "dilation", "blank", "space"), ("text",)),
    "activation": ("classify", "segment", "text"),
    "resize": ("segment",),
    **dict.fromkeys(("top_k", "background", "multi_label"), ("classify",)),
    **dict.fromkeys(("scale", "shift", "invert"), ("dense",)),
    "normalize": ("embed",),
    "labels": (*_WITH_CLASSES, "text"),
    "class_ids": _WITH_CLASSES,
}
# Of a task's formats, the only ones that read a key: of regions of text, of the text itself, and of a mask.
ONLY_FOR_FORMAT: dict[str, tuple[str, ...]] = {
    "threshold": ("db", "one_channel"),
    **dict.fromkeys(("unclip_ratio", "min_size", "score_mode", "dilation"), ("db",)),
    **dict.fromkeys(("blank", "space"), ("ctc",)),
}
# Detections that the model has chosen itself, or one a query: none is dropped for its overlap with another.
WITHOUT_NMS = (
    "end_to_end", "yolov10", "yolo26", "yolov7_end_to_end", "yolonas_flat", "detections_flat",
    "detr", "rtdetr", "rtdetr_joined", "rtdetr_end_to_end",
    "nms_tensors", "nms_tensors_yxyx", "mmdet", "paddle", "mask_rcnn", "mmdet_masks",
)  # fmt: skip
# Formats that pass a key over which the others of their task read.
PASSED_OVER: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("iou", "class_agnostic", "nms"), WITHOUT_NMS),
    **dict.fromkeys(("confidence", "max_detections"), ("ctc",)),
    # The greatest score stays the greatest through any activation.
    "activation": ("scores", "channels_last", "class_map"),
}


def unread_key(task: str, form: str | None, given: Iterable[str]) -> tuple[str, str] | None:
    """The first of the given keys that nothing would read, and why; None where all are read.

    given: keys with another value than their default.
    """
    form = form or DEFAULT_FORMATS.get(task)
    for key in given:
        only = ONLY_FOR_FORMAT.get(key)
        if only is not None and form not in only:
            return key, f"only format {' or '.join(only)} reads '{key}', not '{form}'; leave it out"
        readers = ONLY_FOR.get(key)
        if readers is not None and task not in readers:
            return key, f"only task {' or '.join(readers)} reads '{key}', not '{task}'; leave it out"
        if form in PASSED_OVER.get(key, ()):
            why = ", whose boxes overlap no more," if form in WITHOUT_NMS else ""
            return key, f"format '{form}'{why} reads no '{key}'; leave it out, or as it is by default"
        if key == "format" and task != "raw" and task not in FORMATS:
            return key, f"task '{task}' takes no format; leave it out"
    return None


def drop_unread(merged: Any, own: Any) -> None:
    """Takes out of a postprocess what it only has from the pipeline that it extends, and what its own task or format does not
    read: whoever writes another format cannot leave out what stands elsewhere. What it says itself stays, to be refused."""
    if not isinstance(merged, dict) or not isinstance(own, dict) or not {"task", "format"} & set(own):
        return
    task, form = merged.get("task"), merged.get("format")
    if not isinstance(task, str) or not isinstance(form, str | None):
        return
    for key in [k for k in merged if k not in own and k != "task"]:
        if unread_key(task, form, [key]) is not None:
            del merged[key]
