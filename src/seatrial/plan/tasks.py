"""What each task of a built-in postprocess reads: its formats, and the keys of a plan that are its alone.

For: pipelines.py, which refuses what a task would pass over. Not for: what a format's tensors hold (kernels/).
"""

from __future__ import annotations

_EXTENDED = ("yolov5", "yolov8", "yolo11", "yolov10", "yolo26", "end_to_end")
# By task; a task without any takes no `format`.
FORMATS: dict[str, tuple[str, ...]] = {
    "detect": ("yolov5", "yolov8", "yolo11", "yolov10", "yolo26", "yolox", "end_to_end", "ssd", "detr", "rtdetr"),
    "instances": _EXTENDED,
    "pose": tuple(f for f in _EXTENDED if f != "yolov5"),
    "text": ("db", "ctc"),
}
# Keys that only some tasks read: said of another task they would change nothing, and nobody would be told.
ONLY_FOR: dict[str, tuple[str, ...]] = {"keypoints": ("pose",), "sigmas": ("pose",)}
# Keys that only one format reads: of regions of text, and of the text itself.
ONLY_FOR_FORMAT: dict[str, str] = {
    **dict.fromkeys(("threshold", "unclip_ratio", "min_size", "score_mode", "dilation"), "db"),
    **dict.fromkeys(("blank", "space"), "ctc"),
}
# Tasks whose results are objects, each with a box, a score and a class.
OBJECTS = ("detect", "instances", "pose")
# What Ultralytics' exports call their tasks in the metadata.
OF_METADATA = {"detect": "detect", "classify": "classify", "segment": "instances", "pose": "pose", "obb": "oriented"}
# Tasks that have no results to be held against a truth.
WITHOUT_TRUTH = ("raw", "embed")
