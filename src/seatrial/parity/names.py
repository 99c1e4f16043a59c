"""Class names: two lists against each other, what a plan's key names, and how messages show them. Not for: what follows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.errors import DataError, count_of, did_you_mean, short_list
from seatrial.warning import Warning


@dataclass(frozen=True)
class NamePairs:
    """by_first: position in the second list of each paired one of the first.

    folded: pairs that agree only when folded; unclear: names that several of one side share, so that none is paired.
    """

    by_first: Mapping[int, int]
    folded: tuple[tuple[str, str], ...]
    unclear: tuple[str, ...]


def pair_names(first: Sequence[str], second: Sequence[str]) -> NamePairs:
    """Pairs by equal names, then by folded ones among the rest. An empty name is no name and pairs with nothing."""
    pairs: dict[int, int] = {}
    unclear: dict[str, None] = {}
    left, right = _positions(first), _positions(second)
    for name in left.keys() & right.keys():
        if len(left[name]) == len(right[name]) == 1:
            pairs[left[name][0]] = right[name][0]
        else:
            unclear[name] = None
    folded: list[tuple[str, str]] = []
    # Whole lists, not the rest only: a name that folds like a paired one is not clear either.
    left, right = _positions([fold(n) for n in first]), _positions([fold(n) for n in second])
    paired_right = set(pairs.values())
    for name in left.keys() & right.keys():
        ours = [i for i in left[name] if i not in pairs and first[i] not in unclear]
        theirs = [i for i in right[name] if i not in paired_right and second[i] not in unclear]
        if not ours or not theirs:
            continue
        if len(left[name]) == len(right[name]) == 1:
            pairs[ours[0]] = theirs[0]
            folded.append((first[ours[0]], second[theirs[0]]))
        else:
            unclear |= dict.fromkeys(first[i] for i in ours)
    order = {name: i for i, name in reversed(list(enumerate(first)))}
    return NamePairs(
        dict(sorted(pairs.items())),
        tuple(sorted(folded, key=lambda p: order[p[0]])),
        tuple(sorted(unclear, key=order.__getitem__)),
    )


def fold(name: str) -> str:
    """Without capitals, spaces, '_' and '-'."""
    return re.sub(r"[\s_-]+", "", name).casefold()


def _positions(names: Sequence[str]) -> dict[str, list[int]]:
    found = defaultdict(list)
    for i, name in enumerate(names):
        if name:
            found[name].append(i)
    return dict(found)


def class_at(path: Path, key: str, labels: Sequence[str] | None, size: int) -> int:
    """The model class that a key of the plan's mapping names: a label, else an index."""
    where = f"{path}: postprocess.class_ids names class {key!r}"
    if labels and key in labels:
        if labels.count(key) > 1:
            raise DataError(f"{where}, which {labels.count(key)} labels are called; give its index instead")
        return labels.index(key)
    if not is_index(key):
        has = labels_text(labels) if labels else "no labels"
        raise DataError(
            f"{where}, but the model has {has}{did_you_mean(key, list(labels or []))}; give a label or an index"
        )
    if int(key) >= size:
        raise DataError(f"{where}, but the model has {count_of(size, 'class', 'classes')}, counted from 0")
    return int(key)


def folded_note(pairs: Sequence[tuple[str, str]]) -> list[Warning]:
    if not pairs:
        return []
    pairs_shown = short_list([f"{ours!r} = {theirs!r}" for ours, theirs in pairs])
    matched = f"{count_of(len(pairs), 'class', 'classes')} matched but for capitals, spaces, '_' or '-'"
    return [Warning("folded-names", f"{matched}: {pairs_shown} (label = name in the truth)")]


def labels_text(labels: Sequence[str]) -> str:
    return f"{count_of(len(labels), 'label')}: {short_list(labels)}"


def quoted_list(texts: Sequence[str]) -> str:
    return short_list([repr(t) for t in texts])


def is_index(text: str) -> bool:
    return re.fullmatch(r"0|[1-9][0-9]{0,8}", text) is not None


def is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?", text) is not None
