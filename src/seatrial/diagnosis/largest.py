"""The largest difference of two images, tensors, or lists of outputs. Not for: how far they are apart (distance.py)."""

from __future__ import annotations

from typing import Any

import numpy as np


def largest(reference: Any, candidate: Any) -> float | None:
    """max |Δ| of finite values; None where shapes differ, or none is finite on both sides."""
    if isinstance(reference, list | tuple):
        if len(reference) != len(candidate):
            return None
        every = [largest(r, c) for r, c in zip(reference, candidate, strict=True)]
        return None if None in every else max((e for e in every if e is not None), default=None)
    r, c = np.asarray(reference), np.asarray(candidate)
    if r.shape != c.shape or not r.size:
        return None
    if r.dtype == c.dtype == np.uint8:
        return float((np.maximum(r, c) - np.minimum(r, c)).max())
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(r.astype(np.float64) - c.astype(np.float64))
    finite = apart[np.isfinite(apart)]
    return float(finite.max()) if finite.size else None
