"""How many classes a model's head has, read from its file, and whether the labels are as many. Not for: what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seatrial.errors import ModelError, count_of
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.outputs_read import outputs_read
from seatrial.plan import pipelines

# Per format with one output: the axis with one image's box and classes, and what stands beside the classes there.
_BESIDE = {"yolov8": (1, 4), "yolo11": (1, 4), "yolov5": (2, 5), "yolox": (2, 5)}
# Per format with scores of their own: columns that are no class ('no object' or background).
_NO_CLASS = {"detr": 1, "ssd": 1, "rtdetr": 0}


def head_classes(post: pipelines.Postprocess | pipelines.UserPostprocess, model: ModelInfo) -> int | None:
    """Classes as results count them (without a column for background or 'no object').

    None where the file leaves the number open: a symbolic dimension, end-to-end outputs, the user's own stage.
    """
    if not isinstance(post, pipelines.Postprocess):
        return None
    by_name = {o.name: o for o in model.outputs}
    outputs = [by_name[name] for name in outputs_read(post, model.outputs)]
    found: int | None = None
    if post.task == "classify" and outputs:
        found = _flat_size(outputs[0])
    elif post.task == "segment" and outputs:
        found = _size(outputs[0], 1, rank=4)
    elif post.task == "detect" and post.format in _BESIDE and len(outputs) == 1:
        axis, beside = _BESIDE[post.format]
        found = _minus(_size(outputs[0], axis, rank=3), beside)
    elif post.task == "detect" and post.format in _NO_CLASS:
        found = _minus(_scores_width(outputs), _NO_CLASS[post.format])
    return found if found is None or found > 0 else None


def _size(tensor: TensorInfo, axis: int, rank: int) -> int | None:
    size = tensor.shape[axis] if len(tensor.shape) == rank else None
    return size if isinstance(size, int) else None


def _flat_size(tensor: TensorInfo) -> int | None:
    """Of one image's row: a classifier's (B, classes, 1, 1) counts as (B, classes)."""
    sizes = [d for d in tensor.shape[1:] if isinstance(d, int)]
    return math.prod(sizes) if sizes and len(sizes) == len(tensor.shape) - 1 else None


def _minus(size: int | None, beside: int) -> int | None:
    return None if size is None else size - beside


def _scores_width(outputs: Sequence[TensorInfo]) -> int | None:
    """Columns of the scores, which stand behind the boxes; None where the boxes' own are not known to be four."""
    pair = [o for o in outputs if len(o.shape) == 3]
    return _size(pair[1], 2, rank=3) if len(pair) == 2 and pair[0].shape[2] == 4 else None


def check_labels(where: str, spec: pipelines.Pipeline, model: ModelInfo, labels: Sequence[str] | None) -> None:
    """ModelError where the labels are not as many as the head's classes: every name from the first gap on would be wrong."""
    count = head_classes(spec.postprocess, model)
    if not labels or count is None or len(labels) == count:
        return
    post = spec.postprocess
    given = (
        f"{where}.postprocess.labels has" if post.labels is not None else f"{where}: the metadata of {model.path} names"
    )
    task = f"task {post.task}" if isinstance(post, pipelines.Postprocess) else ""
    form = f", format {post.format}" if isinstance(post, pipelines.Postprocess) and post.task == "detect" else ""
    raise ModelError(
        f"{given} {count_of(len(labels), 'class', 'classes')}, but the model's head has {count} ({task}{form}, "
        f"{', '.join(map(str, model.outputs))}); {_cure(post, model, count, len(labels))}"
    )


def _cure(post: pipelines.Postprocess | pipelines.UserPostprocess, model: ModelInfo, count: int, given: int) -> str:
    form = post.format if isinstance(post, pipelines.Postprocess) and post.task == "detect" else None
    task = model.metadata.get("task", "")
    if form in ("yolov8", "yolo11", "yolov5") and task in ("segment", "pose", "obb"):
        return f"the metadata says task '{task}': what stands behind its classes are no classes; this head has no format here"
    if form in ("ssd", "detr") and given == count + 1:
        column = "background's column" if form == "ssd" else "the last column, 'no object'"
        return f"format {form} leaves out {column}: leave it out of the labels too"
    if given == 80 and count in (90, 91):
        return (
            f"heads of {count} classes count as COCO's category ids do, with gaps: give {count} labels in that order (an empty "
            "line where an id is not used)"
        )
    if count == given + 1:
        return "one class more than labels is often a background class: give it a label in its place, mostly the first line"
    return f"give one label a class, {count} in all (a file with one a line; an empty line is a class without a name)"
