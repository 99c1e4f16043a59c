"""What of a truth is there, and is not judged: crowds, what is difficult or to be ignored, people without a visible keypoint.

For: which annotation is judged, and a warning where many are not, since a model that misses them loses nothing. Not for:
judging (objects.py, regions.py), or a truth in which nothing is left (empty_truth.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seatrial.errors import count_of
from seatrial.warning import Warning

# Of all annotations: COCO's own crowds are one in a hundred.
MANY = 0.1
CROWD, DIFFICULT, IGNORED, UNSEEN = "iscrowd", "difficult", "ignore", "no visible keypoint"


@dataclass(frozen=True)
class LeftOut:
    """Of `total` annotations (or what one is called), how many are not judged for each reason."""

    total: int
    reasons: Mapping[str, int]
    one: str = "annotation"

    @property
    def count(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        """'4 of 13 annotations not judged (iscrowd)', '' where all are."""
        if not self.count:
            return ""
        several = len(self.reasons) > 1
        why = ", ".join(f"{reason} {n}" if several else reason for reason, n in self.reasons.items())
        return f"{self.count} of {count_of(self.total, self.one)} not judged ({why})"

    def warnings(self, suspect: str = "", cure: str = "") -> list[Warning]:
        """Where there are many, but not all of them. suspect: why even few are too many."""
        if not self.count or self.count == self.total or (self.count <= MANY * self.total and not suspect):
            return []
        said = f"{self}: a model that misses {'it' if self.count == 1 else 'them'} loses nothing"
        return [Warning("left-out", f"{said}; {suspect}" if suspect else said, cure)]


def why_not_judged(a: Mapping[str, Any], of_poses: bool) -> str:
    """'' of an object of COCO's structure that is there to be found."""
    if a["iscrowd"]:
        return DIFFICULT if a.get("difficult") else CROWD
    if a.get("ignore"):
        return IGNORED
    return UNSEEN if of_poses and not any(v > 0 for v in a.get("keypoints", ())[2::3]) else ""


def left_out(annotations: Sequence[Mapping[str, Any]], of_poses: bool) -> LeftOut:
    return counted((why_not_judged(a, of_poses) for a in annotations), "annotation")


def counted(reasons: Iterable[str], one: str) -> LeftOut:
    """reasons: one each, '' of what is judged."""
    counts = Counter(reasons)
    return LeftOut(counts.total(), {k: n for k, n in counts.items() if k}, one)


def left_out_notes(annotations: Sequence[Mapping[str, Any]], of_poses: bool) -> list[Warning]:
    found = left_out(annotations, of_poses)
    why = [why_not_judged(a, of_poses) for a in annotations]
    judged = [a["area"] for a, reason in zip(annotations, why, strict=True) if not reason]
    crowds = [a["area"] for a, reason in zip(annotations, why, strict=True) if reason == CROWD]
    median = float(np.median(judged)) if judged else 0.0
    small = sum(area < median for area in crowds)
    suspect = f"{small} of {count_of(len(crowds), 'crowd')} are smaller than the median object" * (
        2 * small > len(crowds)
    )
    # Some exporters flag every mask of runs.
    return found.warnings(suspect, "write iscrowd: 0 where it is a single object" if crowds else "")
