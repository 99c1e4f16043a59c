"""Which two mistakes are tried together where none alone explains what differs, the likeliest first.

For: pairs as such. Not for: trying them (search.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from seatrial.diagnosis.explanation import Explanation, one_each
from seatrial.diagnosis.mutation import Mutation
from seatrial.diagnosis.stages import RESULTS

# So many of those that explain some are tried with each of the others.
BEAM = 4
# Of a pair the first must explain at least so much alone: below it every pair of 100 would have to be tried.
LEAST_SHARE = 0.05
# First of all pairs those of so many of the best alone: of two faults that show each by itself these are the two, and wherever
# time is short there is none for pairs with everything.
NEAREST = 8
# What decides which results stay.
STAYS = "nms-settings"
Pair = tuple[Mutation, ...]


def nearest_pairs(
    ranked: Sequence[Explanation], mutations: Sequence[Mutation], stages: Sequence[str]
) -> Iterator[list[Pair]]:
    """The best of each fault that explains some, each with each. Then the best few with what decides which results stay, which
    may show in none but those that the other mistake gives, and with all else that is done to results, for which no model runs.
    """
    best = [e.mutations[0] for e in _sharing(ranked)][:NEAREST]
    yield [_in_order(best[k], best[n], stages) for n in range(len(best)) for k in range(n)]
    behind = [m for m in mutations if m.stage == RESULTS]
    in_front = [m for m in best[:BEAM] if m.stage != RESULTS]
    for stays in (True, False):
        yield [(f, s) for f in in_front for s in behind if (s.fault == STAYS) == stays]


def wide_pairs(
    ranked: Sequence[Explanation],
    mutations: Sequence[Mutation],
    stages: Sequence[str],
    fitted_behind: Callable[[Mutation], Sequence[Mutation]],
) -> list[Pair]:
    """Each of the best few with every other mutation of another fault, and with what can be fitted behind it."""
    firsts = [e.mutations[0] for e in _sharing(ranked) if len(e.mutations) == 1][:BEAM]
    added = {m: fitted_behind(m) for m in firsts}
    # By the second: models that it has changed are opened once for all of the first.
    both = [(f, s) for s in mutations for f in firsts]
    both += [(f, s) for f, more in added.items() for s in more]
    pairs = (_in_order(f, s, stages) for f, s in both if s.fault != f.fault)
    return list({frozenset(map(id, pair)): pair for pair in pairs}.values())


def _sharing(ranked: Sequence[Explanation]) -> list[Explanation]:
    return [e for e in one_each(ranked) if e.explained >= LEAST_SHARE]


def _in_order(first: Mutation, second: Mutation, stages: Sequence[str]) -> Pair:
    return tuple(sorted((first, second), key=lambda m: stages.index(m.stage)))
