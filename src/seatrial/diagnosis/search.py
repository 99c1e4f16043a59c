"""Generate and match: the mistake that, made in the reference, gives what the candidate gave.

For: one stretch between two stages. Thresholds are the module's constants, each with its reason. Not for: what could be tried
(mutations/), or where the pipelines part (diagnose.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from seatrial.diagnosis.fits import FITS, Fit, fitted
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import OUTPUTS, RESULTS
from seatrial.diagnosis.stretch import Stretch
from seatrial.diagnosis.way import Way
from seatrial.errors import BackendUnavailableError, SeatrialError

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
# So near an explanation leaves nothing that another mistake could make: one level of 255 in one pixel of twelve, on an image
# that varies by forty levels.
ROUNDING = 0.002
MOST_CONFIRMED = 6
# Of those that are not hopeless so many are tried on more images.
MOST_SEARCHED = 40
# What leaves more than one and a half times the difference on two images is no explanation by itself, whatever others say.
WORSE = 1.5


@dataclass(frozen=True)
class Explanation:
    """mutations: one, or a pair, in the order of the stages. left: the share of the difference that stays, 0 where the
    candidate is reproduced; apart: how far from it images still are, on the mean; exact: whether none is, within the stage's
    tolerance. seen on `images` images."""

    mutations: tuple[Mutation, ...]
    left: float
    apart: float
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
    def rank(self) -> tuple[bool, float, int, int, float]:
        """The best first: exact before near, then what leaves less, then the simpler."""
        left = 0.0 if self.exact else self.left
        return (not self.exact, left, *self.simplicity, self.left)

    @property
    def simplicity(self) -> tuple[int, int]:
        """How much it takes for granted: mistakes, and numbers fitted to the candidate."""
        return (len(self.mutations), self.parameters)


@dataclass(frozen=True)
class Found:
    """best: the explanation, None where there is none. alike: others that these images cannot tell from it. runner_up: the next
    best of another fault. near: what explains most, where nothing explains enough. enough: all that would do by itself, one a
    fault. tried: how many mutations. untried: why some could not be."""

    best: Explanation | None
    alike: tuple[Explanation, ...] = ()
    runner_up: Explanation | None = None
    near: tuple[Explanation, ...] = ()
    enough: tuple[Explanation, ...] = ()
    tried: int = 0
    untried: tuple[str, ...] = ()
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
    _alone: dict[Mutation, float] = field(default_factory=dict)
    _one_is_exact: bool = False
    _untried: dict[str, None] = field(default_factory=dict)

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
        # What numbers were fitted to must not be all that they are confirmed by.
        self._fitted = list(self.differing[::2][:FIRST_IMAGES])

    def find(self, mutations: Sequence[Mutation], fits: Sequence[Fit] = FITS) -> Found:
        """fits: made where no mutation without fitted numbers is exact."""
        singles = [(m,) for m in mutations]
        ranked = self._funnel(singles)
        if self._one_is_exact and not ranked[0].exact:
            # It was on the first images alone, for which others had been given up.
            ranked = self._funnel(singles)
        found = self._named(ranked)
        if not _complete(found) and self.in_time():
            made = fitted(fits, self.stretch, self.base, self._fitted)
            ranked = sorted([*ranked, *self._funnel([(m,) for m in made])], key=lambda e: e.rank)
            found = self._named(ranked)
        if not _complete(found) and self.in_time():
            found = self._with_pairs(found, ranked, mutations, fits)
        return replace(found, tried=len(mutations), untried=tuple(self._untried), out_of_time=not self.in_time())

    def _with_pairs(
        self, alone: Found, ranked: Sequence[Explanation], mutations: Sequence[Mutation], fits: Sequence[Fit]
    ) -> Found:
        """A large fault explains most even where a small one is beside it: then a pair must do clearly better."""
        pairs = self._funnel(self._pairs(ranked, mutations, fits), pairs=True)
        if not pairs:
            return alone
        found = self._named([*pairs, *ranked])
        if alone.best is None or found.best is None:
            return found if found.best else alone
        better = found.best.exact or (
            self.stretch.end not in (OUTPUTS, RESULTS) and _clearly_better(found.best, alone.best)
        )
        return found if better and len(found.best.mutations) > 1 else alone

    def _funnel(self, candidates: Sequence[tuple[Mutation, ...]], pairs: bool = False) -> list[Explanation]:
        """All on few images, then what is not hopeless on more; the best first."""
        first = [e for e in (self._first_try(c, pairs) for c in candidates) if e is not None]
        first.sort(key=lambda e: e.rank)
        hopeful = [e for e in first if e.explained >= HOPELESS]
        more = [self._tried(e.mutations, self._search) or e for e in hopeful[:MOST_SEARCHED]]
        self._one_is_exact = any(e.exact for e in more)
        return (
            sorted(more, key=lambda e: e.rank) + hopeful[MOST_SEARCHED:] + [e for e in first if e.explained < HOPELESS]
        )

    def _first_try(self, mutations: tuple[Mutation, ...], pair: bool) -> Explanation | None:
        """Of a pair no more images than it takes to see that it does no better than the better of its two alone."""
        alone = [self._alone[m] for m in mutations if m in self._alone] if pair else []
        found = self._tried(mutations, self._first, min(alone, default=WORSE))
        if found and not pair:
            self._alone[mutations[0]] = found.left
        self._one_is_exact = self._one_is_exact or bool(found and found.exact)
        return found

    def _named(self, ranked: Sequence[Explanation]) -> Found:
        near = tuple(_one_each(ranked)[:3])
        hopeful = [e for e in ranked if e.explained >= LEAST_EXPLAINED]
        if not hopeful:
            return Found(None, near=near)
        enough = tuple(_one_each(hopeful))
        # The best of each fault are confirmed, and what comes right behind them, or the runner-up would be another image set's.
        chosen = _one_each(ranked)[:MOST_CONFIRMED]
        confirmed = [e for e in (self._tried(c.mutations, self._confirm) for c in chosen) if e is not None]
        confirmed.sort(key=lambda e: e.rank)
        if not confirmed or confirmed[0].explained < LEAST_EXPLAINED:
            return Found(None, near=near, enough=enough)
        # Of explanations that do as well the simplest is meant: fitted numbers, or a second fault, explain no more there.
        level = [e for e in confirmed if e.explained >= LEAST_EXPLAINED and not _clearly_better(confirmed[0], e)]
        best = min(level, key=lambda e: (*e.simplicity, *e.rank))
        others = [e for e in confirmed if e is not best and not set(best.faults) <= set(e.faults)]
        alike = [e for e in others if e in level and e.simplicity <= best.simplicity]
        runner_up = next((e for e in others if e not in level), None)
        return Found(best, tuple(alike), runner_up, near, enough)

    def _pairs(
        self, ranked: Sequence[Explanation], mutations: Sequence[Mutation], fits: Sequence[Fit]
    ) -> list[tuple[Mutation, ...]]:
        """Each of the best few with every other mutation of another fault, and with what can be fitted behind it."""
        stages = self.stretch.stages
        pairs = {}
        for e in [e for e in _one_each(ranked) if e.explained >= LEAST_SHARE and len(e.mutations) == 1][:BEAM]:
            (first,) = e.mutations
            way = self._way((first,))
            more = fitted(fits, self.stretch, way, self._fitted) if way and self.in_time() else []
            for second in (*mutations, *more):
                if second.fault != first.fault:
                    pair = tuple(sorted((first, second), key=lambda m: stages.index(m.stage)))
                    pairs[frozenset(map(id, pair))] = pair
        return list(pairs.values())

    def _tried(
        self, mutations: tuple[Mutation, ...], images: Sequence[int], most_left: float = WORSE
    ) -> Explanation | None:
        """None where the mistake cannot be made in this pipeline, or time is up. most_left: where two images or more say that
        it leaves more than that, the others are not asked."""
        if not self.in_time():
            return None
        way = self._way(mutations)
        if way is None:
            return None
        before = after = 0.0
        exact = True
        for k, i in enumerate(images):
            base = self._base(i)
            before += base
            after += self.stretch.distance(way, i)
            exact = exact and self.stretch.same(way, i)
            limit = most_left if k < 2 else min(most_left, 1 - LEAST_SHARE)
            # Beside one that is exact the others only have to show that they are not.
            if not exact and (self._one_is_exact or (k and after > limit * before)):
                break
        return Explanation(mutations, after / before if before else 1.0, after / (k + 1), exact, len(images))

    def _way(self, mutations: tuple[Mutation, ...]) -> Way | None:
        key = tuple(map(id, mutations))
        if key not in self._ways:
            way: Way | None = self.base
            try:
                for m in mutations:
                    assert way
                    way = m.change(way)
            except BackendUnavailableError as e:
                self._untried[str(e)] = None
                way = None
            except (SeatrialError, ValueError, KeyError):
                way = None
            except Exception as e:  # one mistake that cannot be made must not cost the others
                self._untried[f"{mutations[-1].fault}: {type(e).__name__}: {str(e)[:120]}"] = None
                way = None
            self._ways[key] = way
        return self._ways[key]

    def _base(self, image: int) -> float:
        if image not in self._base_distances:
            self._base_distances[image] = self.stretch.distance(self.base, image)
        return self._base_distances[image]


def _complete(found: Found) -> bool:
    return bool(found.best and (found.best.exact or found.best.apart <= ROUNDING))


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
