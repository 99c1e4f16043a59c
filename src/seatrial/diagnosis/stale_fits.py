"""Another image's answer on some images alone: a buffer that is read before it is written, now and then.

For: which images these are, where each that differs has another's answer and each that agrees its own. Not for: answers that
are late on every image, which need no fitting (mutations/model.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.too_little import is_nothing
from seatrial.diagnosis.way import At, Mates, Way

_OTHERS = {"before": -1, "behind": 1, "two before": -2, "four before": -4, "eight before": -8}


def fit_stale(stretch: Stretch, way: Way, images: Sequence[int]) -> list[Mutation]:
    """Numbers are easily right by chance, answers of whole images are not: but where they say nothing, they are."""
    if stretch.end not in (OUTPUTS, RESULTS) or way.mates is not None:
        return []
    return list(_fitted(stretch, way, images))


def _fitted(stretch: Stretch, way: Way, images: Sequence[int]) -> Iterator[Mutation]:
    count = len(stretch.names)
    everywhere, all_places = range(count), range(10**9)
    for said, at in _OTHERS.items():
        late = way.with_mates(_mates(stretch.end, at, all_places))
        if not all(stretch.compared(late, i).same for i in images):
            continue
        differing = [i for i in everywhere if not stretch.compared(way, i).same]
        if any(stretch.end == RESULTS and is_nothing(stretch.candidate(i)) for i in differing):
            continue
        if len(differing) < count and all(stretch.compared(late, i).same for i in differing):
            what = f"gives the {stretch.end} of the image {said} on {len(differing)} of {count} images"
            mates = _mates(stretch.end, at, {stretch.place(i) for i in differing})
            yield Mutation("stale-output", what, stretch.end, partial(_with, mates), parameters=1)


def _mates(stage: str, at: int, late: Collection[int]) -> Mates:
    """late: at which places of the candidate's order."""

    def of(place: int, count: int) -> list[int]:
        return [place + at] if place in late and 0 <= place + at < count else []

    def make(own: At, theirs: Sequence[At]) -> object:
        return (theirs[0] if theirs else own).value

    return Mates(stage, stage, of, make)


def _with(mates: Mates, way: Way) -> Way:
    return way.with_mates(mates)
