"""Raw outputs of one image as parts that mean one thing each: boxes, scores, logits; else whole outputs.

For: never pooling pixels (0 to 640) with probabilities (0 to 1), where destroyed scores would not be seen.
Not for: comparing them (tensors.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.kernels.detection_formats import FORMATS
from seatrial.kernels.detector_format import Format, Part
from seatrial.model.file import TensorInfo
from seatrial.pipeline.outputs_read import columns_behind, outputs_read
from seatrial.plan import pipelines

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Parts:
    """names[k] is called like 'output0 scores'; arrays[image][k]; unit_range[k]: values are probabilities."""

    names: tuple[str, ...]
    unit_range: tuple[bool, ...]
    arrays: list[list[Array]]


def split(
    postprocess: pipelines.Postprocess | pipelines.UserCode,
    outputs: Sequence[TensorInfo],
    raw: Sequence[Sequence[Array]],
    by_rank: bool = False,
) -> Parts:
    """raw[image][output] without the batch, to parts: those of the plan's format where it names one, else whole outputs.

    outputs: as the model's file has them, in the order of raw's.

    by_rank: of formats that order rows by score, give scores alone, sorted: there a row's place says nothing about which
    object it is, and reduced precisions trade places.
    """
    names = [o.name for o in outputs]
    found = _format_outputs(postprocess, outputs, raw[0]) if raw else None
    if found is None:
        return Parts(tuple(names), (False,) * len(names), [list(arrays) for arrays in raw])
    form, indices = found
    ranked = form.ranked and by_rank
    parts = _parts(postprocess, form, outputs, raw[0])
    chosen = [p for p in parts if not ranked or p.name in ("scores", "logits")]
    others = [k for k in range(len(names)) if k not in indices]
    return Parts(
        (*(f"{names[indices[p.output]]} {p.name}" for p in chosen), *(names[k] for k in others)),
        (*(p.unit_range for p in chosen), *(False for _ in others)),
        [[*(_cut(o[indices[p.output]], p, ranked) for p in chosen), *(o[k] for k in others)] for o in raw],
    )


# What stands behind the classes of a head, by task.
_BEHIND = {"instances": "coefficients", "pose": "keypoints", "oriented": "angle"}


def _parts(
    post: pipelines.Postprocess | pipelines.UserCode,
    form: Format,
    outputs: Sequence[TensorInfo],
    arrays: Sequence[Array],
) -> list[Part]:
    """The format's, and behind its classes the task's."""
    assert isinstance(post, pipelines.Postprocess)
    came = {o.name: replace(o, shape=(1, *a.shape)) for o, a in zip(outputs, arrays, strict=True)}
    extra = columns_behind(post, [came[n] for n in outputs_read(post, outputs)])
    if not extra:
        return list(form.parts)
    own = [replace(p, stop=-extra) if p.stop is None else p for p in form.parts]
    return [*own, Part(_BEHIND[post.task], axis=1 - form.anchor_axis, start=-extra)]


def _format_outputs(
    postprocess: pipelines.Postprocess | pipelines.UserCode, outputs: Sequence[TensorInfo], arrays: Sequence[Array]
) -> tuple[Format, list[int]] | None:
    """The format and the places of its tensors among the outputs, boxes first; None where the outputs do not fit it."""
    if isinstance(postprocess, pipelines.UserCode) or postprocess.format not in FORMATS:
        return None
    form = FORMATS[postprocess.format]
    names = [o.name for o in outputs]
    if form.shapes:
        # Cut by the format's own rule already, some to no rows at all: only their count is to be known.
        indices = [names.index(n) for n in outputs_read(postprocess, outputs)]
        parts = [p for p in form.parts if p.output < len(indices)]
        fits = bool(indices) and any(len(s.tensors) == len(indices) for s in form.shapes)
        return (replace(form, parts=tuple(parts)), indices) if fits else None
    indices = [k for k in map(names.index, outputs_read(postprocess, outputs)) if arrays[k].ndim == 2]
    if len(indices) != len(form.output_ranks):
        return None
    # As the decoder does, where the file leaves the widths open.
    if len(indices) == 2 and arrays[indices[0]].shape[1] != 4:
        indices.reverse()
    fits = all(arrays[indices[p.output]].shape[p.axis] > p.start for p in form.parts)
    return (form, indices) if fits else None


def _cut(output: Array, part: Part, ranked: bool) -> Array:
    if output.ndim != 2:
        return np.sort(output) if ranked and output.ndim == 1 else output
    cut = output[part.start : part.stop] if part.axis == 0 else output[:, part.start : part.stop]
    return np.sort(cut, axis=None) if ranked else cut
