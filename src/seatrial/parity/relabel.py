"""Class ids of one pipeline as another pipeline counts them, so that their results compare. Not for: truth (classes.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from seatrial.errors import count_of, short_list
from seatrial.kernels.results import Classification, Detections, Labels, SemanticMask
from seatrial.parity.classes import ClassMap
from seatrial.parity.names import folded_note, labels_text, pair_names
from seatrial.pipeline.results import Result
from seatrial.pipeline.stored import StoredResults, kinds_of
from seatrial.warning import Warning


@dataclass(frozen=True)
class Relabelling:
    """Made by relabelling.

    ids: the other's id of each own class, beyond its last class where it has no such class; None where ids mean the same.
    problem: why the two can't be compared at all; warnings: what to know where they can.
    """

    ids: npt.NDArray[np.int64] | None = None
    problem: Warning | None = None
    warnings: tuple[Warning, ...] = ()


def relabelling(
    own: Sequence[str] | None, other: Sequence[str] | None, own_count: int | None, other_count: int | None
) -> Relabelling:
    """How to read ids of a pipeline with labels `own` as one with labels `other` does; counts: classes of the heads.

    By names, then by names folded. Where a side has no labels ids are taken to mean the same, which is said, or is a
    problem where the heads have unlike numbers of classes.
    """
    if not own or not other:
        return _by_index(own, other, own_count, other_count)
    if list(own) == list(other):
        return Relabelling()
    pairs = pair_names(own, other)
    ids = np.array([pairs.by_first.get(k, len(other) + k) for k in range(len(own))], np.int64)
    for k in range(min(len(own), len(other))):
        # A name that several share, or none, still means the same where it stands in the same place.
        if k not in pairs.by_first and own[k] == other[k]:
            ids[k] = k
    if (ids >= len(other)).all():
        said = f"no class of the two is called alike: {labels_text(own)} against {labels_text(other)}"
        return Relabelling(problem=Warning("unlike-classes", said, "rename one side"))
    warnings = folded_note(pairs.folded)
    for names, free, whose in (
        (own, [k for k in range(len(own)) if ids[k] >= len(other)], "it alone has"),
        (other, [k for k in range(len(other)) if k not in ids], "it lacks"),
    ):
        if free:
            listed = short_list([names[k] or f"class {k} without a name" for k in free])
            said = f"{whose} {count_of(len(free), 'class', 'classes')}, which nothing matches: {listed}"
            warnings.append(Warning("unmatched-classes", said))
    return Relabelling(ids, warnings=tuple(warnings))


def through_truth(own: ClassMap, other: ClassMap) -> Relabelling | None:
    """By the categories of COCO truth that the plan's `class_ids` give both sides' classes: two that stand for one category
    are one class. None where neither side has such a mapping, so that names and ids tell."""
    if not {own.how, other.how} & {"plan", "coco91", "coco80"} or not own.ids or not other.ids:
        return None
    theirs = {c: k for k, c in enumerate(other.ids) if c is not None}
    beyond = len(other.ids)
    ids = [beyond + k if c is None else theirs.get(c, beyond + k) for k, c in enumerate(own.ids)]
    return Relabelling(np.array(ids, np.int64))


def _by_index(
    own: Sequence[str] | None, other: Sequence[str] | None, own_count: int | None, other_count: int | None
) -> Relabelling:
    counts = own_count or (len(own) if own else None), other_count or (len(other) if other else None)
    which = "neither has labels" if not own and not other else "one of the two has no labels"
    cure = "set postprocess.labels on both"
    if None not in counts and counts[0] != counts[1]:
        heads = f"their heads have {counts[0]} and {counts[1]} classes"
        said = f"{which}, and {heads}: nothing says which class is which"
        return Relabelling(problem=Warning("unlike-classes", said, cure))
    return Relabelling(warnings=(Warning("assumed-classes", f"{which}: class ids are taken to mean the same", cure),))


def relabelled(results: Sequence[Result], ids: npt.NDArray[np.int64] | None) -> Sequence[Result]:
    """The results with their class ids replaced by those of a Relabelling, each when it is asked for."""
    return results if ids is None else StoredResults(kinds_of(results), lambda i: _renumbered(results[i], ids))


def _renumbered(result: Result, ids: npt.NDArray[np.int64]) -> Result:
    if not isinstance(result, Detections | Classification | Labels | SemanticMask):
        return result
    in_range = (result.class_ids >= 0) & (result.class_ids < len(ids))
    # int64 for masks too: in their own narrow type an id beyond the other's classes could wrap round into them.
    moved: Any = np.where(in_range, ids[np.where(in_range, result.class_ids, 0)], result.class_ids.astype(np.int64))
    if isinstance(result, SemanticMask):
        moved[result.without_class] = np.iinfo(np.int64).max
    return replace(result, class_ids=moved)
