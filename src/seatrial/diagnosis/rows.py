"""Whether the images that differ are told by their places in a batch: rows behind the first that are wrong, however they are.

For: candidates whose rows no known mistake reproduces, and that cannot be run again. Not for: mistakes of batches that can be
made in the reference (mutations/model.py), or a side that can be run (alone.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import comb

import numpy as np

from seatrial.diagnosis.diagnose import Part
from seatrial.diagnosis.stages import INPUT
from seatrial.errors import count_of
from seatrial.history.records.diagnosis import Diagnosis

# Were places of no matter, the images that differ would be exactly those in some of the places so often, at most. Half of the
# one false accusation in a hundred that is allowed, although only what nothing else explains comes here. One row of four that
# agrees takes 14 images or more, one of two 11.
MOST_BY_CHANCE = 0.005
# Rows are right or wrong; a difference that comes and goes by degrees is no matter of places.
LEAST_GAP = 5.0
# Nobody waits for so many rows a run without having tried a few.
MOST_PLACES = 64


def batch_dependent(part: Part, batch: int, order: Sequence[str]) -> Diagnosis | None:
    """None where nothing is known by places. part: one that nothing explains. batch: images a run of the candidate's; order: in
    which it went through them, by name."""
    names, size = part.stretch.names, len(part.distances)
    # What was in front of the candidate's own tensor may have a period too: every fourth picture of a camera, for one.
    if batch < 2 or batch > MOST_PLACES or part.stretch.start != INPUT or not 0 < len(part.differing) < size:
        return None
    place_of = {name: k % batch for k, name in enumerate(order)}
    places = [place_of[name] for name in names]
    differing = set(part.differing)
    wrong = {places[i] for i in differing}
    right = sorted({p for i, p in enumerate(places) if i not in differing})
    if wrong & set(right):
        return None
    chance = by_chance(places, len(differing))
    agreeing = [part.distances[i] for i in range(size) if i not in differing]
    is_step = min(part.distances[i] for i in differing) >= LEAST_GAP * max(agreeing)
    if chance > MOST_BY_CHANCE or not is_step or _is_of_the_images(part, differing):
        return None
    agree = f"place{'s' if len(right) > 1 else ''} {', '.join(str(p + 1) for p in right)}"
    return Diagnosis(
        fault="batch-dependent",
        what=f"agrees with the reference in {agree} of each batch of {batch}, and in no other",
        stage=part.stretch.end,
        confirmed=size,
        evidence=(
            f"in the order in which the candidate went through them, the {count_of(len(differing), 'image')} that differ are "
            f"exactly those in the other places; of {size} so many would be so by chance in {_odds(chance)}, and nothing in "
            "the images themselves tells them apart"
        ),
    )


def by_chance(places: Sequence[int], differing: int) -> float:
    """How often so many images, drawn at random, are exactly all of some places."""
    counts = list(Counter(places).values())
    # How many sets of places have so many images, by their number.
    ways = [1] + [0] * len(places)
    for count in counts:
        for total in range(len(places), count - 1, -1):
            ways[total] += ways[total - count]
    return ways[differing] / comb(len(places), differing)


def _odds(chance: float) -> str:
    return f"one case of {round(1 / chance):,}"


def _is_of_the_images(part: Part, differing: set[int]) -> bool:
    """Whether one number of the images themselves tells those that differ from the others as well as their places do: then it
    may be what they show that matters, and every so many show it."""
    stretch = part.stretch
    features = [list(_numbers(stretch.given(i), stretch.made(part.way, i).value)) for i in range(len(part.distances))]
    for values in zip(*features, strict=True):
        own = [v for i, v in enumerate(values) if i in differing]
        others = [v for i, v in enumerate(values) if i not in differing]
        if min(own) > max(others) or max(own) < min(others):
            return True
    return False


def _numbers(given: object, made: object) -> Iterator[float]:
    """Level and contrast of the candidate's own tensor, and of what the reference makes of it where that is a list of
    tensors."""
    tensors = [given, *(made if isinstance(made, list) else [])]
    for tensor in tensors:
        values = np.nan_to_num(np.asarray(tensor, np.float64))
        yield from (float(values.mean()), float(values.std()), float(values.min()), float(values.max()))
