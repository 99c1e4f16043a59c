"""How far keypoints may miss where the plan does not say it, in pixels of this truth. For: a warning before anything runs.

Not for: the sigmas themselves (kernels/poses.py), or OKS (objects.py, overlaps.py).
"""

from __future__ import annotations

import math

import numpy as np

from seatrial.errors import count_of
from seatrial.kernels.poses import COCO_SIGMAS, sigmas_of
from seatrial.parity.objects import with_keypoints_counted
from seatrial.parity.truth import Truth
from seatrial.warning import Warning

LOOSEST_OKS = 0.5


def default_sigmas(count: int, truth: Truth | None) -> Warning | None:
    """What is to be said where `count` keypoints get their sigmas by default; None of COCO's points, which have COCO's own."""
    if count == len(COCO_SIGMAS):
        return None
    sigma = sigmas_of(count)[0]
    share = forgiven(sigma)
    side = _median_side(truth)
    of_this = f": about {share * side:.2g} px on the median object of this truth (square root of area {side:.3g} px)"
    said = (
        f"no sigmas are given for {count_of(count, 'keypoint')}: OKS takes sigma {sigma:.3g} for each (1 / keypoints, "
        f"at most COCO's mean), so that OKS {LOOSEST_OKS:g} forgives {share:.0%} of an object's size{of_this if side else ''}"
    )
    return Warning("default-sigmas", said, "set postprocess.sigmas, one a keypoint")


def forgiven(sigma: float) -> float:
    """By how much all points may miss at OKS 0.5, as a share of the square root of the object's area: where
    exp(-d² / (2 · area · (2 sigma)²)) is 0.5."""
    return 2 * sigma * math.sqrt(-2 * math.log(LOOSEST_OKS))


def _median_side(truth: Truth | None) -> float:
    """Square root of the area of the median object that is judged; 0 where there is none."""
    rows = truth.coco["annotations"] if truth is not None and truth.coco is not None else []
    judged = [with_keypoints_counted(a) for a in rows if a.get("keypoints") and not a["iscrowd"]]
    areas = [a["area"] for a in judged if a["num_keypoints"]]
    return math.sqrt(max(0.0, float(np.median(areas)))) if areas else 0.0
