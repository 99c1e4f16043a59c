"""How a percentile is shown where too few requests were taken to bound it from above: what is known, and what is missing.

And which percentiles are shown at all. For: tables of the terminal and the page. Not for: the bound itself (stats).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from seatrial.history.records import Measured, Record, StageSummary
from seatrial.stages import END_TO_END
from seatrial.units import format_seconds

ALWAYS = ("p90", "p99")


def asked_percentiles(budgets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Above the median, those of the whole pipeline that a plan's budgets limit, and that a record keeps of each cell."""
    ours = [b for b in budgets if b.get("metric") == "latency" and b.get("stage") in (None, END_TO_END)]
    asked = {str(b.get("at")) for b in ours} & set(StageSummary.model_fields)
    return sorted(asked - {"p50"})


def asked_of(record: Record) -> list[str]:
    """By the plan that it was measured by."""
    return asked_percentiles((record.plan.resolved or {}).get("budgets", ()))


def shown_percentiles(asked: Sequence[str]) -> list[str]:
    """Above the median: a limit on p95 is read beside a p95."""
    return sorted({*ALWAYS, *asked}, key=lambda p: float(p[1:]))


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
