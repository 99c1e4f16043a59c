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
    return np.asarray(offsets_ns[: max(1, int(np.searchsorted(offsets_ns, duration_s * 1e9)))])


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
        rows = [row for row in csv.reader(path.read_text("utf-8-sig").splitlines()) if row and row[0].strip()]
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: the arrival trace cannot be read ({e}); expected seconds, one a line") from None
    seconds: list[float] = []
    for number, row in enumerate(rows, 1):
        try:
            seconds.append(float(row[0]))
        except ValueError:
            if number == 1:
                continue
            raise DataError(f"{path}: line {number}: expected seconds, got {row[0]!r}") from None
        if not math.isfinite(seconds[-1]) or (len(seconds) > 1 and seconds[-1] < seconds[-2]):
            raise DataError(f"{path}: line {number}: expected ascending times in seconds, got {row[0]}; sort the trace")
    if len(seconds) < 2:
        raise DataError(f"{path}: expected at least two arrival times in seconds, one a line, got {len(seconds)}")
    return seconds
