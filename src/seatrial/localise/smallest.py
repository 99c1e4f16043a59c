"""A smallest part of a list that is still enough: delta debugging (Zeller and Hildebrandt 2002), from a guess of what matters.

First the shortest beginning that is enough, by doubling and halving; then whatever of it can be left out, in ever smaller
groups, the least likely first. For: any question that a set answers with yes or no. Not for: what is asked (recipe.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Enough = Callable[[frozenset[str]], bool]


@dataclass(frozen=True)
class Smallest:
    """items: none of which can be left out where `minimal`; else the questions ran out before that was known.

    enough: whether they are enough at all; where not, they are all there are. asked: how many sets were tried.
    """

    items: tuple[str, ...]
    enough: bool
    minimal: bool
    asked: int


def smallest(ranked: Sequence[str], enough: Enough, first: int = 1, most: int = 200) -> Smallest:
    """ranked: the likeliest first, of which the first `first` are tried together, then twice as many, and so on.

    enough: takes any subset; where it holds for a set it should for a larger one. most: questions.
    """
    asking = _Asking(enough, most)
    try:
        _beginning(list(ranked), asking, max(1, first))
        if asking.best is None:
            return Smallest(tuple(ranked), False, False, asking.asked)
        _left_out(asking)
    except _NoMore:
        best = asking.best
        return Smallest(tuple(ranked if best is None else best), best is not None, False, asking.asked)
    return Smallest(tuple(asking.best), True, True, asking.asked)


class _NoMore(Exception):
    """As many questions as were allowed have been asked."""


class _Asking:
    """best: the smallest list that is known to be enough."""

    def __init__(self, enough: Enough, most: int) -> None:
        self._enough, self._most = enough, most
        self._known: dict[frozenset[str], bool] = {}
        self.best: list[str] | None = None

    @property
    def asked(self) -> int:
        return len(self._known)

    def __call__(self, items: list[str]) -> bool:
        key = frozenset(items)
        if key not in self._known:
            if len(self._known) >= self._most:
                raise _NoMore
            self._known[key] = self._enough(key)
        if self._known[key] and (self.best is None or len(items) < len(self.best)):
            self.best = items
        return self._known[key]


def _beginning(ranked: list[str], ask: _Asking, count: int) -> None:
    """The shortest that is enough, taking it that a longer one is where a shorter is."""
    if ask([]):
        return
    too_few = 0
    while not ask(ranked[:count]):
        if count >= len(ranked):
            return
        too_few, count = count, 2 * count
    count = min(count, len(ranked))
    while count - too_few > 1:
        middle = (too_few + count) // 2
        if ask(ranked[:middle]):
            count = middle
        else:
            too_few = middle


def _left_out(ask: _Asking) -> None:
    """Groups of half of them, of a quarter, …, of one, each from the end; ones again until none can go."""
    assert ask.best is not None
    size = max(1, len(ask.best) // 2)
    while ask.best:
        before = len(ask.best)
        for end in range(before, 0, -size):
            rest = ask.best[: max(0, end - size)] + ask.best[end:]
            ask(rest)
        if size == 1 and len(ask.best) == before:
            return
        size = max(1, size // 2)
