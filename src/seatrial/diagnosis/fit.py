"""A mistake whose numbers are fitted to the candidate's own values, and what becomes of a fit that breaks: it is said.

For: running fits one by one. Not for: any of them (fits.py, result_fits.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stretch import CANNOT, Stretch
from seatrial.diagnosis.way import Way

NO_ROOM = "it needs more memory than there is"


@dataclass(frozen=True)
class Fit:
    """faults: which it may find, as a list. find: mistakes with the numbers that fit the candidate best on some images, by
    index; nothing where a stretch or a plan has none to fit."""

    faults: str
    find: Callable[[Stretch, Way, Sequence[int]], Iterable[Mutation]]


@dataclass(frozen=True)
class Fitted:
    """broken: what was raised by fits that broke, as a sentence each."""

    mutations: tuple[Mutation, ...] = ()
    broken: tuple[str, ...] = ()


def fitted(fits: Sequence[Fit], stretch: Stretch, way: Way, images: Sequence[int]) -> Fitted:
    """One that breaks costs no other. Nothing of a way that cannot be gone: its distance tells that."""
    found: list[Mutation] = []
    broken: list[str] = []
    if not fits or not _goes(stretch, way, images):
        return Fitted()
    for fit in fits:
        try:
            for mutation in fit.find(stretch, way, images):
                found.append(mutation)
        except MemoryError:
            stretch.forget()
            broken.append(f"{fit.faults}, with numbers fitted to the candidate's: {NO_ROOM}")
        except Exception as e:  # one fit that breaks must not cost the others
            broken.append(f"{fit.faults}, with numbers fitted to the candidate's: {raised(e)}")
    return Fitted(tuple(found), tuple(broken))


def _goes(stretch: Stretch, way: Way, images: Sequence[int]) -> bool:
    try:
        for i in images:
            stretch.made(way, i)
    except CANNOT:
        return False
    return True


def raised(e: Exception) -> str:
    """'KeyError: 'anything''."""
    return f"{type(e).__name__}: {str(e).strip()[:120]}"
