"""How sure a figure is that was made from a set of images: bootstrap over images, exact bounds of shares.

For: figures of any kind that are computed from weighted images (mAP, mIoU, means), and shares of equal trials. Not for:
latencies (sample.py), or what the figures are (parity/evaluation.py).

Images are drawn with replacement, all pipelines the same ones, and the bounds are BCa (Efron, Better Bootstrap Confidence
Intervals, 1987). A bootstrap cannot show what no image shows: 30 images on which nothing was lost give a bound of zero loss.
So a bound that something *passes* on is read from samples with one more image, lost altogether: what the set does not hold
may be out there all the same. A set of n without a loss is then bounded by 3 / n, as exact reckoning has it. By simulation
this keeps wrong passes near 5 % or below (tests/stats/test_resample.py); without it they are 20 to 90 % where losses are rare.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv, ndtr, ndtri

F64 = npt.NDArray[np.float64]
# weights (samples, images): how often each image was drawn; gives one value a sample, NaN where there is none.
Weighted = Callable[[F64], F64]

# Of so many, the share below their 5 % point is known to 0.7 % (one sd).
SAMPLES = 1000
# As many at a time: weights of a chunk of 5,000 images are 10 MB.
CHUNK = 256
# More images are left out in groups: the acceleration needs their spread, not each of them.
MOST_LEFT_OUT = 200
# A figure with nearly all samples on one side of it is biased by more than its spread: mAP of many classes can be.
LEAST_ON_A_SIDE = 0.05
# Where so many samples have no value (none of their images holds an object), what is left says nothing of the rest.
MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Resampled:
    """value: of the images themselves; samples: of sets drawn from them; left_out: without one image, or one group, each.

    NaN where there is none.
    """

    value: float
    samples: F64
    left_out: F64

    def minus(self, other: Resampled) -> Resampled:
        """The difference of two figures of the same images, drawn alike."""
        return Resampled(self.value - other.value, self.samples - other.samples, self.left_out - other.left_out)

    def low(self, confidence: float, with_extreme: Resampled | None = None) -> float | None:
        """At this confidence the true value is not below it. None where it cannot be said.

        with_extreme: the figure with one image more, the worst that there could be: the bound is its samples'.
        """
        return self._bound(-float(ndtri(confidence)), with_extreme or self)

    def high(self, confidence: float, with_extreme: Resampled | None = None) -> float | None:
        """At this confidence the true value is not above it."""
        return self._bound(float(ndtri(confidence)), with_extreme or self)

    def _bound(self, z: float, of: Resampled) -> float | None:
        own, samples = (np.sort(r.samples[np.isfinite(r.samples)]) for r in (self, of))
        least = (1 - MOST_UNDEFINED) * len(self.samples)
        if math.isnan(self.value) or math.isnan(of.value) or not len(own) or min(len(own), len(samples)) < least:
            return None
        # Ties count half: a discrete figure is often met exactly.
        below = float((own < self.value).mean() + (own == self.value).mean() / 2)
        if not LEAST_ON_A_SIDE <= below <= 1 - LEAST_ON_A_SIDE:
            # BCa can go no further than the outermost sample; the bias is larger than the spread, and is mirrored instead.
            return 2 * of.value - float(np.quantile(samples, float(ndtr(-z))))
        bias = float(ndtri(below))
        stretched = 1 - self._acceleration() * (bias + z)
        share = float(ndtr(bias + (bias + z) / stretched)) if stretched > 0 else float(z > 0)
        # Rounded outwards.
        rank = math.ceil(share * len(samples)) - 1 if z > 0 else math.floor(share * len(samples))
        return float(samples[min(max(rank, 0), len(samples) - 1)])

    def _acceleration(self) -> float:
        influence = self.left_out[np.isfinite(self.left_out)]
        influence = influence.mean() - influence if len(influence) else influence
        spread = float((influence**2).sum())
        return float((influence**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0


def resampled(figure: Weighted, images: int, seed: int, samples: int = SAMPLES) -> Resampled:
    """The figure of the images, of `samples` sets as large drawn from them, and without one image each.

    Two figures of as many images with the same seed are of the same sets. ValueError for no image.
    """
    if images < 1:
        raise ValueError(f"expected one image or more, got {images}")
    drawn = np.concatenate([figure(w) for w in _draws(images, seed, samples)])
    left_out = np.concatenate([figure(w) for w in _leave_out(images)])
    return Resampled(float(figure(np.ones((1, images)))[0]), drawn, left_out)


def _draws(images: int, seed: int, samples: int) -> Iterator[F64]:
    rng = np.random.default_rng(seed)
    for start in range(0, samples, CHUNK):
        rows = min(CHUNK, samples - start)
        chosen = rng.integers(images, size=(rows, images)) + np.arange(rows)[:, None] * images
        counts = np.bincount(chosen.ravel(), minlength=rows * images)
        yield counts.reshape(rows, images).astype(np.float64)


def _leave_out(images: int) -> Iterator[F64]:
    groups = np.array_split(np.arange(images), min(images, MOST_LEFT_OUT))
    for start in range(0, len(groups), CHUNK):
        rows = groups[start : start + CHUNK]
        weights = np.ones((len(rows), images))
        for row, group in zip(weights, rows, strict=True):
            row[group] = 0
        yield weights


def share_low(successes: float, trials: float, confidence: float) -> float:
    """At this confidence the true share is not below it: Clopper and Pearson's exact bound (1934). 0.76 for 11 of 11.

    Counts need not be whole, for trials that are worth fewer than there are.
    """
    _check_share(successes, trials)
    return 0.0 if successes <= 0 else float(betaincinv(successes, trials - successes + 1, 1 - confidence))


def share_high(successes: float, trials: float, confidence: float) -> float:
    """At this confidence the true share is not above it."""
    return 1 - share_low(trials - successes, trials, confidence)


def _check_share(successes: float, trials: float) -> None:
    if not 0 <= successes <= trials or trials <= 0:
        raise ValueError(f"expected 0 <= successes <= trials and a trial or more, got {successes} of {trials}")


def trials_to_decide(share: float, limit: float, confidence: float) -> int | None:
    """How many trials of this share would show on which side of the limit it lies; None where it lies on it, or nearly."""
    if share == limit:
        return None
    trials = 1
    while trials < 10_000_000:
        if share > limit and share_low(share * trials, trials, confidence) >= limit:
            return trials
        if share < limit and share_high(share * trials, trials, confidence) < limit:
            return trials
        trials = max(trials + 1, int(trials * 1.02))
    return None


def images_to_decide(
    images: int, value: float, limit: float, edge: float | None, extra: float, most: int = 1_000_000
) -> int | None:
    """About how many images would bring the bound to the limit: its distance shrinks with the root of their number, and
    what one lost image adds (`extra`) with their number. None where the value lies on the limit, or nearly."""
    room = abs(limit - value)
    if edge is None or room == 0:
        return None
    count = float(images)
    while count < most:
        if abs(edge - value) * math.sqrt(images / count) + extra * images / count <= room:
            return max(images + 1, math.ceil(count))
        count *= 1.1
    return None
