"""A dense map in colours, with one scale for all sides of an image, and what the colours mean.

For: pictures.py. Not for: numbers; a colour is read to a tenth at best.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.history.records import ClassColour
from seatrial.kernels.results import DenseMap
from seatrial.pipeline.results import Result

# Least and greatest value; None where there is none.
Scale = tuple[float, float] | None
# Where there is no value: no colour of the map.
GREY = (128, 128, 128)


def scale_of(results: Sequence[Result]) -> Scale:
    """Over all dense maps among the results: the same value has the same colour on both sides."""
    values = [r.values[np.isfinite(r.values)] for r in results if isinstance(r, DenseMap)]
    there = [v for v in values if v.size]
    return (min(float(v.min()) for v in there), max(float(v.max()) for v in there)) if there else None


def heat(result: DenseMap, scale: Scale, size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR of this size: Viridis, which colour-blind readers tell apart too, dark is little."""
    small = cv2.resize(result.values, size_wh, interpolation=cv2.INTER_NEAREST)
    there = np.isfinite(small)
    low, high = scale or (0.0, 0.0)
    shares = np.where(there, small.astype(np.float64) - low, 0.0) / ((high - low) or 1.0)
    drawn = cv2.applyColorMap(np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    drawn[~there] = GREY
    return np.asarray(drawn, np.uint8)


def heat_legend(scale: Scale) -> tuple[ClassColour, ...]:
    """The least and the greatest value, in their colours."""
    if scale is None:
        return ()
    ends = cv2.applyColorMap(np.array([[0, 255]], np.uint8), cv2.COLORMAP_VIRIDIS)[0].tolist()
    colours = ["#{2:02x}{1:02x}{0:02x}".format(*bgr) for bgr in ends]
    return tuple(ClassColour(colour=c, name=f"{v:.3g}") for c, v in zip(colours, scale, strict=True))
