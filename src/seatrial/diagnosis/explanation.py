"""How well a mistake, made in the reference, gives what the candidate gave: what a search finds.

For: data. Not for: searching (search.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.diagnosis.mutation import Mutation

# Of one image that differs alone: what leaves next to nothing of that is no chance.
LEFT_OF_ONE = 0.02


def share(after: Sequence[float], before: Sequence[float]) -> float:
    """How much of the distances before is left."""
    return sum(after) / sum(before) if sum(before) else 1.0


def left_of_others(after: Sequence[float], before: Sequence[float], alone: bool) -> float:
    """Without the image that differs most. alone: no other one does; then 0 where next to nothing of it is left, else 1."""
    if alone:
        return 0.0 if share(after, before) <= LEFT_OF_ONE else 1.0
    most = before.index(max(before))
    return share([*after[:most], *after[most + 1 :]], [*before[:most], *before[most + 1 :]])


@dataclass(frozen=True)
class Explanation:
    """mutations: one, or a pair, in the order of the stages. left: the share of the difference that stays, 0 where the
    candidate is reproduced; apart: how far from it images still are, on the mean; exact: whether none is, within the stage's
    tolerance. seen on `images` images, of which `again` are such that differ and that it was found on."""

    mutations: tuple[Mutation, ...]
    left: float
    apart: float
    exact: bool
    images: int
    again: int = 0
    left_of_others: float = 0.0

    @property
    def explained(self) -> float:
        return 1.0 - self.left

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(m.fault for m in self.mutations)

    @property
    def what(self) -> str:
        return ", and ".join(m.what for m in self.mutations)

    @property
    def parameters(self) -> int:
        return sum(m.parameters for m in self.mutations)

    @property
    def rank(self) -> tuple[bool, float, int, int, float]:
        """The best first: exact before near, then what leaves less, then the simpler."""
        left = 0.0 if self.exact else self.left
        return (not self.exact, left, *self.simplicity, self.left)

    @property
    def simplicity(self) -> tuple[int, int]:
        """How much it takes for granted: mistakes, and numbers fitted to the candidate."""
        return (len(self.mutations), self.parameters)


@dataclass(frozen=True)
class Untried:
    """why: as a sentence, with the names of the faults where it is one of theirs alone; count: of mistakes, pairs and fits that
    it is so of."""

    why: str
    count: int = 1


@dataclass(frozen=True)
class Found:
    """best: the explanation, None where there is none. alike: others that these images cannot tell from it. runner_up: the next
    best of another fault. near: what explains most, where nothing explains enough. enough: all that would do by itself, one a
    fault. tried: how many mutations, each counted once; left: how many were not, as time was up. untried: what could not be
    tried, or broke, and why."""

    best: Explanation | None
    alike: tuple[Explanation, ...] = ()
    runner_up: Explanation | None = None
    near: tuple[Explanation, ...] = ()
    enough: tuple[Explanation, ...] = ()
    tried: int = 0
    left: int = 0
    untried: tuple[Untried, ...] = ()
    out_of_time: bool = False


def one_each(ranked: Sequence[Explanation]) -> list[Explanation]:
    """The best of each set of faults, in order."""
    first: dict[frozenset[str], Explanation] = {}
    for e in ranked:
        first.setdefault(frozenset(e.faults), e)
    return list(first.values())


def together(again: Sequence[Explanation], before: Sequence[Explanation]) -> list[Explanation]:
    """What was tried again as it is now, else as it was; the best first."""
    known = {e.mutations: e for e in (*before, *again)}
    return sorted(known.values(), key=lambda e: e.rank)
