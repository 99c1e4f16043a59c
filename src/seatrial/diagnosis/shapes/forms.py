"""Forms that values change by: an affine, a curve, a mix of channels, a shift, a filter; fitted on half, judged on the rest.

For: images and tensors as (H, W, C), and raw outputs as values alone. Not for: where a difference lies (places.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from seatrial.diagnosis.shapes.clause import LEAST_VALUES, MOST_SIDE, MOST_VALUES, Clause, percent

Floats = npt.NDArray[np.floating]
F64 = npt.NDArray[np.float64]
# Points of a curve: of gamma and of tone curves eight are enough, and sixteen follow a step.
CURVE = 16
# A filter of so many pixels a side: what blurs by more is a resize, which is tried by its name.
FILTER = 5
FEWEST_OF_A_FILTER = 20 * FILTER**2
# Pixels: further shifts come from another geometry, not from a sample's place.
MOST_SHIFT = 16.0
# Below it a shift is what interpolation of the peak makes of none.
LEAST_SHIFT = 0.05


@dataclass(frozen=True, eq=False)
class Pair:
    """One image of both sides, (H, W, C) of floats, of equal shape. whole: values are whole numbers of a byte."""

    reference: Floats
    candidate: Floats
    whole: bool = False

    def rounded(self, values: Any) -> Any:
        return np.clip(np.rint(values), 0, 255) if self.whole else values


def value_forms(pairs: Sequence[Pair]) -> list[Clause]:
    """Of what a value becomes, wherever it stands. A channel is the last axis."""
    channels = pairs[0].reference.shape[-1]
    whole = pairs[0].whole
    samples = [_samples(p, len(pairs)) for p in pairs]
    r, c = (np.concatenate([s[side] for s in samples]) for side in (0, 1))
    fit, judge = slice(0, None, 2), slice(1, None, 2)
    apart = float(np.abs(r[judge] - c[judge]).sum())
    if len(r) < LEAST_VALUES or not apart:
        return []

    def explained(made: F64) -> float:
        made = np.clip(np.rint(made), 0, 255) if whole else made
        return 1 - float(np.abs(made - c[judge]).sum()) / apart

    one = _affine(r[fit].ravel(), c[fit].ravel())
    each = [_affine(r[fit, k], c[fit, k]) for k in range(channels)]
    share = explained(one[0] * r[judge] + one[1])
    found = [Clause(share, f"an affine change of all values explains {percent(share)} of it: {_affine_said(one)}", 2)]
    if channels > 1:
        share = explained(np.stack([a * r[judge, k] + b for k, (a, b) in enumerate(each)], axis=1))
        said = f"an affine change of each channel explains {percent(share)} of it: {', '.join(map(_affine_said, each))}"
        found.append(Clause(share, said, 2 * channels))
    if len(pairs) > 1:
        share = _own_affines(samples, whole)
        said = f"an affine change of each channel, another one in each image, explains {percent(share)} of it"
        found.append(Clause(share, said, 2 * channels * len(pairs)))
    found.append(_curve(r, c, explained))
    if channels > 1:
        found.append(_mix(r, c, explained))
    return found


def _samples(pair: Pair, images: int) -> tuple[F64, F64]:
    """(N, C) of both sides: finite values, of places by chance where there are many, so that no pattern of columns is met."""
    channels = pair.reference.shape[-1]
    r, c = (x.reshape(-1, channels) for x in (pair.reference, pair.candidate))
    most = max(LEAST_VALUES, MOST_VALUES // (images * channels))
    if len(r) > most:
        chosen = np.random.default_rng(0).integers(0, len(r), most)
        r, c = r[chosen], c[chosen]
    there = np.isfinite(r).all(axis=1) & np.isfinite(c).all(axis=1)
    return np.asarray(r[there], np.float64), np.asarray(c[there], np.float64)


def _affine(r: F64, c: F64) -> tuple[float, float]:
    """Least squares; what is clipped at an end of the candidate's range tells nothing of it."""
    low, high = c.min(initial=np.inf), c.max(initial=-np.inf)
    inner = (c > low) & (c < high)
    x, y = (r[inner], c[inner]) if inner.sum() > len(r) // 4 else (r, c)
    spread = float(np.square(x - x.mean()).sum()) if len(x) else 0.0
    scale = float(((x - x.mean()) * (y - y.mean())).sum()) / spread if spread else 1.0
    offset = float(y.mean() - scale * x.mean()) if len(x) else 0.0
    # Of what rounding leaves nothing is said.
    return scale, offset if abs(offset) > 1e-4 * float(np.abs(y).mean()) else 0.0


def _affine_said(affine: tuple[float, float]) -> str:
    scale, offset = affine
    return f"×{scale:.3g} {'−' if offset < 0 else '+'}{abs(offset):.3g}"


def affine_of_each(r: F64, c: F64) -> float:
    """What an affine of each column of (N, K) explains."""
    fitted = [_affine(r[::2, k], c[::2, k]) for k in range(r.shape[1])]
    left = sum(float(np.abs(a * r[1::2, k] + b - c[1::2, k]).sum()) for k, (a, b) in enumerate(fitted))
    apart = float(np.abs(r[1::2] - c[1::2]).sum())
    return 1 - left / apart if apart else 0.0


def _own_affines(samples: Sequence[tuple[F64, F64]], whole: bool) -> float:
    left = apart = 0.0
    for r, c in samples:
        for k in range(r.shape[1]):
            scale, offset = _affine(r[::2, k], c[::2, k])
            made = scale * r[1::2, k] + offset
            left += float(np.abs((np.clip(np.rint(made), 0, 255) if whole else made) - c[1::2, k]).sum())
            apart += float(np.abs(r[1::2, k] - c[1::2, k]).sum())
    return 1 - left / apart if apart else 0.0


def _curve(r: F64, c: F64, explained: Callable[[F64], float]) -> Clause:
    """Of each channel through as many points as hold equal shares of the values."""
    made, said = [], []
    for k in range(r.shape[1]):
        knots = np.unique(np.quantile(r[::2, k], np.linspace(0, 1, CURVE)))
        levels = _levels_at(knots, r[::2, k], c[::2, k])
        made.append(np.interp(r[1::2, k], knots, levels))
        said.append((knots, levels))
    share = explained(np.stack(made, axis=1))
    knots, levels = said[0]
    shown = [f"{knots[i]:.3g} becomes {levels[i]:.3g}" for i in (len(knots) // 4, len(knots) // 2, 3 * len(knots) // 4)]
    words = f"a curve of the values, such as gamma, explains {percent(share)} of it: {', '.join(dict.fromkeys(shown))}"
    return Clause(share, words, CURVE * r.shape[1])


def _levels_at(knots: F64, r: F64, c: F64) -> F64:
    """Least squares of a line through the knots, by its hat functions."""
    if len(knots) < 2:
        return np.array([float(c.mean())])
    place = np.clip(np.searchsorted(knots, r, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((r - knots[place]) / (knots[place + 1] - knots[place]), 0, 1)
    normal = np.zeros((len(knots), len(knots)))
    right = np.zeros(len(knots))
    for at, weight in ((place, 1 - share), (place + 1, share)):
        np.add.at(right, at, weight * c)
        np.add.at(normal, (at, at), weight**2)
    np.add.at(normal, (place, place + 1), share * (1 - share))
    np.add.at(normal, (place + 1, place), share * (1 - share))
    solved = np.linalg.lstsq(normal + 1e-9 * np.eye(len(knots)) * max(1.0, np.trace(normal)), right, rcond=None)
    return np.asarray(solved[0], np.float64)


def _mix(r: F64, c: F64, explained: Callable[[F64], float]) -> Clause:
    weights = np.linalg.lstsq(np.column_stack([r[::2], np.ones(len(r[::2]))]), c[::2], rcond=None)[0]
    share = explained(np.column_stack([r[1::2], np.ones(len(r[1::2]))]) @ weights)
    channels = r.shape[1]
    rows = "; ".join(" ".join(f"{w:.2g}" for w in weights[:channels, k]) for k in range(channels))
    return Clause(share, f"a mix of the channels explains {percent(share)} of it: {rows}", channels * (channels + 1))


def place_forms(pairs: Sequence[Pair]) -> list[Clause]:
    """Of where a pixel's value comes from: of images alone, whose neighbours say something of each other."""
    middles = [middle(p) for p in pairs if min(p.reference.shape[:2]) >= 4 * FILTER]
    middles = [p for p in middles if np.isfinite(p.reference).all() and np.isfinite(p.candidate).all()]
    return [c for c in (_shift(middles), _filter(middles)) if c is not None] if middles else []


def middle(pair: Pair) -> Pair:
    h, w = pair.reference.shape[:2]
    top, left = max(0, (h - MOST_SIDE) // 2), max(0, (w - MOST_SIDE) // 2)
    cut = (slice(top, top + MOST_SIDE), slice(left, left + MOST_SIDE))
    return Pair(pair.reference[cut], pair.candidate[cut], pair.whole)


def _shift(pairs: Sequence[Pair]) -> Clause | None:
    """One for all images, by phase correlation of each."""
    found = []
    for p in pairs:
        r, c = (np.ascontiguousarray(x.mean(axis=2, dtype=np.float64)) for x in (p.reference, p.candidate))
        found.append(cv2.phaseCorrelate(r, c, cv2.createHanningWindow(r.shape[::-1], cv2.CV_64F))[0])
    peak = [float(np.median([f[k] for f in found])) for k in range(2)]
    # A peak is interpolated to some hundredths, and a whole pixel is what most shifts are.
    tried = [(dx, dy) for dx, dy in (peak, np.round(peak), np.round(np.multiply(peak, 2)) / 2)]
    share, dx, dy = max((_moved(pairs, float(dx), float(dy)), float(dx), float(dy)) for dx, dy in tried)
    if not LEAST_SHIFT <= max(abs(dx), abs(dy)) <= MOST_SHIFT:
        return None
    across = f"{abs(dx):.2g} px to the {'right' if dx > 0 else 'left'}"
    down = f"{abs(dy):.2g} px {'down' if dy > 0 else 'up'}"
    words = " and ".join(said for said, by in ((across, dx), (down, dy)) if abs(by) >= LEAST_SHIFT / 2)
    return Clause(share, f"a shift by {words} explains {percent(share)} of it", 2)


def _moved(pairs: Sequence[Pair], dx: float, dy: float) -> float:
    """What share a shift explains, of pixels that come from within the image."""
    if max(abs(dx), abs(dy)) > MOST_SHIFT:
        return -1.0
    margin = int(np.ceil(max(abs(dx), abs(dy)))) + 2
    left = apart = 0.0
    for p in pairs:
        h, w = p.reference.shape[:2]
        moved = cv2.warpAffine(p.reference, np.array([[1, 0, dx], [0, 1, dy]]), (w, h), borderMode=cv2.BORDER_REPLICATE)
        inner = (slice(margin, h - margin), slice(margin, w - margin))
        made = p.rounded(moved.reshape(p.reference.shape))
        left += float(np.abs(made - p.candidate)[inner].sum(dtype=np.float64))
        apart += float(np.abs(p.reference - p.candidate)[inner].sum(dtype=np.float64))
    return 1 - left / apart if apart else 0.0


def _filter(pairs: Sequence[Pair]) -> Clause | None:
    """The same weights of the pixels around for all channels, fitted on half of some chosen by chance."""
    normal, right = np.zeros((FILTER**2, FILTER**2)), np.zeros(FILTER**2)
    rows = []
    for p in pairs:
        around, middle, own = _around(p)
        half = len(middle) // 2
        normal += around[:half].T @ around[:half]
        right += around[:half].T @ middle[:half]
        rows.append((p, around[half:], middle[half:], own[half:]))
    if sum(len(m) for _, _, m, _ in rows) < FEWEST_OF_A_FILTER:
        return None
    weights = np.linalg.lstsq(normal, right, rcond=None)[0]
    left = sum(float(np.abs(p.rounded(a @ weights) - m).sum()) for p, a, m, _ in rows)
    apart = sum(float(np.abs(m - own).sum()) for _, _, m, own in rows)
    share = 1 - left / apart if apart else 0.0
    return Clause(share, f"{_filter_said(weights)} explains {percent(share)} of it", FILTER**2)


def _around(pair: Pair) -> tuple[F64, F64, F64]:
    """(N, 25) of the reference around pixels, and (N,) of the candidate and the reference there, in an order by chance."""
    reach = FILTER // 2
    h, w, channels = pair.reference.shape
    count = min(MOST_VALUES // 40, (h - 2 * reach) * (w - 2 * reach))
    by_chance = np.random.default_rng(0)
    y, x = by_chance.integers(reach, h - reach, count), by_chance.integers(reach, w - reach, count)
    k = by_chance.integers(0, channels, count)
    steps = range(-reach, reach + 1)
    around = np.stack([pair.reference[y + dy, x + dx, k] for dy in steps for dx in steps], axis=1)
    candidate, reference = (np.asarray(side[y, x, k], np.float64) for side in (pair.candidate, pair.reference))
    return around.astype(np.float64), candidate, reference


def _filter_said(weights: npt.NDArray[Any]) -> str:
    grid = weights.reshape(FILTER, FILTER)
    centre, total = float(grid[FILTER // 2, FILTER // 2]), float(grid.sum())
    middle = f"(a filter of {FILTER} × {FILTER} pixels, {centre:.2f} in its middle)"
    # What keeps flat areas as they are.
    if abs(total - 1) < 0.1 and centre > 1.02:
        return f"sharpening {middle}"
    if abs(total - 1) < 0.1 and float(grid.min()) > -0.1 and centre == float(grid.max()):
        return f"a blur {middle}"
    return f"a filter of {FILTER} × {FILTER} pixels"
