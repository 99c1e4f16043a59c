"""What it is worth that nothing differs: whether the reference's own values are sound, and whether they could have shown it.

For: clauses that keep a comparison from being EQUAL, and NaN that a candidate has alone. Not for: the verdict (verdict.py).
NaN and infinity: those of the input, of raw outputs and of results count, wherever the reference has them by itself. Two are
meant: NaN of a dense map's result, which is no value; and an infinite raw output that is the same element on every image, which
is a mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.diagnose import Comparison, Part
from seatrial.diagnosis.result_distance import result_distance
from seatrial.diagnosis.stages import DECODED, INPUT, OF_RESULTS, OUTPUTS, RESULTS
from seatrial.diagnosis.stretch import CANNOT, Stretch
from seatrial.diagnosis.too_little import is_nothing
from seatrial.diagnosis.way import Way
from seatrial.kernels.results import DenseMap
from seatrial.parity.answers import Answers
from seatrial.pipeline.results import Result

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class NotFinite:
    """What the reference has NaN or infinite. name: of the output, or the result's field, '' of the input. images: by index."""

    stage: str
    name: str
    images: tuple[int, ...]

    @property
    def said(self) -> str:
        return f"'{self.stage}'" + (f" ({self.name})" if self.name else "")


def not_finite(compared: Comparison, way: Way) -> list[NotFinite]:
    """Of the reference by itself, up to the last stage that was compared; none where it cannot be run so far."""
    last = compared.parts[-1].stretch if compared.parts else None
    if last is None:
        return []
    stages = [s for s in (INPUT, OUTPUTS, RESULTS) if s in way.steps]
    stages = stages[: stages.index(last.end) + 1] if last.end in stages else []
    found: dict[tuple[str, str], list[int]] = {}
    masks: dict[str, _Mask] = {}
    for i in range(len(compared.names)):
        for stage, name, values in _own(last, way, i, stages):
            if stage == OUTPUTS:
                masks.setdefault(name, _Mask()).add(values)
            if not np.isfinite(values).all():
                found.setdefault((stage, name), []).append(i)
    return [
        NotFinite(stage, name, tuple(images))
        for (stage, name), images in found.items()
        if not (stage == OUTPUTS and masks[name].same)
    ]


def _own(stretch: Stretch, way: Way, image: int, stages: Sequence[str]) -> Iterator[tuple[str, str, Array]]:
    """Floats of the reference's stages, by name."""
    for stage in stages:
        try:
            value = stretch.own(way, image, stage).value
        except CANNOT:
            return
        for name, array in _floats(stage, value, way):
            yield stage, name, array


def _floats(stage: str, value: Any, way: Way) -> Iterator[tuple[str, Array]]:
    if stage == INPUT:
        named = {"": value}
    elif stage == OUTPUTS:
        named = dict(zip([o.name for o in way.subject.model.outputs], value, strict=True))
    else:
        named = _fields(value)
    yield from ((n, np.asarray(v)) for n, v in named.items() if np.asarray(v).dtype.kind == "f")


def _fields(result: Result) -> dict[str, Any]:
    if result is None:
        return {}
    if isinstance(result, DenseMap):
        return {"values": result.values[~np.isnan(result.values)]}
    return dict(vars(result))


class _Mask:
    """Whether what is infinite of an output is the same on every image, and nothing is NaN."""

    def __init__(self) -> None:
        self._first: Array | None = None
        self.same = True

    def add(self, values: Array) -> None:
        kinds = np.where(np.isfinite(values), 0, np.where(np.isnan(values), 2, np.sign(values)))
        first = self._first = kinds if self._first is None else self._first
        # A tensor that is infinite throughout is no mask of anything.
        whole = bool(kinds.all())
        self.same = self.same and not whole and bool(np.array_equal(kinds, first)) and not (kinds == 2).any()


def alone_in_candidate(part: Part, way: Way) -> list[int]:
    """Images on which the candidate has NaN or infinity where the reference has neither."""
    if part.stretch.end not in (INPUT, OUTPUTS):
        return []
    return [i for i in part.differing if _has_alone(part.stretch, way, i)]


def _has_alone(stretch: Stretch, way: Way, image: int) -> bool:
    try:
        made, candidate = stretch.made(way, image).value, stretch.candidate(image)
    except CANNOT:
        return False
    pairs = zip(made, candidate, strict=True) if stretch.end == OUTPUTS else [(made, candidate)]
    return any(r.shape == c.shape and bool((np.isfinite(r) & ~np.isfinite(c)).any()) for r, c in pairs)


def says_nothing(compared: Comparison, part: Part, way: Way) -> str:
    """Why that a stage is equal says nothing: the reference has the same there for every image, within its own tolerance. ''
    where it says something."""
    stretch, count = part.stretch, len(compared.names)
    try:
        values = (stretch.made(way, i).value for i in range(count))
        if stretch.end in OF_RESULTS:
            return _no_results(list(values), compared.limits.results)
        first = next(values)
        if any(not _alike(first, v, stretch.end, compared) for v in values):
            return ""
    except CANNOT:
        return ""
    if stretch.end == OUTPUTS:
        return (
            "the raw outputs are the same for every image, within the tolerance, so another image's would pass as well"
        )
    return f"all images are one and the same picture at '{stretch.end}'"


def is_colorless(compared: Comparison, way: Way) -> bool:
    """Whether no image has a colour: channels in another order show in none of them."""
    stretch = compared.parts[0].stretch
    for i in range(len(compared.names)):
        image = stretch.own(way, i, DECODED).value
        if image.shape[2] < 3 or bool((image[..., :1] != image[..., 1:3]).any()):
            return False
    return True


def _no_results(results: Sequence[Result], limit: float) -> str:
    if all(map(is_nothing, results)):
        return "no image has a result on either side, which two unlike pipelines may have in common"
    answers = Answers()
    for result in results:
        answers.add(result)
    if answers.empty or all(result_distance(results[0], r) <= limit for r in results):
        return (
            "the results are the same for every image, which a pipeline that does not look at them would give as well"
        )
    return ""


def _alike(first: Any, other: Any, stage: str, compared: Comparison) -> bool:
    pairs = list(zip(first, other, strict=True)) if stage == OUTPUTS else [(first, other)]
    if all(a.shape == b.shape for a, b in pairs):
        return compared.limits.hold(stage, first, other)
    # Pictures and outputs of several sizes, each of one value.
    return all(a.size and b.size and bool((a == a.flat[0]).all() and (b == a.flat[0]).all()) for a, b in pairs)
