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


def missing(percentiles: Iterable[tuple[str, Measured]]) -> list[str]:
    """Why some have no upper bound: a line a percentile, given with its name, of the one with the fewest requests."""
    unbounded = [(p, m) for p, m in percentiles if not m.interval or m.interval[1] is None]
    lines: dict[str, str] = {}
    for p, m in sorted(unbounded, key=lambda pair: pair[1].n):
        for warning in m.warnings:
            if warning.code != "no-lower-bound":
                lines.setdefault(p if warning.code == "no-upper-bound" else warning.code, str(warning))
    return list(lines.values())
