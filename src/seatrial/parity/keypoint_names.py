"""Names of keypoints, of the model and of the truth: the same ones in another order would be judged as each other.

For: Ultralytics' metadata kpt_names against COCO's categories[].keypoints. Not for: how many there are (truth.py).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from seatrial.errors import DataError, short_list
from seatrial.parity.names import fold
from seatrial.parity.truth import Truth
from seatrial.warning import Warning

METADATA = "kpt_names"


def check_keypoint_names(truth: Truth, metadata: Mapping[str, str], labels: list[str] | None) -> list[Warning]:
    """labels: the model's classes. DataError where a category has the names of the model in another order; a warning where it
    has other names."""
    named = names_of(metadata)
    if truth.coco is None or not named:
        return []
    unlike: list[str] = []
    for category in truth.coco["categories"]:
        theirs = category.get("keypoints")
        ours = _of_category(named, str(category["name"]), labels)
        if not ours or not isinstance(theirs, list) or len(theirs) != len(ours):
            continue
        theirs = [str(name) for name in theirs]
        apart = [k for k, (a, b) in enumerate(zip(ours, theirs, strict=True)) if fold(a) != fold(b)]
        if not apart:
            continue
        if sorted(map(fold, ours)) == sorted(map(fold, theirs)):
            raise DataError(
                f"{truth.path}: category {category['name']!r} has the model's keypoints in another order: keypoint {apart[0]} "
                f"is {theirs[apart[0]]!r} in the truth and {ours[apart[0]]!r} in the model's metadata ({METADATA}), and "
                f"{len(apart)} of {len(ours)} differ; put the keypoints of categories and annotations in the model's order: "
                f"{short_list(ours, 20)}"
            )
        unlike += [f"{k} is {ours[k]!r} in the model and {theirs[k]!r} in the truth" for k in apart]
    said = (
        f"keypoints have other names in the model's metadata than in the truth ({short_list(unlike, 2)}): order counts"
    )
    return [Warning("keypoint-names", said, "confirm that both mean the same")] if unlike else []


def names_of(metadata: Mapping[str, str]) -> dict[int, list[str]]:
    """By class number; of a model that names the keypoints of its only class, or of all alike, under 0 alone. {} where they
    cannot be read."""
    try:
        value = ast.literal_eval(metadata[METADATA])
    except (KeyError, ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    rows = value if isinstance(value, dict) else {0: value}
    sound = all(isinstance(k, int) and isinstance(names, list | tuple) for k, names in rows.items())
    return {k: [str(n) for n in names] for k, names in rows.items()} if sound else {}


def _of_category(named: Mapping[int, list[str]], category: str, labels: list[str] | None) -> list[str]:
    if len(named) == 1:
        return next(iter(named.values()))
    own = [k for k, name in enumerate(labels or []) if fold(name) == fold(category)]
    return named.get(own[0], []) if len(own) == 1 else []
