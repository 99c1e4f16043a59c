"""Generate and match: the mistake that, made in the reference, gives what the candidate gave.

For: one stretch between two stages. Thresholds are the module's constants, each with its reason. Not for: what could be tried
(mutations/), or where the pipelines part (diagnose.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from seatrial.diagnosis.distance import MISMATCH
from seatrial.diagnosis.explanation import Explanation as Explanation
from seatrial.diagnosis.explanation import Found as Found
from seatrial.diagnosis.explanation import Untried, left_of_others, one_each, share, together
from seatrial.diagnosis.fit import NO_ROOM, Fit, fitted, raised
from seatrial.diagnosis.fits import FITS
from seatrial.diagnosis.mutation import Mutation, with_mutations
from seatrial.diagnosis.pairs import LEAST_SHARE, nearest_pairs, wide_pairs
from seatrial.diagnosis.stages import OF_RESULTS, OUTPUTS
from seatrial.diagnosis.stretch import Compared, Stretch
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
# Mistakes alone get so much of the time before pairs of the nearest are tried.
SHARE_ALONE = 0.7
# So near an explanation leaves nothing that another mistake could make: one level of 255 in one pixel of twelve, on an image
# that varies by forty levels.
ROUNDING = 0.002
MOST_CONFIRMED = 6
# Of those that are not hopeless so many are tried on more images.
MOST_SEARCHED = 40
# Results differ by shares that a flipped rank or a lost object makes large on a single image. What explains that one and less
# than half of all others' difference was met by chance: seen of noisy weights, whose two flipped ranks a resize flipped too.
LEAST_OF_OTHERS = 0.5
# What leaves more than one and a half times the difference of the most different image is no explanation, whatever others say.
WORSE = 1.5


@dataclass
class Search:
    """One stretch's. base: the reference. differing and agreeing: images, by index, the most different first. in_time: whether
    any is left; early: whether it is still that of mistakes alone."""

    stretch: Stretch
    base: Way
    differing: Sequence[int]
    agreeing: Sequence[int]
    in_time: Callable[[], bool]
    early: Callable[[], bool] = lambda: True
    _base_distances: dict[int, float] = field(default_factory=dict)
    _ways: dict[tuple[int, ...], Way | None] = field(default_factory=dict)
    _alone: dict[Mutation, float] = field(default_factory=dict)
    _one_is_exact: bool = False
    _gives_up: bool = True
    _seen: dict[Mutation, bool] = field(default_factory=dict)
    _untried: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Agreeing images count too: a mutation that moves them explains nothing.
        few = list(self.agreeing[: max(1, SEARCH_IMAGES // 4)])
        searched, others = self.differing[::2], self.differing[1::2]
        if len(self.differing) < 2 * FIRST_IMAGES:
            # So few are needed in full to tell mistakes apart, and one alone to find any.
            others = [*others, *searched]
        self._first = [*searched[:FIRST_IMAGES], *few[:1]]
        self._search = [*searched[:SEARCH_IMAGES], *few]
        self._confirm = [*others[:CONFIRM_IMAGES], *self.agreeing[len(few) : len(few) + CONFIRM_IMAGES // 4], *few]
        self._confirm = list(dict.fromkeys(self._confirm))
        self._again = len(set(searched[:SEARCH_IMAGES]) & set(self._confirm))
        # What numbers were fitted to must not be all that they are confirmed by.
        self._fitted = list(self.differing[::2][:FIRST_IMAGES])

    def find(self, mutations: Sequence[Mutation], fits: Sequence[Fit] = FITS) -> Found:
        """fits: made where no mutation without fitted numbers is exact."""
        singles = [(m,) for m in mutations]
        ranked = self._funnel(singles, self.early)
        found = self._named(ranked)
        if self._one_is_exact and not (found.best and found.best.exact) and self.in_time():
            # It was on some images alone, and others had been given up for it.
            self._gives_up = False
            ranked = together(self._funnel(singles, self.early), ranked)
            found = self._named(ranked)
        pairs: list[Explanation] = []
        for near in nearest_pairs(ranked, self._makeable(mutations), self.stretch.stages):
            if not _complete(found) and self.in_time():
                pairs = together(self._funnel(near, pairs=True), pairs)
                found = self._with_pairs(found, ranked, pairs)
        if not _complete(found) and self.in_time():
            found = self._widely(found, ranked, pairs, mutations, fits)
        tried = sum(self._seen.values())
        left = sum(m not in self._seen for m in mutations)
        untried = tuple(Untried(why, count) for why, count in self._untried.items())
        return replace(found, tried=tried, left=left, untried=untried, out_of_time=not self.in_time())

    def _widely(
        self,
        found: Found,
        ranked: list[Explanation],
        pairs: list[Explanation],
        mutations: Sequence[Mutation],
        fits: Sequence[Fit],
    ) -> Found:
        """found: so far, of those alone (ranked) and of the nearest pairs. What is left alone, numbers that are fitted, and
        pairs of the best with everything."""
        more = self._funnel([(m,) for m in mutations if m not in self._seen])
        made = self._fits(fits, self.base) if self.in_time() else ()
        more += self._funnel([(m,) for m in made])
        ranked = together(more, ranked)
        alone = self._named(ranked)
        if not _complete(alone) and self.in_time():
            known = {frozenset(e.mutations) for e in pairs}
            made_behind = partial(self._fitted_behind, fits=fits)
            wide = wide_pairs(ranked, self._makeable(mutations), self.stretch.stages, made_behind)
            pairs = together(self._funnel([p for p in wide if frozenset(p) not in known], pairs=True), pairs)
        now = self._with_pairs(alone, ranked, pairs)
        # Once time is up nothing is confirmed, and what was stays.
        return now if now.best or not found.best else replace(found, near=now.near)

    def _with_pairs(self, alone: Found, ranked: Sequence[Explanation], pairs: Sequence[Explanation]) -> Found:
        """A large fault explains most even where a small one is beside it: then a pair must do clearly better."""
        if not pairs:
            return alone
        found = self._named([*pairs, *ranked])
        if alone.best is None or found.best is None:
            return found if found.best else replace(alone, near=found.near)
        better = found.best.exact or (
            self.stretch.end not in (OUTPUTS, *OF_RESULTS) and _clearly_better(found.best, alone.best)
        )
        return found if better and len(found.best.mutations) > 1 else alone

    def _funnel(
        self,
        candidates: Sequence[tuple[Mutation, ...]],
        while_: Callable[[], bool] = lambda: True,
        pairs: bool = False,
    ) -> list[Explanation]:
        """All on few images while there is time for it, then what is not hopeless on more; the best first."""
        first = [e for e in (self._first_try(c, pairs) for c in candidates if while_()) if e is not None]
        first.sort(key=lambda e: e.rank)
        hopeful = [e for e in first if e.explained >= HOPELESS]
        more = [self._tried(e.mutations, self._search, 1 - HOPELESS) or e for e in hopeful[:MOST_SEARCHED]]
        return (
            sorted(more, key=lambda e: e.rank) + hopeful[MOST_SEARCHED:] + [e for e in first if e.explained < HOPELESS]
        )

    def _first_try(self, mutations: tuple[Mutation, ...], pair: bool) -> Explanation | None:
        """Of a pair no more images than it takes to see that it does no better than the better of its two alone."""
        alone = [self._alone[m] for m in mutations if m in self._alone] if pair else []
        if pair:
            # There are many pairs, and one that does three times as badly on the most different image is not the better one.
            least = min([*alone, 1 - HOPELESS])
            found = self._tried(mutations, self._first, least, min(3 * least, 1 - HOPELESS))
        else:
            found = self._tried(mutations, self._first)
        if found and not pair:
            self._alone[mutations[0]] = found.left
        if not pair and (found or self.in_time()):
            self._seen[mutations[0]] = found is not None
        self._one_is_exact = self._one_is_exact or bool(found and found.exact)
        return found

    def _named(self, ranked: Sequence[Explanation]) -> Found:
        near = tuple(one_each(sorted(ranked, key=lambda e: e.rank))[:3])
        hopeful = [e for e in ranked if e.explained >= LEAST_EXPLAINED]
        if not hopeful:
            return Found(None, near=near)
        enough = tuple(one_each(hopeful))
        # The best of each fault are confirmed, and what comes right behind them, or the runner-up would be another image set's.
        # Two of one fault may be alike on the searched images, and one of them the mistake.
        chosen = list(dict.fromkeys([*one_each(ranked)[:MOST_CONFIRMED], *hopeful[:MOST_CONFIRMED]]))
        confirmed = [e for e in (self._tried(c.mutations, self._confirm) for c in chosen) if e is not None]
        confirmed = [e for e in confirmed if e.exact or self._holds_beside_one(e)]
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

    def _holds_beside_one(self, e: Explanation) -> bool:
        return self.stretch.end not in OF_RESULTS or e.left_of_others <= 1 - LEAST_OF_OTHERS

    def _fitted_behind(self, first: Mutation, fits: Sequence[Fit]) -> Sequence[Mutation]:
        way = self._way((first,))
        return self._fits(fits, way) if way and self.in_time() else []

    def _fits(self, fits: Sequence[Fit], way: Way) -> Sequence[Mutation]:
        found = fitted(fits, self.stretch, way, self._fitted)
        for why in found.broken:
            self._untried_as(why)
        return found.mutations

    def _makeable(self, mutations: Sequence[Mutation]) -> list[Mutation]:
        """Less what cannot be made alone. One that changes nothing alone may: a threshold that only other scores cross."""
        return [m for m in mutations if self._ways.get((id(m),), self.base) is not None]

    def _tried(
        self,
        mutations: tuple[Mutation, ...],
        images: Sequence[int],
        most_left: float = 1 - LEAST_SHARE,
        of_one: float = WORSE,
    ) -> Explanation | None:
        """None where the mistake cannot be made in this pipeline, or time is up. most_left: where two images or more say that
        it leaves more than that, the others are not asked; of_one: the same of one."""
        if not self.in_time():
            return None
        way = self._way(mutations)
        if way is None:
            return None
        before: list[float] = []
        after: list[float] = []
        exact = True
        for k, i in enumerate(images):
            before.append(self._base(i))
            compared = self._compared(way, i)
            if compared.broken:
                self._untried_as(f"{_faults(mutations)}: {compared.broken}")
                # It is not tried again, nor in a pair, and what it holds is let go.
                self._ways[tuple(map(id, mutations))] = None
                return None
            after.append(compared.distance)
            exact = exact and compared.same
            limit = most_left if k else of_one
            # Beside one that is exact the others only have to show that they are not.
            if not exact and ((self._one_is_exact and self._gives_up) or sum(after) > limit * sum(before)):
                break
        again = self._again if images is self._confirm else 0
        others = left_of_others(after, before, alone=len(self.differing) == 1)
        return Explanation(mutations, share(after, before), sum(after) / len(after), exact, len(images), again, others)

    def _compared(self, way: Way, image: int) -> Compared:
        try:
            return self.stretch.compared(way, image)
        except MemoryError:
            self.stretch.forget()
            return Compared(MISMATCH, False, NO_ROOM)

    def _way(self, mutations: tuple[Mutation, ...]) -> Way | None:
        key = tuple(map(id, mutations))
        if key not in self._ways:
            self._ways[key] = self._changed(mutations)
        return self._ways[key]

    def _changed(self, mutations: tuple[Mutation, ...]) -> Way | None:
        try:
            return with_mutations(self.base, mutations)
        except BackendUnavailableError as e:
            self._untried_as(str(e))
        except (SeatrialError, ValueError, KeyError):
            pass  # such a pipeline cannot make this mistake
        except MemoryError:
            self._untried_as(f"{_faults(mutations)}: {NO_ROOM}")
        except Exception as e:  # one mistake that cannot be made must not cost the others
            self._untried_as(f"{_faults(mutations)}: {raised(e)}")
        return None

    def _untried_as(self, why: str) -> None:
        self._untried[why] = self._untried.get(why, 0) + 1

    def _base(self, image: int) -> float:
        if image not in self._base_distances:
            self._base_distances[image] = self.stretch.distance(self.base, image)
        return self._base_distances[image]


def _faults(mutations: tuple[Mutation, ...]) -> str:
    return " and ".join(m.fault for m in mutations)


def _complete(found: Found) -> bool:
    return bool(found.best and (found.best.exact or found.best.apart <= ROUNDING))


def _clearly_better(best: Explanation, other: Explanation) -> bool:
    if best.exact:
        return not other.exact
    return other.left >= RUNNER_UP_FACTOR * best.left
