"""Generate and match: the mistake that, made in the reference, gives what the candidate gave.

For: one stretch between two stages. Thresholds are the module's constants, each with its reason. Not for: what could be tried
(mutations/), or where the pipelines part (divergence.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.errors import SeatrialError

# An explanation must leave at most a tenth of the difference: what is left may be another decoder's or runtime's rounding.
LEAST_EXPLAINED = 0.9
# And the next best at least five times as much: siblings such as area and antialias share most of an effect.
RUNNER_UP_FACTOR = 5.0
# On so few images everything is tried once; on so many what was not hopeless; on so many others the best are confirmed.
FIRST_IMAGES, SEARCH_IMAGES, CONFIRM_IMAGES = 4, 12, 24
# What explains less than this of the difference on the first images is no explanation by itself.
HOPELESS = 0.3
# So many of those that explain some are tried with each of the others, where none does alone.
BEAM = 4
# Of a pair the first must explain at least so much alone: below it every pair of 100 would have to be tried.
LEAST_SHARE = 0.05
MOST_CONFIRMED = 6


@dataclass(frozen=True)
class Explanation:
    """mutations: one, or a pair, in the order of the stages. left: the share of the difference that stays, 0 where the
    candidate is reproduced; exact: whether it is on every image, within the stage's tolerance. seen on `images` images."""

    mutations: tuple[Mutation, ...]
    left: float
    exact: bool
    images: int

    @property
    def explained(self) -> float:
        return 1.0 - self.left

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(m.fault for m in self.mutations)

    @property
    def parameters(self) -> int:
        return sum(m.parameters for m in self.mutations)

    @property
    def rank(self) -> tuple[bool, float, int, int]:
        """The best first: exact before near, then what leaves less, then the simpler."""
        return (not self.exact, 0.0 if self.exact else self.left, len(self.mutations), self.parameters)


@dataclass(frozen=True)
class Found:
    """best: the explanation, None where there is none. alike: others that these images cannot tell from it. runner_up: the next
    best of another fault. near: what explains most, where nothing explains enough. tried: how many mutations."""

    best: Explanation | None
    alike: tuple[Explanation, ...] = ()
    runner_up: Explanation | None = None
    near: tuple[Explanation, ...] = ()
    tried: int = 0
    out_of_time: bool = False


@dataclass
class Search:
    """One stretch's. base: the reference. differing and agreeing: images, by index, the most different first."""

    stretch: Stretch
    base: Way
    differing: Sequence[int]
    agreeing: Sequence[int]
    in_time: Callable[[], bool]
    _base_distances: dict[int, float] = field(default_factory=dict)
    _ways: dict[tuple[int, ...], Way | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Agreeing images count too: a mutation that moves them explains nothing.
        few = list(self.agreeing[: max(1, SEARCH_IMAGES // 4)])
        searched, others = self.differing[::2], self.differing[1::2]
        if len(self.differing) < 2 * FIRST_IMAGES:
            searched, others = self.differing, self.differing
        self._first = [*searched[:FIRST_IMAGES], *few[:1]]
        self._search = [*searched[:SEARCH_IMAGES], *few]
        self._confirm = [*others[:CONFIRM_IMAGES], *self.agreeing[len(few) : len(few) + CONFIRM_IMAGES // 4], *few]
        self._confirm = list(dict.fromkeys(self._confirm))

    def find(self, mutations: Sequence[Mutation]) -> Found:
        singles = [(m,) for m in mutations]
        ranked = self._funnel(singles)
        found = self._named(ranked)
        if found.best is None and self.in_time():
            pairs = self._pairs(ranked, mutations)
            in_pairs = self._named([*self._funnel(pairs), *ranked]) if pairs else found
            found = in_pairs if in_pairs.best else found
        return Found(found.best, found.alike, found.runner_up, found.near, len(mutations), not self.in_time())

    def _funnel(self, candidates: Sequence[tuple[Mutation, ...]]) -> list[Explanation]:
        """All on few images, then what is not hopeless on more; the best first."""
        first = [e for e in (self._tried(c, self._first) for c in candidates) if e is not None]
        first.sort(key=lambda e: e.rank)
        hopeful = [e for e in first if e.explained >= HOPELESS]
        more = [self._tried(e.mutations, self._search) or e for e in hopeful]
        return sorted(more, key=lambda e: e.rank) + [e for e in first if e.explained < HOPELESS]

    def _named(self, ranked: Sequence[Explanation]) -> Found:
        near = tuple(_one_each(ranked)[:3])
        hopeful = [e for e in ranked if e.explained >= LEAST_EXPLAINED]
        if not hopeful:
            return Found(None, near=near)
        # The best of each fault are confirmed, and what comes right behind them, or the runner-up would be another image set's.
        chosen = _one_each(ranked)[:MOST_CONFIRMED]
        confirmed = [e for e in (self._tried(c.mutations, self._confirm) for c in chosen) if e is not None]
        confirmed.sort(key=lambda e: e.rank)
        best = confirmed[0]
        if best.explained < LEAST_EXPLAINED:
            return Found(None, near=near)
        others = [e for e in confirmed[1:] if not set(best.faults) <= set(e.faults)]
        alike = [e for e in others if not _clearly_better(best, e)]
        # Of explanations that do as well, those with numbers fitted to the candidate, or of more faults, explain no more.
        meant = [e for e in alike if (len(e.mutations), e.parameters) <= (len(best.mutations), best.parameters)]
        runner_up = next((e for e in others if e not in alike), None)
        return Found(best, tuple(meant), runner_up, near)

    def _pairs(self, ranked: Sequence[Explanation], mutations: Sequence[Mutation]) -> list[tuple[Mutation, ...]]:
        """Each of the best few with every other mutation of another fault, as the stages come."""
        stages = self.stretch.stages
        pairs = {}
        for e in [e for e in _one_each(ranked) if e.explained >= LEAST_SHARE][:BEAM]:
            (first,) = e.mutations
            for second in mutations:
                if second.fault != first.fault:
                    pair = tuple(sorted((first, second), key=lambda m: (stages.index(m.stage), m.parameters)))
                    pairs[frozenset(map(id, pair))] = pair
        return list(pairs.values())

    def _tried(self, mutations: tuple[Mutation, ...], images: Sequence[int]) -> Explanation | None:
        """None where the mistake cannot be made in this pipeline, or time is up."""
        if not self.in_time():
            return None
        way = self._way(mutations)
        if way is None:
            return None
        before = after = 0.0
        exact = True
        for i in images:
            base = self._base(i)
            before += base
            after += self.stretch.distance(way, i)
            exact = exact and self.stretch.same(way, i)
            if base and after > 4 * before + base:  # worse than nothing, whatever the others say
                break
        return Explanation(mutations, after / before if before else 1.0, exact, len(images))

    def _way(self, mutations: tuple[Mutation, ...]) -> Way | None:
        key = tuple(map(id, mutations))
        if key not in self._ways:
            way: Way | None = self.base
            try:
                for m in mutations:
                    assert way
                    way = m.change(way)
            except (SeatrialError, ValueError, KeyError):
                way = None
            self._ways[key] = way
        return self._ways[key]

    def _base(self, image: int) -> float:
        if image not in self._base_distances:
            self._base_distances[image] = self.stretch.distance(self.base, image)
        return self._base_distances[image]


def _clearly_better(best: Explanation, other: Explanation) -> bool:
    if best.exact:
        return not other.exact
    return other.left >= RUNNER_UP_FACTOR * best.left


def _one_each(ranked: Sequence[Explanation]) -> list[Explanation]:
    """The best of each set of faults, in order."""
    first: dict[frozenset[str], Explanation] = {}
    for e in ranked:
        first.setdefault(frozenset(e.faults), e)
    return list(first.values())
