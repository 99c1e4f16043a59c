"""Counts of durations in bins that grow with them: quantiles of any number of requests in memory that does not grow.

For: windows of a soak. Not for: single requests, or how sure a quantile is (sample.py). The layout is HdrHistogram's: each
power of two is cut into 2,048 equal bins, so that a bin is at most 1 / 2,048 of its value wide. A quantile is the middle of
its bin: at most 0.025 % beside the exact one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
# Bits of a value that are kept.
_BITS = 11
_HALF = 1 << _BITS
# Of a bin, over the smallest value in it.
BIN_WIDTH = 1 / _HALF
# 2^44 ns are five hours: a longer request is counted as one of them.
_LARGEST = (1 << 44) - 1


class LogHistogram:
    """Counts of int64 nanoseconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(_bins(np.array([_LARGEST]))[0] + 1, np.int64)

    def __len__(self) -> int:
        return int(self._counts.sum())

    def add(self, durations_ns: npt.NDArray[Any]) -> None:
        """durations_ns: (n,) of whole nanoseconds, none below zero."""
        if len(durations_ns):
            found, counts = np.unique(_bins(np.asarray(durations_ns, np.int64)), return_counts=True)
            self._counts[found] += counts

    def quantile_ns(self, quantile: float) -> float:
        """The middle of the bin of the smallest value with at least quantile * n at or below it. ValueError where it is
        empty."""
        total = len(self)
        if not total:
            raise ValueError("expected at least one duration, got none")
        rank = max(1, math.ceil(quantile * total - 1e-9))
        at = int(np.searchsorted(np.cumsum(self._counts), rank))
        low, high = _edge(at), _edge(at + 1)
        return (low + high - 1) / 2

    def clear(self) -> None:
        self._counts[:] = 0


def _bins(values: I64) -> I64:
    """Values below 4,096 have a bin each; from there on the eleven bits behind the first one choose it."""
    kept = np.clip(values, 0, _LARGEST)
    # frexp is exact below 2^53: value = fraction * 2^exponent, the fraction from 0.5 to 1.
    shift = np.maximum(np.frexp(kept.astype(np.float64))[1] - (_BITS + 1), 0).astype(np.int64)
    return np.asarray(shift * _HALF + (kept >> shift), np.int64)


def _edge(at: int) -> int:
    """The smallest value in a bin."""
    shift = max(0, at // _HALF - 1)
    return (at - shift * _HALF) << shift
