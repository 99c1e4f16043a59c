"""Which images a trial's report shows, and as which cells saw them: those that tell most come first.

For: a choice by decoded results, and by what is wrong with them. Not for: drawing (pictures.py), or figures; agreement.py has
those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from seatrial.cells.preflight import Ready
from seatrial.errors import count_of
from seatrial.history.records import CellRecord
from seatrial.kernels.results import Classification, DenseMap, Detections, Embedding, Labels, SemanticMask, Text
from seatrial.parity.evaluation import Evaluation
from seatrial.parity.overlaps import OVERLAPS
from seatrial.parity.relabel import relabelled
from seatrial.parity.results import NEAR, agreement, match
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import kinds_of
from seatrial.plan.reference import baseline_name, is_reference_configuration, reference_cell
from seatrial.trial.expected import Expected, expected, expected_words
from seatrial.trial.wrong import Wrong, wrong

F64 = npt.NDArray[np.float64]
Load = Callable[[CellRecord], Sequence[Result]]
T = TypeVar("T")
# A cell's results against the truth; None where there is no truth, or none for its task.
Evaluations = Callable[[CellRecord], Evaluation | None]

PICTURES = 6
# Of them, those on which most is wrong: the others say what differs.
WRONG_PICTURES = 3
# Of images on which nobody found anything two are enough to see what they are.
EMPTY_PICTURES = 2
# Share of a mask's pixels below which two pictures of it look the same.
LEAST_SEEN = 1e-3
# What an image without a box is worth.
NOTHING = -np.inf


@dataclass(frozen=True)
class Side:
    """One cell's result for one image. alone: boxes that the other side has no match for, by their index."""

    cell: CellRecord
    result: Result
    alone: frozenset[int] = frozenset()


@dataclass(frozen=True)
class View:
    """One image: the reference's side, then that of the cell which differs most from it; one side where none differs.

    why: how it was chosen: most is wrong on it, or its results differ, or much was found in it, or nobody finds anything
    anywhere. expected: what the truth has there, where that can be drawn, of what is wrong.
    """

    image: int
    sides: tuple[Side, ...]
    why: Literal["wrong", "differs", "found", "nothing"]
    note: str = ""
    expected: Expected | None = None


@dataclass(frozen=True)
class Pair:
    """A cell and what it is compared with: another cell of its pipeline, or the baseline's. apart: by image, boxes without a
    match, or the share of pixels or of one class that differ."""

    reference: CellRecord
    cell: CellRecord
    apart: F64 = field(default_factory=lambda: np.zeros(0))

    @property
    def across(self) -> bool:
        return self.reference.pipeline != self.cell.pipeline


def most_telling(ready: Ready, cells: Sequence[CellRecord], load: Load, evaluations: Evaluations) -> list[View]:
    """At most PICTURES, none of an image twice; none where there is nothing to draw. load: a cell's results, by image."""
    ok = [c for c in cells if c.status == "ok"]
    base = reference_cell(ready.plan.plan, ok) or next(iter(ok), None)
    if base is None:
        return []
    # By reference, so that `load` is asked for each cell once, and for a reference while its cells last.
    pairs = [found for pair in _pairs(ready, ok) if (found := _compared(ready, pair, load)) is not None]
    views = [
        _wrong(ready, image, *found, load) for image, found in islice(_most_wrong(ok, evaluations), WRONG_PICTURES)
    ]
    taken = {v.image for v in views}
    differing = ((image, pair) for image, pair in _worst(pairs) if image not in taken)
    views += [_differing(ready, image, pair, load) for image, pair in islice(differing, PICTURES - len(views))]
    return views + _others(base, load(base), {v.image for v in views}, bool(pairs), PICTURES - len(views))


def _most_wrong(
    cells: Sequence[CellRecord], evaluations: Evaluations
) -> Iterator[tuple[int, tuple[CellRecord, Wrong]]]:
    """Images on which something is wrong, each with the cell that is furthest from the truth on it, and how wrong it
    is. Pipelines take turns, the one with most wrong first: one that is wrong everywhere must not hide another's worst."""
    by_pipeline: dict[str, list[tuple[CellRecord, Wrong]]] = {}
    for cell in cells:
        evaluation = evaluations(cell)
        if evaluation is not None:
            by_pipeline.setdefault(cell.pipeline, []).append((cell, wrong(evaluation)))
    tables = [(np.stack([w.by_image for _, w in own]), own) for own in by_pipeline.values()]
    tables.sort(key=lambda t: -float(t[0].max(axis=0).sum()))
    return _in_turns([[(i, own[int(t[:, i].argmax())]) for i in _descending(t.max(axis=0))] for t, own in tables])


def _wrong(ready: Ready, image: int, cell: CellRecord, found: Wrong, load: Load) -> View:
    results = load(cell)
    like = next(r for r in results if r is not None)
    assert ready.truth is not None
    words = expected_words(ready.truth, ready.images[image].name)
    note = ", ".join(filter(None, ("no result" if results[image] is None else "", words, found.said(image))))
    return View(image, (Side(cell, results[image]),), "wrong", note, expected(ready, cell.pipeline, image, like))


def _pairs(ready: Ready, cells: Sequence[CellRecord]) -> Iterator[Pair]:
    """Every cell with its own pipeline's reference, and that with the baseline's."""
    plan = ready.plan.plan
    baseline = reference_cell(plan, cells, baseline_name(plan))
    for name in plan.pipelines:
        own = reference_cell(plan, cells, name)
        if own is None:
            continue
        yield from (Pair(own, c) for c in cells if c.pipeline == name and not is_reference_configuration(plan, c))
        if baseline is not None and own is not baseline:
            yield Pair(baseline, own)


def _compared(ready: Ready, pair: Pair, load: Load) -> Pair | None:
    """None where their results are not to be compared, or there is nothing to draw of them."""
    reference, own = load(pair.reference), _as_reference(ready, pair, load)
    if own is None or not any(map(_drawable, (*kinds_of(reference), *kinds_of(own)))):
        return None
    try:
        found = agreement(reference, own)
    except (AttributeError, ValueError):  # results of different kinds
        return None
    if found is None:
        return None
    apart = found.of - found.agree
    return Pair(pair.reference, pair.cell, np.where(apart >= LEAST_SEEN, apart, 0.0))


def _as_reference(ready: Ready, pair: Pair, load: Load) -> Sequence[Result] | None:
    """The cell's results with the reference's class ids; None where nothing says which class is which."""
    translation = ready.relabellings.get(pair.cell.pipeline) if pair.across else None
    if translation is not None and translation.problem:
        return None
    return relabelled(load(pair.cell), translation.ids if translation else None)


def _worst(pairs: Sequence[Pair]) -> Iterator[tuple[int, Pair]]:
    """Images that differ, each with the pair that is furthest apart on it. Pipelines and the cells of one pipeline take
    turns: two versions that differ everywhere must not hide what a precision breaks."""
    return _in_turns([_ranked([p for p in pairs if p.across == across]) for across in (True, False)])


def _in_turns(turns: Sequence[Sequence[tuple[int, T]]]) -> Iterator[tuple[int, T]]:
    """The first of each, then the second of each, by image; each image once."""
    seen: set[int] = set()
    for turn in zip_longest(*turns):
        for found in turn:
            if found is not None and found[0] not in seen:
                seen.add(found[0])
                yield found


def _descending(worth: F64) -> list[int]:
    """Of those above 0, the greatest first."""
    return [int(i) for i in np.argsort(-worth, kind="stable") if worth[i] > 0]


def _ranked(pairs: Sequence[Pair]) -> list[tuple[int, Pair]]:
    if not pairs:
        return []
    table = np.stack([p.apart for p in pairs])
    by = table.argmax(axis=0)
    return [(i, pairs[int(by[i])]) for i in _descending(table.max(axis=0))]


def _differing(ready: Ready, image: int, pair: Pair, load: Load) -> View:
    theirs, own = load(pair.reference)[image], load(pair.cell)[image]
    same_ids = (_as_reference(ready, pair, load) or ())[image]
    alone: tuple[frozenset[int], frozenset[int]] = frozenset(), frozenset()
    if isinstance(theirs, Detections) and isinstance(same_ids, Detections):
        matched = match(theirs, same_ids)
        alone = _left(len(theirs), {i for i, _, _ in matched}), _left(len(same_ids), {j for _, j, _ in matched})
    sides = (Side(pair.reference, theirs, alone[0]), Side(pair.cell, own, alone[1]))
    return View(image, sides, "differs", _difference(theirs, own, alone, float(pair.apart[image])))


def _left(count: int, matched: set[int]) -> frozenset[int]:
    return frozenset(range(count)) - matched


def _difference(theirs: Result, own: Result, alone: tuple[frozenset[int], frozenset[int]], apart: float) -> str:
    if theirs is None or own is None:
        return "no result on the left" if theirs is None else "no result on the right"
    if isinstance(theirs, Detections):
        boxes = ((alone[0], "on the left alone"), (alone[1], "on the right alone"))
        return ", ".join(f"{count_of(len(a), *OVERLAPS[type(theirs)].objects)} {where}" for a, where in boxes if a)
    if isinstance(theirs, Labels) and isinstance(own, Labels):
        sides = (set(theirs.class_ids.tolist()), set(own.class_ids.tolist()))
        counts = ((len(sides[0] - sides[1]), "on the left alone"), (len(sides[1] - sides[0]), "on the right alone"))
        return ", ".join(f"{count_of(count, 'label')} {where}" for count, where in counts if count)
    if isinstance(theirs, DenseMap):
        return f"values more than {NEAR:.0%} apart in {apart:.1%} of the pixels"
    if isinstance(theirs, Text):
        return "another text"
    return "another class" if isinstance(theirs, Classification) else f"another class in {apart:.1%} of the pixels"


def _others(base: CellRecord, results: Sequence[Result], taken: set[int], compared: bool, room: int) -> list[View]:
    """Images on which no cell differs, by what the reference cell makes of them."""
    left = [i for i, kind in enumerate(kinds_of(results)) if i not in taken and _drawable(kind)]
    worth = {i: _worth(results[i]) for i in left}
    some = [i for i in sorted(left, key=lambda i: -worth[i]) if worth[i] != NOTHING]
    note = "no cell differs here" if compared else ""
    if some or taken:
        return [View(i, (Side(base, results[i]),), "found", note) for i in some[:room]]
    return [View(i, (Side(base, results[i]),), "nothing", note) for i in left[:EMPTY_PICTURES]]


def _drawable(kind: type | None) -> bool:
    return kind is not None and not issubclass(kind, Embedding)


def _worth(result: Result) -> float:
    """Most boxes or labels; the classes and texts that are least sure; masks with most classes."""
    if isinstance(result, Detections | Labels):
        return len(result) or NOTHING
    if isinstance(result, Classification):
        return -float(result.scores[0])
    if isinstance(result, Text):
        return -float(result.score)
    return float(len(np.unique(result.class_ids))) if isinstance(result, SemanticMask) else 0.0
