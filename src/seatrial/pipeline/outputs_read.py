"""Which of a model's outputs a built-in postprocess reads, in the order of its decoder: one rule for all who ask.

For: decoding, checks and parity alike, so that none takes scores for boxes that another does not. Not for: what is wrong
with the outputs (check_outputs.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seatrial.kernels.detection_formats import EXTENDED, FORMATS
from seatrial.model.file import TensorInfo
from seatrial.plan import pipelines
from seatrial.plan.head_pairs import which_is_boxes
from seatrial.plan.output_roles import in_order


def outputs_read(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> list[str]:
    """Names in the plan's order where it gives one, else in the file's; of a pair, boxes first.

    Boxes have four columns. Where the other one has, or may have, as many, the plan's order counts, else their names, else
    the file's order, which `untold` says. Names that the model does not have are left out.
    """
    by_name = {o.name: o for o in outputs}
    asked = by_name if postprocess.outputs is None else postprocess.outputs
    names = [n for n in asked if n in by_name]
    if postprocess.outputs is None and (shaped := _shaped(postprocess, outputs)):
        return [o.name for o in shaped[0]] or names
    pair = _pair(postprocess, [by_name[n] for n in names])
    if pair is None:
        return names
    first_is_none = isinstance(pair[0].shape[2], int) and pair[0].shape[2] != 4
    swapped = first_is_none if postprocess.outputs else which_is_boxes(*pair, {}) == 1
    both = [o.name for o in (reversed(pair) if swapped else pair)]
    return both if postprocess.task == "detect" else [*both, *(n for n in names if n not in both)]


def untold(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> bool:
    """Whether, should boxes and scores both be four columns wide, neither the plan nor their names say which is which."""
    pair = _pair(postprocess, outputs)
    if pair is None or postprocess.outputs:
        return False
    as_if_alike = [replace(o, shape=(*o.shape[:2], 4)) for o in pair]
    return which_is_boxes(as_if_alike[0], as_if_alike[1], {}) is None


def is_alike(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> bool:
    """Whether tensors that a format reads in turn are of like shapes by the file, and nothing says which is which."""
    if postprocess.outputs is None and (shaped := _shaped(postprocess, outputs)):
        return bool(shaped[0]) and not shaped[1]
    pair = _pair(postprocess, outputs)
    return pair is not None and all(o.shape[2] == 4 for o in pair) and untold(postprocess, outputs)


def columns_behind(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> int | None:
    """How many columns of the first output stand behind its classes: keypoints, coefficients of prototypes, an angle.

    outputs: those that are read. None where only a run shows it.
    """
    if postprocess.task == "pose":
        assert postprocess.keypoints is not None
        return postprocess.keypoints[0] * postprocess.keypoints[1]
    if postprocess.task == "instances" and postprocess.format in EXTENDED:
        channels = [o.shape[1] for o in outputs if len(o.shape) == 4]
        return channels[0] if len(channels) == 1 and isinstance(channels[0], int) else None
    return 1 if postprocess.task == "oriented" else 0


def _shaped(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> tuple[list[TensorInfo], bool] | None:
    """All outputs in the order of a format that reads them by shapes, and whether anything says that order; none where they do
    not fit. None where the format is another."""
    form = FORMATS.get(postprocess.format or "")
    if form is None or not form.shapes:
        return None

    def fits(order: Sequence[TensorInfo]) -> bool:
        return len(order) == len(outputs) and any(s.fit([o.shape for o in order]) for s in form.shapes)

    return in_order(outputs, form.roles, fits)


def _pair(postprocess: pipelines.Postprocess, outputs: Sequence[TensorInfo]) -> tuple[TensorInfo, TensorInfo] | None:
    """Boxes and scores, in some order, of a format that reads them from two outputs of three dimensions."""
    lists = [o for o in outputs if len(o.shape) == 3]
    wanted = postprocess.format in FORMATS and FORMATS[postprocess.format].output_ranks == (3, 3)
    return (lists[0], lists[1]) if wanted and len(lists) == 2 else None
