"""Whether a built-in postprocess can be right for the numbers that a model gave, over all images of a trial.

For: a decoder whose assumption is observably false: logits read as probabilities, fractions of the input read as pixels,
keypoints read as scores. Such a pipeline finds nothing, or nonsense, and its accuracy of 0 is nobody's fault. Not for accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.errors import ModelError
from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.detector_format import FRACTIONS, PIXELS
from seatrial.kernels.geometry import Geometry
from seatrial.model.file import ModelInfo
from seatrial.pipeline.box_reach import Reach
from seatrial.pipeline.build import labels_of
from seatrial.pipeline.check_outputs import class_count_problem
from seatrial.pipeline.map_values import map_doubts, map_problem
from seatrial.pipeline.outputs_read import columns_behind, outputs_read, untold
from seatrial.pipeline.plausible_classes import class_doubts
from seatrial.pipeline.plausible_layouts import (
    against_layout,
    against_points,
    beyond_labels,
    images_of,
    span,
    tiny,
    without,
)
from seatrial.pipeline.plausible_pairs import read_as
from seatrial.pipeline.plausible_text import text_doubts, text_problem
from seatrial.plan import pipelines, tasks
from seatrial.plan.heads import recognise
from seatrial.plan.seen import Ranges, Seen, add_run
from seatrial.stages import END_TO_END
from seatrial.warning import Warning

# Radians: two turns. YOLO26 leaves its angle unbound, and boxes that are nothing may have any; degrees go much further.
ANGLES = (-12.6, 12.6)


class Plausibility:
    """Adds up what the outputs held, run by run; then `problem` says what cannot be right, and `doubts` what hardly can."""

    def __init__(
        self,
        name: str,
        spec: pipelines.Pipeline,
        model: ModelInfo,
        labels: Sequence[str] | None,
        seen: Mapping[str, Seen] | None = None,
    ) -> None:
        post = spec.postprocess
        self._post = post if isinstance(post, pipelines.Postprocess) and post.task != "raw" else None
        self._where = f"pipelines.{name}.postprocess"
        self._model, self._labels = model, labels
        self._hw = spec.preprocess.size if isinstance(spec.preprocess, pipelines.Preprocess) else None
        self._names = [o.name for o in model.outputs]
        self._read = outputs_read(self._post, model.outputs) if self._post else []
        self._seen = dict(seen) if seen else {n: Seen() for n in self._names}
        self._reach = _reach_of(self._post)

    def add(self, outputs: Sequence[npt.NDArray[Any]], batch: int, images: int | None = None) -> None:
        """One run's outputs, each with its batch first; images: how many of the batch are new, where it was filled up."""
        if self._post is not None:
            add_run(self._seen, self._names, outputs, batch, images)

    def add_reach(self, images: Sequence[Sequence[npt.NDArray[Any]]], geometries: Sequence[Geometry]) -> None:
        """Each image's part of every output, in the model's order, and how it came to the input."""
        if self._reach is None or not self._reach.told:
            return
        for outputs, geometry in zip(images, geometries, strict=True):
            self._reach.add([outputs[self._names.index(n)] for n in self._read], geometry)

    def problem(self) -> str:
        """Why the postprocess cannot be right, with the likely format and the cure; '' where nothing shows that."""
        if self._post is None or not any(s.images for s in self._seen.values()):
            return ""
        chosen = [self._seen[n] for n in self._read]
        if self._post.task in tasks.OBJECTS:
            found = self._detector(self._post.format or "", self._lists())
            found = found or (self._reach.problem() if self._reach else "")
        elif self._post.task == "text":
            found = text_problem(self._post, chosen[0])
        elif self._post.task == "classify" and math.prod(chosen[0].shape[2:]) > 1:
            found = f"reads one row of scores an image, but the output has shape {chosen[0].shape}"
        elif self._post.task in ("segment", "dense"):
            found, cure = map_problem(self._post, chosen[0], self._hw, self._labels)
            return f"{self._where}.format is {self._post.format or 'scores'}, which {found}; {cure}" if found else ""
        else:
            found = ""
        asked = f"format is {self._post.format}" if self._post.format else f"task is {self._post.task}"
        # What names its own cure needs no other.
        likely = "" if self._post.task == "text" or "; " in found else f"; {self._likely()}"
        return f"{self._where}.{asked}, which {found}{likely}" if found else ""

    def doubts(self) -> tuple[Warning, ...]:
        """What gives the right order of classes all the same, but scores that are none."""
        if self._post is None:
            return ()
        if self._reach and (doubt := self._reach.doubt()):
            return (Warning("boxes-unit", f"{self._where}.format is {self._post.format}: {doubt}"),)
        if self._post.format == "ssd" and self._post.task == "detect":
            return self._no_background()
        if self._post.task == "text":
            return text_doubts(self._where, self._post, self._seen[self._read[0]])
        if self._post.task == "oriented":
            return self._no_angle()
        if self._post.task in ("segment", "dense"):
            return map_doubts(self._where, self._post, self._seen[self._read[0]])
        if self._post.task != "classify":
            return ()
        return class_doubts(self._where, self._post, self._seen[self._read[0]])

    def _no_background(self) -> tuple[Warning, ...]:
        lists = self._lists()
        scores = lists[-1] if len(lists) == 2 else Seen()
        if scores.columns is None or scores.columns.blank or scores.share("first") > 0.5:
            return ()
        said = (
            f"{self._where}.format is ssd, which drops column 0 of the scores as the background, but it is the greatest in "
            f"{scores.share('first'):.0%} of the boxes only: is it a class?"
        )
        return (Warning("background-column", said),)

    def _no_angle(self) -> tuple[Warning, ...]:
        """A class's column is read as an angle without a word where nothing says how many classes there are."""
        assert self._post is not None
        (head,) = self._lists()
        values = head.columns if FORMATS[self._post.format or ""].name == END_TO_END else head.rows
        if values is None or values.part(-1).blank or not values.part(-1).probabilities:
            return ()
        said = (
            f"{self._where}.task is oriented, which reads an angle in the last column, but all of it lies between 0 and 1 over "
            f"{images_of(head)}: is it a class?"
        )
        return (Warning("angle-column", said, "of a head without an angle set task: detect"),)

    def settle(self, reduced: bool) -> list[Warning]:
        """Warnings. ModelError for a problem, unless the numbers are those of a reduced precision, which may be to blame."""
        problem, doubts = self.problem(), list(self.doubts())
        if undecided := self._undecided():
            if not reduced:
                raise ModelError(str(undecided))
            doubts.append(undecided)
        if problem and not reduced:
            raise ModelError(problem)
        if problem:
            doubts.insert(0, Warning("implausible-outputs", f"{problem} (or the precision broke the outputs)"))
        return doubts

    def _undecided(self) -> Warning | None:
        """Why nobody can tell boxes from scores, whatever the precision: as numbers either could be either."""
        post, lists = self._post, self._lists()
        if post is None or post.task != "detect" or not untold(post, self._model.outputs):
            return None
        if len(lists) != 2 or any(s.shape[2] != 4 for s in lists):
            return None
        if any(read_as(post.format or "", *order) for order in (lists, lists[::-1])):
            return None
        return Warning(
            "undecided-outputs",
            f"{self._where}.format is {post.format}, which reads boxes and scores, but both have four columns, and neither "
            "names nor numbers say which holds the boxes",
            "name them in order, outputs: [boxes, scores]",
        )

    def _lists(self) -> list[Seen]:
        """Outputs of three dimensions in the decoder's order; of a pair it takes the one of width 4 for the boxes."""
        lists = [s for s in (self._seen[n] for n in self._read) if len(s.shape) == 3]
        return lists[::-1] if len(lists) == 2 and lists[0].shape[2] != 4 else lists

    def _likely(self) -> str:
        assert self._post is not None
        found = recognise(self._model, self._seen, self._hw)
        keys = {"task": found.head.task, "format": found.head.format, "boxes": found.head.boxes}
        # yolo26 is called end_to_end too: what is read alike already is no cure.
        if FORMATS.get(found.head.format or "") is FORMATS.get(self._post.format or "", False):
            keys["format"] = None
        apart = [f"{k}: {v}" for k, v in keys.items() if v and v != getattr(self._post, k)]
        if found.head.read and apart:
            return f"the numbers look like {found.head.words}: try {', '.join(apart)}"
        if not found.head.read and found.head.words:
            return f"the numbers look like {found.head.words}: use task: raw, or a Python postprocess"
        return "use the format that the model was exported for, task: raw, or a Python postprocess"

    def _detector(self, name: str, lists: list[Seen]) -> str:
        form = FORMATS[name].name
        unit = self._unit(name)
        if FORMATS[name].decode is None or unit != FORMATS[name].units[0]:
            return self._layout(name, unit)
        if len(FORMATS[name].output_ranks) == 2:
            return read_as(form, *lists) if len(lists) == 2 else ""
        if len(lists) != 1:
            return ""
        seen = lists[0]
        anchors_last = form == "yolov8"
        values = seen.rows if anchors_last else seen.columns
        rows, columns = seen.shape[1:]
        if form != END_TO_END and (values is None or (rows > columns if anchors_last else columns > rows)):
            return f"reads {FORMATS[name].outputs}, but {rows} × {columns} has anchors and classes the other way round"
        if values is None or len(values.high) < 5:  # the decoder says what is wrong with those
            return ""
        if form == END_TO_END:
            return self._end_to_end(seen, values)
        extra = self._columns_behind()
        boxes, scores = values.part(0, 4), values.part(4, -extra or None)
        if problem := self._class_count(len(scores.high) - (form != "yolov8")):
            return problem
        if not scores.probabilities:
            return f"expects probabilities, but its scores go from {span(scores)} over {images_of(seen)}"
        if form == "yolox":
            decoded = float(boxes.high[2:].max()) > 20
            return f"expects logarithms of sizes, but they go up to {boxes.high[2:].max():.3g}" if decoded else ""
        return self._tiny(boxes, seen) or self._behind(values.part(-extra) if extra else None, seen)

    def _tiny(self, boxes: Ranges, seen: Seen) -> str:
        """Of a detector its likely format says more than its unit."""
        assert self._post is not None
        found, units = tiny(boxes, seen), FORMATS[self._post.format or ""].units
        known = self._post.task in ("instances", "pose") and FRACTIONS in units
        return f"{found}; fractions of the input? set boxes: {FRACTIONS}" if found and known else found

    def _unit(self, name: str) -> str:
        assert self._post is not None
        return self._post.boxes or FORMATS[name].units[0]

    def _layout(self, name: str, unit: str) -> str:
        """Of a format that is judged by its parts; where the tensors are too few or others, the decoder says so."""
        form = FORMATS[name]
        tensors = [self._seen[n] for n in self._read] if form.shapes else self._lists()
        if form.shapes:
            if not any(s.fit([t.shape for t in tensors]) for s in form.shapes):
                return ""
        elif len(tensors) != len(form.output_ranks):
            return ""
        extra = self._columns_behind()
        plain = [without(form, tensors[0], extra), *tensors[1:]]
        found = against_layout(form, unit, plain, len(self._labels or ()), self._class_count)
        values = tensors[0].rows if form.anchor_axis else tensors[0].columns
        return found or self._behind(values.part(-extra) if values and extra else None, tensors[0], unit)

    def _columns_behind(self) -> int:
        """As the tensors came."""
        assert self._post is not None
        seen = [replace(o, shape=self._seen[o.name].shape) for o in self._model.outputs if o.name in self._read]
        return columns_behind(self._post, seen) or 0

    def _behind(self, values: Ranges | None, seen: Seen, unit: str = PIXELS) -> str:
        """What stands behind the classes, and cannot be what the task reads."""
        assert self._post is not None
        if values is not None and self._post.task == "oriented" and not values.within(*ANGLES):
            return f"expects an angle in radians in the last column, but they go from {span(values)} over {images_of(seen)}"
        if values is None or self._post.task != "pose" or self._post.keypoints is None:
            return ""
        return against_points(values, self._post.keypoints[1], unit, seen)

    def _class_count(self, classes: int) -> str:
        return class_count_problem(classes, self._labels)

    def _end_to_end(self, seen: Seen, values: Ranges) -> str:
        boxes, scores, classes = values.part(0, 4), values.part(4, 5), values.part(5, 6)
        if scores.blank and classes.blank:
            return ""
        if not scores.within(-1, 1.01):
            return f"expects scores in column 4, but they go from {span(scores)} over {images_of(seen)}"
        if not classes.whole[0] or classes.least < -1:
            return f"expects class numbers in column 5, but they go from {span(classes)} and are not whole"
        extra = self._columns_behind()
        if len(values.high) != 6 + extra:
            return f"reads {6 + extra} columns, but there are {len(values.high)}"
        if self._labels and classes.most >= len(self._labels):
            return beyond_labels(classes.most, len(self._labels))
        # Oriented boxes are a centre and sizes.
        if self._post is not None and self._post.task != "oriented" and seen.share("corners") < 0.5:
            return (
                f"expects corners, but in {1 - seen.share('corners'):.0%} of the boxes the second lies before the first"
            )
        return self._tiny(boxes, seen) or self._behind(values.part(-extra) if extra else None, seen)


def plausibility_of(name: str, spec: pipelines.Pipeline, model: ModelInfo, folder: Path) -> Plausibility:
    return Plausibility(name, spec, model, labels_of(spec, model, folder))


def _reach_of(post: pipelines.Postprocess | None) -> Reach | None:
    if post is None or post.task not in ("detect", "instances", "pose") or post.format not in FORMATS:
        return None
    form = FORMATS[post.format]
    return Reach(form, post.boxes or form.units[0], post.confidence) if form.ranked else None
