"""How a percentile is shown where too few requests were taken to bound it from above: what is known, and what is missing.

For: tables of the terminal and the page. Not for: the bound itself (stats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from seatrial.history.records import Measured
from seatrial.units import format_seconds


def bounded(m: Measured, text: Callable[[float], str] = format_seconds) -> str:
    """The percentile; without an upper bound '≥' the value that it surely reaches, or '–' where there is none."""
    low, high = m.interval or (None, None)
    if high is not None:
        return text(m.value)
    return "–" if low is None else f"≥ {text(low)}"


def missing(measures: Iterable[Measured]) -> list[str]:
    """Why some have no upper bound: a line a percentile, of the one with the fewest requests."""
    unbounded = sorted((m for m in measures if not m.interval or m.interval[1] is None), key=lambda m: m.n)
    lines: dict[str, str] = {}
    for m in unbounded:
        for warning in m.warnings:
            if "lower bound" not in warning:
                what, needs, _ = warning.partition(": ")
                lines.setdefault(what if needs else "other", warning)
    return list(lines.values())
