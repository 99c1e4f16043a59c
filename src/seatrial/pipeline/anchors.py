"""Anchors from a file beside the plan: NumPy's .npy, or numbers in a .csv. Not for: making them; no model file says how."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seatrial.errors import PlanError
from seatrial.kernels.detection_layouts import checked_anchors
from seatrial.kernels.reference import F32

# Twenty times those of the largest EfficientDet.
MOST_ANCHORS = 1 << 22
# An anchor of that many pixels is none.
TINY_PX = 2.0


def load_anchors(path: Path) -> F32:
    """(N, 4) float32: x1, y1, x2, y2 in pixels of the input. Nothing is unpickled.

    Raises:
        PlanError: the file cannot be read, or holds something else.
    """
    cure = "expected a .npy or .csv file of (N, 4), x1, y1, x2, y2 in pixels of the input"
    if path.suffix.lower() not in (".npy", ".csv"):
        raise PlanError(f"{path}: a file of anchors ends in .npy or .csv; {cure}")
    try:
        if path.suffix.lower() == ".npy":
            found = np.load(path, allow_pickle=False)
        else:
            found = np.loadtxt(path, delimiter=",", ndmin=2, encoding="utf-8-sig")
        if not isinstance(found, np.ndarray) or len(found) > MOST_ANCHORS:
            raise ValueError("it holds no array of up to four million anchors")
        anchors = checked_anchors(found)
        if anchors.size and anchors.max() <= TINY_PX:
            raise ValueError(f"no number is above {anchors.max():.3g}: these are fractions of the input")
        return anchors
    except (OSError, ValueError, EOFError) as e:
        raise PlanError(f"{path}: the anchors cannot be read ({e}); {cure}") from None
