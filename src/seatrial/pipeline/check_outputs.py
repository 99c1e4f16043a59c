"""What a model's file alone says against a postprocess: its metadata, the shapes of its outputs, the count of its classes.

For: errors before anything runs. Not for: what only a run shows (plausibility.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.errors import ModelError, count_of, did_you_mean, printable
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.detector_format import Format
from seatrial.model.file import ModelInfo, TensorInfo, not_an_array
from seatrial.pipeline.check_maps import check_map
from seatrial.pipeline.other_task import task_of_classes
from seatrial.pipeline.outputs_read import columns_behind, is_alike, outputs_read
from seatrial.pipeline.text import check_text
from seatrial.plan import pipelines, tasks
from seatrial.plan.head_behind import boxes_alone
from seatrial.plan.heads import against_metadata, recognise


def check_tensors(model: ModelInfo) -> None:
    """ModelError where an input or output can be no NumPy array, whoever writes the stages."""
    if problem := not_an_array(model):
        raise ModelError(f"{model.path}: {problem}")


def check_postprocess(where: str, spec: pipelines.Postprocess, model: ModelInfo, labels: list[str] | None) -> None:
    """ModelError where the model's file alone rules the task or its format out: by its own words, or by shapes.

    Symbolic dimensions are left to a run (plausibility.py).
    """
    if problem := against_metadata(model, spec.task, spec.format):
        by_format = spec.format and spec.task == "detect" == model.metadata.get("task", "").strip().lower()
        asked = f"format is {spec.format}" if by_format else f"task is {spec.task}"
        raise ModelError(f"{where}.postprocess.{asked}, but of {model.path}, {problem}")
    chosen = pick_outputs(where, spec, model)
    by_name = {o.name: o for o in model.outputs}
    outputs = [by_name[name] for name in chosen]
    if spec.task in tasks.OBJECTS and spec.format is not None:
        _check_detector(where, spec, outputs, model, labels)
    elif spec.task == "text":
        check_text(where, spec, outputs, model, labels)
    elif spec.task == "classify" and any(d != 1 for d in outputs[0].shape[2:] if isinstance(d, int)):
        looks = recognise(model, {}).head
        raise ModelError(
            f"{where}.postprocess.task is classify, which reads one row of scores an image, but {model.path} gives "
            f"{outputs[0]}; it looks like {looks.words}" + (f": try format: {looks.format}" if looks.format else "")
        )
    elif spec.task in ("segment", "dense"):
        check_map(where, spec, outputs, model)


# What a task reads behind the classes of a format, in words that continue the format's own.
_BEHIND = {
    "detect": "",
    "instances": ", and masks (B, K, height, width) with coefficients behind the classes or a mask a query",
    "pose": " with keypoints behind",
    "oriented": " with an angle behind",
}


def _check_detector(
    where: str, spec: pipelines.Postprocess, outputs: list[TensorInfo], model: ModelInfo, labels: list[str] | None
) -> None:
    name = spec.format or ""
    form = FORMATS[name]
    ranks = [len(o.shape) for o in outputs]
    masks = spec.task == "instances"
    reads = f"{form.outputs}{_BEHIND[spec.task]}"
    said = f"{where}.postprocess.format is {name}, which reads {reads}, but {model.path} gives "
    single = len(form.output_ranks) == 1
    if form.shapes:
        if 0 not in ranks and not any(s.fit([o.shape for o in outputs]) for s in form.shapes):
            looks = recognise(model, {}).head
            likely = f" (it may be {looks.words})" if looks.read and looks.format != name else ""
            raise ModelError(
                f"{said}{', '.join(map(str, outputs))}{likely}; name another format, or the outputs to read"
            )
        return
    if 0 not in ranks and (
        ranks.count(3) < len(form.output_ranks)
        or (single and not masks and len(ranks) != 1)
        or (masks and (ranks.count(3), ranks.count(4)) != (len(form.output_ranks), 1))
    ):
        other = task_of_classes(spec, model, labels or [])
        cure = _alone(spec, model) or f"{other and f'{other}; or '}name another format, or the outputs to read"
        raise ModelError(f"{said}{', '.join(map(str, outputs))}; {cure}")
    heads, extra = [o for o in outputs if len(o.shape) == 3], columns_behind(spec, outputs)
    if single and len(heads) == 1 and extra is not None:
        _check_head(where, spec, heads[0], extra, said, model, labels)


def _alone(spec: pipelines.Postprocess, model: ModelInfo) -> str:
    """The cure where there is nothing behind boxes and classes that the task could read; '' elsewhere."""
    if spec.task == "detect" or not boxes_alone(model):
        return ""
    own = model.metadata.get("task")
    untrue = f", and take 'task' ({printable(own)}) out of the file's metadata" if own else ""
    return f"these are boxes and classes alone: export the model with what task {spec.task} reads, or set task: detect{untrue}"


def _check_head(
    where: str,
    spec: pipelines.Postprocess,
    head: TensorInfo,
    extra: int,
    said: str,
    model: ModelInfo,
    labels: list[str] | None,
) -> None:
    name = spec.format or ""
    form = FORMATS[name]
    _, rows, columns = head.shape
    anchors_last = form.anchor_axis == 1
    anchors_first = form.name in ("yolov5", "yolox", "yolov8_turned", "nanodet")
    if extra and (alone := _alone(spec, model)):
        raise ModelError(f"{said}{head}; {alone}")
    counts_classes = anchors_last or anchors_first or form.name == "rtdetr_joined"
    if isinstance(rows, int) and isinstance(columns, int):
        if (anchors_last and rows > columns) or (anchors_first and columns > rows):
            other = "yolov5, yolox or yolov8_turned" if anchors_last else "yolov8"
            raise ModelError(f"{said}{head}: anchors and classes look swapped; did you mean {other}?")
        if not form.class_columns and form.classes_beside(columns, extra) != 0:
            looks = recognise(model, {}).head
            raise ModelError(f"{said}{head}, which looks like {looks.words}; name another format, or use task: raw")
    counted = rows if anchors_last else columns
    if isinstance(counted, int) and form.class_columns and form.classes_beside(counted, extra) < 1:
        raise ModelError(f"{said}{head}; {_no_room(spec, form, counted, extra, model, labels)}")
    if counts_classes and isinstance(counted, int):
        problem = class_count_problem(form.classes_beside(counted, extra), labels)
        if problem:
            other = task_of_classes(spec, model, labels or [])
            raise ModelError(
                f"{where}.postprocess.format is {name}, which {problem}: {head} of {model.path}; {other and f'{other}; or '}"
                "give a label for each class, or the format that the model was exported for"
            )


def _no_room(
    spec: pipelines.Postprocess,
    form: Format,
    columns: int,
    extra: int,
    model: ModelInfo,
    labels: list[str] | None,
) -> str:
    """Of a head with fewer columns than the plan asks for; with the cure."""
    behind = f" and {extra} numbers behind the classes" if extra else ""
    if spec.keypoints is not None:
        behind = f" and keypoints: [{spec.keypoints[0]}, {spec.keypoints[1]}] takes {extra}"
    other = task_of_classes(spec, model, labels or [])
    cure = other or (
        "is postprocess.keypoints right?" if spec.keypoints else "name another format, or the outputs to read"
    )
    return f"of its {columns} numbers an anchor, a box takes {form.fixed}{behind}: no class is left; {cure}"


def pick_outputs(where: str, spec: pipelines.Postprocess, model: ModelInfo) -> list[str]:
    names = [o.name for o in model.outputs]
    for name in spec.outputs or []:
        if name not in names:
            raise ModelError(
                f"{where}.postprocess.outputs: {model.path} has no output called {name!r}{did_you_mean(name, names)}; "
                f"its outputs are {', '.join(names)}"
            )
    if spec.task not in tasks.OBJECTS:
        return names if spec.outputs is None else spec.outputs
    if is_alike(spec, model.outputs) and spec.format and FORMATS[spec.format].shapes:
        alike = ", ".join(map(str, model.outputs))
        roles = ", ".join(FORMATS[spec.format].roles[: len(model.outputs)])
        raise ModelError(
            f"{where}.postprocess: {alike} of {model.path}: neither names nor types say which holds what; name them in order, "
            f"outputs: [{roles}]"
        )
    if is_alike(spec, model.outputs):
        lists = [o for o in model.outputs if len(o.shape) == 3]
        raise ModelError(
            f"{where}.postprocess: {' and '.join(map(str, lists))} of {model.path} are alike, and nothing says which holds the "
            "boxes; name them in order, outputs: [boxes, scores]"
        )
    return outputs_read(spec, model.outputs)


def class_count_problem(classes: int, labels: Sequence[str] | None) -> str:
    """Of heads whose columns are classes and nothing else. A phrase that continues 'format is …, which'."""
    if not labels or classes == len(labels):
        return ""
    are = "is" if len(labels) == 1 else "are"
    return (
        f"reads {count_of(classes, 'class', 'classes')} from the head, but there {are} {count_of(len(labels), 'label')}"
    )
