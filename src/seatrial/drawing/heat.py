"""A dense map in colours, with one scale for all pictures of a run, and a bar that says what the colours mean.

For: results.py. Not for: numbers; a colour is read to a tenth at best.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.kernels.results import DenseMap
from seatrial.pipeline.results import Result

# Least and greatest value; None where there is none.
Scale = tuple[float, float] | None
U8 = npt.NDArray[np.uint8]
# Where there is no value: no colour of the map.
GREY = (128, 128, 128)
# Pixels: the bar's colours, and all of it with its numbers.
_COLOURED, BAR = 8, 24


def scale_of(results: Iterable[Result]) -> Scale:
    """Over all dense maps among the results: the same value has the same colour wherever it is drawn."""
    values = [r.values[np.isfinite(r.values)] for r in results if isinstance(r, DenseMap)]
    there = [v for v in values if v.size]
    return (min(float(v.min()) for v in there), max(float(v.max()) for v in there)) if there else None


def heat(result: DenseMap, scale: Scale, size_wh: tuple[int, int]) -> U8:
    """(H, W, 3) uint8 BGR of this size: Viridis, which colour-blind readers tell apart too, dark is little."""
    small = cv2.resize(result.values, size_wh, interpolation=cv2.INTER_NEAREST)
    there = np.isfinite(small)
    low, high = scale or (0.0, 0.0)
    shares = np.where(there, small.astype(np.float64) - low, 0.0) / ((high - low) or 1.0)
    drawn = cv2.applyColorMap(np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    drawn[~there] = GREY
    return np.asarray(drawn, np.uint8)


def heat_with_bar(result: DenseMap, scale: Scale, size_wh: tuple[int, int]) -> U8:
    """(H + BAR, W, 3): below the map its colours from the least to the greatest value of the scale, with both."""
    drawn = heat(result, scale, size_wh)
    return drawn if scale is None else np.vstack([drawn, _bar(scale, size_wh[0])])


def _bar(scale: tuple[float, float], width: int) -> U8:
    bar = np.full((BAR, width, 3), 255, np.uint8)
    ramp = np.rint(np.linspace(0, 255, width)).astype(np.uint8)[None]
    bar[2 : 2 + _COLOURED] = cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)
    low, high = (f"{v:.3g}" for v in scale)
    (w, _), _ = cv2.getTextSize(high, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    for text, x in ((low, 1), (high, width - w - 1)):
        cv2.putText(bar, text, (x, BAR - 3), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (60, 50, 40), 1, cv2.LINE_AA)
    return bar
