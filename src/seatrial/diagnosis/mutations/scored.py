"""Where among a model's outputs its scores stand, and what is made of them there. Not for: which mistakes there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.detector import FAMILIES
from seatrial.diagnosis.way import At, Way
from seatrial.kernels.detection_formats import FORMATS
from seatrial.pipeline.outputs_read import columns_behind, outputs_read
from seatrial.plan import pipelines, tasks

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Part:
    """output: which of them; axis: along which classes lie, from `start` to `behind` from the end."""

    output: int
    axis: int
    start: int = 0
    behind: int = 0

    def changed(self, transform: Callable[[Array], Array]) -> Callable[[At], At]:
        """The outputs with their scores put through something, which gets them with the axes that they have."""

        def change(at: At) -> At:
            outputs = list(at.value)
            whole = np.array(outputs[self.output], np.float32)
            inside: list[slice] = [slice(None)] * whole.ndim
            inside[self.axis] = slice(self.start, whole.shape[self.axis] - self.behind)
            with np.errstate(all="ignore"):
                whole[tuple(inside)] = transform(np.ascontiguousarray(whole[tuple(inside)]))
            outputs[self.output] = whole
            return At(outputs, at.geometry)

        return change


def scores_in(way: Way, post: pipelines.Postprocess) -> Part | None:
    """None where no output holds scores of classes."""
    infos = way.subject.model.outputs
    names = [o.name for o in infos]
    if post.task in tasks.OBJECTS:
        form = FORMATS[post.format or ""]
        read = [names.index(n) for n in outputs_read(post, infos)]
        part = next((p for p in form.parts if p.name in ("scores", "logits")), None)
        if part is None or not form.class_columns or (form.choose is None and post.format not in FAMILIES):
            return None
        behind = columns_behind(post, [infos[i] for i in read]) or 0
        # A row's score is one column, and no class.
        return Part(read[part.output], part.axis + 1, part.start, behind) if part.stop is None else None
    index = names.index(post.outputs[0]) if post.outputs else 0
    if post.task == "classify" or post.format == "ctc":
        return Part(index, -1)
    if post.task == "segment" and post.format != "class_map":
        return Part(index, -1 if post.format == "channels_last" else 1)
    return Part(index, 1) if post.format == "db" else None
