"""When requests arrive in an open loop: offsets from the first, ascending, int64 nanoseconds."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seatrial.errors import DataError

I64 = npt.NDArray[np.int64]


def poisson(rate_per_s: float, duration_s: float, seed: int) -> I64:
    """Independent users: gaps are exponential with mean 1 / rate. At least one arrival."""
    rng = np.random.default_rng(seed)
    # Ten standard deviations more than are expected; the rest is cut off.
    expected = rate_per_s * duration_s
    gaps_s = rng.exponential(1 / rate_per_s, math.ceil(expected + 10 * math.sqrt(expected) + 10))
    offsets_ns = (np.cumsum(gaps_s) * 1e9).astype(np.int64)
    # A rate far below one in the whole time must not wait for its first arrival for hours.
    within = max(1, int(np.searchsorted(offsets_ns, duration_s * 1e9)))
    return np.asarray(np.minimum(offsets_ns[:within], int(duration_s * 1e9)))


def constant(rate_per_s: float, duration_s: float) -> I64:
    """A camera: one request every 1 / rate."""
    count = max(1, int(rate_per_s * duration_s))
    return np.asarray((np.arange(count) * (1e9 / rate_per_s)).astype(np.int64))


def trace(seconds: Sequence[float], duration_s: float) -> I64:
    """Recorded arrivals, repeated as often as fits: a mean gap lies between the last and the first again."""
    offsets = np.asarray(seconds, np.float64) - seconds[0]
    period = float(offsets[-1] + offsets[-1] / max(1, len(offsets) - 1)) or duration_s
    repeats = max(1, math.ceil(duration_s / period))
    all_s = (offsets[None, :] + np.arange(repeats)[:, None] * period).reshape(-1)
    return np.asarray((all_s[all_s <= max(duration_s, 0.0)] * 1e9).astype(np.int64))


def read_trace(path: Path) -> list[float]:
    """Arrival times in seconds, one a line (the first field of a CSV; a header is skipped), ascending.

    DataError says where the file is not like that.
    """
    try:
        # Line by line, so that a stray quotation mark cannot swallow the lines behind it.
        lines = [next(csv.reader([line]), []) for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        why = e.strerror if isinstance(e, OSError) else e
        raise DataError(f"{path}: the arrival trace cannot be read ({why}); expected seconds, one a line") from None
    rows = [(number, row[0].strip()) for number, row in enumerate(lines, 1) if row and row[0].strip()]
    seconds: list[float] = []
    for place, (number, text) in enumerate(rows):
        try:
            value = float(text)
        except ValueError:
            if place == 0:
                continue
            raise DataError(
                f"{path}: line {number}: expected a time in seconds, got {text!r}; the first column must hold numbers"
            ) from None
        if not math.isfinite(value):
            raise DataError(f"{path}: line {number}: expected a finite time in seconds, got {text}; correct that line")
        if seconds and value < seconds[-1]:
            raise DataError(
                f"{path}: line {number}: expected ascending times, got {text} behind {seconds[-1]:.10g}; sort the trace"
            )
        seconds.append(value)
    if len(seconds) < 2:
        raise DataError(f"{path}: expected at least two arrival times in seconds, one a line, got {len(seconds)}")
    return seconds
