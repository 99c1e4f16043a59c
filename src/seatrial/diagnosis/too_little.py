"""A candidate that says next to nothing: several mistakes would do that to it, and which of them was found first is chance.

For: taking the name back that a search gave, with all that would do it in its place. Not for: equal pipelines that say nothing
(evidence.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from seatrial.diagnosis.explanation import Found
from seatrial.diagnosis.result_distance import scores_of
from seatrial.diagnosis.stages import OF_RESULTS, OUTPUTS
from seatrial.diagnosis.stretch import CANNOT, Stretch
from seatrial.diagnosis.way import Way
from seatrial.errors import count_of
from seatrial.kernels.results import Classification, Detections, Labels, Text
from seatrial.pipeline.results import Result

# Of the images on which the reference has a result the candidate has one on at most so many, next to none.
NEXT_TO_NONE = 0.1
MOST_NAMED = 8


def named_by_chance(stretch: Stretch, way: Way, found: Found) -> tuple[Found, str]:
    """The same where the candidate says enough; else without a name, with what would do it as the nearest, and what is odd."""
    said, is_evidence = _odd(stretch, way)
    if not said or (is_evidence and (found.best is None or (found.best.exact and not found.alike))):
        return found, ""
    return replace(found, best=None, alike=(), runner_up=None, near=found.enough[:MOST_NAMED]), said


def _odd(stretch: Stretch, way: Way) -> tuple[str, bool]:
    """'' of a candidate that says enough; whether one mistake that reproduces it to the last digit is known by that."""
    count = len(stretch.names)
    values = [stretch.candidate(i) for i in range(count)]
    if stretch.end in OF_RESULTS:
        wanted = _with_any(stretch, way)
        there = sum(not is_nothing(v) for v in values)
        if not there and wanted:
            return f"the candidate gives nothing on any of {count_of(count, 'image')}", False
        if wanted and there <= NEXT_TO_NONE * wanted:
            where = f"{there} of {wanted} images on which the reference has a result"
            return f"the candidate has one on {where}", True
    if count < 2 or stretch.end not in (OUTPUTS, *OF_RESULTS) or not _all_the_same(values):
        return "", True
    if not _varies(stretch, way, values[0]):
        return "", True
    numbers = [values[0]] if stretch.end in OF_RESULTS else values[0]
    constant = all(_is_one_number(n) for n in numbers)
    return f"the candidate gives one and the same on all of {count_of(count, 'image')}", not constant


def is_nothing(result: Result) -> bool:
    """No answer, or one that has no object, label or letter."""
    if isinstance(result, Detections | Labels):
        return not len(result)
    return result is None or (isinstance(result, Text) and not len(result.code_points))


def _with_any(stretch: Stretch, way: Way) -> int:
    """Images on which the reference has a result."""
    try:
        return sum(not is_nothing(stretch.made(way, i).value) for i in range(len(stretch.names)))
    except CANNOT:
        return 0


def _varies(stretch: Stretch, way: Way, like: Any) -> bool:
    """Whether the reference has another for some images, in what the candidate shows: of a log of classes as many of these."""
    try:
        made = [stretch.made(way, i).value for i in range(len(stretch.names))]
    except CANNOT:
        return True
    if isinstance(like, Classification) and not stretch.scored:
        made = [[m.class_ids[: len(like.class_ids)]] for m in made if isinstance(m, Classification)]
    return not _all_the_same(made)


def _all_the_same(values: list[Any]) -> bool:
    first = _arrays(values[0])
    return all(
        len(first) == len(other)
        and all(
            a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f" == b.dtype.kind)
            for a, b in zip(first, other, strict=True)
        )
        for other in map(_arrays, values[1:])
    )


def _arrays(value: Any) -> list[Any]:
    if value is None:
        return []
    return [np.asarray(v) for v in (value if isinstance(value, list) else vars(value).values())]


def _is_one_number(value: Any) -> bool:
    """A tensor or map of one value throughout, or classes without a score: these are met by chance."""
    if isinstance(value, Classification | Labels):
        return bool(np.isnan(scores_of(value)).all())
    arrays = [value] if isinstance(value, np.ndarray) else _arrays(value)
    return all(not a.size or bool((a == a.flat[0]).all()) for a in arrays)
