"""Several looks at one effect, or several tests at once, and one rate of error for all of them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri

# Numbers of pairs after which a sequential comparison may stop.
LOOKS = (8, 12, 16)


@lru_cache(maxsize=64)
def nominal_alpha(looks: int = len(LOOKS), alpha: float = 0.05) -> float:
    """The level of each of several looks at growing data, for a total of alpha (Pocock, Biometrika 64, 1977).

    0.0221 for three looks at 0.05. For looks at equal steps of information from the first; LOOKS start at half of it,
    overlap more, and so stay under alpha.
    """
    if looks < 1 or not 0 < alpha < 1:
        raise ValueError(f"expected one look or more and an alpha between 0 and 1, got {looks} and {alpha}")
    # Bonferroni's level is too strict, a single look's too lax.
    strict, lax = alpha / looks, alpha
    for _ in range(40):
        middle = (strict + lax) / 2
        if _total_alpha(looks, middle) > alpha:
            lax = middle
        else:
            strict = middle
    return strict


def _total_alpha(looks: int, nominal: float) -> float:
    """P(a standard normal walk leaves ±bound·√k at any look k): recursive integration (Armitage et al., 1969)."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    bound = -float(ndtri(nominal / 2))
    left = nominal
    at = nodes * bound
    # What each node carries of the walks that are still inside.
    mass = weights * bound * np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi)
    for k in range(2, looks + 1):
        edge = bound * math.sqrt(k)
        left += float(mass @ (np.asarray(ndtr(at - edge)) + np.asarray(ndtr(-at - edge))))
        onward = nodes * edge
        step = np.exp(-((onward[:, None] - at) ** 2) / 2) / math.sqrt(2 * math.pi)
        at, mass = onward, weights * edge * (step @ mass)
    return left


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given: those at or below q are discoveries of which a share q may be false.

    Benjamini and Hochberg, 1995. ValueError for anything outside 0 to 1: a NaN would sort as the largest.
    """
    p = np.asarray(p_values, np.float64)
    if not bool(((p >= 0) & (p <= 1)).all()):
        raise ValueError(f"expected p-values from 0 to 1, got {list(p_values)}")
    order = np.argsort(-p)
    rank_from_top = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    # Running minimum from the largest down keeps the order of the p-values.
    adjusted[order] = np.minimum.accumulate(np.minimum(1.0, p[order] * len(p) / rank_from_top))
    return [float(a) for a in adjusted]
