"""Scales of plots: round ticks that any range has at least two of, labelled with their unit.

For: axes of seconds, rates and changes. Not for: names on an axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

from seatrial.units import round_seconds

GRID = "#e4e7eb"
# A range narrower than this is shown in one this wide: of less, ticks would need more digits than anyone reads.
NARROWEST = 0.02


def round_ticks(low: float, high: float, least: int, log: bool = False) -> list[float]:
    """At least so many round numbers from low to high. log: powers of ten, or 1, 2 and 5 of each, where there are as many."""
    if log:
        for wanted in _families(low, high):
            if len(wanted) >= least:
                return wanted
    step = 10.0 ** math.ceil(math.log10(high - low))
    while True:
        for part in (1.0, 0.5, 0.2):
            first, last = math.ceil(low / (step * part) - 1e-9), math.floor(high / (step * part) + 1e-9)
            if last - first + 1 >= least:
                return [k * step * part for k in range(first, last + 1)]
        step /= 10


def _families(low: float, high: float) -> Iterator[list[float]]:
    """From few to many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits, every in (((1,), 3), ((1,), 1), ((1, 2, 5), 1)):
        ticks = [digit * 10.0**power for power in powers if power % every == 0 for digit in digits]
        yield [t for t in ticks if low <= t <= high]


def limits(values: Iterable[float], log: bool = False, pad: float = 0.04) -> tuple[float, float]:
    """Ends of an axis on which all of these are seen, with some room; those that are not finite are left out."""
    known = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(known), max(known)) if known else (0.5, 1.0)
    if log:
        room = max(math.log(high / low) * pad, NARROWEST)
        return low * math.exp(-room), high * math.exp(room)
    room = max((high - low) * pad, max(abs(low), abs(high)) * NARROWEST) or 0.5
    return low - room, high + room


def scale(
    axes: Any,
    which: Literal["x", "y"],
    ends: tuple[float, float],
    label: Callable[[list[float]], list[str]],
    least: int = 4,
    log: bool = False,
) -> None:
    """Ends, ticks and grid of an axis of matplotlib."""
    ticks = round_ticks(*ends, least, log)
    axis = getattr(axes, f"{which}axis")
    getattr(axes, f"set_{which}scale")("log" if log else "linear")
    getattr(axes, f"set_{which}lim")(*ends)
    axis.set_ticks(ticks, labels=label(ticks))
    axes.minorticks_off()
    axes.grid(axis=which, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def in_seconds(ticks: list[float]) -> list[str]:
    """Each in the unit that suits it; those of a narrow range in one."""
    narrow = ticks[-1] < 10 * ticks[0]
    return [round_seconds(t, ticks[-1] if narrow else t) for t in ticks]


def in_figures(ticks: list[float]) -> list[str]:
    return [f"{t:.10g}" for t in ticks]
