"""Where a difference of images lies: at the border, in one place, in one channel, at edges; or everywhere, by chance.

For: pairs of (H, W, C). Not for: how values change (forms.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.shapes.clause import AT_EDGES, EVEN, LOCATED, PLACE, UNRELATED, Clause, percent
from seatrial.diagnosis.shapes.forms import Pair, middle

F64 = npt.NDArray[np.float64]
# A picture's 64 blocks, of which each still holds some pixels.
BLOCKS = 8


def places(pairs: Sequence[Pair]) -> list[Clause]:
    """The narrower first. Of NaN and infinity nothing is asked."""
    maps = [_absolute(p) for p in pairs]
    total = sum(float(m.sum()) for m in maps)
    if not total:
        return []
    found = (_channels(pairs), _border(maps, total), _rectangle(maps, total), _edges(pairs))
    return [c for c in found if c is not None]


def _absolute(pair: Pair) -> F64:
    """(H, W): |Δ| of all channels."""
    return np.asarray(np.nan_to_num(np.abs(_delta(pair)), nan=0.0, posinf=0.0).sum(axis=2), np.float64)


def _delta(pair: Pair) -> npt.NDArray[np.float32]:
    with np.errstate(invalid="ignore"):
        return np.asarray(pair.candidate, np.float32) - np.asarray(pair.reference, np.float32)


def _channels(pairs: Sequence[Pair]) -> Clause | None:
    count = pairs[0].reference.shape[2]
    sums = sum(np.nan_to_num(np.abs(_delta(p)), nan=0.0, posinf=0.0).sum(axis=(0, 1)) for p in pairs)
    share = float(np.max(sums) / np.sum(sums))
    if count < 2 or share < LOCATED:
        return None
    return Clause(share, f"channel {int(np.argmax(sums))} of {count} alone has {percent(share)} of it")


def _border(maps: Sequence[F64], total: float) -> Clause | None:
    """Of the fewest pixels that hold it."""
    for width in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        inner = [m[width:-width, width:-width] for m in maps if min(m.shape) > 2 * width]
        area = 1 - sum(m.size for m in inner) / sum(m.size for m in maps)
        if area > PLACE:
            return None
        share = 1 - sum(float(m.sum()) for m in inner) / total
        if share >= LOCATED:
            pixel = "pixel" if width == 1 else f"{width} pixels"
            return Clause(
                share, f"{percent(share)} of it lies in the outermost {pixel}, which are {percent(area)} of the image"
            )
    return None


def _rectangle(maps: Sequence[F64], total: float) -> Clause | None:
    """The same in all images, from their upper left corner: an overlay, a bar, a part that was not written."""
    together = np.zeros(np.max([m.shape for m in maps], axis=0))
    for m in maps:
        together[: m.shape[0], : m.shape[1]] += m
    (top, bottom), (left, right) = (_middle_of(together.sum(axis=axis)) for axis in (1, 0))
    share = float(together[top:bottom, left:right].sum()) / total
    area = (bottom - top) * (right - left) * len(maps) / sum(m.size for m in maps)
    if share < LOCATED or area > PLACE:
        return None
    where = f"x {left} to {right}, y {top} to {bottom}"
    return Clause(share, f"{percent(share)} of it lies in one place ({where}), which is {percent(area)} of the image")


def _middle_of(sums: F64) -> tuple[int, int]:
    """From where to where all but a fortieth at either end lies."""
    passed = np.cumsum(sums) / sums.sum()
    return int(np.searchsorted(passed, 0.025)), int(np.searchsorted(passed, 0.975)) + 1


def _edges(pairs: Sequence[Pair]) -> Clause | None:
    held = total = 0.0
    for pair in map(middle, pairs):
        found = _absolute(pair)
        grey = np.nan_to_num(pair.reference.mean(axis=2, dtype=np.float64), posinf=0.0, neginf=0.0)
        steep = np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
        held += float(found[steep > np.quantile(steep, 1 - PLACE)].sum())
        total += float(found.sum())
    share = held / total if total else 0.0
    if share < AT_EDGES:
        return None
    return Clause(share, f"{percent(share)} of it lies at edges, in the steepest quarter of the pixels")


def noise(pairs: Sequence[Pair]) -> Clause | None:
    """What is everywhere alike, and related neither to its neighbours nor to the image."""
    related, uneven, sizes = [], [], []
    for pair in map(middle, pairs):
        delta = np.nan_to_num(_delta(pair), nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
        if min(delta.shape[:2]) < 2 * BLOCKS:
            return None
        for k in range(delta.shape[2]):
            own = delta[..., k]
            if not own.any():
                continue
            related += [_correlation(own[:, 1:], own[:, :-1]), _correlation(own[1:], own[:-1])]
            related.append(_correlation(own, np.asarray(pair.reference[..., k], np.float64)))
        uneven.append(_unevenness(np.abs(delta).sum(axis=2)))
        sizes.append(float(np.abs(delta).mean()))
    if not related or max(map(abs, _medians(related))) > UNRELATED or float(np.median(uneven)) > EVEN:
        return None
    said = (
        f"it looks random: of {np.mean(sizes):.3g} on the mean, everywhere alike, unrelated to its neighbours "
        f"(correlation {np.median(related[::3]):.2f}) and to the image ({np.median(related[2::3]):.2f})"
    )
    return Clause(1.0, said)


def _medians(related: Sequence[float]) -> list[float]:
    return [float(np.median(related[k::3])) for k in range(3)]


def _correlation(a: F64, b: F64) -> float:
    x, y = (np.nan_to_num(v.ravel(), posinf=0.0, neginf=0.0) for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt(np.square(x).sum() * np.square(y).sum()))
    return float((x * y).sum()) / size if size else 0.0


def _unevenness(absolute: F64) -> float:
    """Of mean |Δ| of blocks, over all of them."""
    h, w = (side // BLOCKS for side in absolute.shape)
    blocks = absolute[: h * BLOCKS, : w * BLOCKS].reshape(BLOCKS, h, BLOCKS, w).mean(axis=(1, 3))
    return float(blocks.std() / blocks.mean()) if blocks.mean() else 0.0
