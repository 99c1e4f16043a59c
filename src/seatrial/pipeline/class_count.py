"""How many classes a model's head has, read from its file, and whether the labels are as many. Not for: what they mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

from seatrial.errors import ModelError, count_of
from seatrial.kernels.detection_formats import EXTENDED, FORMATS
from seatrial.kernels.detector_format import Format
from seatrial.model.file import ModelInfo, TensorInfo
from seatrial.pipeline.outputs_read import columns_behind, outputs_read
from seatrial.plan import pipelines, tasks

# Per format with scores of their own: columns that are no class ('no object' or background).
_NO_CLASS = {"detr": 1, "ssd": 1, "rtdetr": 0, "yolonas": 0, "damoyolo": 0, "ssd_anchors": 1}
_NO_CLASS |= dict.fromkeys(("retinanet_anchors", "efficientdet", "efficientdet_logits"), 0)


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
        found = _minus(_flat_size(outputs[0]), post.background is not None)
    elif post.task == "segment" and outputs:
        found = _map_classes(post.format or "scores", outputs[0])
    elif post.task in tasks.OBJECTS and post.format in FORMATS and FORMATS[post.format].fixed:
        found = _columns(post, FORMATS[post.format], outputs)
    elif post.task == "detect" and post.format in FORMATS and FORMATS[post.format].shapes:
        found = _by_shapes(FORMATS[post.format], outputs)
    elif post.task in tasks.OBJECTS and post.format in _NO_CLASS:
        found = _minus(_scores_width(outputs), _NO_CLASS[post.format])
    return found if found is None or found > 0 else None


def _map_classes(form: str, output: TensorInfo) -> int | None:
    if form == "one_channel":
        return 2  # the background and the object
    return None if form == "class_map" else _size(output, 3 if form == "channels_last" else 1, rank=4)


def _columns(post: pipelines.Postprocess, form: Format, outputs: Sequence[TensorInfo]) -> int | None:
    """Of a head with boxes and classes in one tensor; None where classes are numbers."""
    heads, extra = [o for o in outputs if len(o.shape) == 3], columns_behind(post, outputs)
    columns = _size(heads[0], 2 - form.anchor_axis, rank=3) if len(heads) == 1 else None
    if columns is None or extra is None or not form.class_columns:
        return None
    return form.classes_beside(columns, extra)


def _by_shapes(form: Format, outputs: Sequence[TensorInfo]) -> int | None:
    """The size that a format's shapes call C; None where it reads class numbers."""
    found = next((s for s in form.shapes if s.fit([o.shape for o in outputs])), None)
    for spec, output in zip(found.tensors if found else (), outputs, strict=False):
        names = spec.split()
        if "C" in names:
            return _size(output, names.index("C"), rank=len(names))
    return None


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
    form = f", format {post.format}" if isinstance(post, pipelines.Postprocess) and post.format else ""
    raise ModelError(
        f"{given} {count_of(len(labels), 'class', 'classes')}, but the model's head has {count} ({task}{form}, "
        f"{', '.join(map(str, model.outputs))}); {_cure(post, model, count, len(labels))}"
    )


def _cure(post: pipelines.Postprocess | pipelines.UserPostprocess, model: ModelInfo, count: int, given: int) -> str:
    form = post.format if isinstance(post, pipelines.Postprocess) and post.task in tasks.OBJECTS else None
    task = model.metadata.get("task", "")
    own = tasks.OF_METADATA.get(task)
    if form in EXTENDED and own and isinstance(post, pipelines.Postprocess) and post.task != own:
        return f"the metadata says task '{task}': what stands behind its classes are no classes; set task: {own}"
    if form in ("ssd", "ssd_anchors", "detr") and given == count + 1:
        column = "the last column, 'no object'" if form == "detr" else "background's column"
        return f"format {form} leaves out {column}: leave it out of the labels too"
    if given == 80 and count in (90, 91):
        return (
            f"heads of {count} classes count as COCO's category ids do, with gaps: give {count} labels in that order (an empty "
            "line where an id is not used)"
        )
    if (
        count == given + 1
        and isinstance(post, pipelines.Postprocess)
        and post.task == "classify"
        and not post.background
    ):
        return (
            "one class more than labels is often a background class: set background: first (or last) where that column is no "
            "class, else give it a label in its place, mostly the first line"
        )
    if count == given + 1:
        return "one class more than labels is often a background class: give it a label in its place, mostly the first line"
    return f"give one label a class, {count} in all (a file with one a line; an empty line is a class without a name)"
